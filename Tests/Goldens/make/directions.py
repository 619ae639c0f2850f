"""Proves: directions of h-space are those of numpy's SVD over diffusers' own h; pictures edited with them are diffusers' with a hook on the middle block; probes are
scikit-learn's ridge regression.

h is the output of unet.mid_block, the rows with the prompt, kept by a forward hook during DDIM sampling with guidance. Written as [steps, n, c, h, w].
"""

from pathlib import Path

import common
import numpy as np
import pipeline
import torch
from diffusers import DDIMScheduler
from sklearn.linear_model import Ridge

HERE = common.GOLDENS / "directions"
FROM, TO, STEPS, GUIDANCE, SEED, PICTURES, KEPT = "a red house", "a blue house", 6, 4.0, 42, 8, 2


class Sampler:
    def __init__(self, model, dtype):
        self.pipe = pipeline.load(model, dtype)
        self.s = DDIMScheduler.from_config(self.pipe.scheduler.config)
        self.s.set_timesteps(STEPS)
        self.dtype, self.h = dtype, None
        self.add = None
        self.pipe.unet.mid_block.register_forward_hook(self.hook)

    def hook(self, module, args, out):
        self.h = out
        return None if self.add is None else out + self.add

    def predict(self, x, t, embeds, add=None):
        self.add = add
        uncond, cond = self.pipe.unet(torch.cat([x, x]), t, embeds).sample.chunk(2)
        self.add = None
        return uncond + GUIDANCE * (cond - uncond)

    def run(self, prompt, n, edit=None, rule="symmetric", rows="all", steps=None):
        """Final latents and h [steps, n, c, h, w]. `edit`: for each step what is added to h, [steps, c, h, w]."""
        positive, negative = self.pipe.encode_prompt([prompt] * n, "cpu", 1, True, [""] * n)
        embeds = torch.cat([negative, positive])
        x = torch.cat([torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(SEED + i)) for i in range(n)]).to(self.dtype)
        kept = []
        abar = self.s.alphas_cumprod.to(self.dtype)
        for i, t in enumerate(self.s.timesteps):
            add = None
            if edit is not None and (steps is None or i in steps):
                d = edit[i].to(self.dtype).expand(n, -1, -1, -1)
                add = torch.cat([d if rows == "all" else torch.zeros_like(d), d])
            s = int(t) - self.s.config.num_train_timesteps // STEPS
            now, after = abar[t], abar[s] if s >= 0 else self.s.final_alpha_cumprod.to(self.dtype)
            if rule == "asyrp":
                direction = self.predict(x, t, embeds)
                kept.append(self.h[n:])
                original = self.predict(x, t, embeds, add) if add is not None else direction
            else:
                direction = original = self.predict(x, t, embeds, add)
                kept.append(self.h[n:])
            x0 = (x - (1 - now) ** 0.5 * original) / now**0.5
            x = after**0.5 * x0 + (1 - after) ** 0.5 * direction
        return x, torch.stack(kept)


def principal(h):
    """Top components by numpy's SVD of the centred h, largest |loading| positive; standard deviations and shares of the variance."""
    x = h.flatten(1).double().numpy()
    _, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    v = vt[:KEPT]
    v = v * np.sign(v[np.arange(KEPT), np.abs(v).argmax(1)])[:, None]
    gaps = (s[:KEPT] - s[1:KEPT + 1]) / s[:KEPT]
    return v, s[:KEPT] ** 2 / (len(x) - 1), (s**2 / (s**2).sum())[:KEPT], gaps.min()


def probe(g):
    """Held-out decisions of ridge regression, the j-th point of each label in fold j modulo 3."""
    x = torch.randn((25, 40), generator=g).double().numpy()
    labels = np.array([i % 3 == 0 for i in range(25)])
    x[labels] += 0.4 * np.linspace(-1, 1, 40)
    fold, seen = np.zeros(25, int), {True: 0, False: 0}
    for i, y in enumerate(labels.tolist()):
        fold[i], seen[y] = seen[y] % 3, seen[y] + 1
    x = x.astype(np.float32).astype(float)
    out = np.zeros(25)
    for f in range(3):
        train = fold != f
        centred = x[train] - x[train].mean(0)
        alpha = 0.1 * (centred**2).sum() / train.sum()
        out[~train] = Ridge(alpha=alpha, solver="cholesky").fit(x[train], np.where(labels[train], 1.0, -1.0)).predict(x[~train])
    return x, labels, out


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    single, double = Sampler(args.model, torch.float32), Sampler(args.model, torch.float64)
    tensors = {}
    latents, h = single.run(FROM, PICTURES)
    parts = [principal(step) for step in h]
    tensors["components"] = np.stack([p[0].reshape(KEPT, *h.shape[2:]) for p in parts])
    tensors["variance"], tensors["ratio"] = np.stack([p[1] for p in parts]), np.stack([p[2] for p in parts])
    tensors["latents"] = latents[:2]
    _, other = single.run(TO, PICTURES)
    edit = (other - h).double().mean(1).float()
    tensors["difference"] = edit
    rows, drifts = [], {}
    for name, rule, which, strength, steps in (("asyrp", "asyrp", "all", 2.0, None), ("symmetric", "symmetric", "all", 2.0, None),
                                               ("asyrp-cond", "asyrp", "cond", -1.0, None), ("symmetric-cond-part", "symmetric", "cond", 1.0, [1, 2, 4])):
        x = single.run(FROM, 2, strength * edit, rule, which, steps)[0]
        x64 = double.run(FROM, 2, strength * edit, rule, which, steps)[0]
        tensors[f"edited:{name}"] = x
        drift, effect = (x.double() - x64).abs().max().item(), (x - latents[:2]).abs().max().item()
        rows.append({"case": name, "rule": rule, "rows": which, "strength": strength, "steps": steps, "drift64": drift, "effect": effect})
        print(name, f"drift {drift:.1e}, effect {effect:.2f}")
    tensors["probe:points"], labels, tensors["probe:decisions"] = probe(torch.Generator().manual_seed(4))
    common.write_tensors(args.out / "directions.safetensors", tensors)
    common.write_rows(args.out / "cases.json", {
        "versions": common.versions("diffusers", "torch", "numpy", "scikit-learn"), "from": FROM, "to": TO, "steps": STEPS, "guidance": GUIDANCE, "seed": SEED,
        "pictures": PICTURES, "kept": KEPT, "smallestGap": min(p[3] for p in parts), "labels": labels.tolist()}, "cases", rows)
    print("smallest gap of singular values", min(p[3] for p in parts))


if __name__ == "__main__":
    main()
