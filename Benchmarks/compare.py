"""The passes of SD v1.5's shape (float32, random weights) beside PyTorch, turn by turn: a UNet step of batch 2 at 64x64 latents and 77 tokens, and the VAE over
512x512 pixels.

    compare.py [--work unet,decode,encode] [--sdlab-bench .build/release/sdlab-bench] [--model DIR] [--turns 5] [--threads N] [--write]

`make bench` sets everything up and writes Benchmarks/RESULTS.md, which has one table for each kind of processor. Each turn is a process of its own,
warms up with one pass and times the next; the programs take turns, so that other work on the machine meets all of them. Processor seconds (user and
system, all threads) stay comparable when the machine is shared.
"""

import argparse
import datetime
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
RESULTS = HERE / "RESULTS.md"
sys.path.insert(0, str(HERE / "peers"))

from torch_pass import UNET, VAE  # noqa: E402

WORK = {"unet": "UNet step, batch 2, 64x64 latents", "decode": "VAE decode, 512x512", "encode": "VAE encode, 512x512"}
SIZES = {"unet": (2, 64, 64), "decode": (1, 64, 64), "encode": (1, 512, 512)}
PEERS = {"PyTorch": "contiguous", "PyTorch, channels last": "channels_last"}


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


def peer(work, layout, threads):
    out = subprocess.run([sys.executable, HERE / "peers/torch_pass.py", "--work", work, "--layout", layout, "--repeats", "1", "--threads", str(threads)],
                         check=True, capture_output=True, text=True).stdout
    report = json.loads(out.splitlines()[-1])
    return report | report["runs"][layout]


def ours(work, binary, folder, threads):
    out = subprocess.run([binary, folder, work, *map(str, SIZES[work]), "2"], check=True, capture_output=True, text=True,
                         env=os.environ | {"SDLAB_THREADS": str(threads)}).stdout
    times = re.findall(r"^([\d.e-]+) seconds, processor ([\d.e-]+) s", out, re.M)
    peak = re.search(r"VmHWM:\s*(\d+) kB", out)
    return {"min": float(times[-1][0]), "processor": float(times[-1][1]), "peakMiB": int(peak[1]) // 1024, "about": out.splitlines()[0]}


def spread(runs):
    seconds = sorted(r["min"] for r in runs)
    return f"{seconds[0]:.2f} ({statistics.median(seconds):.2f}, {seconds[-1]:.2f})"


def compare(work, o, folder):
    """Runs all turns of one kind of work; a row of the table and what the peer says about the machine."""
    columns = {"sdlab": lambda: ours(work, o.sdlab_bench, folder, o.threads)} | {
        name: (lambda layout=layout: peer(work, layout, o.threads)) for name, layout in PEERS.items()}
    results = {name: [] for name in columns}
    print(f"{WORK[work]}\nturn " + "".join(f"{name:>26}" for name in columns) + "   wall seconds (processor seconds)")
    for turn in range(o.turns):
        line = f"{turn + 1:4} "
        for name, run in columns.items():
            results[name].append(run())
            line += f"{results[name][-1]['min']:.2f} ({results[name][-1]['processor']:.2f})".rjust(26)
        print(line, flush=True)
    best = {name: min(r["min"] for r in runs) for name, runs in results.items()}
    middle = {name: statistics.median(r["min"] for r in runs) for name, runs in results.items()}
    used = {name: min(r["processor"] for r in runs) for name, runs in results.items()}
    fastest = min(PEERS, key=lambda n: best[n])
    print(f"sdlab / {fastest}: {best['sdlab'] / best[fastest]:.2f} of the wall time, {used['sdlab'] / used[fastest]:.2f} of the processor time (best turns; below 1 is faster)")
    peak = {name: max(r["peakMiB"] for r in runs) for name, runs in results.items()}
    row = (f"| {WORK[work]} | {spread(results['sdlab'])} | " + " | ".join(spread(results[n]) for n in PEERS)
           + f" | {best['sdlab'] / best[fastest]:.2f} | {middle['sdlab'] / middle[fastest]:.2f} | {used['sdlab'] / used[fastest]:.2f} | {peak['sdlab']:,} / {peak[fastest]:,} |")
    return row, results["PyTorch"][0], results["sdlab"][0]["about"]


def write(kind, lines):
    """Replaces the section of this kind of processor in RESULTS.md, or adds it."""
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    head, *sections = re.split(r"^(?=## )", old, flags=re.M)
    sections = [s for s in sections if not s.startswith(f"## {kind}\n")] + [f"## {kind}\n\n" + "\n".join(lines) + "\n"]
    RESULTS.write_text(head.rstrip() + "\n\n" + "\n".join(s.rstrip() + "\n" for s in sorted(sections)))


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--work", default="unet,decode,encode")
    o.add_argument("--sdlab-bench", type=Path, default=HERE.parent / ".build/release/sdlab-bench")
    o.add_argument("--model", type=Path, default=HERE.parent / "out/sd15-shape")
    o.add_argument("--turns", type=int, default=5)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--write", action="store_true", help="write the table to RESULTS.md")
    o = o.parse_args()
    folder = model(o.model)
    rows, about, mine = [], None, None
    for work in o.work.split(","):
        row, about, mine = compare(work, o, folder)
        rows.append(row)
    level = next((f for f in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if f in about["flags"]), platform.machine())
    lines = [
        f"{datetime.date.today():%d %B %Y}, {about['cpu']}, {o.threads} threads of {os.cpu_count()} processors; torch {about['torch']}, diffusers {about['diffusers']},"
        f" Python {platform.python_version()}; {o.turns} turns, load at the end {os.getloadavg()[0]:.1f}.",
        "", "| work, float32 | sdlab, s | " + " | ".join(f"{n}, s" for n in PEERS) + " | ratio of the best | of the medians | of processor time | peak MiB, sdlab / peer |",
        "| --- " * (6 + len(PEERS)) + "|", *rows]
    print("\n".join(lines) + f"\nsdlab: {mine}")
    if o.write:
        write({"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 with BF16", "amx_bf16": "AMX"}.get(level, level), lines)


if __name__ == "__main__":
    main()
