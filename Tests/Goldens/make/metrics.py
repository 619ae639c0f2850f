"""Frechet distance, kernel distance and inception score of small features of full rank, by scipy and torch-fidelity, in double precision.

torch-fidelity takes sets of one size only: for others the kernel distance is its formula with two sizes, which must give the same where both exist.
Writes ../metrics/.
"""

import json
import pathlib

import numpy as np
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import polynomial_mmd

folder = pathlib.Path(__file__).resolve().parent.parent / "metrics"
folder.mkdir(exist_ok=True)
rng = np.random.default_rng(5)


def features(n, d, shift, mix):
    return (rng.standard_normal((n, d)) @ (np.eye(d) + mix * rng.standard_normal((d, d))) + shift).astype(np.float32)


def fid(a, b):
    a, b = (fid_features_to_statistics(torch.from_numpy(x.astype(np.float64))) for x in (a, b))
    # What torch-fidelity goes on to do, without the argument of sqrtm that scipy has given up.
    root = scipy.linalg.sqrtm(a["sigma"] @ b["sigma"])
    return float(((a["mu"] - b["mu"]) ** 2).sum() + np.trace(a["sigma"]) + np.trace(b["sigma"]) - 2 * np.trace(root.real))


def kid(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3  # noqa: E731
    n, m = len(a), len(b)
    xx, yy, xy = kernel(a, a), kernel(b, b), kernel(a, b)
    value = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.sum() / (n * m)
    if n == m:
        theirs = polynomial_mmd(a, b, 3, None, 1)
        assert abs(theirs - value) < 1e-12 * max(1, abs(theirs)), (theirs, value)
        return float(theirs)
    return float(value)


def inception(logits, parts):
    score = isc_features_to_metric(torch.from_numpy(logits), splits=parts, shuffle=False)
    return {"parts": parts, "mean": score["inception_score_mean"], "deviation": score["inception_score_std"]}


sets = {"a": features(120, 24, 0.0, 0.1), "b": features(120, 24, 0.3, 0.2), "c": features(64, 24, 0.0, 0.1)}
logits = (3 * rng.standard_normal((103, 10))).astype(np.float32)
for name, values in [*sets.items(), ("logits", logits)]:
    np.save(folder / f"{name}.npy", values)
pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("a", "a")]
result = {
    "fid": [{"real": x, "fake": y, "value": fid(sets[x], sets[y])} for x, y in pairs],
    "kid": [{"real": x, "fake": y, "value": kid(sets[x], sets[y])} for x, y in pairs],
    "is": [inception(logits, parts) for parts in (1, 10)],
}
(folder / "metrics.json").write_text(json.dumps(result, indent=1) + "\n")
