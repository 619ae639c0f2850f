"""The model that comes with sdlab, 25 steps, beside diffusers in Python: whole processes, and the denoising loop alone.

    embedded.py [--sdlab .build/release/sdlab] [--sampler ddim] [--steps 25] [--turns 5] [--threads N] [--layouts contiguous,channels_last,compiled] [--write]

Same model, prompt, sampler, guidance and size. Whole process: from its start to its end with the picture on the disk; Python's includes its imports, which a
person waits for. Loop: sdlab's as it says itself (`generate --json`): cold, in that process, which packs its weights in the first step, and warm, what as many steps more take; diffusers' warm, in its
second run within one process, by the fastest of eager, channels-last and compiled PyTorch. All take turns. That both make the same picture is what the goldens of `Tests/Goldens/embedded` prove; here it is looked at once.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from results import HERE, ROOT, kind, machine, process, ratio, spread, write

MODEL = ROOT / "Resources/scenes-model"
PROMPT = "a red house next to a green tree at night"
LAYOUTS = {"contiguous": "eager", "channels_last": "channels last", "compiled": "compiled"}


def ours(o, folder, steps):
    out, seconds, peak = process(
        [o.sdlab, "generate", PROMPT, "--model", MODEL, "--sampler", o.sampler, "--steps", steps, "--guidance", 8, "--seed", 42, "-f", "-o", f"{folder}/ours-{steps}.png", "--json", "-q"],
        SDLAB_LOG="off", SDLAB_THREADS=str(o.threads))
    report = json.loads(out)
    return {"process": seconds, "loop": report["seconds_sampling"], "start": report["seconds_before_first_step"], "peakMiB": peak}


def theirs(o, folder, layout, *more):
    out, seconds, peak = process(
        [sys.executable, HERE / "peers/diffusers_pipeline.py", MODEL, PROMPT, "--sampler", o.sampler, "--steps", o.steps, "--guidance", 8, "--seed", 42, "--threads", o.threads,
         "--output", f"{folder}/{layout}.png", "--layout", layout, *more])
    report = json.loads(out.splitlines()[-1])
    if report["steps"] != o.steps:
        raise SystemExit(f"diffusers made {report['steps']} steps, expected {o.steps}")
    return report | {"process": seconds, "peakMiB": peak}


def difference(folder, steps):
    """Largest difference of the two pictures, in levels of 255."""
    import numpy
    from PIL import Image
    a, b = (numpy.asarray(Image.open(f"{folder}/{name}.png").convert("RGB")).astype(int) for name in (f"ours-{steps}", "contiguous"))
    return int(abs(a - b).max())


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--sdlab", type=Path, default=ROOT / ".build/release/sdlab")
    o.add_argument("--sampler", choices=("ddim", "dpmpp-2m", "euler"), default="ddim")
    o.add_argument("--steps", type=int, default=25)
    o.add_argument("--turns", type=int, default=5)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--layouts", default=",".join(LAYOUTS), help="of the warm loop in PyTorch")
    o.add_argument("--write", action="store_true", help="write the rows to RESULTS.md")
    o = o.parse_args()
    mine, cold, warm = [], [], {layout: [] for layout in o.layouts.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(o.turns):
            mine.append(ours(o, folder, o.steps))
            mine[-1]["warm"] = ours(o, folder, 2 * o.steps)["loop"] - mine[-1]["loop"]
            cold.append(theirs(o, folder, "contiguous"))
            for layout in warm:
                warm[layout].append(theirs(o, folder, layout, "--warm"))
            print(f"turn {turn + 1}: process {mine[-1]['process']:.2f} s, Python {cold[-1]['process']:.2f}; loop cold {mine[-1]['loop']:.3f} s, warm {mine[-1]['warm']:.3f}, diffusers warm "
                  + ", ".join(f"{LAYOUTS[name]} {runs[-1]['loop']:.3f}" for name, runs in warm.items()), flush=True)
        apart = difference(folder, o.steps)
    if apart > 2:
        raise SystemExit(f"the two pictures differ by up to {apart} of 255: they are not of the same work")
    process_seconds, python_seconds = [r["process"] for r in mine], [r["process"] for r in cold]
    loop, more = [r["loop"] for r in mine], [r["warm"] for r in mine]
    fastest = min(warm, key=lambda name: min(r["loop"] for r in warm[name]))
    other = [r["loop"] for r in warm[fastest]]
    lines = [
        machine(o.threads, f"torch {cold[0]['torch']}, diffusers {cold[0]['diffusers']}", f"`Benchmarks/embedded.py`, {o.sampler}, {o.steps} steps, guidance 8, 64x64 pixels, {o.turns} turns"),
        "", f"The two pictures differ by at most {apart} of 255 levels. sdlab's first step begins {statistics.median(r['start'] for r in mine):.2f} s after its process; its "
        f"peak is {max(r['peakMiB'] for r in mine)} MiB, Python's {max(r['peakMiB'] for r in cold)} MiB. Warm loops of diffusers: "
        + ", ".join(f"{LAYOUTS[name]} {spread([r['loop'] for r in runs], 3)} s" for name, runs in warm.items()) + ".", "",
        "| work | sdlab, s | diffusers, s | of diffusers' time | bar |", "| --- | --- | --- | --- | --- |",
        f"| whole process, a picture on the disk | {spread(process_seconds)} | {spread(python_seconds)} | {ratio(process_seconds, python_seconds)} | 0.1 |",
        f"| denoising loop, both warm (diffusers {LAYOUTS[fastest]}) | {spread(more, 3)} | {spread(other, 3)} | {ratio(more, other)} | 0.5 |",
        f"| the same, sdlab's cold | {spread(loop, 3)} | {spread(other, 3)} | {ratio(loop, other)} | |"]
    print("\n".join(lines))
    if o.write:
        write(f"{kind()}: the model that comes with sdlab, 25 steps", lines)


if __name__ == "__main__":
    main()
