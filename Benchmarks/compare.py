"""One UNet step in the shape of SD v1.5 (batch 2, 64x64 latents, 77 tokens, float32, random weights): sdlab beside PyTorch, turn by turn.

    compare.py [--sdlab-bench .build/release/sdlab-bench] [--model DIR] [--turns 5] [--threads N]

`make bench` sets everything up. Each turn is a process of its own, warms up with one step and times the next; the two take turns, so that other work on
the machine meets both. Processor seconds (user and system, all threads) of the step stay comparable when the machine is shared.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "Tests/Goldens/tiny/v1"
sys.path.insert(0, str(HERE / "peers"))

from unet_step import UNET  # noqa: E402


def model(folder):
    """A diffusers folder whose UNet has the shape of SD v1.5 and random weights, written on first use; its other parts are a tiny model's."""
    if not (folder / "unet/config.json").exists():
        print(f"writing a UNet with random weights to {folder} (3.4 GB, once)", flush=True)
        import torch
        from diffusers import UNet2DConditionModel
        torch.manual_seed(0)
        for part in ("text_encoder", "vae", "scheduler", "tokenizer"):
            shutil.copytree(TINY / part, folder / part, dirs_exist_ok=True)
        UNet2DConditionModel(**UNET).save_pretrained(folder / "unet", max_shard_size="20GB")
    return folder


def peer(layout, threads):
    out = subprocess.run([sys.executable, HERE / "peers/unet_step.py", "--layout", layout, "--repeats", "1", "--threads", str(threads)],
                         check=True, capture_output=True, text=True).stdout
    report = json.loads(out.splitlines()[-1])
    return report | report["runs"][layout]


def ours(binary, folder, threads):
    out = subprocess.run([binary, folder, "unet", "2", "64", "64", "2"], check=True, capture_output=True, text=True,
                         env=os.environ | {"SDLAB_THREADS": str(threads)}).stdout
    times = re.findall(r"^([\d.e-]+) seconds, processor ([\d.e-]+) s", out, re.M)
    peak = re.search(r"VmHWM:\s*(\d+) kB", out)
    return {"min": float(times[-1][0]), "processor": float(times[-1][1]), "peakMiB": int(peak[1]) // 1024, "about": out.splitlines()[0]}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--sdlab-bench", type=Path, default=HERE.parent / ".build/release/sdlab-bench")
    args.add_argument("--model", type=Path, default=HERE.parent / "out/sd15-unet")
    args.add_argument("--turns", type=int, default=5)
    args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = args.parse_args()
    folder = model(args.model)
    columns = {"sdlab": lambda: ours(args.sdlab_bench, folder, args.threads), "PyTorch": lambda: peer("contiguous", args.threads),
               "PyTorch, channels last": lambda: peer("channels_last", args.threads)}
    results = {name: [] for name in columns}
    print("turn " + "".join(f"{name:>26}" for name in columns) + "   wall seconds (processor seconds)")
    for turn in range(args.turns):
        line = f"{turn + 1:4} "
        for name, run in columns.items():
            results[name].append(run())
            line += f"{show(results[name][-1]):>26}"
        print(line, flush=True)
    best = {name: {key: min(r[key] for r in runs) for key in ("min", "processor")} for name, runs in results.items()}
    middle = {name: {key: statistics.median(r[key] for r in runs) for key in ("min", "processor")} for name, runs in results.items()}
    print("best " + "".join(f"{show(b):>26}" for b in best.values()))
    print("med. " + "".join(f"{show(m):>26}" for m in middle.values()))
    print("peak " + "".join(f"{max(r['peakMiB'] for r in runs):>22} MiB" for runs in results.values()))
    fastest = min((n for n in columns if n != "sdlab"), key=lambda n: best[n]["min"])
    print(f"sdlab / {fastest}: {best['sdlab']['min'] / best[fastest]['min']:.2f} of the wall time,"
          f" {best['sdlab']['processor'] / best[fastest]['processor']:.2f} of the processor time (best turns; below 1 is faster)")
    about = results["PyTorch"][0]
    print(f"{about['cpu']}, {os.cpu_count()} processors, {args.threads} threads, {' '.join(f for f in about['flags'] if f in ('avx2', 'avx512f', 'amx_tile'))};"
          f" torch {about['torch']}, diffusers {about['diffusers']}, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}")
    print(f"sdlab: {results['sdlab'][0]['about']}")


def show(r):
    return f"{r['min']:.2f} ({r['processor']:.2f})"


if __name__ == "__main__":
    main()
