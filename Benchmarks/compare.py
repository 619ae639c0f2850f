"""The passes of SD v1.5's shape (random weights, in float32 and, where the processor has AVX512_BF16, in bfloat16) beside PyTorch and OpenVINO, turn by turn: a UNet step of batch 2 at 64x64 latents and 77 tokens, and the VAE over
512x512 pixels.

    compare.py [--work unet,decode,encode] [--precisions f32,bf16] [--peers torch,openvino] [--layouts contiguous,channels_last,compiled] [--sdlab-bench .build/release/sdlab-bench] [--model DIR] [--turns 5] [--threads N] [--write]

`make bench` sets everything up and writes Benchmarks/RESULTS.md, which has one table for each kind of processor. Each turn is a process of its own,
warms up with one pass and times the next; the programs take turns, so that other work on the machine meets all of them. Processor seconds (user and
system, all threads) stay comparable when the machine is shared.
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

from results import HERE, ROOT, kind, machine, spread, write
from torch_pass import UNET, VAE, cpu

TINY = ROOT / "Tests/Goldens/tiny/v1"

WORK = {"unet": "UNet step, batch 2, 64x64 latents", "decode": "VAE decode, 512x512", "encode": "VAE encode, 512x512"}
SIZES = {"unet": (2, 64, 64), "decode": (1, 64, 64), "encode": (1, 512, 512)}
LAYOUTS = {"PyTorch": "contiguous", "PyTorch, channels last": "channels_last", "PyTorch, compiled": "compiled"}
COLUMNS = ("sdlab", *LAYOUTS, "OpenVINO")


def model(folder):
    """A diffusers folder whose UNet and VAE have the shape of SD v1.5 and random weights, written on first use; its other parts are a tiny model's."""
    for part, config in (("unet", UNET), ("vae", VAE)):
        if (folder / part / ".whole").exists():
            continue
        print(f"writing {part} with random weights to {folder} (once)", flush=True)
        import diffusers
        import torch
        torch.manual_seed(0)
        kind = diffusers.UNet2DConditionModel if part == "unet" else diffusers.AutoencoderKL
        kind(**config).save_pretrained(folder / part, max_shard_size="20GB")
        (folder / part / ".whole").touch()
    for part in ("text_encoder", "scheduler", "tokenizer"):
        shutil.copytree(TINY / part, folder / part, dirs_exist_ok=True)
    return folder


def last_line(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: ended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def torch_pass(work, precision, layout, threads):
    report = last_line(HERE / "peers/torch_pass.py", "--work", work, "--precision", precision, "--layout", layout, "--repeats", 1, "--threads", threads)
    return report | report["runs"][layout]


def openvino_pass(work, precision, cache, threads):
    return last_line(HERE / "peers/openvino_pass.py", "--work", work, "--precision", precision, "--cache", cache, "--repeats", 1, "--threads", threads)


def ours(work, precision, binary, folder, threads):
    out = subprocess.run([binary, folder, work, *map(str, SIZES[work]), "2", precision], check=True, capture_output=True, text=True,
                         env=os.environ | {"SDLAB_THREADS": str(threads)}).stdout
    times = re.findall(r"^([\d.e-]+) seconds, processor ([\d.e-]+) s", out, re.M)
    peak = re.search(r"VmHWM:\s*(\d+) kB", out)
    return {"min": float(times[-1][0]), "processor": float(times[-1][1]), "peakMiB": int(peak[1]) // 1024, "about": out.splitlines()[0]}


def compare(work, precision, o, folder):
    """Runs all turns of one kind of work; a row of the table and what the peers say about the machine."""
    columns = {"sdlab": lambda: ours(work, precision, o.sdlab_bench, folder, o.threads)}
    if "torch" in o.peers:
        columns |= {name: (lambda layout=layout: torch_pass(work, precision, layout, o.threads)) for name, layout in LAYOUTS.items() if layout in o.layouts.split(",")}
    if "openvino" in o.peers:
        cache = folder / "openvino"
        subprocess.run([sys.executable, HERE / "peers/openvino_pass.py", "--work", work, "--cache", cache, "--convert"], check=True, capture_output=True)
        columns["OpenVINO"] = lambda: openvino_pass(work, precision, cache, o.threads)
    results = {name: [] for name in columns}
    title = f"{WORK[work]}, {'float32' if precision == 'f32' else 'bfloat16'}"
    print(f"{title}\nturn " + "".join(f"{name:>26}" for name in columns) + "   wall seconds (processor seconds)")
    for turn in range(o.turns):
        line = f"{turn + 1:4} "
        for name, run in columns.items():
            results[name].append(run())
            line += f"{results[name][-1]['min']:.2f} ({results[name][-1]['processor']:.2f})".rjust(26)
        print(line, flush=True)
    best = {name: min(r["min"] for r in runs) for name, runs in results.items()}
    middle = {name: statistics.median(r["min"] for r in runs) for name, runs in results.items()}
    used = {name: min(r["processor"] for r in runs) for name, runs in results.items()}

    def ratios(names):
        """Of the best turns, the medians and the processor time, to the fastest of these peers."""
        names = [n for n in names if n in best]
        if not names:
            return "not measured"
        n = min(names, key=lambda n: best[n])
        return f"{best['sdlab'] / best[n]:.2f} ({middle['sdlab'] / middle[n]:.2f}, {used['sdlab'] / used[n]:.2f})"

    cells = [spread([r["min"] for r in results[n]]) if n in results else "not measured" for n in COLUMNS]
    memory = " / ".join(f"{max(r['peakMiB'] for r in results[n]):,}" if n in results else "-" for n in ("sdlab", "PyTorch, channels last", "OpenVINO"))
    row = "| " + " | ".join([title, *cells, ratios(LAYOUTS), ratios(["OpenVINO"]), memory]) + " |"
    print(row)
    return row, {k: v for runs in results.values() for k, v in runs[0].items() if k in ("torch", "diffusers", "openvino")}, results["sdlab"][0]["about"]


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--work", default="unet,decode,encode")
    o.add_argument("--precisions", default="f32,bf16" if "avx512_bf16" in cpu()[1] else "f32", help="without AVX512_BF16 bfloat16 is emulated by all, many times slower")
    o.add_argument("--peers", default="torch,openvino")
    o.add_argument("--layouts", default=",".join(LAYOUTS.values()), help="which of PyTorch's")
    o.add_argument("--sdlab-bench", type=Path, default=ROOT / ".build/release/sdlab-bench")
    o.add_argument("--model", type=Path, default=ROOT / "out/sd15-shape")
    o.add_argument("--turns", type=int, default=5)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--write", action="store_true", help="write the table to RESULTS.md")
    o = o.parse_args()
    folder = model(o.model)
    rows, about, mine = [], {}, None
    for precision in o.precisions.split(","):
        for work in o.work.split(","):
            row, facts, mine = compare(work, precision, o, folder)
            about |= facts
            rows.append(row)
    versions = ", ".join(f"{name} {about.get(name, 'not measured')}" for name in ("torch", "diffusers", "openvino"))
    lines = [
        machine(o.threads, f"{versions}, Python {platform.python_version()}", f"{o.turns} turns"),
        "", "| work | " + " | ".join(f"{n}, s" for n in COLUMNS) + " | of PyTorch's time | of OpenVINO's | peak MiB: sdlab / PyTorch / OpenVINO |",
        "| --- " * (4 + len(COLUMNS)) + "|", *rows]
    print("\n".join(lines) + f"\nsdlab: {mine}")
    if o.write:
        write(kind(), lines)


if __name__ == "__main__":
    main()
