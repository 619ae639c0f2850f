"""What scikit-learn, openTSNE and umap-learn make of 400 of scikit-learn's handwritten digits (8x8 grey values)."""

import numpy as np
import umap
from openTSNE.affinity import PerplexityBasedNN
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors
from umap.umap_ import find_ab_params, fuzzy_simplicial_set

from common import GOLDENS, write_json, write_tensors

digits = load_digits()
x = digits.data[:400].astype(np.float32)
wide = x[:40]  # fewer points than coordinates
out = {"points": x, "labels": digits.target[:400].astype(np.int64)}

for name, points, count in [("tall", x, 5), ("wide", wide, 5)]:
    pca = PCA(n_components=count, svd_solver="full").fit(points.astype(np.float64))
    out[f"pca.{name}.mean"] = pca.mean_
    out[f"pca.{name}.components"] = pca.components_
    out[f"pca.{name}.variance"] = pca.explained_variance_
    out[f"pca.{name}.ratio"] = pca.explained_variance_ratio_
    out[f"pca.{name}.transformed"] = pca.transform(x.astype(np.float64))

distances, indices = NearestNeighbors(n_neighbors=21, algorithm="brute").fit(x.astype(np.float64)).kneighbors()
out["neighbours.distances"] = distances

affinities = PerplexityBasedNN(x.astype(np.float64), perplexity=20, method="exact", n_jobs=1).P.toarray()
out["affinities"] = affinities[:50]
assert abs(affinities.sum() - 1) < 1e-12

# Exact neighbours: umap-learn's own search is approximate and misses one here and there.
order = np.argsort(((x[:, None].astype(np.float64) - x[None]) ** 2).sum(-1), axis=1, kind="stable")[:, :15]
order[:, 0] = np.arange(len(x))
reach = np.sqrt(((x[:, None].astype(np.float64) - x[order]) ** 2).sum(-1)).astype(np.float32)
graph, _, _ = fuzzy_simplicial_set(x, 15, np.random.RandomState(0), "euclidean", knn_indices=order, knn_dists=reach)
out["fuzzy"] = graph.toarray()[:50]


def divergence(p, y):
    """Sum of p log(p / q) in double, all pairs."""
    d = ((y[:, None] - y[None]) ** 2).sum(-1).astype(np.float64)
    w = 1 / (1 + d)
    np.fill_diagonal(w, 0)
    q = w / w.sum()
    on = p > 0
    return float((p[on] * np.log(p[on] / q[on])).sum())


y = TSNE(perplexity=20, random_state=0, init="pca").fit_transform(x).astype(np.float32)
u = umap.UMAP(random_state=0).fit_transform(x).astype(np.float32)
out["tsne"], out["umap"] = y, u
scores = {}
for name, e in [("tsne", y), ("umap", u)]:
    scores[name] = {
        "kl": divergence(affinities, e.astype(np.float64)),
        "trustworthiness": trustworthiness(x.astype(np.float64), e.astype(np.float64), n_neighbors=15),
        "continuity": trustworthiness(e.astype(np.float64), x.astype(np.float64), n_neighbors=15),
    }
    high = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(x.astype(np.float64)).kneighbors(return_distance=False)
    low = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(e.astype(np.float64)).kneighbors(return_distance=False)
    scores[name]["recall"] = float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(high, low)]))
curves = [{"minDist": m, "a": float(a), "b": float(b)} for m in (0.0, 0.1, 0.5) for a, b in [find_ab_params(1.0, m)]]
write_tensors(GOLDENS / "projections/digits.safetensors", out)
write_json(GOLDENS / "projections/scores.json", {"scores": scores, "curves": curves})
