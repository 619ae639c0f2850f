"""What is read off the maps of a segmentation network of scenes (PyTorch), and Wilson's intervals (scipy).

Six pictures of 12 x 12 cells: rectangles of nouns and colours with noise between them, small ones and overlapping ones among them. Logits are whole
numbers, eighths of the true ones. Writes ../judge/judgements.json, ../judge/intervals.json and ../judge/cross_entropy.json (loss and gradient).
"""

import json
import pathlib

import numpy as np
import torch
from scipy.ndimage import binary_dilation, label
from scipy.stats import binomtest

folder = pathlib.Path(__file__).resolve().parent.parent / "judge"
folder.mkdir(exist_ok=True)
NOUNS, COLOURS, BACKDROPS, SIDE, FEWEST = 16, 9, 11, 12, 8
random = np.random.default_rng(6)


def parted(piece, colours):
    """Two pieces when it has two colours, each with a quarter of its cells and nine tenths of those in one place."""
    counts = np.bincount(colours.argmax(0)[piece], minlength=COLOURS)
    kept = np.flatnonzero(counts >= 0.25 * piece.sum())
    if len(kept) != 2:
        return [piece]
    nearer = kept[colours[kept].argmax(0)]
    two = [piece & (nearer == c) for c in kept]
    whole = all(np.bincount(label(part)[0][part]).max() >= 0.9 * part.sum() for part in two)
    return two if whole else [piece]


def sizes(own, colours):
    """Cells of each thing of a noun: pieces of cells that share a side, those of one colour taken together when one cell lies between them; of at least 1.2 % of the picture."""
    numbers, count = label(own)
    pieces = [part for i in range(count) for part in parted(numbers == i + 1, colours)]
    colour = [int(np.bincount(colours.argmax(0)[piece], minlength=COLOURS).argmax()) for piece in pieces]
    things = list(range(len(pieces)))
    for i in range(len(pieces)):
        near = binary_dilation(pieces[i], np.ones((5, 5)))
        for j in range(i):
            if colour[i] == colour[j] and (near & pieces[j]).any():
                things = [things[j] if t == things[i] else t for t in things]
    found = [sum(int(piece.sum()) for piece, t in zip(pieces, things) if t == thing) for thing in set(things)]
    return sorted((s for s in found if s >= 0.012 * SIDE * SIDE), reverse=True)


def read(nouns, colours, backdrops):
    nouns, colours = torch.tensor(nouns, dtype=torch.float64) / 8, torch.tensor(colours, dtype=torch.float64) / 8
    winner, shares = nouns.argmax(0), colours.softmax(0)[1:]
    parts, pieces = [], []
    for k in range(NOUNS):
        own = winner == k + 1
        if own.sum() >= FEWEST:
            ys, xs = torch.nonzero(own, as_tuple=True)
            colour = int((shares * own).sum((1, 2)).argmax())
            parts.append([k, int(own.sum()), colour, xs.double().mean().item(), ys.double().mean().item()])
            pieces.append(sizes(own.numpy(), colours[1:].numpy()))
    relations = []
    for a in parts:
        for b in parts:
            if a[0] != b[0]:
                dx, dy = b[3] - a[3], b[4] - a[4]
                holds = [dx > 0.7 * abs(dy), -dx > 0.7 * abs(dy), dy > 0.7 * abs(dx), -dy > 0.7 * abs(dx)]
                relations.append([a[0], b[0], *map(int, holds)])
    return {"parts": parts, "pieces": pieces, "backdrop": int(np.argmax(backdrops)), "relations": relations}


cases = []
for _ in range(6):
    nouns = random.integers(-8, 9, (NOUNS + 1, SIDE, SIDE))
    colours = random.integers(-8, 9, (COLOURS + 1, SIDE, SIDE))
    backdrops = random.integers(-40, 40, BACKDROPS)
    nouns[0] += 18
    for _ in range(4):
        x, y = random.integers(0, SIDE - 3, 2)
        w, h = random.integers(2, 7, 2)
        nouns[1 + random.integers(NOUNS), y : y + h, x : x + w] += 40
        # Two colours over one another: their sum over the cells decides, not the likeliest cell.
        for strength in (14, 10):
            colours[1 + random.integers(COLOURS), y : y + h, x : x + w] += strength
    flat = {"nouns": nouns.reshape(NOUNS + 1, -1).tolist(), "colours": colours.reshape(COLOURS + 1, -1).tolist(), "backdrops": backdrops.tolist()}
    cases.append(flat | read(nouns, colours, backdrops))
(folder / "judgements.json").write_text(json.dumps({"width": SIDE, "cases": cases}, separators=(",", ":")) + "\n")

intervals = []
for hits, total in [(0, 10), (10, 10), (5, 10), (21, 100), (577, 600), (1, 1), (999, 1000)]:
    found = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    intervals.append([hits, total, float(found.low), float(found.high)])
(folder / "intervals.json").write_text(json.dumps(intervals) + "\n")

losses = {}
for name, weights in [("plain", None), ("weighted", [0.5, 1.0, 2.0, 1.0, 3.0])]:
    # Halves, which are exact in both precisions.
    logits = torch.tensor(random.integers(-6, 7, (12, 5)) / 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(random.integers(0, 5, 12))
    loss = torch.nn.functional.cross_entropy(logits, labels, None if weights is None else torch.tensor(weights, dtype=torch.float64))
    loss.backward()
    losses[name] = {
        "logits": logits.detach().flatten().tolist(),
        "labels": labels.tolist(),
        "weights": weights,
        "loss": loss.item(),
        "gradient": logits.grad.flatten().tolist(),
    }
(folder / "cross_entropy.json").write_text(json.dumps(losses) + "\n")
