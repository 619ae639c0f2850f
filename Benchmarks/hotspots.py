"""Where the time of a pass goes: matrix products, transforms, attention, norms, copies, waiting, for a UNet step and the VAE in the shape of SD v1.5.

    hotspots.py [--work unet,decode,encode] [--sdlab-bench .build/release/sdlab-bench] [--model DIR] [--passes 3] [--threads N] [--write]

`perf` samples sdlab-bench 499 times a second and processor; only samples between the beginning of the second pass and the end of the last count. Each is put into a group by
the function that it was in and by those that called it (kernels that serve several operations, such as the product, belong to the operation). What the threads did not
compute of `threads x wall seconds` is waiting: for each other at the end of an operation, or for a processor that something else had.
"""

import argparse
import collections
import os
import re
import subprocess
import tempfile
from pathlib import Path

from compare import SIZES, WORK, model
from results import ROOT, kind, machine, process, write

GROUPS = ("matrix products: Winograd", "matrix products: linear layers, 1x1 convolutions", "matrix products: patches of other convolutions", "Winograd's transforms",
          "attention: its products", "attention: softmax", "norms and their SiLU", "GEGLU and other activations", "copies: gathering, joining, resizing, adding", "packing weights",
          "the system: new pages", "everything else", "waiting")
PRODUCT = re.compile(r"^(panel_product|tile|sgemm_|cblas_sgemm)")


def group(chain):
    """`chain`: demangled names, the innermost first."""
    leaf = chain[0]
    inside = lambda word: any(word in name for name in chain)
    if inside("Attention."):
        return GROUPS[5] if leaf.startswith(("softmax", "divide_rows")) else GROUPS[4]
    if leaf.startswith(("winograd_", "doubled_")):
        return GROUPS[3]
    if PRODUCT.match(leaf):
        return GROUPS[0] if inside("winograd") or inside("inTiles") else GROUPS[2] if inside("conv2d") else GROUPS[1]
    if leaf.startswith(("channel_sums", "scale_shift", "layer_norm")) or inside("groupNorm") or inside("layerNorm"):
        return GROUPS[6]
    if leaf.startswith(("geglu", "silu", "gelu", "quick_gelu")):
        return GROUPS[7]
    if leaf.startswith("pack_") or inside("Panels.init"):
        return GROUPS[9]
    if any(name in ("asm_exc_page_fault", "do_syscall_64", "entry_SYSCALL_64_after_hwframe") for name in chain):
        return GROUPS[10]
    if leaf.startswith(("add_", "__mem")) or any(inside(w) for w in ("gather", "joinedChannels", "resizedNearest", "concatenated", "slice")):
        return GROUPS[8]
    return GROUPS[11]


def samples(data, windows):
    """Chains of mangled names and how often they were seen within the windows (monotonic seconds)."""
    out, _, _ = process(["perf", "script", "-i", data, "-F", "time,ip,sym"])
    seen = collections.Counter()
    for block in out.split("\n\n"):
        lines = block.strip().splitlines()
        if len(lines) < 2:
            continue
        at = float(lines[0].strip().rstrip(":"))
        if any(a <= at <= b for a, b in windows):
            seen[tuple(line.split(None, 1)[1].strip() if len(line.split(None, 1)) > 1 else "?" for line in lines[1:])] += 1
    return seen


def demangled(names):
    names = sorted(names)
    out = subprocess.run(["swift", "demangle", "--compact"], input="\n".join(names), check=True, capture_output=True, text=True).stdout
    return dict(zip(names, out.splitlines()))


def profile(work, o, folder):
    """Shares of `threads x wall seconds` by group, wall seconds of a pass, and what `everything else` was."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "perf.data"
        out, _, _ = process(["perf", "record", "-q", "-e", "cpu-clock", "-F", 499, "-g", "-k", "CLOCK_MONOTONIC", "-o", data, "--", o.sdlab_bench, folder, work,
                             *SIZES[work], 1 + o.passes], SDLAB_THREADS=str(o.threads))
        passes = [tuple(map(float, p)) for p in re.findall(r"^([\d.e-]+) seconds, processor ([\d.e-]+) s.*, from ([\d.]+) to ([\d.]+)$", out, re.M)][1:]
        seen = samples(data, [(a, b) for _, _, a, b in passes])
    names = demangled({name for chain in seen for name in chain})
    counts, rest = collections.Counter(), collections.Counter()
    for chain, n in seen.items():
        where = group([names[name] for name in chain])
        counts[where] += n
        if where == GROUPS[11]:
            rest[names[chain[0]]] += n
    wall, used = sum(p[0] for p in passes), sum(p[1] for p in passes)
    busy, total = min(1, used / wall / o.threads), sum(counts.values())
    shares = {name: busy * n / total for name, n in counts.items()} | {"waiting": 1 - busy}
    for name, n in rest.most_common(5):
        print(f"  everything else: {100 * busy * n / total:.1f} % {name[:150]}")
    return shares, wall / len(passes), total


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--work", default="unet,decode,encode")
    o.add_argument("--sdlab-bench", type=Path, default=ROOT / ".build/release/sdlab-bench")
    o.add_argument("--model", type=Path, default=ROOT / "out/sd15-shape")
    o.add_argument("--passes", type=int, default=3)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--write", action="store_true", help="write the table to RESULTS.md")
    o = o.parse_args()
    folder = model(o.model)
    works = o.work.split(",")
    results = {work: profile(work, o, folder) for work in works}
    lines = [
        machine(o.threads, f"`Benchmarks/hotspots.py --passes {o.passes}`: shares of threads x wall seconds; "
                + ", ".join(f"{WORK[w]} {seconds:.2f} s under `perf`, {n:,} samples" for w, (_, seconds, n) in results.items())), "",
        "| | " + " | ".join(WORK[w] for w in works) + " |", "| --- " * (1 + len(works)) + "|",
        *("| " + " | ".join([name, *(f"{100 * results[w][0].get(name, 0):.1f} %" for w in works)]) + " |" for name in GROUPS
          if any(results[w][0].get(name, 0) >= 0.0005 for w in works))]
    print("\n".join(lines))
    if o.write:
        write(f"{kind()}: profile", lines)


if __name__ == "__main__":
    main()
