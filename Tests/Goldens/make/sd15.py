"""Proves: the full SD v1.5 shape, and that one set of weights gives one result from a diffusers folder, a CompVis .safetensors and a .ckpt.

    sd15.py --out DIR [--dtype float16] [--variant] [--ema] [--only-folder]    random weights in SD v1.5's shape, outside the repository (2.1 GB a form in fp16), and DIR/reference.safetensors
    sd15.py --tiny                                             the tiny v1 and v2 models of tiny.py as single files, committed under tiny/

DIR/diffusers (folder), DIR/v1.safetensors, DIR/v1.ckpt hold the same weights; CLIP's vocabulary is a synthetic one of 49,408 entries (no words: ids are what counts).
"""

import argparse
import gc
import json
import math
import shutil
import time
import warnings
from pathlib import Path

import common
import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import compvis
from samplers import BASES

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()

UNET = {"sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "attention_head_dim": 8, "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "act_fn": "silu", "center_input_sample": False,
        "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32}
VAE = {"sample_size": 512, "in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4, "norm_num_groups": 32, "act_fn": "silu",
       "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
TEXT = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
        "projection_dim": 768, "layer_norm_eps": 1e-05, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
PROMPT = "a red circle on a green meadow, highly detailed"


def fill(module, seed, stored):
    """Fan-in scaled normals, norms and biases near 1 and 0 but not at them: activations stay finite and every parameter counts."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(module.named_parameters()):
        v = torch.randn(p.shape, generator=g)
        if "norm" in name:
            v = 1 + 0.1 * v if name.endswith("weight") else 0.05 * v
        elif "embedding" in name and "linear" not in name:
            v = 0.02 * v
        elif p.ndim == 1:
            v = 0.02 * v
        else:
            v = v / math.sqrt(p[0].numel())
        p.data = v.to(stored).float()
    return module.eval()


def vocabulary(folder):
    """49,408 entries in CLIP's order: bytes, bytes at the end of a word, pairs of those, the two special tokens."""
    from tokenizer import bytes_to_unicode, configure
    b = bytes_to_unicode()
    tokens, merges = b + [c + "</w>" for c in b], []
    for a in b:
        for c in b:
            for end in ("</w>", ""):
                if len(tokens) < 49406:
                    merges.append((a, c + end))
                    tokens.append(a + c + end)
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {c}\n" for a, c in merges))
    configure(folder, pad="<|endoftext|>")


def cast(state, dtype):
    return {k: v.to(dtype).contiguous() if v.is_floating_point() else v for k, v in state.items()}


def prefixed(text):
    return {"text_model." + k.removeprefix("text_model."): v for k, v in text.items() if "position_ids" not in k}


def full(out, dtype, variant, with_ema, only_folder=False):
    torch.set_num_threads(common.THREADS)
    torch.set_grad_enabled(False)
    out.mkdir(parents=True, exist_ok=True)
    folder, t0 = out / "diffusers", time.time()
    say = lambda s: print(f"{time.time() - t0:6.0f} s  {s}", flush=True)
    tag = ".fp16" if variant and dtype == torch.float16 else ""
    parts = {}
    for part, make, config, seed in (("unet", lambda: UNet2DConditionModel(**UNET), UNET, 1), ("vae", lambda: AutoencoderKL(**VAE), VAE, 2), ("text_encoder", lambda: CLIPTextModel(CLIPTextConfig(**TEXT)), TEXT, 3)):
        torch.nn.init.kaiming_uniform_, keep = (lambda t, *a, **k: t), torch.nn.init.kaiming_uniform_      # no time lost on values that are replaced
        module = fill(make(), seed, dtype)
        torch.nn.init.kaiming_uniform_ = keep
        state = cast(module.state_dict(), dtype)
        if part == "text_encoder":
            state = prefixed(state)
        (folder / part).mkdir(parents=True, exist_ok=True)
        name = ("model" if part == "text_encoder" else "diffusion_pytorch_model") + tag + ".safetensors"
        save_file(dict(sorted(state.items())), str(folder / part / name), metadata={"format": "pt"})
        head = {"_class_name": type(module).__name__, "_diffusers_version": "0.6.0"} if part != "text_encoder" else {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}
        common.write_json(folder / part / "config.json", head | config)
        parts[part] = state
        del module
        gc.collect()
        say(f"{part} written")
    common.write_json(folder / "scheduler" / "scheduler_config.json", BASES["sd15"])
    vocabulary(folder / "tokenizer")
    common.write_json(folder / "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0", "feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False,
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]})
    if only_folder:
        return

    unet_config = {**UNET}
    single = compvis.single_file(parts["unet"], unet_config, parts["vae"], VAE, compvis.clip_v1(parts["text_encoder"]))
    compvis.check_against_diffusers(single, parts["unet"], unet_config, parts["vae"], VAE, text=parts["text_encoder"])
    say("names checked against diffusers' converters")
    extra = compvis.ema(single, 1.01) if with_ema else {}
    compvis.save_ckpt(out / "v1.ckpt", single | extra)
    say("v1.ckpt written")
    save_file({k: v.contiguous() for k, v in sorted((single | extra).items())}, str(out / "v1.safetensors"))
    say("v1.safetensors written")
    del single, parts, extra
    gc.collect()

    # reference, in float32 from the stored values, one network at a time
    ref = {}
    g = torch.Generator().manual_seed(7)
    text = CLIPTextModel.from_pretrained(str(folder / "text_encoder"), dtype=torch.float32, **({"variant": "fp16"} if tag else {}))
    tok = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
    ids = tok([PROMPT, ""], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    r = text(ids, output_hidden_states=True)
    ref |= {"clip:ids": ids, "clip:last": r.last_hidden_state, "clip:hidden.11": r.hidden_states[11], "clip:pooled": r.pooler_output}
    say("clip")
    del text
    unet = UNet2DConditionModel.from_pretrained(str(folder / "unet"), torch_dtype=torch.float32, **({"variant": "fp16"} if tag else {}))
    x = torch.randn((2, 4, 64, 64), generator=g)
    ref |= {"unet:input.sample": x, "unet:input.timestep": torch.tensor([500.0]), "unet:eps": unet(x, torch.tensor(500), encoder_hidden_states=r.last_hidden_state).sample}
    say("unet")
    vae = AutoencoderKL.from_pretrained(str(folder / "vae"), torch_dtype=torch.float32, **({"variant": "fp16"} if tag else {}))
    z = torch.randn((1, 4, 64, 64), generator=g)
    image = vae.decode(z).sample
    pixels = torch.rand((1, 3, 256, 256), generator=g) * 2 - 1
    ref |= {"vae:input.latents": z, "vae:decoded": image, "vae:input.pixels": pixels, "vae:moments": vae.encode(pixels).latent_dist.parameters}
    say("vae")
    pipe = StableDiffusionPipeline(vae=vae, text_encoder=CLIPTextModel.from_pretrained(str(folder / "text_encoder"), dtype=torch.float32, **({"variant": "fp16"} if tag else {})), tokenizer=tok, unet=unet,
                                   scheduler=DDIMScheduler.from_config(BASES["sd15"]), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    trace = []
    result = pipe(PROMPT, num_inference_steps=2, guidance_scale=7.5, width=256, height=256, generator=torch.Generator().manual_seed(42), output_type="np",
                  callback_on_step_end=lambda p, i, t, kw: trace.append(kw["latents"].clone()) or {})
    ref |= {"pipeline:trace": torch.stack(trace), "pipeline:latents": trace[-1], "pipeline:image": torch.from_numpy((result.images * 255).round().astype("uint8")).permute(0, 3, 1, 2)}
    say("pipeline")
    common.write_tensors(out / "reference.safetensors", ref)
    common.write_json(out / "reference.json", {"prompt": PROMPT, "sampler": "ddim", "steps": 2, "guidance": 7.5, "seed": 42, "width": 256, "height": 256, "dtype": str(dtype),
                                               "statistics": {k: {"shape": list(v.shape), "std": v.float().std(correction=0).item(), "max": v.float().abs().max().item()} for k, v in ref.items()}})
    for f in out.rglob("*.safetensors"):
        f.chmod(0o644)
    say("done")


def tiny(out):
    """tiny/v1.safetensors, tiny/v1.ckpt, tiny/v2.safetensors, tiny/v2.ckpt: the weights of tiny/v1 and tiny/v2."""
    from tiny import MODELS, build, randomise
    torch.set_grad_enabled(False)
    for name in ("v1", "v2"):
        m = MODELS[name]
        unet, vae, text = build(name)
        u, v, t = (cast(x.state_dict(), m["stored"]) for x in (unet, vae, text))
        if name == "v1":
            converted = compvis.clip_v1(t)
        else:
            longer = randomise(CLIPTextModel(CLIPTextConfig(**{**m["text"], "vocab_size": 680, "max_position_embeddings": 32, "bos_token_id": 678, "eos_token_id": 679, "num_hidden_layers": 1})), 999, m["stored"])
            layer = {k.split("layers.0.")[1]: x for k, x in cast(longer.state_dict(), m["stored"]).items() if "layers.0." in k}
            converted = compvis.open_clip(t, layer)
        single = compvis.single_file(u, m["unet"], v, m["vae"], converted)
        compvis.check_against_diffusers(single, u, m["unet"], v, m["vae"], text_model=text, text=t)
        plain = {k: x for k, x in single.items() if k not in compvis.schedule_buffers(torch.float32) or k in ("betas", "alphas_cumprod")}
        save_file({k: x.contiguous() for k, x in sorted(plain.items())}, str(out / f"{name}.safetensors"))
        (out / f"{name}.safetensors").chmod(0o644)
        compvis.save_ckpt(out / f"{name}.ckpt", plain)
        print(name, {f"{name}.{e}": (out / f"{name}.{e}").stat().st_size for e in ("safetensors", "ckpt")}, len(plain), "tensors")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path)
    args.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="how the weights are stored")
    args.add_argument("--variant", action="store_true", help="name the folder's fp16 files *.fp16.safetensors")
    args.add_argument("--ema", action="store_true", help="add model_ema.* (other values) to the single files")
    args.add_argument("--only-folder", action="store_true", help="write DIR/diffusers alone: no single files, no reference")
    args.add_argument("--tiny", action="store_true")
    args = args.parse_args()
    if args.tiny:
        tiny(args.out or common.GOLDENS / "tiny")
    elif args.out:
        parents = args.out.resolve().parents
        assert common.ROOT not in parents or common.ROOT / "out" in parents, "choose a place outside the repository, or below out/, which git does not see"
        full(args.out, getattr(torch, args.dtype), args.variant, args.ema, args.only_folder)
    else:
        raise SystemExit("give --out DIR or --tiny")


if __name__ == "__main__":
    main()
