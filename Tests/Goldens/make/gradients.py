"""Proves: the loss and every gradient tensor of the tiny networks are PyTorch's.

For the tiny models v1 (epsilon) and v2 (velocity), whose weights are in their folders: the UNet and the text encoder under one weighted loss, and the VAE's
encoder, sample and decoder under another. Gradients are stored under the names of diffusers' state dicts; those of large matrices as three fixed random
projections and their norm, which tell a wrong row or a swapped index as well as the whole does.
"""

import argparse
import warnings
from pathlib import Path

import common
import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()
OUT = common.GOLDENS / "gradients"
WHOLE = 256


def projections(g):
    """[4]: three dot products with cos(0.7 i + phase i^2 / n) and the norm."""
    g = g.double().flatten()
    i = torch.arange(g.numel(), dtype=torch.float64)
    return torch.tensor([(g * torch.cos(0.7 * (k + 1) * i + k * i * i / g.numel())).sum() for k in range(3)] + [g.norm()])


def gradients(prefix, module):
    out = {}
    for name, p in module.named_parameters():
        name = name if name.startswith("text_model.") or prefix != "text_encoder" else f"text_model.{name}"
        if p.grad is not None:
            out[f"{prefix}.{name}"] = (p.grad if p.numel() <= WHOLE else projections(p.grad)).float().contiguous()
    return out


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--out", type=Path, default=OUT)
    args = args.parse_args()
    torch.set_num_threads(common.THREADS)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("v1", "v2"):
        folder = common.GOLDENS / "tiny" / name
        # Double: a golden that is no rounding of its own.
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).double()
        vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).double()
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).double()
        g = torch.Generator().manual_seed(7)
        x, noise = (torch.randn((3, 4, 8, 8), generator=g).double() for _ in range(2))
        times, weights = torch.tensor([20, 480, 930]), torch.tensor([1.0, 0.4, 2.5]).double()
        ids = torch.randint(0, 680, (3, 32), generator=g)
        abar = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000).double() ** 2, 0)[times].view(-1, 1, 1, 1)
        noisy = abar.sqrt() * x + (1 - abar).sqrt() * noise
        target = noise if name == "v1" else abar.sqrt() * noise - (1 - abar).sqrt() * x
        out = unet(noisy, times, encoder_hidden_states=text(ids).last_hidden_state).sample
        loss = ((out - target).square().mean((1, 2, 3)) * weights).mean()
        loss.backward()
        tensors = {"in:noisy": noisy, "in:times": times.double(), "in:weights": weights, "in:ids": ids.double(), "in:target": target, "out:loss": loss.detach()[None]}
        picture = torch.rand((1, 3, 16, 24), generator=g).double() * 2 - 1
        moments = vae.encode(picture).latent_dist
        z = torch.randn(moments.mean.shape, generator=g).double()
        decoded = vae.decode(moments.mean + moments.std * z).sample
        vae_loss = (decoded - picture).square().mean()
        vae_loss.backward()
        tensors |= {"in:picture": picture, "in:vaeNoise": z, "out:vaeLoss": vae_loss.detach()[None]}
        tensors = {k: v.float() for k, v in tensors.items()}
        for prefix, module in (("unet", unet), ("text_encoder", text), ("vae", vae)):
            tensors |= gradients(prefix, module)
        common.write_tensors(args.out / f"{name}.safetensors", tensors)
        print(name, len(tensors), "tensors,", (args.out / f"{name}.safetensors").stat().st_size // 1000, "kB, losses", loss.item(), vae_loss.item())


if __name__ == "__main__":
    main()
