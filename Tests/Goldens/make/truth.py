"""Proves: maps in the output space of cross-attention (`--method sdlab`), changes by a word, localisation scores and disentanglement are those of their definitions.

The first two are computed here from diffusers' own UNet with torch alone, the scores with numpy and scikit-learn.
"""

from pathlib import Path

import common
import numpy as np
import pipeline
import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from sklearn.metrics import mutual_info_score, roc_auc_score
from torch.nn import functional as F

HERE = common.GOLDENS / "truth"
REFINEMENT = 0.5
CAM = "up_blocks.1.resnets.1"
STEP = 1e-4


class Keep(AttnProcessor):
    """Outputs, what each token would write, and self-attention, kept beside diffusers' plain processor."""

    def __init__(self, name, kept):
        self.name, self.kept = name, kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, *args, **more):
        out = super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **more)
        if encoder_hidden_states is None:
            q, k = (attn.head_to_batch_dim(f(hidden_states)) for f in (attn.to_q, attn.to_k))
            self.kept.setdefault(self.name, []).append(attn.get_attention_scores(q, k).unflatten(0, (-1, attn.heads))[0].mean(0))
        else:
            written = F.linear(attn.to_v(encoder_hidden_states), attn.to_out[0].weight)  # no bias: it is the same for all tokens
            self.kept.setdefault(self.name, []).append((out[0], written[0]))
        return out


def resized(maps, size, mode):
    return F.interpolate(maps[None], size=size, mode=mode, align_corners=False)[0]


def level_size(pixels, latents):
    h, w = latents
    while h * w > pixels:
        h, w = (h + 1) // 2, (w + 1) // 2
    assert h * w == pixels
    return h, w


def output_maps(kept, latents, layers, refinement):
    """[tokens, h, w]"""
    total = 0
    for name, calls in kept.items():
        if ".attn2" not in name or not layers(name):
            continue
        for out, written in calls:
            centred = out - out.mean(0)
            maps = centred @ F.normalize(written, dim=-1).T  # [pixels, tokens]
            size = level_size(len(maps), latents)
            total = total + resized(maps.T.unflatten(1, size), latents, "bicubic")
    cut = total.clamp(min=0)
    largest = max((a.shape[-1] for name, calls in kept.items() if ".attn1" in name for a in calls if a.shape[-1] <= 1024))
    a = torch.stack([a for name, calls in kept.items() if ".attn1" in name for a in calls if a.shape[-1] == largest]).mean(0)
    size = level_size(largest, latents)
    small = resized(cut, size, "bilinear").flatten(1)  # [tokens, places]
    spread = resized((small @ a.T).unflatten(1, size), latents, "bilinear")
    return (1 - refinement) * cut + refinement * spread


def noised(x, t, abar, noise):
    return abar[t].sqrt() * x + (1 - abar[t]).sqrt() * noise


def places(pipe, prompt, word):
    tokens = pipe.tokenizer.convert_ids_to_tokens(pipe.tokenizer(prompt, add_special_tokens=False).input_ids)
    return [i + 1 for i, t in enumerate(tokens) if t.removesuffix("</w>") == word]


def watched(pipe, x, prompt, timesteps, seed):
    """What every attention layer gave over the timesteps, all with the same noise."""
    kept = {}
    pipe.unet.set_attn_processor({name: Keep(name.removesuffix(".processor"), kept) for name in pipe.unet.attn_processors})
    text = pipe.encode_prompt([prompt], "cpu", 1, False)[0]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    abar = DDPMScheduler.from_config(pipe.scheduler.config).alphas_cumprod
    for t in timesteps:
        pipe.unet(noised(x, t, abar, noise), t, encoder_hidden_states=text)
    return kept


def asked(pipe, x, prompt, word, t, seed):
    """The UNet in double precision, the noised picture, the prompt's embedding and the same without the word."""
    unet = pipe.unet.double()
    unet.set_attn_processor(AttnProcessor())
    text, empty = (pipe.encode_prompt([p], "cpu", 1, False)[0].double() for p in (prompt, ""))
    without = text.clone()
    for p in places(pipe, prompt, word):
        without[0, p] = empty[0, max(2, p)]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).double()
    abar = DDPMScheduler.from_config(pipe.scheduler.config).alphas_cumprod.double()
    return unet, noised(x.double(), t, abar, noise), text, without


def changes(pipe, x, prompt, word, t, seed):
    """Knock-out and gradient times input, in double precision, the derivative over a far shorter way than sdlab's."""
    unet, z, text, without = asked(pipe, x, prompt, word, t, seed)
    eps = lambda c: unet(z, t, encoder_hidden_states=c).sample[0]
    d = text - without
    out = {"knockout": (eps(text) - eps(without)).norm(dim=0), "gradient": ((eps(text + STEP * d) - eps(text - STEP * d)) / (2 * STEP)).norm(dim=0)}
    unet.float()
    return out


def gradcam(pipe, x, prompt, word, t, seed, site):
    """Class activation maps of an up block's features, in double precision, by torch's autograd."""
    unet, z, text, without = asked(pipe, x, prompt, word, t, seed)
    kept = []
    def keep(_, __, out):
        kept.append(out.detach().requires_grad_())
        return kept[-1]
    with torch.no_grad():
        other = unet(z, t, encoder_hidden_states=without).sample
    with torch.enable_grad():
        hook = unet.get_submodule(site).register_forward_hook(keep)
        eps = unet(z, t, encoder_hidden_states=text).sample
        hook.remove()
        ((eps - other).detach() * eps).sum().backward()
    a = kept[0]
    map = (a.grad.mean((2, 3), keepdim=True) * a.detach()).sum(1).clamp(min=0)[0]
    unet.float()
    return map


def attribution(pipe, x, prompt, region, timesteps, points, seed):
    """Integrated gradients and gradient times input by torch's autograd, `[timesteps, tokens]` each, and the totals."""
    unet = pipe.unet
    unet.set_attn_processor(AttnProcessor())
    text, empty = (pipe.encode_prompt([p], "cpu", 1, False)[0] for p in (prompt, ""))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    abar = DDPMScheduler.from_config(pipe.scheduler.config).alphas_cumprod
    out = {"ig": [], "gradient": [], "totals": []}
    for t in timesteps:
        z = noised(x, t, abar, noise)
        eps = lambda c: unet(z, t, encoder_hidden_states=c).sample
        change = eps(text) - eps(empty)
        u = region * change
        def gradient(a):
            with torch.enable_grad():
                c = (a * text + (1 - a) * empty).requires_grad_()
                (u * eps(c)).sum().backward()
            return ((text - empty) * c.grad).double().sum(-1)[0]
        out["ig"].append(torch.stack([gradient((k + 0.5) / points) for k in range(points)]).mean(0))
        out["gradient"].append(gradient(1.0))
        out["totals"].append((u.double() * change.double()).sum())
    return {name: torch.stack(v) for name, v in out.items()}


def maps(pipe):
    """-> (tensors, cases)"""
    picture = Image.open(common.GOLDENS / "embedded" / "init.png").convert("RGB")
    real = pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mode() * pipe.vae.config.scaling_factor
    # Larger than 1,024 places: the self-attention that refines is then that of the second level. No picture, but any latents do.
    large = torch.randn((1, 4, 48, 32), generator=torch.Generator().manual_seed(4))
    tensors, cases = {}, []
    for name, x, prompt, word, timesteps, seed in [
        ("picture", real, "a red circle on a green meadow", "circle", [100, 400], 7),
        ("large", large, "a small yellow boat left of a large tree", "tree", [300], 8),
    ]:
        kept = watched(pipe, x, prompt, timesteps, seed)
        latents = tuple(x.shape[2:])
        chosen = ["down_blocks.0", "up_blocks.1.attentions.1"]
        tensors[f"{name}:latents"] = x
        at = places(pipe, prompt, word)
        every = lambda n: not n.startswith("mid")
        some = lambda n: any(n.startswith(c) for c in chosen)
        tensors[f"{name}:all"] = output_maps(kept, latents, every, REFINEMENT)[at].mean(0)
        tensors[f"{name}:some"] = output_maps(kept, latents, some, REFINEMENT)[at].mean(0)
        tensors[f"{name}:unrefined"] = output_maps(kept, latents, some, 0.0)[at].mean(0)
        for kind, value in changes(pipe, x, prompt, word, timesteps[-1], seed).items():
            tensors[f"{name}:{kind}"] = value
        tensors[f"{name}:gradcam"] = gradcam(pipe, x, prompt, word, timesteps[-1], seed, CAM)
        cases.append({"name": name, "prompt": prompt, "word": word, "timesteps": timesteps, "seed": seed, "layers": chosen})
    region = torch.zeros(real.shape[2:])
    region[4:12, 2:10] = 1
    for name, value in attribution(pipe, real, "a red circle on a green meadow", region, [200, 500], 4, 9).items():
        tensors[f"attribution:{name}"] = value
    return tensors, cases


def localisation(rng):
    cases = []
    for h, w, kind in [(16, 16, "noise"), (8, 12, "noise"), (16, 16, "good"), (6, 5, "ties"), (16, 16, "negative"), (4, 4, "flat")]:
        mask = rng.random((h, w)) < 0.3
        mask[0, 0], mask[-1, -1] = True, False
        m = rng.normal(size=(h, w))
        if kind == "good":
            m = m * 0.3 + mask
        if kind == "ties":
            m = np.round(m)
        if kind == "negative":
            m = m - 5
        if kind == "flat":
            m = np.full((h, w), 0.25)
        m = m.astype(np.float32)
        x, y = m.astype(np.float64).ravel(), mask.ravel()
        span = x.max() - x.min()
        g = (x - x.min()) / span if span > 0 else np.zeros_like(x)
        ious = []
        for t in np.arange(1, 20) / 20:
            marked = g > t if span > 0 else np.zeros_like(y)
            ious.append(float((marked & y).sum() / (marked | y).sum()))
        top = x == x.max()
        positive = np.maximum(x, 0)
        cases.append({"kind": kind, "map": m.ravel().tolist(), "mask": y.astype(int).tolist(), "iou": ious, "auc": float(roc_auc_score(y, x)),
                      "pointing": float(y[top].mean()), "mass": float(positive[y].sum() / positive.sum() if positive.sum() > 0 else y.mean())})
    return cases


def binned(v):
    v = np.asarray(v, dtype=np.float64)
    return np.minimum(19, ((v - v.min()) / (v.max() - v.min()) * 20).astype(int))


def disentanglement(rng):
    n, d = 400, 5
    codes = rng.normal(size=(n, d)).astype(np.float32)
    colour = (codes[:, 0] > 0).astype(int) + (codes[:, 0] > 1)          # one code, one factor
    place = codes[:, 1] * 2 + 0.3 * rng.normal(size=n)                  # a number, with noise
    mixed = ((codes[:, 2] + codes[:, 3]) > 0).astype(int)               # two codes
    columns = [binned(codes[:, c]) for c in range(d)]
    factors = [colour, binned(place), mixed]
    information = np.array([[mutual_info_score(c, f) for f in factors] for c in columns])
    entropies = np.array([mutual_info_score(f, f) for f in factors])
    top = np.sort(information, 0)[::-1]
    def concentration(x):
        p = x / x.sum()
        p = p[p > 0]
        return 1 + float((p * np.log(p)).sum()) / np.log(len(x))
    share = information.sum(1) / information.sum()
    return {"codes": codes.ravel().tolist(), "dimension": d, "colour": colour.tolist(), "place": place.tolist(), "mixed": mixed.tolist(),
            "information": information.ravel().tolist(), "mig": float(((top[0] - top[1]) / entropies).mean()),
            "disentanglement": float(sum(s * concentration(r) for s, r in zip(share, information))),
            "completeness": float(np.mean([concentration(information[:, f]) for f in range(3)]))}


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    tensors, cases = maps(pipeline.load(args.model))
    common.write_tensors(args.out / "maps.safetensors", tensors)
    rng = np.random.default_rng(3)
    common.write_rows(args.out / "localisation.json", {}, "cases", localisation(rng))
    common.write_json(args.out / "disentanglement.json", disentanglement(rng))
    common.write_json(args.out / "cases.json", {"versions": common.versions("diffusers", "torch", "scikit-learn", "numpy"), "cases": cases})


if __name__ == "__main__":
    main()
