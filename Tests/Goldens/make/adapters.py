"""Proves: LoRAs in diffusers' and kohya's layouts and textual inversions change the tiny v2 model as they change diffusers' pipeline.

Writes adapters/: the adapter files (random, large enough to matter), and golden.safetensors with the prompt's embedding and the final latents of a DDIM run for each
case. The runs begin with given latents, so that only the weights count.
"""

import json

import common
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import pipeline

OUT = common.GOLDENS / "adapters"
MODEL = common.GOLDENS / "tiny/v2"
PROMPT, NEGATIVE = "a red circle on a green meadow", "a blue star"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
# Beside the attentions: linear layers, a 1x1 convolution, convolutions of 3x3 and one with a stride.
UNET = ATTENTION + ["proj_in", "ff.net.0.proj", "time_emb_proj", "conv1", "downsamplers.0.conv", "conv_in"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1"]


def fill(module, seed):
    """PEFT starts with B = 0, which adds nothing."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(module.named_parameters()):
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=g) * (0.3 if "lora_A" in name else 0.15)


def write_peft(path, rank, alpha, seed, unet, text, metadata):
    pipe = pipeline.load(MODEL)
    pipe.unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=unet, init_lora_weights=False))
    fill(pipe.unet, seed)
    layers = {"unet_lora_layers": get_peft_model_state_dict(pipe.unet)}
    if text:
        pipe.text_encoder.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=text, init_lora_weights=False))
        fill(pipe.text_encoder, seed + 1)
        layers["text_encoder_lora_layers"] = get_peft_model_state_dict(pipe.text_encoder)
    if metadata:
        layers["unet_lora_adapter_metadata"] = pipe.unet.peft_config["default"].to_dict()
        if text:
            layers["text_encoder_lora_adapter_metadata"] = pipe.text_encoder.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(OUT, weight_name=path, **layers)
    (OUT / path).chmod(0o644)
    return load_file(str(OUT / path))


def kohya(state, alpha):
    """The names of kohya's scripts: dots become underscores, each module has its alpha."""
    out = {}
    for key, value in state.items():
        module, end = key.split(".lora_")
        network, inner = module.split(".", 1)
        if network == "text_encoder" and not inner.startswith("text_model."):
            inner = "text_model." + inner
        name = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[network] + inner.replace(".", "_")
        out[f"{name}.lora_{'down' if end.startswith('A') else 'up'}.weight"] = value.contiguous()
        out[f"{name}.alpha"] = torch.tensor(float(alpha))
    return out


def run(adapters=(), embeddings=(), prompt=PROMPT):
    pipe = pipeline.load(MODEL)
    pipe.safety_checker = None
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    for file, token in embeddings:
        pipe.load_textual_inversion(str(OUT / file), token=token)
    names = []
    for i, (file, _) in enumerate(adapters):
        pipe.load_lora_weights(str(OUT), weight_name=file, adapter_name=f"a{i}")
        names.append(f"a{i}")
    if names:
        pipe.set_adapters(names, [w for _, w in adapters])
    text = pipe.encode_prompt(prompt, "cpu", 1, False)[0]
    out = pipe(prompt, negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=3.0, latents=LATENTS.clone(), output_type="latent").images
    ids = pipe.tokenizer(pipe.maybe_convert_prompt(prompt, pipe.tokenizer), padding="max_length", truncation=True).input_ids
    return {"embedding": text, "latents": out, "ids": torch.tensor([ids])}


args = pipeline.begin(pipeline.options(__doc__, OUT))
OUT.mkdir(parents=True, exist_ok=True)
LATENTS = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(5))

# With alpha = rank and without metadata, as older files; with another alpha, in the metadata; kohya's, in a file of alphas.
write_peft("peft.safetensors", 3, 3, 11, UNET, TEXT, metadata=False)
write_peft("metadata.safetensors", 2, 5, 21, ATTENTION, TEXT[:2], metadata=True)
save_file(kohya(write_peft("kohya.safetensors", 2, 2, 31, UNET, TEXT, metadata=False), alpha=1.0), str(OUT / "kohya.safetensors"), metadata={"ss_network_dim": "2"})

width = 24
g = torch.Generator().manual_seed(41)
vectors = torch.randn((3, width), generator=g)
save_file({"<toy>": vectors[0].clone()}, str(OUT / "toy.safetensors"))
save_file({"emb_params": vectors}, str(OUT / "style.safetensors"))
torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors[1:].clone()}, "name": "<old>", "step": 100, "sd_checkpoint": None}, OUT / "old.pt")

CASES = {
    "plain": {},
    "peft": {"adapters": [("peft.safetensors", 1.0)]},
    "half": {"adapters": [("peft.safetensors", 0.5)]},
    "metadata": {"adapters": [("metadata.safetensors", 1.0)]},
    "kohya": {"adapters": [("kohya.safetensors", 1.0)]},
    "both": {"adapters": [("peft.safetensors", 0.7), ("kohya.safetensors", -0.4)]},
    "toy": {"embeddings": [("toy.safetensors", None)], "prompt": "a <Toy> on a green meadow"},
    "style": {"embeddings": [("style.safetensors", "style")], "prompt": "a red circle, style"},
    "old": {"embeddings": [("old.pt", None), ("toy.safetensors", None)], "prompt": "a <toy> beside <old>, red"},
}
tensors, cases = {"initial": LATENTS}, []
for name, case in CASES.items():
    for key, value in run(**case).items():
        tensors[f"{name}.{key}"] = value
    cases.append({"name": name, "prompt": case.get("prompt", PROMPT), "loras": [{"file": f, "weight": w} for f, w in case.get("adapters", [])],
                  "embeddings": [{"file": f, "token": t} for f, t in case.get("embeddings", [])]})
    print(name, (tensors[f"{name}.latents"] - tensors["plain.latents"]).abs().max().item())
common.write_tensors(OUT / "golden.safetensors", tensors)
common.write_json(OUT / "golden.json", {"made with": common.versions("torch", "diffusers", "transformers", "peft"), "negative": NEGATIVE, "cases": cases})
