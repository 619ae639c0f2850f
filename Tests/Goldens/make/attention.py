"""Proves: sdlab's head atlas and its self-attention components are those of diffusers' own attention probabilities.

For every cross-attention head the mean over the calls of the attention to a word (the sum over its tokens), the share of the head's attention that goes to it and how peaked that map
is; for the self-attention the singular value decomposition that Prompt-to-Prompt shows, by torch.
"""

import math
from pathlib import Path

import common
import embedded
import heatmaps
import pipeline
import torch

HERE = common.GOLDENS / "attention"

# (case of heatmaps.py, word or phrase): one and several tokens, not square, without guidance, a call count that is not the number of steps
CASES = [("short-ddim", "circle"), ("tall-heun", "red house"), ("no-guidance", "heart"), ("odd-negative-count-2", "boat")]


def peakedness(m):
    """1 - entropy / ln(places) of each head's map [heads, places]."""
    p = m / m.sum(-1, keepdim=True)
    return 1 - torch.special.entr(p).sum(-1) / math.log(m.shape[-1])


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    embedded.draw_noise_in_float32()
    pipe = pipeline.load(args.model)
    pipe.set_progress_bar_config(disable=True)
    pipes = {"text": pipe, "config": dict(pipe.scheduler.config)}
    tensors, rows = {}, []
    known = {c["case"]: c for c in heatmaps.cases()}
    for name, word in CASES:
        c = known[name]
        _, kept, _ = heatmaps.watched(pipes, c, torch.float32)
        at = heatmaps.positions(pipe.tokenizer, c["prompt"], word, pipe.tokenizer.model_max_length - 2)["whole"]
        image = c["count"] - 1
        row = image + (c["count"] if c["guidance"] > 1 else 0)
        for layer, _ in heatmaps.cross(kept):
            mean = torch.stack([p[row] for _, p in kept[layer]]).mean(0)[..., at].sum(-1)  # [heads, pixels]
            tensors |= {f"{name}:map.{layer}": mean, f"{name}:share.{layer}": mean.mean(-1), f"{name}:peakedness.{layer}": peakedness(mean.double())}
        size = [c["height"] // 4, c["width"] // 4]
        level = heatmaps.level_of(size)
        a = heatmaps.level_means(kept, row, level, "attn1").mean(0).double()
        _, s, vh = torch.linalg.svd(a - a.mean(1, keepdim=True))
        signed = [v * v[v.abs().argmax()].sign() for v in vh[:4]]
        tensors |= {f"{name}:self.components": torch.stack(signed), f"{name}:self.values": s[:4], f"{name}:self.shares": s[:4] ** 2 / (s ** 2).sum()}
        rows.append({"case": name, "word": word, "positions": at, "image": image, "level": level,
                     "smallestGap": ((s[:4] - s[1:5]) / s[:4]).min().item()})
        print(name, word, at, "gap", rows[-1]["smallestGap"])
    common.write_tensors(args.out / "attention.safetensors", tensors)
    common.write_rows(args.out / "cases.json", {"versions": common.versions("diffusers", "torch")}, "cases", rows)


if __name__ == "__main__":
    main()
