"""Proves: ten steps of the optimisers give PyTorch's losses.

The tiny models v1 and v2 (UNet and text encoder) are trained for ten steps on the batch of gradients.py, by torch.optim.AdamW alone, and by Muon (written here
after Jordan et al. 2024) for hidden matrices with AdamW for the rest; gradients clipped by their global norm, the rate warmed up and falling by a
cosine, an exponential moving average kept. In double precision.
"""

import json
import math
import warnings

import common
import diffusers
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextModel

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()
OUT = common.GOLDENS / "gradients"
STEPS, RATE, WARM, CLIP, DECAY, EMA = 10, 5e-3, 3, 0.5, 0.05, 0.9


def orthogonal(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.mT if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() * 1.02 + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if g.shape[0] > g.shape[1] else x


def train(name, muon):
    folder = common.GOLDENS / "tiny" / name
    t = {k: v.double() for k, v in load_file(OUT / f"{name}.safetensors").items() if k.startswith("in:")}
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).double()
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).double()
    named = [(f"unet.{k}", p) for k, p in unet.named_parameters()] + [(f"text_encoder.{k}", p) for k, p in text.named_parameters()]
    hidden = [p for k, p in named if muon and p.ndim >= 2 and not any(s in k for s in ("conv_in", "conv_out", "embedding"))]
    ids = {id(p) for p in hidden}
    rest = [p for _, p in named if id(p) not in ids]
    adam = torch.optim.AdamW([{"params": [p for p in rest if p.ndim >= 2], "weight_decay": DECAY}, {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.99))
    means = [torch.zeros_like(p) for p in hidden]
    average = [p.detach().clone() for _, p in named]
    losses, norms = [], []
    for step in range(STEPS):
        out = unet(t["in:noisy"], t["in:times"], encoder_hidden_states=text(t["in:ids"].long()).last_hidden_state).sample
        loss = ((out - t["in:target"]).square().mean((1, 2, 3)) * t["in:weights"]).mean()
        losses.append(loss.item())
        adam.zero_grad()
        for p in hidden:
            p.grad = None
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in named], CLIP).item())
        rate = RATE * min(1, (step + 1) / WARM) * max(0.5 + 0.5 * math.cos(math.pi * step / STEPS), 0.005)
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        with torch.no_grad():
            for p, m in zip(hidden, means):
                m.lerp_(p.grad, 0.05)
                u = orthogonal(p.grad.lerp(m, 0.95).reshape(p.shape[0], -1)).reshape(p.shape)
                p.mul_(1 - rate * DECAY)
                p.add_(u, alpha=-rate * 0.2 * max(p.shape[0], p[0].numel()) ** 0.5)
            weight = 1 - min(EMA, (2 + step) / (11 + step))
            for a, (_, p) in zip(average, named):
                a.lerp_(p, weight)
    return {"losses": losses, "norms": norms, "averageNorm": math.sqrt(sum(a.square().sum().item() for a in average))}


def main():
    torch.set_num_threads(common.THREADS)
    found = {name: {way: train(name, way == "muon") for way in ("adamw", "muon")} for name in ("v1", "v2")}
    common.write_json(OUT / "optimisers.json", found)
    for name, ways in found.items():
        print(name, {way: [round(x, 4) for x in v["losses"]] for way, v in ways.items()})


if __name__ == "__main__":
    main()
