"""Proves: on the embedded model, sdlab's pipelines give the latents and pictures of diffusers' public pipelines.

Every case runs twice, in float32 (weights upcast from fp16) and in float64 on the same, float32-drawn random numbers; the tolerance is
max(1e-3, 4 times the largest difference of the two). A few run in bfloat16 too: how far PyTorch's is from float32 is how far sdlab's may be. stages.safetensors holds what every module of the three networks answers.
"""

from pathlib import Path

import common
import diffusers
import numpy as np
import pipeline
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from diffusers.utils import torch_utils
from PIL import Image, ImageDraw, ImageFilter
from samplers import CLASSES, jsonable
from stages import clip_stages, unet_stages, vae_stages

HERE = common.GOLDENS / "embedded"

A = "a red circle on a green meadow"
B = "a small blue star next to a large yellow tree at night"
C = "a purple heart above a brown house on snow"
D = "an orange fish on a pink background"
E = "A White Boat, on the SEA!"
LONG = "a red circle and a blue square and a green triangle and a yellow star and a pink heart and a white cloud and a brown house and a purple tree on a green meadow at night"


def case(name, prompt, sampler, steps, guidance, seed, **more):
    row = {"case": name, "kind": "text", "prompt": prompt, "negative": None, "sampler": sampler, "steps": steps, "guidance": guidance, "seed": str(seed),
           "width": 64, "height": 64, "count": 1, "eta": 0.0, "clipSkip": None, "overrides": {}, "latents": None, "image": None, "mask": None, "strength": None}
    unknown = set(more) - set(row)
    assert not unknown, unknown
    return row | more


def cases():
    rows = []
    add = lambda *a, **k: rows.append(case(*a, **k))
    # two for every sampler name
    add("ddpm-1", A, "ddpm", 25, 4, 42)
    add("ddpm-2", B, "ddpm", 50, 8, 7)
    add("ddim-1", A, "ddim", 20, 4, 42)
    add("ddim-2", C, "ddim", 8, 8, 1)
    add("pndm-1", D, "pndm", 20, 2.5, 42)
    add("pndm-2", B, "pndm", 7, 4, 3)
    add("lms-1", A, "lms", 20, 4, 42)
    add("lms-2", E, "lms", 8, 2.5, 5)
    add("euler-1", C, "euler", 20, 4, 42)
    add("euler-2", A, "euler", 5, 8, 11)
    add("euler-a-1", A, "euler-a", 20, 4, 42)
    add("euler-a-2", B, "euler-a", 7, 2.5, 13)
    add("heun-1", D, "heun", 15, 4, 42)
    add("heun-2", A, "heun", 4, 8, 17)
    add("dpmpp-2m-1", A, "dpmpp-2m", 20, 4, 42)
    add("dpmpp-2m-2", C, "dpmpp-2m", 8, 8, 19)
    add("dpmpp-2m-karras-1", B, "dpmpp-2m-karras", 20, 4, 42)
    add("dpmpp-2m-karras-2", A, "dpmpp-2m-karras", 7, 2.5, 23)
    add("dpmpp-2m-sde-1", A, "dpmpp-2m-sde", 20, 4, 42)
    add("dpmpp-2m-sde-2", D, "dpmpp-2m-sde", 9, 8, 29)
    add("dpmpp-2s-1", C, "dpmpp-2s", 20, 4, 42)
    add("dpmpp-2s-2", A, "dpmpp-2s", 7, 2.5, 31)
    add("unipc-1", A, "unipc", 20, 4, 42)
    add("unipc-2", B, "unipc", 6, 8, 37)
    add("lcm-1", A, "lcm", 4, 2.5, 42)
    add("lcm-2", D, "lcm", 8, 1, 41)
    # guidance 1: one pass; no text; negative; eta; clip skip; odd sizes; several; long
    add("no-guidance", A, "ddim", 12, 1, 2)
    add("guidance-below-one", A, "ddim", 6, 0.5, 2)
    add("empty-prompt", "", "ddim", 10, 4, 42)
    add("negative-1", A, "ddim", 15, 4, 42, negative="a blue star at night")
    add("negative-2", "a yellow balloon on snow", "dpmpp-2m", 12, 8, 4, negative="snow, night")
    add("negative-empty", A, "ddim", 5, 4, 42, negative="")
    add("eta-half", A, "ddim", 12, 4, 42, eta=0.5)
    add("eta-one", C, "ddim", 10, 2.5, 6, eta=1.0)
    add("clip-skip-1", A, "ddim", 12, 4, 42, clipSkip=1)
    add("clip-skip-1-negative", B, "euler", 8, 4, 8, clipSkip=1, negative="a red circle")
    add("clip-skip-2", A, "ddim", 6, 4, 42, clipSkip=2)
    add("clip-skip-0", A, "ddim", 6, 4, 42, clipSkip=0)
    add("wide", B, "ddim", 12, 4, 42, width=96, height=64)
    add("tall", A, "euler-a", 10, 4, 42, width=64, height=96)
    add("odd-size", C, "dpmpp-2m", 10, 4, 42, width=72, height=40)
    add("count-2-ddpm", A, "ddpm", 12, 4, 42, count=2)
    add("count-2-euler-a", D, "euler-a", 10, 4, 100, count=2, negative="night")
    add("count-3-ddim", A, "ddim", 6, 4, 42, count=3)
    add("latents-ddim", A, "ddim", 10, 4, 42, latents="latents-16x16.safetensors")
    add("latents-euler", B, "euler", 10, 4, 42, latents="latents-16x16.safetensors")
    add("latents-ddpm", B, "ddpm", 10, 4, 9, latents="latents-16x16.safetensors")
    add("euler-karras", A, "euler", 10, 4, 42, overrides={"use_karras_sigmas": True})
    add("unipc-karras", C, "unipc", 10, 4, 42, overrides={"use_karras_sigmas": True})
    add("dpmpp-2m-sde-karras", C, "dpmpp-2m-sde", 10, 4, 42, overrides={"use_karras_sigmas": True})
    add("ddim-trailing", A, "ddim", 10, 4, 42, overrides={"timestep_spacing": "trailing"})
    add("dpmpp-2m-leading", B, "dpmpp-2m", 10, 4, 42, overrides={"timestep_spacing": "leading"})
    add("pndm-linspace", A, "pndm", 10, 4, 42, overrides={"timestep_spacing": "linspace"})
    add("v-prediction", A, "ddim", 4, 2.5, 42, overrides={"prediction_type": "v_prediction"})
    add("long-prompt", LONG, "ddim", 10, 4, 42)
    add("long-negative", A, "ddim", 6, 4, 42, negative=LONG)
    add("unicode-prompt", "ein gr\u00fcner Baum \U0001f333 \u2014 \u7ea2\u8272\u7684\u5706", "ddim", 8, 4, 42)
    add("big-seed", A, "ddim", 6, 4, 2**63 - 1)
    add("one-step", A, "ddim", 1, 4, 42)
    add("ddpm-default", A, "ddpm", 50, 8, 42)
    # image to image
    img = lambda name, prompt, sampler, steps, guidance, seed, strength, **k: add(
        name, prompt, sampler, steps, guidance, seed, kind="image", image="init.png", strength=strength, **k)
    for i, sampler in enumerate(("ddpm", "ddim", "euler", "euler-a", "heun", "dpmpp-2m", "pndm")):
        for strength in (0.3, 0.6, 0.9):
            img(f"img-{sampler}-{strength:g}", (A, B, C, D)[i % 4], sampler, (20, 12, 10)[i % 3], (4, 8, 2.5)[i % 3], 42 + i, strength)
    for sampler in ("lms", "unipc", "dpmpp-2m-sde", "dpmpp-2m-karras", "dpmpp-2s"):
        img(f"img-{sampler}-0.5", A, sampler, 11, 4, 42, 0.5)
    img("img-lcm-0.5", A, "lcm", 8, 1, 42, 0.5)
    img("img-full", A, "ddim", 6, 4, 42, 1.0)
    img("img-count-2", A, "ddim", 10, 4, 42, 0.7, count=2)
    img("img-count-2-ddpm", A, "ddpm", 10, 4, 42, 0.7, count=2)
    img("img-eta", A, "ddim", 10, 4, 42, 0.5, eta=1.0)
    add("img-wide", B, "ddim", 10, 4, 42, kind="image", image="wide.png", strength=0.6, width=96, height=64)
    # inpainting, 4-channel blend
    inp = lambda name, prompt, sampler, steps, guidance, seed, strength, **k: add(
        name, prompt, sampler, steps, guidance, seed, kind="inpaint", image="init.png", mask="mask.png", strength=strength, **k)
    for sampler in ("ddim", "ddpm", "euler-a", "dpmpp-2m"):
        for strength in (0.7, 1.0):
            inp(f"inpaint-{sampler}-{strength:g}", D if sampler == "ddim" else A, sampler, 12, 4, 42, strength)
    inp("inpaint-heun-0.7", A, "heun", 8, 4, 42, 0.7)
    inp("inpaint-pndm-1", C, "pndm", 10, 4, 42, 1.0)
    inp("inpaint-lms-0.7", C, "lms", 10, 4, 42, 0.7)
    inp("inpaint-unipc-0.7", C, "unipc", 10, 4, 42, 0.7)
    inp("inpaint-no-guidance", A, "ddim", 8, 1, 42, 0.9)
    inp("inpaint-count-2", A, "ddpm", 8, 4, 42, 0.8, count=2)
    assert len({r["case"] for r in rows}) == len(rows)
    return rows


def draw_noise_in_float32():
    """Every randn_tensor that diffusers' modules hold draws float32 and casts, so that float64 runs see the same numbers."""
    import sys
    plain = torch_utils.randn_tensor

    def drawn(shape, generator=None, device=None, dtype=None, layout=None):
        return plain(shape, generator=generator, device=device, dtype=torch.float32).to(dtype or torch.float32)

    for name, module in list(sys.modules.items()):
        if name.startswith("diffusers.") and getattr(module, "randn_tensor", None) is plain:
            module.randn_tensor = drawn


EMBEDDED = ("ddpm-1", "negative-1", "clip-skip-1", "long-prompt", "unicode-prompt")
PICTURED = ("img-ddim-0.6", "img-heun-0.6", "inpaint-ddim-0.7", "inpaint-euler-a-1", "inpaint-heun-0.7", "inpaint-count-2", "wide", "odd-size", "count-2-ddpm", "img-count-2", "img-wide", "ddpm-default")


def kept(row, what):
    """Latents always; the rest where it says something new, for the repository's sake."""
    name, calls = row["case"], row["calls"]
    return {"latents": True,
            "image": name in PICTURED or row["kind"] == "text" and name.endswith("-1") and name != "clip-skip-1",
            "trace": calls <= 7 and name.endswith("-2") and row["count"] == 1 and row["clipSkip"] is None or name in ("img-heun-0.3", "img-ddim-0.3", "inpaint-heun-0.7", "inpaint-ddim-0.7"),
            "embeds": True, "negativeEmbeds": name in ("negative-1", "clip-skip-1")}[what]


# Samplers that add no noise, whose errors would be theirs alone.
BFLOAT16 = ("ddim-1", "ddim-2", "dpmpp-2m-1", "euler-1", "pndm-2", "unipc-1", "count-3-ddim", "wide", "img-ddim-0.6", "inpaint-ddim-0.7")

PIPES = {"text": StableDiffusionPipeline, "image": StableDiffusionImg2ImgPipeline, "inpaint": StableDiffusionInpaintPipeline}


def run(pipes, row, dtype, out):
    pipe = pipes[row["kind"]]
    cls, own = CLASSES[row["sampler"]]
    pipe.scheduler = getattr(diffusers, cls).from_config(pipes["config"], **{**own, **row["overrides"]})
    n = row["count"]
    args = {"prompt": [row["prompt"]] * n, "num_inference_steps": row["steps"], "guidance_scale": row["guidance"], "eta": row["eta"],
            "generator": [torch.Generator().manual_seed(int(row["seed"]) + i) for i in range(n)], "output_type": "np"}
    if row["negative"] is not None:
        args["negative_prompt"] = [row["negative"]] * n
    if row["clipSkip"] is not None:
        args["clip_skip"] = row["clipSkip"]
    if row["kind"] != "image":
        args |= {"width": row["width"], "height": row["height"]}
    if row["latents"]:
        from safetensors.torch import load_file
        args["latents"] = load_file(str(out / row["latents"]))["latents"].to(dtype)
    if row["image"]:
        image = Image.open(out / row["image"]).convert("RGB")
        # inpainting encodes one picture with the first generator only: give it one picture for each generator
        args |= {"image": [image] * n if row["kind"] == "inpaint" else image, "strength": row["strength"]}
    if row["mask"]:
        args["mask_image"] = [Image.open(out / row["mask"])] * n
    trace = []

    def note(pipe, i, t, kwargs):
        trace.append(kwargs["latents"].clone())
        return {}

    result = pipe(**args, callback_on_step_end=note)
    pictures = (result.images * 255).round().astype("uint8")
    return torch.stack(trace), torch.from_numpy(pictures).permute(0, 3, 1, 2), pipe


def pictures(scenes, out):
    """Two tiles of the reference sheet and a mask with soft edges, so that the cut at one half matters."""
    sheet = Image.open(scenes).convert("RGB")
    out.mkdir(parents=True, exist_ok=True)
    sheet.crop((0, 0, 64, 64)).save(out / "init.png", optimize=True)
    sheet.crop((128, 64, 224, 128)).save(out / "wide.png", optimize=True)
    mask = Image.new("L", (64, 64), 0)
    d = ImageDraw.Draw(mask)
    d.ellipse((14, 10, 45, 38), fill=255)
    d.rectangle((40, 44, 57, 60), fill=160)
    d.rectangle((4, 50, 20, 58), fill=120)
    mask.filter(ImageFilter.GaussianBlur(1.5)).save(out / "mask.png", optimize=True)


def main():
    parser = pipeline.options(__doc__, HERE)
    parser.add_argument("--scenes", type=Path, help="the sheet of reference scenes: cut the initial pictures again")
    parser.add_argument("--only", help="run the cases whose name contains this, write nothing")
    args = pipeline.begin(parser)
    out = args.out
    if args.scenes:
        pictures(args.scenes, out)
    draw_noise_in_float32()
    common.write_tensors(out / "latents-16x16.safetensors", {"latents": torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(2024))})

    both = {}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        base = pipeline.load(args.model, dtype)
        base.set_progress_bar_config(disable=True)
        # diffusers 0.42's clip_skip asks for text_encoder.text_model.final_layer_norm, transformers 5 has no text_model any more: same layer, old path
        if not hasattr(base.text_encoder, "text_model"):
            object.__setattr__(base.text_encoder, "text_model", base.text_encoder)
        pipes = {"text": base, "config": dict(base.scheduler.config)}
        for kind in ("image", "inpaint"):
            pipes[kind] = PIPES[kind](**base.components, requires_safety_checker=False)
            pipes[kind].set_progress_bar_config(disable=True)
        both[dtype] = pipes

    tensors, rows = {}, []
    for row in cases():
        if args.only and args.only not in row["case"]:
            continue
        trace, image, pipe = run(both[torch.float32], row, torch.float32, out)
        trace64, image64, _ = run(both[torch.float64], row, torch.float64, out)
        drift = (trace[-1].double() - trace64[-1].double()).abs().max().item()
        off = (image.int() - image64.int()).abs()
        row = row | {"calls": len(trace), "scheduler": jsonable(pipe.scheduler.config), "timesteps": [float(t) for t in pipe.scheduler.timesteps],
                     "drift64": drift, "tolerance": max(1e-3, 4 * drift), "largestLatent": trace[-1].abs().max().item(),
                     "pixelsOffByMoreThanOne64": int((off.amax(1) > 1).sum())}
        name = row["case"]
        if name in BFLOAT16:
            rounded, _, _ = run(both[torch.bfloat16], row, torch.bfloat16, out)
            row["bfloat16Error"] = (trace[-1] - rounded[-1].float()).abs().max().item()
        answers = {"latents": trace[-1], "image": image, "trace": trace}
        if name in EMBEDDED:
            answers["embeds"], answers["negativeEmbeds"] = both[torch.float32]["text"].encode_prompt(row["prompt"], "cpu", 1, True, row["negative"], clip_skip=row["clipSkip"])
        tensors |= {f"{name}:{what}": v for what, v in answers.items() if kept(row, what)}
        rows.append(row)
        print(f"{name:28} drift {drift:.2e}  pixels off {row['pixelsOffByMoreThanOne64']}", flush=True)
    if args.only:
        return

    split = {"text": {}, "image": {}, "inpaint": {}}
    kinds = {r["case"]: r["kind"] for r in rows}
    for k, v in tensors.items():
        split[kinds[k.split(":")[0]]][k] = v
    for kind, t in split.items():
        common.write_tensors(out / f"{kind}.safetensors", t)
    common.write_rows(out / "cases.json", {"versions": common.versions("diffusers", "transformers", "torch"), "model": "Resources/scenes-model"}, "cases", rows)

    # what every module answers, on a small non-square input
    pipe = both[torch.float32]["text"]
    g = torch.Generator().manual_seed(5)
    stages = {}
    prompts = [LONG, E]
    ids = pipe.tokenizer(prompts, padding="max_length", max_length=pipe.tokenizer.model_max_length, truncation=True, return_tensors="pt").input_ids
    stages |= clip_stages(pipe.text_encoder, ids)
    context = stages["clip:last"][1:]
    x = torch.randn((1, 4, 6, 8), generator=g)
    stages |= unet_stages(pipe.unet, x, torch.tensor(500), context)
    pixels = pipe.image_processor.preprocess(Image.open(out / "init.png").convert("RGB"))
    stages |= vae_stages(pipe.vae, pixels[:, :, 8:32, 12:28].contiguous(), torch.randn((1, 4, 3, 5), generator=g), detail=False)
    posterior = pipe.vae.encode(pixels).latent_dist
    stages["init:pixels"], stages["init:moments"] = pixels, posterior.parameters
    stages["init:sample.seed42"] = posterior.sample(torch.Generator().manual_seed(42))
    stages["init:reconstruction"] = pipe.vae.decode(posterior.mode(), return_dict=False)[0]
    common.write_tensors(out / "stages.safetensors", stages)
    worst = max(rows, key=lambda r: r["drift64"])
    print(f"{len(rows)} cases, worst drift {worst['drift64']:.2e} ({worst['case']}), {len(stages)} stages")


if __name__ == "__main__":
    main()
