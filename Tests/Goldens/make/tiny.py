"""Proves: the networks and pipelines agree on shapes that the embedded model does not have.

Writes tiny model folders with seeded random weights (v1, v2, lcm, inpaint, odd), in the many ways that folders are stored in the wild, and beside each what
every module answers and a short pipeline. Norms and biases are random too, so that no module can be skipped unseen.
"""

import argparse
import json
import math
import shutil
import warnings
from pathlib import Path

import common
import diffusers
import numpy as np
import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, StableDiffusionInpaintPipeline,
                       StableDiffusionPipeline, UNet2DConditionModel)
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import compvis
from embedded import draw_noise_in_float32
from samplers import BASES
from stages import clip_stages, unet_stages, vae_stages
from tokenizer import configure

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()
HERE = common.GOLDENS / "tiny"


FAINT = ("conv_in.", "conv1.", "conv2.", "time_emb_proj.", "proj_in.", "to_out.0.", "ff.net.2.", "out_proj.", "fc2.", "embeddings.")


def randomise(module, seed, stored, faint=1.0):
    """Seeded by name, so that adding a layer changes no other; rounded to the stored type. `faint` scales what feeds the norms: with variances far
    below 1 a wrong epsilon shows."""
    for name, p in sorted(module.named_parameters()):
        g = torch.Generator().manual_seed((seed * 1_000_003 + sum(ord(c) * 31**i for i, c in enumerate(name[-60:]))) % 2**31)
        v = torch.randn(p.shape, generator=g)
        if "norm" in name or "ln_" in name:
            v = 1 + 0.2 * v if name.endswith("weight") else 0.1 * v
        elif "embedding" in name and "linear" not in name and "cond_proj" not in name:
            v = 0.6 * v
        elif p.ndim == 1:
            v = 0.1 * v
        else:
            v = v / math.sqrt(p[0].numel())
        if any(f in name for f in FAINT):
            v = faint * v
        p.data = v.to(stored).to(torch.float32)
    return module.eval()


CLIP = {"vocab_size": 680, "max_position_embeddings": 32, "bos_token_id": 678, "eos_token_id": 679, "pad_token_id": 679}
DOWN3, UP3 = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
UNET = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": [8, 8, 16], "layers_per_block": 1, "down_block_types": DOWN3, "up_block_types": UP3,
        "cross_attention_dim": 16, "attention_head_dim": 2, "norm_num_groups": 4}
VAE = {"sample_size": 32, "block_out_channels": [4, 8, 8], "layers_per_block": 1, "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
       "latent_channels": 4, "norm_num_groups": 2}
TEXT = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "quick_gelu", "projection_dim": 16}

TWO = {"block_out_channels": [8, 16], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "sample_size": 16}
VAE2 = VAE | {"block_out_channels": [4, 8], "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2, "scaling_factor": 0.18215}

MODELS = {
    "v1": {"seed": 1, "faint": 0.02, "stored": torch.float16, "unet": UNET, "vae": VAE | {"scaling_factor": 0.18215}, "text": TEXT, "scheduler": ("PNDMScheduler", BASES["sd15"])},
    "v2": {"seed": 2, "stored": torch.float16,
           "unet": UNET | TWO | {"attention_head_dim": [2, 4], "use_linear_projection": True, "upcast_attention": True, "cross_attention_dim": 24},
           "vae": VAE2, "text": TEXT | {"hidden_size": 24, "num_attention_heads": 3, "hidden_act": "gelu", "num_hidden_layers": 3},
           "scheduler": ("DDIMScheduler", BASES["sd21"])},
    "lcm": {"seed": 3, "stored": torch.bfloat16, "unet": UNET | TWO | {"time_cond_proj_dim": 16}, "vae": VAE2, "text": TEXT, "scheduler": ("LCMScheduler", BASES["lcm"])},
    "inpaint": {"seed": 4, "stored": torch.float16, "unet": UNET | TWO | {"in_channels": 9}, "vae": VAE2, "text": TEXT, "scheduler": ("PNDMScheduler", BASES["sd15"])},
    # channels that are no multiple of 8 or 16, per-block depth, attention only in the middle levels, VAE in fp32, of another depth and scaling
    "odd": {"seed": 5, "stored": torch.float16, "storedVAE": torch.float32,
            "unet": {"sample_size": [5, 12], "in_channels": 4, "out_channels": 4, "block_out_channels": [6, 10, 14], "layers_per_block": [1, 2, 1],
                     "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                     "cross_attention_dim": 12, "attention_head_dim": [1, 5, 7], "norm_num_groups": 2, "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0},
            "vae": {"sample_size": 20, "block_out_channels": [6, 10], "layers_per_block": 2, "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2,
                    "latent_channels": 4, "norm_num_groups": 2, "scaling_factor": 0.37},
            "text": {"hidden_size": 12, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 3, "hidden_act": "quick_gelu", "projection_dim": 12},
            "scheduler": ("DDIMScheduler", BASES["sd15"] | {"_class_name": "DDIMScheduler"})},
}
PROMPT, NEGATIVE = "a red circle, on a green meadow!", "a Blue star"


def build(name):
    m = MODELS[name]
    faint = m.get("faint", 1.0)
    unet = randomise(UNet2DConditionModel(**m["unet"]), m["seed"] * 10, m["stored"], faint)
    vae = randomise(AutoencoderKL(**m["vae"]), m["seed"] * 10 + 1, m.get("storedVAE", m["stored"]), faint)
    text = randomise(CLIPTextModel(CLIPTextConfig(**CLIP, **m["text"])), m["seed"] * 10 + 2, m["stored"], faint)
    return unet, vae, text


def cast(state, dtype):
    return {k: v.to(dtype).contiguous() if v.is_floating_point() else v for k, v in state.items()}


def trim(config):
    """What SD v1.5 and 2.1 write; keys that diffusers added later stay unwritten and must take their defaults."""
    return {k: v for k, v in config.items() if not k.startswith("_use") and k != "_name_or_path"}


def write_folder(name, folder, unet, vae, text, tokenizer):
    m = MODELS[name]
    stored = m["stored"]
    if folder.exists():
        shutil.rmtree(folder)
    for part, model, config in (("unet", unet, m["unet"]), ("vae", vae, m["vae"])):
        common.write_json(folder / part / "config.json", {"_class_name": type(model).__name__, "_diffusers_version": "0.6.0"} | config)
    common.write_json(folder / "text_encoder" / "config.json", {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "torch_dtype": str(stored).split(".")[1],
                      "attention_dropout": 0.0, "layer_norm_eps": 1e-05} | CLIP | m["text"])
    common.write_json(folder / "scheduler" / "scheduler_config.json", m["scheduler"][1] | {"_diffusers_version": "0.6.0"})
    common.write_json(folder / "model_index.json", {
        "_class_name": "StableDiffusionInpaintPipeline" if name == "inpaint" else "StableDiffusionPipeline", "_diffusers_version": "0.6.0", "feature_extractor": [None, None],
        "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", m["scheduler"][0]], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]})
    tok = folder / "tokenizer"
    tok.mkdir()
    for f in tokenizer.iterdir():
        shutil.copy(f, tok / f.name)
    if name == "v2":
        configure(tok, pad="!")
        c = json.loads((tok / "tokenizer_config.json").read_text())
        common.write_json(tok / "tokenizer_config.json", c | {"model_max_length": 32})

    def save(state, path):
        save_file(dict(sorted(state.items())), str(path), metadata={"format": "pt"})
        path.chmod(0o644)

    u, v, t = cast(unet.state_dict(), stored), cast(vae.state_dict(), m.get("storedVAE", stored)), cast(text.state_dict(), stored)
    suffix = ".fp16" if name == "inpaint" else ""        # only the fp16 variant is there
    if name == "v2":                                      # in two shards with an index
        keys = sorted(u)
        half, total = len(keys) // 2, sum(x.numel() * x.element_size() for x in u.values())
        index = {"metadata": {"total_size": total}, "weight_map": {}}
        for i, part in enumerate((keys[:half], keys[half:]), 1):
            file = f"diffusion_pytorch_model-{i:05}-of-00002.safetensors"
            save({k: u[k] for k in part}, folder / "unet" / file)
            index["weight_map"] |= {k: file for k in part}
        common.write_json(folder / "unet" / "diffusion_pytorch_model.safetensors.index.json", index)
    else:
        save(u, folder / "unet" / f"diffusion_pytorch_model{suffix}.safetensors")
    if name == "lcm":                                     # the VAE's attention as old folders name it
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            v = {k.replace(f".{new}.", f".{old}."): x for k, x in v.items()}
    save(v, folder / "vae" / f"diffusion_pytorch_model{suffix}.safetensors")
    t = {k.removeprefix("text_model."): x for k, x in t.items()}
    if name != "v2":                                      # v2 without the prefix, as transformers 5 holds it
        t = {f"text_model.{k}": x for k, x in t.items()}
        t["text_model.embeddings.position_ids"] = torch.arange(32)[None]
    save(t, folder / "text_encoder" / f"model{suffix}.safetensors")


def load(name, folder, dtype):
    args = {"torch_dtype": dtype, "local_files_only": True}
    if name == "inpaint":
        args["variant"] = "fp16"
    cls = StableDiffusionInpaintPipeline if name == "inpaint" else StableDiffusionPipeline
    pipe = cls.from_pretrained(str(folder), **args)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pipeline(name, folder, image, mask):
    """-> (description, {key: tensor}); float64 beside it for the tolerance."""
    runs = {
        "v1": [{"sampler": "ddim", "steps": 4, "guidance": 5.0, "seed": 42, "negative": NEGATIVE}, {"sampler": "ddim", "steps": 3, "guidance": 1.0, "seed": 1}],
        "v2": [{"sampler": "euler", "steps": 4, "guidance": 5.0, "seed": 42, "negative": NEGATIVE}, {"sampler": "ddim", "steps": 4, "guidance": 2.0, "seed": 2},
               {"sampler": "ddim", "steps": 2, "guidance": 2.0, "seed": 2, "clipSkip": 1}],
        "lcm": [{"sampler": "lcm", "steps": 4, "guidance": 8.0, "seed": 42}, {"sampler": "lcm", "steps": 2, "guidance": 1.0, "seed": 3}],
        "inpaint": [{"sampler": "ddim", "steps": 4, "guidance": 5.0, "seed": 42, "strength": 1.0, "negative": NEGATIVE}, {"sampler": "ddim", "steps": 6, "guidance": 2.0, "seed": 5, "strength": 0.7},
                    {"sampler": "ddpm", "steps": 4, "guidance": 1.0, "seed": 6, "strength": 1.0}],
        "odd": [{"sampler": "ddim", "steps": 3, "guidance": 3.0, "seed": 42, "width": 40, "height": 24}],
    }[name]
    from samplers import CLASSES
    pipes = {d: load(name, folder, d) for d in (torch.float32, torch.float64)}
    rows, tensors = [], {}
    for i, run in enumerate(runs):
        traces = {}
        for dtype, pipe in pipes.items():
            if not hasattr(pipe.text_encoder, "text_model"):
                object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
            cls, own = CLASSES[run["sampler"]]
            pipe.scheduler = getattr(diffusers, cls).from_config(MODELS[name]["scheduler"][1], **own)
            args = {"prompt": PROMPT, "negative_prompt": run.get("negative"), "num_inference_steps": run["steps"], "guidance_scale": run["guidance"],
                    "generator": torch.Generator().manual_seed(run["seed"]), "output_type": "np", "clip_skip": run.get("clipSkip"),
                    "width": run.get("width", 32), "height": run.get("height", 32)}
            if name == "inpaint":
                args |= {"image": image, "mask_image": mask, "strength": run["strength"]}
            trace = []
            out = pipe(**args, callback_on_step_end=lambda p, i, t, kw: trace.append(kw["latents"].clone()) or {})
            traces[dtype] = (torch.stack(trace), out.images)
        (a, pictures), (b, _) = traces[torch.float32], traces[torch.float64]
        drift = (a.double() - b.double()).abs().max().item()
        p = f"pipeline.{i}"
        tensors[f"{p}:trace"], tensors[f"{p}:latents"] = a, a[-1]
        tensors[f"{p}:image"] = torch.from_numpy((pictures * 255).round().astype("uint8")).permute(0, 3, 1, 2)
        rows.append({"key": p, "prompt": PROMPT, "negative": None, "clipSkip": None, "strength": None, "width": 32, "height": 32} | run |
                    {"drift64": drift, "largestLatent": a.abs().max().item(), "tolerance": max(1e-3, 4 * drift)})
    return rows, tensors


def sabotage(pipe, t):
    """What a wrong epsilon would change, relative to the largest value: it must be far above a test's tolerance of 1e-4."""
    def relative(a, b):
        return ((a - b).abs().max() / b.abs().max()).item()

    def wrong(module, pick, eps, call, want):
        touched = [(m, m.eps) for n, m in module.named_modules() if pick(n, m)]
        for m, _ in touched:
            m.eps = eps
        got = relative(call(), want)
        for m, e in touched:
            m.eps = e
        return {"norms": len(touched), "relative": float(f"{got:.3g}")}

    norm = torch.nn.GroupNorm
    unet = lambda: pipe.unet(t["unet:input.sample"], torch.tensor(617), encoder_hidden_states=t["unet:input.context"]).sample
    return {
        "unet transformer GroupNorm 1e-6 -> 1e-5": wrong(pipe.unet, lambda n, m: isinstance(m, norm) and "attentions" in n, 1e-5, unet, t["unet:eps"]),
        "unet resnet and output GroupNorm 1e-5 -> 1e-6": wrong(pipe.unet, lambda n, m: isinstance(m, norm) and "attentions" not in n, 1e-6, unet, t["unet:eps"]),
        "unet LayerNorm 1e-5 -> 1e-6": wrong(pipe.unet, lambda n, m: isinstance(m, torch.nn.LayerNorm), 1e-6, unet, t["unet:eps"]),
        "clip LayerNorm 1e-5 -> 1e-6": wrong(pipe.text_encoder, lambda n, m: isinstance(m, torch.nn.LayerNorm), 1e-6, lambda: pipe.text_encoder(t["clip:ids"]).last_hidden_state, t["clip:last"]),
        "vae encoder GroupNorm 1e-6 -> 1e-5": wrong(pipe.vae, lambda n, m: isinstance(m, norm), 1e-5, lambda: pipe.vae.encode(t["vae:input.pixels"]).latent_dist.parameters, t["vae:moments"]),
        "vae decoder GroupNorm 1e-6 -> 1e-5": wrong(pipe.vae, lambda n, m: isinstance(m, norm), 1e-5, lambda: pipe.vae.decode(t["vae:input.latents"]).sample, t["vae:decoded"]),
    }


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, default=common.MODEL, help="whose tokenizer is used")
    args.add_argument("--out", type=Path, default=HERE)
    args = args.parse_args()
    torch.set_num_threads(common.THREADS)
    torch.set_grad_enabled(False)
    draw_noise_in_float32()
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    tile = Image.open(common.GOLDENS / "embedded" / "init.png").convert("RGB")
    image, mask = tile.crop((8, 8, 40, 40)), Image.open(common.GOLDENS / "embedded" / "mask.png").crop((8, 8, 40, 40))
    image.save(out / "init.png", optimize=True)
    mask.save(out / "mask.png", optimize=True)
    rows = []
    for name, m in MODELS.items():
        folder = out / name
        unet, vae, text = build(name)
        write_folder(name, folder, unet, vae, text, args.model / "tokenizer")
        pipe = load(name, folder, torch.float32)
        for ours, theirs in ((unet, pipe.unet), (vae, pipe.vae), (text, pipe.text_encoder)):
            a, b = ours.state_dict(), theirs.state_dict()
            assert set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a), f"{name}: the folder does not load as it was made"
        g = torch.Generator().manual_seed(100 + m["seed"])
        tok = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
        ids = tok([PROMPT, NEGATIVE], padding="max_length", max_length=32, truncation=True, return_tensors="pt").input_ids
        t = clip_stages(pipe.text_encoder, ids)
        channels = m["unet"]["in_channels"]
        cond = torch.randn((2, m["unet"]["time_cond_proj_dim"]), generator=g) if "time_cond_proj_dim" in m["unet"] else None
        size = (5, 12) if name == "odd" else (8, 8)
        t |= unet_stages(pipe.unet, torch.randn((2, channels, *size), generator=g), torch.tensor(617), t["clip:last"], cond, detail=name in ("v1", "odd"))
        t |= {k: v for k, v in unet_stages(pipe.unet, torch.randn((1, channels, *((7, 9) if name == "odd" else (8, 16))), generator=g), torch.tensor(3), t["clip:last"][:1],
                                           cond[:1] if cond is not None else None, detail=False, prefix="unet2").items()}
        if "time_cond_proj_dim" in m["unet"]:
            t["guidance:w"] = torch.tensor([0.0, 0.5, 7.0])
            t["guidance:embedding"] = pipe.get_guidance_scale_embedding(t["guidance:w"], embedding_dim=m["unet"]["time_cond_proj_dim"])
        pixels = torch.rand((1, 3, *((14, 10) if name == "odd" else (8, 12))), generator=g) * 2 - 1
        t |= vae_stages(pipe.vae, pixels, torch.randn((1, 4, *((5, 7) if name == "odd" else (3, 2))), generator=g), detail=False)
        found, more = pipeline(name, folder, image, mask)
        t |= more
        common.write_tensors(folder / "golden.safetensors", t)
        notes = {"prompts": [PROMPT, NEGATIVE], "pipelines": found}
        if "faint" in m:
            notes["sabotage"] = sabotage(pipe, t)
            print(json.dumps(notes["sabotage"], indent=1))
            assert all(v["relative"] > 5e-4 for v in notes["sabotage"].values())
        common.write_json(folder / "golden.json", notes)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        rows.append(name)
        eps = t["unet:eps"]
        print(f"{name:8} {size / 1000:.0f} kB, {len(t)} tensors ({(folder / 'golden.safetensors').stat().st_size / 1000:.0f} kB), eps std {eps.std():.2f}, decoded std {t['vae:decoded'].std():.2f},",
              [f"{r['sampler']} drift {r['drift64']:.1e} largest {r['largestLatent']:.1f}" for r in found])


if __name__ == "__main__":
    main()
