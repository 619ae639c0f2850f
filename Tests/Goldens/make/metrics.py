"""Frechet distance, kernel distance, inception score (scipy, torch-fidelity) and precision and recall (scikit-learn) of small features of full rank, in double precision.

torch-fidelity takes sets of one size only: for others the kernel distance is its formula with two sizes, which must give the same where both exist.
Writes ../metrics/.
"""

import json
import pathlib
import sys
from unittest.mock import MagicMock

import numpy as np
import scipy.linalg
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
# torch-fidelity asks for torchvision at once, and nothing here needs it.
sys.modules |= {n: sys.modules.get(n, MagicMock()) for n in ("torchvision", "torchvision.datasets", "torchvision.models", "torchvision.transforms", "torchvision.transforms.functional")}
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


def prc(real, fake, k):
    """Kynkaanniemi et al. 2019, word by word: balls as far as the k-th nearest other; scikit-learn finds the neighbours."""
    def inside(points, centres):
        radii = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(centres).kneighbors()[0][:, -1]
        return float((cdist(points, centres) <= radii + 1e-9).any(1).mean())
    a, b = real.astype(np.float64), fake.astype(np.float64)
    return {"k": k, "precision": inside(b, a), "recall": inside(a, b)}


sets = {"a": features(120, 24, 0.0, 0.1), "b": features(120, 24, 0.3, 0.2), "c": features(64, 24, 0.0, 0.1)}
logits = (3 * rng.standard_normal((103, 10))).astype(np.float32)
for name, values in [*sets.items(), ("logits", logits)]:
    np.save(folder / f"{name}.npy", values)
pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("a", "a")]
result = {
    "fid": [{"real": x, "fake": y, "value": fid(sets[x], sets[y])} for x, y in pairs],
    "kid": [{"real": x, "fake": y, "value": kid(sets[x], sets[y])} for x, y in pairs],
    "precision_recall": [{"real": x, "fake": y, **prc(sets[x], sets[y], k)} for x, y, k in [("a", "b", 3), ("b", "a", 3), ("a", "c", 1), ("c", "a", 5), ("a", "a", 3)]],
    "is": [inception(logits, parts) for parts in (1, 10)],
}
(folder / "metrics.json").write_text(json.dumps(result, indent=1) + "\n")
