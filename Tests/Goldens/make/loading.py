"""Goldens of the loaders: files as torch and safetensors write them, and diffusers' own mapping of CompVis' names.

    python loading.py        # writes ../loading/

The names of a CompVis model are spelled out here from the structure of ldm's openaimodel.py and model.py; diffusers' converters map
them, and the result must be exactly the state dict of diffusers' networks, so a name that is wrong or missing here is found.
"""

import json
import os
import pathlib
from collections import OrderedDict

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as ldm
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

out = pathlib.Path(__file__).resolve().parent.parent / "loading"
out.mkdir(exist_ok=True)


# --- Files ------------------------------------------------------------------------------------------------------------------------

torch.manual_seed(0)
base = torch.randn(4, 6)
tensors = OrderedDict(
    f32=torch.randn(2, 3), f16=torch.randn(5).half(), bf16=torch.randn(3, 2).bfloat16(), f64=torch.randn(2).double(),
    parameter=torch.nn.Parameter(torch.randn(3)), transposed=base.t(), rows=base[1:3], column=base[:, 2],
    channels_last=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
    subnormal=torch.tensor([6e-8, -5.9e-5, 65504.0, 0.0, -6.1035e-5]).half(), shared=base)
everything = OrderedDict(tensors, ids=torch.arange(4), flags=torch.tensor([True, False]))


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


for protocol in (2, 3, 4, 5):
    torch.save(everything, out / f"protocol{protocol}.bin", pickle_protocol=protocol)
torch.save({"epoch": 3, "global_step": 875000, "state_dict": everything, "best": np.float64(3.5), "raw": b"\xff"}, out / "training.ckpt")
torch.save({"state_dict": everything, "x": Evil()}, out / "evil.ckpt")
torch.save(tensors["f32"], out / "no-dictionary.ckpt")
torch.save(OrderedDict(f32=tensors["f32"]), out / "legacy.ckpt", _use_new_zipfile_serialization=False)
save_file({k: v.detach().clone().contiguous() for k, v in everything.items()}, out / "types.safetensors", {"format": "pt", "note": "é\n\"x\""})
os.chmod(out / "types.safetensors", 0o644)
values = {k: {"shape": list(v.shape), "values": v.detach().float().flatten().tolist()} for k, v in tensors.items()}
json.dump(values, open(out / "values.json", "w"))


# --- Names ------------------------------------------------------------------------------------------------------------------------


def both(name):
    return [name + ".weight", name + ".bias"]


def resnet(name, shortcut):
    inner = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"] + ["skip_connection"] * shortcut
    return [n for part in inner for n in both(f"{name}.{part}")]


def transformer(name, depth):
    names = both(f"{name}.norm") + both(f"{name}.proj_in") + both(f"{name}.proj_out")
    for d in range(depth):
        block = f"{name}.transformer_blocks.{d}"
        for attention in ("attn1", "attn2"):
            names += [f"{block}.{attention}.to_{x}.weight" for x in "qkv"] + both(f"{block}.{attention}.to_out.0")
        names += both(f"{block}.ff.net.0.proj") + both(f"{block}.ff.net.2")
        names += [n for i in (1, 2, 3) for n in both(f"{block}.norm{i}")]
    return names


def unet_names(channels, layers, attention):
    names = both("time_embed.0") + both("time_embed.2") + both("input_blocks.0.0") + both("out.0") + both("out.2")
    i, width, skips = 1, channels[0], [channels[0]]
    for level, c in enumerate(channels):
        for _ in range(layers):
            names += resnet(f"input_blocks.{i}.0", width != c)
            if attention[level]:
                names += transformer(f"input_blocks.{i}.1", 1)
            width, i = c, i + 1
            skips.append(c)
        if level < len(channels) - 1:
            names += both(f"input_blocks.{i}.0.op")
            skips.append(c)
            i += 1
    names += resnet("middle_block.0", False) + transformer("middle_block.1", 1) + resnet("middle_block.2", False)
    i = 0
    for level in reversed(range(len(channels))):
        for layer in range(layers + 1):
            names += resnet(f"output_blocks.{i}.0", width + skips.pop() != channels[level])
            width = channels[level]
            if attention[level]:
                names += transformer(f"output_blocks.{i}.1", 1)
            if level > 0 and layer == layers:
                names += both(f"output_blocks.{i}.{2 if attention[level] else 1}.conv")
            i += 1
    return ["model.diffusion_model." + n for n in names]


def vae_names(channels, layers):
    def block(name, shortcut):
        return [n for part in ["norm1", "conv1", "norm2", "conv2"] + ["nin_shortcut"] * shortcut for n in both(f"{name}.{part}")]

    def middle(side):
        attention = [n for part in ("norm", "q", "k", "v", "proj_out") for n in both(f"{side}.mid.attn_1.{part}")]
        return block(f"{side}.mid.block_1", False) + attention + block(f"{side}.mid.block_2", False)

    names = [n for side in ("encoder", "decoder") for part in ("conv_in", "norm_out", "conv_out") for n in both(f"{side}.{part}")]
    names += both("quant_conv") + both("post_quant_conv") + middle("encoder") + middle("decoder")
    width = channels[0]
    for level, c in enumerate(channels):
        for j in range(layers):
            names += block(f"encoder.down.{level}.block.{j}", width != c)
            width = c
        if level < len(channels) - 1:
            names += both(f"encoder.down.{level}.downsample.conv")
    for level in reversed(range(len(channels))):
        for j in range(layers + 1):
            names += block(f"decoder.up.{level}.block.{j}", width != channels[level])
            width = channels[level]
        if level > 0:
            names += both(f"decoder.up.{level}.upsample.conv")
    return ["first_stage_model." + n for n in names]


def clip_names(layers):
    names = ["embeddings.position_ids", "embeddings.token_embedding.weight", "embeddings.position_embedding.weight"]
    names += both("final_layer_norm")
    for i in range(layers):
        for part in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2", *(f"self_attn.{x}_proj" for x in ("q", "k", "v", "out"))):
            names += both(f"encoder.layers.{i}.{part}")
    return ["cond_stage_model.transformer.text_model." + n for n in names]


def open_clip_names(layers):
    names = ["positional_embedding", "text_projection", "logit_scale", "token_embedding.weight"] + both("ln_final")
    for i in range(layers):
        block = f"transformer.resblocks.{i}"
        names += [f"{block}.attn.in_proj_weight", f"{block}.attn.in_proj_bias"]
        names += [n for part in ("attn.out_proj", "ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj") for n in both(f"{block}.{part}")]
    return ["cond_stage_model.model." + n for n in names]


class FakeTextModel:
    class config:
        hidden_size = 4


def mapped(state, converted):
    """Which stored name (and which third of it) became which canonical name: every tensor carries its own number."""
    numbers = {int(v.flatten()[0]) // 3: k for k, v in state.items()}
    pairs = []
    for name, value in converted.items():
        first = int(value.flatten()[0])
        pairs.append([numbers[first // 3], first % 3, name])
    return pairs


def names_case(channels, layers, attention, vae_channels, vae_layers, text, version2):
    names = unet_names(channels, layers, attention) + vae_names(vae_channels, vae_layers) + text
    state = {}
    for i, name in enumerate(names):
        size = 12 if "in_proj" in name else 4
        state[name] = torch.arange(size).div(4, rounding_mode="floor").float() + 3 * i
        if "in_proj_weight" in name or name.endswith("text_projection"):
            state[name] = state[name][:, None].repeat(1, 4)
        elif "mid.attn_1" in name and name.endswith("weight") and "norm" not in name:
            state[name] = state[name][:, None, None, None]
    head = {"layers_per_block": layers, "block_out_channels": channels, "norm_num_groups": 1, "attention_head_dim": 2, "cross_attention_dim": 8}
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)]
    unet = ldm.convert_ldm_unet_checkpoint(dict(state), dict(head))
    vae_types = ["x"] * len(vae_channels)
    vae = ldm.convert_ldm_vae_checkpoint(dict(state), {"down_block_types": vae_types, "up_block_types": vae_types})
    if version2:
        clip = ldm.convert_open_clip_checkpoint(FakeTextModel, dict(state), prefix="cond_stage_model.model.")
        clip.pop("text_projection.weight", None)
    else:
        clip = ldm.convert_ldm_clip_checkpoint(dict(state))
        clip.pop("text_model.embeddings.position_ids", None)
    with torch.device("meta"):
        real_unet = UNet2DConditionModel(**head, down_block_types=down, up_block_types=up).state_dict()
        real_vae = AutoencoderKL(
            block_out_channels=vae_channels, layers_per_block=vae_layers, norm_num_groups=1,
            down_block_types=["DownEncoderBlock2D"] * len(vae_channels), up_block_types=["UpDecoderBlock2D"] * len(vae_channels)).state_dict()
        layers = len({k.split(".")[3] for k in clip if ".layers." in k})
        real_clip = CLIPTextModel(CLIPTextConfig(num_hidden_layers=layers, hidden_size=8, intermediate_size=8, vocab_size=8)).state_dict()
    assert set(unet) == set(real_unet), set(unet) ^ set(real_unet)
    assert set(vae) == set(real_vae), set(vae) ^ set(real_vae)
    plain = lambda keys: {k.removeprefix("text_model.") for k in keys}
    assert plain(clip) == plain(real_clip), plain(clip) ^ plain(real_clip)
    pairs = []
    for network, converted in (("unet", unet), ("vae", vae), ("text_encoder", clip)):
        pairs += [[a, part, f"{network}.{b}"] for a, part, b in mapped(state, converted)]
    return {"names": names, "pairs": pairs}


# The names of SD 1 are held by tiny/v1.safetensors.
cases = {
    "sd2": names_case([4, 8, 12, 12], 2, [True, True, True, False], [4, 8, 12, 12], 2, open_clip_names(24), True),
    "odd": names_case([4, 8, 8], 3, [False, True, True], [4, 8], 3, clip_names(3), False),
}
json.dump(cases, open(out / "names.json", "w"), separators=(",", ":"))
