"""Proves: information maps are those of Kong et al.'s definition, computed here with torch and diffusers' UNet from the same noise levels and noises.

One generator gives first the uniform numbers of all noise levels, then the noises; the UNet is asked about the timestep whose logSNR is nearest.
"""

import argparse
import math
import warnings
from pathlib import Path

import common
import diffusers
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from PIL import Image

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()
HERE = common.GOLDENS / "information"
PROMPTS = ["", "a red circle on a green meadow", "a circle on a green meadow", "a red star on a green meadow"]
CONTRASTS = [(1, 0), (1, 2), (1, 3)]  # all of the prompt; "red"; "circle" beside "star"
SAMPLES, SEED, LOCATION, SCALE, CLIP = 12, 5, 1.0, 2.0, 3.0


def levels(uniform):
    """Truncated logistic distribution: values and one over their density."""
    low, high = (1 / (1 + math.exp(s * CLIP)) for s in (1, -1))
    z = torch.distributions.transformed_distribution.TransformedDistribution(
        torch.distributions.Uniform(0.0, 1.0), [torch.distributions.SigmoidTransform().inv, torch.distributions.AffineTransform(LOCATION, SCALE)])
    logsnr = torch.logit(low + (high - low) * uniform) * SCALE + LOCATION
    density = z.log_prob(logsnr).exp() / (high - low)
    return logsnr, 1 / density


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, default=common.MODEL)
    args.add_argument("--out", type=Path, default=HERE)
    args = args.parse_args()
    torch.set_num_threads(common.THREADS)
    torch.set_grad_enabled(False)
    pipe = StableDiffusionPipeline.from_pretrained(str(args.model), torch_dtype=torch.float32, local_files_only=True)
    abar = DDPMScheduler.from_config(pipe.scheduler.config).alphas_cumprod.double()
    trained = torch.log(abar) - torch.log1p(-abar)
    picture = Image.open(common.GOLDENS / "embedded" / "init.png").convert("RGB")
    x = pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mode() * pipe.vae.config.scaling_factor
    embeddings = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0]
    g = torch.Generator().manual_seed(SEED)
    logsnr, weight = levels(torch.rand(SAMPLES, generator=g).double())
    timesteps = (logsnr[:, None] - trained).abs().argmin(1)
    maps = {"orthogonal": [], "standard": []}
    for a, w, t in zip(logsnr, weight, timesteps):
        eps = torch.randn(x.shape, generator=g)
        z = torch.sigmoid(a).sqrt().float() * x + torch.sigmoid(-a).sqrt().float() * eps
        guess = pipe.unet(z.repeat(len(PROMPTS), 1, 1, 1), t, encoder_hidden_states=embeddings).sample.double()
        square = lambda d: 0.5 * w * d.pow(2).sum(0)
        maps["orthogonal"].append(torch.stack([square(guess[i] - guess[k]) for i, k in CONTRASTS]))
        maps["standard"].append(torch.stack([square(eps[0] - guess[k]) - square(eps[0] - guess[i]) for i, k in CONTRASTS]))
    tensors, numbers = {"latents": x}, {}
    for name, m in maps.items():
        m = torch.stack(m)  # [samples, contrasts, h, w]
        totals = m.sum((2, 3))
        tensors[name] = m.mean(0)
        numbers[name] = {"totals": totals.mean(0).tolist(), "errors": (totals.std(0) / SAMPLES ** 0.5).tolist()}
    common.write_tensors(args.out / "information.safetensors", tensors)
    common.write_json(args.out / "case.json", {
        "versions": common.versions("diffusers", "transformers", "torch"), "prompts": PROMPTS, "contrasts": CONTRASTS, "samples": SAMPLES, "seed": SEED,
        "logsnr": logsnr.tolist(), "weights": weight.tolist(), "timesteps": timesteps.tolist(), **numbers})


if __name__ == "__main__":
    main()
