"""Colours of matplotlib's tables, every 15th entry and the last: plots/palettes.json. RdBu_r is what sdlab calls redBlue."""
import argparse
import json
import pathlib

import matplotlib

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
out = parser.parse_args().out / "plots"
out.mkdir(parents=True, exist_ok=True)

names = {"viridis": "viridis", "magma": "magma", "inferno": "inferno", "cividis": "cividis", "redBlue": "RdBu_r"}
tables = {
    name: [[i, *(int(v) for v in matplotlib.colormaps[theirs](i, bytes=True)[:3])] for i in range(0, 256, 15)]
    for name, theirs in names.items()
}
(out / "palettes.json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")
