"""Proves: interpolation, the distance between pictures, change maps and rank correlation agree with numpy and scipy.

Nothing of a model is needed. Pictures and tensors are random, some of them with a structure that a wrong border, scale or tie would change.
"""

import argparse
from pathlib import Path

import common
import numpy as np
import torch
from scipy import stats

HERE = common.GOLDENS / "studies"


def slerp(a, b, t):
    """As in diffusers' community pipelines (Shoemake 1985): on the flattened tensors, lerp when they are nearly parallel."""
    cos = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    if abs(cos) > 0.9995:
        return (1 - t) * a + t * b
    w = np.arccos(cos)
    return (np.sin((1 - t) * w) * a + np.sin(t * w) * b) / np.sin(w)


def lerp_noise(a, b, t):
    cos = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return ((1 - t) * a + t * b) / (1 if abs(cos) > 0.9995 else np.hypot(1 - t, t))


def lab(rgb):
    """sRGB to CIELAB, D65, 2 degrees."""
    v = rgb / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]).T
    t = xyz / [0.95047, 1, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def halved(x):
    for axis in (0, 1):
        starts = np.arange(0, x.shape[axis], 2)
        widths = np.add.reduceat(np.ones(x.shape[axis]), starts)
        x = np.add.reduceat(x, starts, axis) / np.expand_dims(widths, tuple(i for i in range(x.ndim) if i != axis))
    return x


def picture_distance(a, b):
    a, b = lab(a), lab(b)
    each = []
    while True:
        each.append(np.sqrt(np.mean(np.sum((a - b) ** 2, -1))))
        if len(each) == 5 or min(a.shape[:2]) < 16:
            return float(np.mean(each))
        a, b = halved(a), halved(b)


def change_map(a, b, h, w):
    """Mean absolute difference over channels in 0...1, averaged over the pixels of each cell."""
    d = np.abs(a.astype(float) - b).mean(-1) / 255
    return d.reshape(h, d.shape[0] // h, w, d.shape[1] // w).mean((1, 3))


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--out", type=Path, default=HERE)
    out = args.parse_args().out
    rng = np.random.default_rng(8)
    tensors, cases = {}, {"pictures": [], "ranks": []}
    a, b = rng.standard_normal((2, 1, 4, 6, 5))
    pairs = {"independent": (a, b), "close": (a, a + 1e-3 * b), "opposite": (a, -a + 1e-3 * b), "related": (a, 0.8 * a + 0.5 * b)}
    for name, (x, y) in pairs.items():
        x, y = x.astype(np.float32).astype(float), y.astype(np.float32).astype(float)
        tensors |= {f"{name}:a": x, f"{name}:b": y}
        for i, t in enumerate((0, 0.25, 0.5, 0.9, 1)):
            tensors |= {f"{name}:slerp.{i}": slerp(x, y, t), f"{name}:lerp.{i}": (1 - t) * x + t * y, f"{name}:noise.{i}": lerp_noise(x, y, t)}
    bytes_ = {}
    for name, (h, w) in {"square": (64, 64), "odd": (37, 21), "tiny": (5, 3), "large": (200, 136)}.items():
        smooth = np.linspace(0, 255, h * w * 3).reshape(h, w, 3)
        x, y = rng.integers(0, 256, (h, w, 3)), np.clip(smooth + rng.normal(0, 12, (h, w, 3)), 0, 255).astype(int)
        bytes_ |= {f"{name}:a": x, f"{name}:b": y}
        cases["pictures"].append({"name": name, "width": w, "height": h, "distance": picture_distance(x, y)})
    tensors |= {k: torch.from_numpy(v.astype(np.uint8)) for k, v in bytes_.items()}
    tensors["change:square"] = change_map(bytes_["square:a"], bytes_["square:b"], 16, 16)
    tensors["change:large"] = change_map(bytes_["large:a"], bytes_["large:b"], 25, 17)
    for name, n, levels in (("continuous", 50, None), ("ties", 60, 4), ("many ties", 40, 2), ("short", 3, None)):
        x, y = rng.standard_normal((2, n))
        y = y + 0.5 * x
        if levels:
            x, y = np.floor(x * levels / 3), np.floor(y * levels / 3)
        cases["ranks"].append({"name": name, "x": x.tolist(), "y": y.tolist(), "ranks": stats.rankdata(x).tolist(), "spearman": float(stats.spearmanr(x, y).statistic)})
    common.write_tensors(out / "studies.safetensors", tensors)
    common.write_json(out / "cases.json", {"versions": common.versions("numpy", "scipy"), **cases})


if __name__ == "__main__":
    main()
