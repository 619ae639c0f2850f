"""Tick labels by the extended Wilkinson algorithm (Talbot, Lin, Hanrahan, InfoVis 2010): plots/ticks.json.

A plain port of `extended` in the R package labeling 0.4, the authors' reference: same search order, same weights, same bounds.
"""
import argparse
import json
import math
import pathlib
import random

Q = [1, 5, 2, 2.5, 4, 3]
W = [0.25, 0.2, 0.5, 0.05]
EPS = 2.0**-52 * 100


def simplicity(q, j, lmin, lmax, lstep):
    i = Q.index(q) + 1
    v = 1 if (lmin % lstep < EPS or lstep - (lmin % lstep) < EPS) and lmin <= 0 <= lmax else 0
    return 1 - (i - 1) / (len(Q) - 1) - j + v


def simplicity_max(q, j):
    return 1 - Q.index(q) / (len(Q) - 1) - j + 1


def coverage(dmin, dmax, lmin, lmax):
    return 1 - 0.5 * ((dmax - lmax) ** 2 + (dmin - lmin) ** 2) / ((0.1 * (dmax - dmin)) ** 2)


def coverage_max(dmin, dmax, span):
    r = dmax - dmin
    if span > r:
        half = (span - r) / 2
        return 1 - 0.5 * (half**2 + half**2) / ((0.1 * r) ** 2)
    return 1


def density(k, m, dmin, dmax, lmin, lmax):
    r = (k - 1) / (lmax - lmin)
    rt = (m - 1) / (max(lmax, dmax) - min(dmin, lmin))
    return 2 - max(r / rt, rt / r)


def density_max(k, m):
    return 2 - (k - 1) / (m - 1) if k >= m else 1


def extended(dmin, dmax, m):
    best, score = None, -2
    j = 1
    while j < math.inf:
        for q in Q:
            sm = simplicity_max(q, j)
            if W[0] * sm + W[1] + W[2] + W[3] < score:
                j = math.inf
                break
            k = 2
            while True:
                dm = density_max(k, m)
                if W[0] * sm + W[1] + W[2] * dm + W[3] < score:
                    break
                delta = (dmax - dmin) / (k + 1) / j / q
                z = math.ceil(math.log10(delta))
                while True:
                    step = j * q * 10.0**z
                    cm = coverage_max(dmin, dmax, step * (k - 1))
                    if W[0] * sm + W[1] * cm + W[2] * dm + W[3] < score:
                        break
                    min_start = math.floor(dmax / step) * j - (k - 1) * j
                    max_start = math.ceil(dmin / step) * j
                    for start in range(min_start, max_start + 1):
                        lmin = start * (step / j)
                        lmax = lmin + step * (k - 1)
                        s = simplicity(q, j, lmin, lmax, step)
                        c = coverage(dmin, dmax, lmin, lmax)
                        g = density(k, m, dmin, dmax, lmin, lmax)
                        found = W[0] * s + W[1] * c + W[2] * g + W[3]
                        if found > score:
                            best, score = (lmin, step, k), found
                    z += 1
                k += 1
        j += 1
    lmin, step, k = best
    return [lmin + i * step for i in range(k)]


parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
out = parser.parse_args().out / "plots"
out.mkdir(parents=True, exist_ok=True)

draw = random.Random(2010)
ranges = [(0, 1), (0, 100), (-1, 1), (8.1, 14.1), (-7.3, 2.2), (0.0034, 0.0039), (1e5, 9.7e5), (0, 50), (-0.049, 0.051), (3, 1000)]
for _ in range(30):
    low = round(draw.uniform(-100, 100), 3)
    ranges.append((low, low + round(10 ** draw.uniform(-2, 4), 4)))
cases = [{"low": a, "high": b, "count": m, "ticks": extended(a, b, m)} for a, b in ranges for m in (2, 3, 5, 8)]
rounded = [{**c, "ticks": [float(f"{t:.9g}") for t in c["ticks"]]} for c in cases]
(out / "ticks.json").write_text(json.dumps(rounded, separators=(",", ":")) + "\n")
