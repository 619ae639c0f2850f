"""What looking costs: the sampling of `sdlab trace` with the cross-attention maps of all layers (mean over the heads, every step) beside the same without them.

    capture.py [--sdlab .build/release/sdlab] [--model DIR] [--steps 20] [--turns 5] [--size PIXELS]

The two take turns, each a process of its own with an empty store. Seconds are those of the sampling, from the run's manifest; without maps one vector of the mid
block is kept, so that both are traces.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

LOOKS = {"without": ["--sites", "unet.mid_block.out", "--reduce", "pixels"], "with maps": ["--sites", "unet.*.attn2.probs", "--reduce", "heads"]}


def trace(o, sites):
    """Seconds of the sampling and the process' largest resident size in MiB."""
    with tempfile.TemporaryDirectory() as store:
        size = ["-W", str(o.size), "-H", str(o.size)] if o.size else []
        command = [o.sdlab, "trace", "a red house next to a green tree", "--steps", str(o.steps), "-q", "--json", *sites, *size]
        process = subprocess.Popen(command + (["-m", o.model] if o.model else []), stdout=subprocess.PIPE, env=os.environ | {"SDLAB_RUNS": store})
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)}: status {status}")
        manifest = json.loads((Path(json.loads(out)["run"]) / "manifest.json").read_text())
        return manifest["seconds"]["sampling"], usage.ru_maxrss / 1024


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--sdlab", default=str(Path(__file__).resolve().parent.parent / ".build/release/sdlab"))
    o.add_argument("--model")
    o.add_argument("--steps", type=int, default=20)
    o.add_argument("--size", type=int, help="side of the picture in pixels; default: the model's")
    o.add_argument("--turns", type=int, default=5)
    o = o.parse_args()
    seen = {name: [] for name in LOOKS}
    for turn in range(o.turns):
        for name, sites in LOOKS.items():
            seen[name].append(trace(o, sites))
        print(turn + 1, "  ".join(f"{name}: {runs[-1][0]:.2f} s, {runs[-1][1]:.0f} MiB" for name, runs in seen.items()), flush=True)
    ratio = {kind: take(s for s, _ in seen["with maps"]) / take(s for s, _ in seen["without"]) for kind, take in (("best", min), ("median", statistics.median))}
    memory = max(m for _, m in seen["with maps"]) / max(m for _, m in seen["without"])
    print(f"with maps / without: {ratio['best']:.3f} of the best time, {ratio['median']:.3f} of the median; memory {memory:.3f}")


if __name__ == "__main__":
    main()
