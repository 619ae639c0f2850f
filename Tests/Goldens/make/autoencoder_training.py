"""Proves: the loss of an autoencoder's training, each of its parts, the gradients of all weights, and ten steps of AdamW are PyTorch's.

On the tiny models v1 and v2, in double. The divergence is diffusers' own (`DiagonalGaussianDistribution.kl`), the absolute error torch's `l1_loss`. Its weight is large here, so that a wrong one is seen.
Writes autoencoder/training-{v1,v2}.safetensors: pictures, the noises of ten steps, the parts of the loss, gradients (of large tensors three projections and the norm), losses and norms of the steps.
"""

import math

import common
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from gradients import gradients

import pipeline

OUT = common.GOLDENS / "autoencoder"
KL, EDGES = 2e-2, 0.5
STEPS, RATE, WARM, CLIP, DECAY = 10, 5e-3, 3, 0.5, 0.05


def load(name):
    return AutoencoderKL.from_pretrained(common.GOLDENS / "tiny" / name / "vae", torch_dtype=torch.float32).double()


def parts(vae, x, noise):
    """Absolute error, squared error, edges, divergence a value of a picture."""
    posterior = vae.encode(x).latent_dist
    y = vae.decode(posterior.mean + posterior.std * noise).sample
    d = y - x
    edges = d.diff(dim=3).abs().mean() + d.diff(dim=2).abs().mean()
    return F.l1_loss(y, x), F.mse_loss(y, x), edges, posterior.kl().mean() / x[0].numel()


def loss_of(p):
    return p[0] + p[1] + EDGES * p[2] + KL * p[3]


def train(vae, x, noises):
    weights = list(vae.parameters())
    adam = torch.optim.AdamW([{"params": [p for p in weights if p.ndim >= 2], "weight_decay": DECAY}, {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.99))
    losses, norms = [], []
    for step in range(STEPS):
        loss = loss_of(parts(vae, x, noises[step]))
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(weights, CLIP).item())
        for group in adam.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM) * max(0.5 + 0.5 * math.cos(math.pi * step / STEPS), 0.005)
        adam.step()
    return losses, norms


def main(name):
    g = torch.Generator().manual_seed(11)
    x = (torch.rand((2, 3, 16, 24), generator=g) * 2 - 1).double()
    vae = load(name)
    shape = vae.encode(x).latent_dist.mean.shape
    noises = torch.randn((STEPS, *shape), generator=g).double()
    found = parts(vae, x, noises[0])
    loss_of(found).backward()
    tensors = {"in:pictures": x, "in:noises": noises, "out:parts": torch.stack(found).detach(), "out:loss": loss_of(found).detach()[None]}
    tensors |= gradients("vae", vae)
    losses, norms = train(load(name), x, noises)
    tensors |= {"steps:losses": torch.tensor(losses), "steps:norms": torch.tensor(norms)}
    path = OUT / f"training-{name}.safetensors"
    common.write_tensors(path, tensors)
    print(name, path.stat().st_size // 1000, "kB, parts", [round(p.item(), 5) for p in found], "losses", [round(v, 4) for v in losses])


pipeline.begin(pipeline.options(__doc__, OUT))
torch.set_grad_enabled(True)
for name in ("v1", "v2"):
    main(name)
