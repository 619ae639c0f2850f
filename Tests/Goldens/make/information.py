"""Proves: information maps are those of Kong et al.'s definition, computed here with torch and diffusers' UNet from the same noise levels and noises.

One generator gives first the uniform numbers of all noise levels, then the noises; the UNet is asked about the timestep whose logSNR is nearest.
"""

import math
from pathlib import Path

import common
import pipeline
import torch
from diffusers import DDPMScheduler
from PIL import Image

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


def maps(pipe, x, prompts, contrasts):
    """-> (tensors, description): both estimators' maps `[contrasts, h, w]`, totals and standard errors."""
    config = DDPMScheduler.from_config(pipe.scheduler.config)
    abar = config.alphas_cumprod.double()
    trained = torch.log(abar) - torch.log1p(-abar)
    embeddings = pipe.encode_prompt(prompts, "cpu", 1, False)[0]
    g = torch.Generator().manual_seed(SEED)
    logsnr, weight = levels(torch.rand(SAMPLES, generator=g).double())
    timesteps = (logsnr[:, None] - trained).abs().argmin(1)
    found = {"orthogonal": [], "standard": []}
    for a, w, t in zip(logsnr, weight, timesteps):
        eps = torch.randn(x.shape, generator=g)
        signal, noise = torch.sigmoid(a).sqrt().float(), torch.sigmoid(-a).sqrt().float()
        z = signal * x + noise * eps
        guess = pipe.unet(z.repeat(len(prompts), 1, 1, 1), t, encoder_hidden_states=embeddings).sample
        if config.config.prediction_type == "v_prediction":
            guess = signal * guess + noise * z
        guess = guess.double()
        square = lambda d: 0.5 * w * d.pow(2).sum(0)
        found["orthogonal"].append(torch.stack([square(guess[i] - guess[k]) for i, k in contrasts]))
        found["standard"].append(torch.stack([square(eps[0] - guess[k]) - square(eps[0] - guess[i]) for i, k in contrasts]))
    tensors, numbers = {"latents": x}, {}
    for name, m in found.items():
        m = torch.stack(m)  # [samples, contrasts, h, w]
        totals = m.sum((2, 3))
        tensors[name] = m.mean(0)
        numbers[name] = {"totals": totals.mean(0).tolist(), "errors": (totals.std(0) / SAMPLES ** 0.5).tolist()}
    return tensors, {
        "versions": common.versions("diffusers", "transformers", "torch"), "prompts": prompts, "contrasts": contrasts, "samples": SAMPLES, "seed": SEED,
        "logsnr": logsnr.tolist(), "weights": weight.tolist(), "timesteps": timesteps.tolist(), **numbers}


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    pipe = pipeline.load(args.model)
    picture = Image.open(common.GOLDENS / "embedded" / "init.png").convert("RGB")
    x = pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mode() * pipe.vae.config.scaling_factor
    # A tiny model whose answer is v, on latents that are no picture.
    v = pipeline.load(common.GOLDENS / "tiny" / "v2")
    assert v.scheduler.config.prediction_type == "v_prediction"
    other = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(3))
    for name, (tensors, case) in {"": maps(pipe, x, PROMPTS, CONTRASTS), "-v": maps(v, other, PROMPTS, CONTRASTS)}.items():
        common.write_tensors(args.out / f"information{name}.safetensors", tensors)
        common.write_json(args.out / f"case{name}.json", case)


if __name__ == "__main__":
    main()
