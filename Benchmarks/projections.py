"""sdlab's projections beside scikit-learn, openTSNE and umap-learn: divergence, trustworthiness, seconds and their ratios.

    projections.py [--sdlab .build/release/sdlab] [--data digits,2000x4096,10000x1024] [--methods tsne,umap] [--turns 1] [--threads N]

Data are mixtures of 20 Gaussians (and scikit-learn's digits). Times are wall seconds in process, data in memory, peers warmed up on a part of the points
(sdlab prints its own). All maps are scored here by the same functions, in double, over all pairs: the divergence against affinities with three
times the perplexity of exact neighbours, whose widths are searched in numpy; trustworthiness with k = 15.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
PERPLEXITY = 30


def data(name):
    if name == "digits":
        from sklearn.datasets import load_digits
        return load_digits().data.astype(np.float32)
    n, d = (int(v) for v in name.split("x"))
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, d)).astype(np.float32)
    return centres[random.integers(20, size=n)] + random.normal(size=(n, d)).astype(np.float32)


def blocks(n, size=1000):
    return [slice(i, min(n, i + size)) for i in range(0, n, size)]


def squared(x, rows):
    d = (x[rows] ** 2).sum(1)[:, None] + (x ** 2).sum(1)[None] - 2 * (x[rows] @ x.T)
    d[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
    return d


def neighbours(x, k):
    index = np.empty((len(x), k), np.int64)
    distance = np.empty((len(x), k))
    for rows in blocks(len(x)):
        d = squared(x, rows)
        part = np.argpartition(d, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(d, part, 1)
        order = np.argsort(values, axis=1)
        index[rows], distance[rows] = np.take_along_axis(part, order, 1), np.take_along_axis(values, order, 1)
    return index, distance


def affinities(x):
    """Symmetric p as a sparse matrix (van der Maaten and Hinton 2008)."""
    import scipy.sparse as sparse
    n, k = len(x), min(len(x) - 1, 3 * PERPLEXITY)
    index, d = neighbours(x, k)
    d -= d[:, :1]
    low, high, beta = np.zeros(n), np.full(n, np.inf), 1 / np.maximum(d.mean(1), 1e-12)
    for _ in range(100):
        p = np.exp(-beta[:, None] * d)
        total = p.sum(1)
        surplus = np.log(total) + beta * (p * d).sum(1) / total - np.log(PERPLEXITY)
        low, high = np.where(surplus > 0, beta, low), np.where(surplus > 0, high, beta)
        beta = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
    p /= total[:, None]
    matrix = sparse.csr_matrix((p.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return ((matrix + matrix.T) / (2 * n)).tocoo()


def divergence(p, y):
    y = y.astype(np.float64)
    z = sum((1 / (1 + squared(y, rows))).sum() for rows in blocks(len(y)))
    d = ((y[p.row] - y[p.col]) ** 2).sum(1)
    return float((p.data * (np.log(p.data) + np.log1p(d) + np.log(z))).sum())


def trustworthiness(x, y, k=15):
    n, sum_ = len(x), 0
    near, _ = neighbours(y.astype(np.float64), k)
    for rows in blocks(n):
        d = squared(x, rows)
        rank = np.empty(d.shape, np.int32)
        np.put_along_axis(rank, np.argsort(d, axis=1), np.arange(1, n + 1, dtype=np.int32)[None], 1)
        sum_ += np.maximum(np.take_along_axis(rank, near[rows], 1) - k, 0).sum()
    return float(1 - 2 * sum_ / (n * k * (2 * n - 3 * k - 1)))


def sdlab(method, x, threads, binary):
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", x)
        out = subprocess.run([binary, "project", f"{folder}/x.npy", "--method", method, "--output", f"{folder}/y.npy", "--json", "-q"],
                             check=True, capture_output=True, text=True, env=os.environ | {"SDLAB_THREADS": str(threads)}).stdout
        return np.load(f"{folder}/y.npy"), json.loads(out)["seconds"]


def timed(run, x, warm):
    run(x[:warm])  # compiles, loads
    start = time.perf_counter()
    y = np.asarray(run(x))
    return y, time.perf_counter() - start


def sklearn_tsne(x, threads):
    from sklearn.manifold import TSNE
    return timed(lambda v: TSNE(perplexity=PERPLEXITY, init="pca", random_state=0, n_jobs=threads).fit_transform(v), x, 400)


def opentsne(x, threads):
    import openTSNE
    return timed(lambda v: openTSNE.TSNE(perplexity=PERPLEXITY, n_jobs=threads, random_state=0).fit(v), x, 400)


def umap_learn(x, threads):
    import umap
    # From 4,096 points on it searches neighbours by other functions, which are compiled on first use, too.
    return timed(lambda v: umap.UMAP(n_jobs=threads).fit_transform(v), x, max(400, min(len(x), 5000)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdlab", default=str(Path(__file__).resolve().parent.parent / ".build/release/sdlab"))
    parser.add_argument("--data", default="digits,2000x4096,10000x1024")
    parser.add_argument("--methods", default="tsne,umap")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o = parser.parse_args()
    print("| data | method | program | KL | trustworthiness | seconds | of the fastest peer's |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in o.data.split(","):
        x = data(name)
        p = affinities(x.astype(np.float64))
        for method in o.methods.split(","):
            programs = {"tsne": {"scikit-learn": sklearn_tsne, "openTSNE": opentsne}, "umap": {"umap-learn": umap_learn}}[method]
            runs = {"sdlab": lambda v, t, m=method: sdlab(m, v, t, o.sdlab)} | programs
            maps, seconds = {}, {program: [] for program in runs}
            for _ in range(o.turns):
                for program, run in runs.items():
                    maps[program], time_ = run(x, o.threads)
                    seconds[program].append(time_)
            best = {program: min(times) for program, times in seconds.items()}
            fastest = min(best[program] for program in programs)
            for program, y in maps.items():
                print(f"| {name} | {method} | {program} | {divergence(p, y):.4f} | {trustworthiness(x.astype(np.float64), y):.4f} "
                      f"| {best[program]:.2f} | {best[program] / fastest:.2f} |", flush=True)


if __name__ == "__main__":
    main()
