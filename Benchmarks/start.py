"""How long sdlab takes from its start to the first denoising step of a model in the shape of SD v1.5, stored as float16, with its files in the cache.

    start.py [--sdlab .build/release/sdlab] [--model DIR] [--turns 5] [--write]

The folder is made on first use (Tests/Goldens/make/sd15.py: random weights, 2.1 GB) and read once before the turns, so that the disk does not count. Weights are packed for
the products when they are first used, which is in the first step: that one takes longer than the next, and both are told.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from results import ROOT, kind, machine, process, spread, write


def folder(path):
    if not (path / "model_index.json").exists():
        print(f"making {path} (once)", flush=True)
        process([sys.executable, ROOT / "Tests/Goldens/make/sd15.py", "--out", path.parent, "--dtype", "float16", "--only-folder"])
    return path


def generate(o, model, steps):
    with tempfile.TemporaryDirectory() as out:
        return json.loads(process(
            [o.sdlab, "generate", "a red circle on a green meadow, highly detailed", "--model", model, "--sampler", "ddim", "--steps", steps, "-o", f"{out}/x.png", "--json", "-q"],
            SDLAB_LOG="off", SDLAB_THREADS=str(o.threads))[0])


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--sdlab", type=Path, default=ROOT / ".build/release/sdlab")
    o.add_argument("--model", type=Path, help="a diffusers folder; default: out/sd15-f16/diffusers")
    o.add_argument("--turns", type=int, default=5)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--write", action="store_true", help="write the row to RESULTS.md")
    o = o.parse_args()
    model = folder(o.model or ROOT / "out/sd15-f16/diffusers")
    for file in sorted(model.rglob("*")):
        if file.is_file():
            with open(file, "rb") as f:
                while f.read(1 << 24):
                    pass
    before, first = [], []
    for turn in range(o.turns):
        report = generate(o, model, 1)
        before.append(report["seconds_before_first_step"])
        first.append(report["seconds_sampling"])
        print(f"turn {turn + 1}: the first step begins after {before[-1]:.2f} s and takes {first[-1]:.2f} s", flush=True)
    later = generate(o, model, 3)["seconds_sampling"]
    lines = [
        machine(o.threads, f"`Benchmarks/start.py`, a float16 diffusers folder in the shape of SD v1.5, 512x512, {o.turns} turns"), "",
        "| work | sdlab, s | bar |", "| --- | --- | --- |", f"| from the start of the process to the first step, files in the cache | {spread(before)} | 5 |", "",
        f"The first step, which packs the weights for the products as it comes to them, took {min(first):.1f} s; a later one {(later - min(first)) / 2:.1f} s."]
    print("\n".join(lines))
    if o.write:
        write(f"{kind()}: the start", lines)


if __name__ == "__main__":
    main()
