"""Proves: DDIM inversion is diffusers' (DDIMInverseScheduler with the embedded model's UNet), edit-friendly and null-text inversion are the published ones in a few lines of torch.

The picture is Tests/Goldens/embedded's. Each case keeps the inverted noise, what sampling makes of it again, and for edit-friendly inversion the noises z and an edit.
"""

from pathlib import Path

import common
import embedded
import pipeline
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from PIL import Image

HERE = common.GOLDENS / "inversion"


def cases():
    rows = []

    def add(name, method, image, prompt, steps, guidance, negative="", seed=42, edit=None, editGuidance=4.0, skip=0, **overrides):
        rows.append({"case": name, "method": method, "image": image, "prompt": prompt, "negative": negative, "steps": steps, "guidance": guidance, "seed": seed,
                     "edit": edit, "editGuidance": editGuidance, "skip": skip, "overrides": overrides})

    add("ddim", "ddim", "init.png", "a red house", 12, 1.0, edit="a blue house")
    add("ddim-empty-prompt", "ddim", "init.png", "", 10, 1.0)
    add("ddim-guided", "ddim", "init.png", embedded.A, 8, 3.0, negative="night")
    add("ddim-wide-trailing", "ddim", "wide.png", embedded.B, 10, 1.0, timestep_spacing="trailing")
    # a step ends at abar = 1: nothing is left of the noise there
    add("ddim-alpha-one", "ddim", "init.png", "a red house", 7, 1.0, set_alpha_to_one=True)
    add("ddim-v", "ddim", "init.png", "a red house", 6, 1.0, prediction_type="v_prediction")
    add("edit-friendly", "edit-friendly", "init.png", "a red house", 10, 3.5, edit="a blue boat on the sea", editGuidance=6.0, skip=3)
    add("edit-friendly-wide", "edit-friendly", "wide.png", embedded.B, 6, 1.0, seed=7)
    add("null-text", "null-text", "init.png", "a red house", 8, 5.0, edit="a blue house", editGuidance=5.0)
    add("null-text-negative", "null-text", "wide.png", embedded.B, 6, 2.0, negative="night")
    return rows


def prediction(pipe, x, t, embeds, guidance):
    if guidance <= 1:
        return pipe.unet(x, t, embeds[0]).sample
    uncond, cond = pipe.unet(torch.cat([x, x]), t, torch.cat([embeds[1], embeds[0]])).sample.chunk(2)
    return uncond + guidance * (cond - uncond)


def encoded(pipe, prompt, negative):
    return pipe.encode_prompt(prompt, "cpu", 1, True, negative)


def ddim(pipe, x0, row, dtype):
    config = pipe.scheduler.config
    up, down = DDIMInverseScheduler.from_config(config, **row["overrides"]), DDIMScheduler.from_config(config, **row["overrides"])
    up.set_timesteps(row["steps"])
    down.set_timesteps(row["steps"])
    embeds = encoded(pipe, row["prompt"], row["negative"])
    x = x0
    for t in up.timesteps:
        x = up.step(prediction(pipe, x, t, embeds, row["guidance"]), t, x).prev_sample
    out = {"noise": x}
    for name, prompt, guidance in (("reconstruction", row["prompt"], row["guidance"]), ("edit", row["edit"], row["editGuidance"])):
        if prompt is None:
            continue
        embeds, y = encoded(pipe, prompt, row["negative"]), x
        for t in down.timesteps:
            y = down.step(prediction(pipe, y, t, embeds, guidance), t, y).prev_sample
        out[name] = y
    return out


def edit_friendly(pipe, x0, row, dtype):
    """inversion_forward_process and inversion_reverse_process of inbarhub/DDPM_inversion, eta = 1."""
    s = DDIMScheduler.from_config(pipe.scheduler.config, **row["overrides"])
    n = row["steps"]
    s.set_timesteps(n)
    abar, stride = s.alphas_cumprod.to(dtype), s.config.num_train_timesteps // n
    before = lambda t: abar[t - stride] if t >= stride else s.final_alpha_cumprod.to(dtype)
    variance = lambda t: (1 - before(t)) / (1 - abar[t]) * (1 - abar[t] / before(t))
    times = [int(t) for t in s.timesteps]

    def mean(x, t, embeds, guidance):
        eps = prediction(pipe, x, torch.tensor(t), embeds, guidance)
        pred = (x - (1 - abar[t]) ** 0.5 * eps) / abar[t] ** 0.5
        return before(t) ** 0.5 * pred + (1 - before(t) - variance(t)) ** 0.5 * eps

    g = torch.Generator().manual_seed(row["seed"])
    xs = {n: x0}
    for k in reversed(range(n)):
        noise = torch.randn(x0.shape, generator=g).to(dtype)
        xs[k] = abar[times[k]] ** 0.5 * x0 + (1 - abar[times[k]]) ** 0.5 * noise
    embeds, zs = encoded(pipe, row["prompt"], row["negative"]), []
    for k, t in enumerate(times):
        mu, sigma = mean(xs[k], t, embeds, row["guidance"]), variance(t) ** 0.5
        zs.append((xs[k + 1] - mu) / sigma)
        xs[k + 1] = mu + sigma * zs[-1]
    zs[-1] = torch.zeros_like(zs[-1])

    def forward(prompt, guidance, skip):
        embeds, x = encoded(pipe, prompt, row["negative"]), xs[skip]
        for k in range(skip, n):
            x = mean(x, times[k], embeds, guidance) + variance(times[k]) ** 0.5 * zs[k]
        return x

    out = {"noise": xs[0], "z": torch.cat(zs), "reconstruction": forward(row["prompt"], row["guidance"], 0)}
    if row["edit"] is not None:
        out["edit"] = forward(row["edit"], row["editGuidance"], row["skip"])
    return out


def null_text(pipe, x0, row, dtype):
    """null_optimization of google/prompt-to-prompt's null_text_w_ptp.ipynb, with the number of steps in place of its 50."""
    config = pipe.scheduler.config
    up, down = DDIMInverseScheduler.from_config(config, **row["overrides"]), DDIMScheduler.from_config(config, **row["overrides"])
    up.set_timesteps(row["steps"])
    down.set_timesteps(row["steps"])
    cond, uncond = encoded(pipe, row["prompt"], row["negative"])
    path = [x0]
    for t in up.timesteps:
        path.append(up.step(pipe.unet(path[-1], t, cond).sample, t, path[-1]).prev_sample)
    x, negatives, n, w = path[-1], [], row["steps"], row["guidance"]
    for i, t in enumerate(down.timesteps):
        target, told = path[-i - 2], pipe.unet(x, t, cond).sample
        with torch.enable_grad():
            uncond = uncond.clone().detach().requires_grad_(True)
            adam = torch.optim.Adam([uncond], lr=1e-2 * (1 - i / (2 * n)))
            for _ in range(10):
                free = pipe.unet(x, t, uncond).sample
                loss = torch.nn.functional.mse_loss(down.step(free + w * (told - free), t, x).prev_sample, target)
                adam.zero_grad()
                loss.backward()
                adam.step()
                if loss.item() < 1e-5 + 1e-3 * i / n:
                    break
        uncond = uncond.detach()
        negatives.append(uncond)
        free = pipe.unet(x, t, uncond).sample
        x = down.step(free + w * (told - free), t, x).prev_sample
    out = {"noise": path[-1], "negatives": torch.cat(negatives)}
    for name, prompt, guidance in (("reconstruction", row["prompt"], w), ("edit", row["edit"], row["editGuidance"])):
        if prompt is None:
            continue
        cond, y = encoded(pipe, prompt, row["negative"])[0], path[-1]
        for t, negative in zip(down.timesteps, negatives):
            y = down.step(prediction(pipe, y, t, (cond, negative), guidance), t, y).prev_sample
        out[name] = y
    return out


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    rows, tensors = cases(), {}
    pipes = {}
    for dtype in (torch.float32, torch.float64):
        pipes[dtype] = pipeline.load(args.model, dtype)
    for i, row in enumerate(rows):
        results = {}
        for dtype, pipe in pipes.items():
            pixels = pipe.image_processor.preprocess(Image.open(common.GOLDENS / "embedded" / row["image"]).convert("RGB")).to(dtype)
            x0 = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
            results[dtype] = {"x0": x0} | {"ddim": ddim, "edit-friendly": edit_friendly, "null-text": null_text}[row["method"]](pipe, x0, row, dtype)
        for name, value in results[torch.float32].items():
            exact = results[torch.float64][name]
            assert torch.isfinite(value).all()
            row[f"drift64.{name}"] = ((value.double() - exact).abs().max() / exact.abs().max()).item()
            tensors[f"{row['case']}:{name}"] = value
        drift = {k: f"{v:.1e}" for k, v in row.items() if k.startswith("drift64")}
        print(row["case"], drift, flush=True)
        rows[i] = {k: v for k, v in row.items() if not k.startswith("drift64")} | {"drift64": max(v for k, v in row.items() if k.startswith("drift64"))}
    common.write_tensors(args.out / "inversion.safetensors", tensors)
    common.write_rows(args.out / "cases.json", {"versions": common.versions("diffusers", "transformers", "torch"), "model": "Resources/scenes-model"}, "cases", rows)


if __name__ == "__main__":
    main()
