"""What the specification of the scenes world does: factors and mask areas counted over 20,000 scenes, all captions of a few scenes.

    python scenes.py SPEC    # the folder with the specification's scenes.py; needs pycairo

Writes ../scenes/statistics.json and ../scenes/captions.json. Captions are not sampled: the specification's function runs on a generator that takes
every branch in turn, so that each caption comes out with its exact probability.
"""

import collections
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import scenes  # noqa: E402

folder = pathlib.Path(__file__).resolve().parent.parent / "scenes"
folder.mkdir(exist_ok=True)
COUNT, DRAWN = 20_000, 4_000


def histogram(values, low, high, bins):
    return np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))[0].tolist()


def statistics():
    rng = np.random.default_rng(7)
    drawn = [scenes.sample_scene(rng) for _ in range(COUNT)]
    counts = collections.defaultdict(collections.Counter)
    numbers = collections.defaultdict(list)
    for scene in drawn:
        objects, n = scene["objects"], len(scene["objects"])
        counts["setting"][scene["setting"]] += 1
        counts["objects"][str(n)] += 1
        if scene["plain"]:
            counts["plain"][scene["plain"]] += 1
        if scene["relation"]:
            counts["relation"][scene["relation"]] += 1
        numbers["horizon 35 46"].append(scene["horizon"])
        for o in objects:
            counts["pair"][f"{o['noun']} {o['colour']}"] += 1
            counts["size"][o["size"]] += 1
            counts["flip"][str(o["flip"]).lower()] += 1
            numbers["rot -0.13 0.13"].append(o["rot"])
            numbers["jit -0.03 0.03"] += o["jit"]
            numbers[f"r {n} 8 27"].append(o["r"])
            numbers[f"x {n} 0 64"].append(o["x"])
            home = "sky" if o["noun"] in scenes.SKY else "ground" if o["noun"] in scenes.GROUND else o["noun"]
            if n == 1:
                place = scene["setting"] if scene["setting"] in ("plain", "sea") else "land"
                home = home if home in ("sky", "ground", "boat", "fish") else "anywhere"
                numbers[f"y {home} {place} 0 64"].append(o["y"])
        if n == 2:
            a, b = objects
            numbers[f"dx {scene['relation']} -48 48"].append(b["x"] - a["x"])
            numbers[f"dy {scene['relation']} -48 48"].append(b["y"] - a["y"])
            counts["same noun"][str(a["noun"] == b["noun"]).lower()] += 1
    histograms = {}
    for name, values in numbers.items():
        low, high = map(float, name.split()[-2:])
        histograms[name] = histogram(values, low, high, 12)
    areas, colours = collections.defaultdict(list), collections.defaultdict(list)
    for scene in drawn[:DRAWN]:
        rgb, masks = scenes.render(scene)
        for o, mask in zip(scene["objects"], masks):
            # In units of the radius, so that sizes can be put together.
            areas[f"{o['noun']} {len(scene['objects'])}"].append(float(mask.astype(float).sum() / 255 / o["r"] ** 2))
        for c in range(3):
            colours[f"{scene['setting']} {'rgb'[c]}"].append(float(rgb[..., c].mean()))

    def summary(values):
        return {"n": len(values), "mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}

    return {
        "count": COUNT,
        "counts": counts,
        "histograms": histograms,
        "areas": {k: summary(v) for k, v in sorted(areas.items())},
        "colours": {k: summary(v) for k, v in sorted(colours.items())},
    }


class Branches:
    """A generator whose decisions are enumerated."""

    def __init__(self):
        self.path, self.at = [], 0  # [taken, probabilities]

    def decide(self, probabilities):
        if self.at == len(self.path):
            self.path.append([0, probabilities])
        self.at += 1
        return self.path[self.at - 1][0]

    def integers(self, n):
        return self.decide([1 / n] * n)

    def random(self):
        return Unknown(self)

    def probability(self):
        return float(np.prod([p[taken] for taken, p in self.path[: self.at]]))

    def next(self):
        del self.path[self.at :]
        self.at = 0
        while self.path:
            self.path[-1][0] += 1
            if self.path[-1][0] < len(self.path[-1][1]):
                return True
            self.path.pop()
        return False


class Unknown:
    """A number in [0, 1) of which only the comparisons so far are known."""

    def __init__(self, branches):
        self.branches, self.low, self.high = branches, 0.0, 1.0

    def __lt__(self, bound):
        if bound <= self.low or bound >= self.high:
            return bound >= self.high
        p = (bound - self.low) / (self.high - self.low)
        below = self.branches.decide([p, 1 - p]) == 0
        if below:
            self.high = bound
        else:
            self.low = bound
        return below


def captions():
    rng = np.random.default_rng(3)
    pairs = [
        [("cat", "orange")],
        [("star", "white")],
        [("car", "red"), ("tree", "green")],
        [("moon", "yellow"), ("moon", "blue")],
    ]
    wanted = [("meadow", "large", None), ("plain", "medium", None), ("night", "medium", "left"), ("sea", "medium", "above")]
    out = []
    for pair, (setting, size, relation) in zip(pairs, wanted):
        while True:
            scene = scenes.sample_scene(rng, pairs=pair)
            if scene["setting"] == setting and scene["relation"] == relation and all(o["size"] == size for o in scene["objects"]):
                break
        found, branches = collections.Counter(), Branches()
        while True:
            text = scenes.caption(scene, branches)
            found[text] += branches.probability()
            if not branches.next():
                break
        assert abs(sum(found.values()) - 1) < 1e-9
        out.append({"scene": scene, "captions": {k: float(f"{v:.9g}") for k, v in sorted(found.items())}})
    return out


(folder / "statistics.json").write_text(json.dumps(statistics(), indent=1) + "\n")
(folder / "captions.json").write_text(json.dumps(captions(), indent=0) + "\n")
