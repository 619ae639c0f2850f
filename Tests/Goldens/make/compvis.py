"""diffusers' names turned into those of CompVis' and Stability's single files: the inverse of the conversion that loaders do.

Checked where it is used: diffusers' own converters must give back every tensor.
"""

import io
import pickle
import sys
import types

import numpy as np
import torch


def _resnet(src, dst, time):
    pairs = [("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection")]
    if time:
        pairs.append(("time_emb_proj", "emb_layers.1"))
    return [(f"{src}.{a}.", f"{dst}.{b}.") for a, b in pairs]


def unet_rules(config):
    levels, per = len(config["block_out_channels"]), config["layers_per_block"]
    assert isinstance(per, int)
    rules = [("time_embedding.linear_1.", "time_embed.0."), ("time_embedding.linear_2.", "time_embed.2."), ("conv_in.", "input_blocks.0.0."),
             ("conv_norm_out.", "out.0."), ("conv_out.", "out.2.")]
    for i in range(levels):
        for j in range(per):
            k = 1 + i * (per + 1) + j
            rules += _resnet(f"down_blocks.{i}.resnets.{j}", f"input_blocks.{k}.0", True)
            rules.append((f"down_blocks.{i}.attentions.{j}.", f"input_blocks.{k}.1."))
        rules.append((f"down_blocks.{i}.downsamplers.0.conv.", f"input_blocks.{(i + 1) * (per + 1)}.0.op."))
        for j in range(per + 1):
            k = i * (per + 1) + j
            rules += _resnet(f"up_blocks.{i}.resnets.{j}", f"output_blocks.{k}.0", True)
            rules.append((f"up_blocks.{i}.attentions.{j}.", f"output_blocks.{k}.1."))
        place = 2 if config["up_block_types"][i].startswith("CrossAttn") else 1
        rules.append((f"up_blocks.{i}.upsamplers.0.conv.", f"output_blocks.{i * (per + 1) + per}.{place}.conv."))
    rules += _resnet("mid_block.resnets.0", "middle_block.0", True) + _resnet("mid_block.resnets.1", "middle_block.2", True)
    rules.append(("mid_block.attentions.0.", "middle_block.1."))
    return rules


def vae_rules(config):
    levels, per = len(config["block_out_channels"]), config["layers_per_block"]
    rules = [("quant_conv.", "quant_conv."), ("post_quant_conv.", "post_quant_conv.")]
    for side in ("encoder", "decoder"):
        rules += [(f"{side}.conv_in.", f"{side}.conv_in."), (f"{side}.conv_out.", f"{side}.conv_out."), (f"{side}.conv_norm_out.", f"{side}.norm_out.")]
        for a, b in (("mid_block.resnets.0.", "mid.block_1."), ("mid_block.resnets.1.", "mid.block_2.")):
            rules += [(f"{side}.{a}conv_shortcut.", f"{side}.{b}nin_shortcut."), (f"{side}.{a}", f"{side}.{b}")]
        for a, b in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            rules.append((f"{side}.mid_block.attentions.0.{a}.", f"{side}.mid.attn_1.{b}."))
    for i in range(levels):
        for j in range(per):
            a, b = f"encoder.down_blocks.{i}.resnets.{j}.", f"encoder.down.{i}.block.{j}."
            rules += [(a + "conv_shortcut.", b + "nin_shortcut."), (a, b)]
        rules.append((f"encoder.down_blocks.{i}.downsamplers.0.conv.", f"encoder.down.{i}.downsample.conv."))
        for j in range(per + 1):
            a, b = f"decoder.up_blocks.{i}.resnets.{j}.", f"decoder.up.{levels - 1 - i}.block.{j}."
            rules += [(a + "conv_shortcut.", b + "nin_shortcut."), (a, b)]
        rules.append((f"decoder.up_blocks.{i}.upsamplers.0.conv.", f"decoder.up.{levels - 1 - i}.upsample.conv."))
    return rules


def rename(state, rules, prefix):
    out = {}
    for key, t in state.items():
        hit = next(((a, b) for a, b in rules if key.startswith(a)), None)
        assert hit, f"no rule for {key}"
        new = prefix + hit[1] + key[len(hit[0]):]
        if ".attn_1." in new and new.endswith("weight") and t.ndim == 2:
            t = t[:, :, None, None]          # CompVis' VAE attends by 1x1 convolutions
        assert new not in out
        out[new] = t
    return out


def clip_v1(state):
    state = {k.removeprefix("text_model."): v for k, v in state.items()}
    out = {f"cond_stage_model.transformer.text_model.{k}": v for k, v in state.items()}
    length = state["embeddings.position_embedding.weight"].shape[0]
    out["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(length)[None]
    return out


def open_clip(state, last):
    """`state` holds the layers that diffusers keeps, `last` the one more that the single file has."""
    state = {k.removeprefix("text_model."): v for k, v in state.items()}
    p, out = "cond_stage_model.model.", {}
    out[p + "token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    out[p + "positional_embedding"] = state["embeddings.position_embedding.weight"]
    for w in ("weight", "bias"):
        out[p + f"ln_final.{w}"] = state[f"final_layer_norm.{w}"]
    layers = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("encoder.layers."))
    for i in range(layers + 1):
        get = (lambda k: state[f"encoder.layers.{i}.{k}"]) if i < layers else (lambda k: last[k])
        r = p + f"transformer.resblocks.{i}."
        for w in ("weight", "bias"):
            out[r + f"attn.in_proj_{w}"] = torch.cat([get(f"self_attn.{x}_proj.{w}") for x in "qkv"])
            for a, b in (("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
                out[r + f"{b}.{w}"] = get(f"{a}.{w}")
    d = state["final_layer_norm.weight"].shape[0]
    out[p + "text_projection"] = torch.eye(d, dtype=state["final_layer_norm.weight"].dtype) * 0.5
    out[p + "logit_scale"] = torch.tensor(4.6052, dtype=state["final_layer_norm.weight"].dtype)
    return out


def schedule_buffers(dtype):
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    a = np.cumprod(1 - betas)
    prev = np.append(1.0, a[:-1])
    post = betas * (1 - prev) / (1 - a)
    b = {"betas": betas, "alphas_cumprod": a, "alphas_cumprod_prev": prev, "sqrt_alphas_cumprod": a**0.5, "sqrt_one_minus_alphas_cumprod": (1 - a) ** 0.5,
         "log_one_minus_alphas_cumprod": np.log(1 - a), "sqrt_recip_alphas_cumprod": a**-0.5, "sqrt_recipm1_alphas_cumprod": (1 / a - 1) ** 0.5,
         "posterior_variance": post, "posterior_log_variance_clipped": np.log(np.maximum(post, 1e-20)),
         "posterior_mean_coef1": betas * prev**0.5 / (1 - a), "posterior_mean_coef2": (1 - prev) * (1 - betas) ** 0.5 / (1 - a)}
    return {k: torch.from_numpy(v).to(dtype) for k, v in b.items()}


def ema(single, scale):
    """model_ema.*: LitEma's names (dots dropped), other values, and its two counters."""
    out = {}
    for k, t in single.items():
        if k.startswith("model.diffusion_model."):
            out["model_ema." + k.removeprefix("model.").replace(".", "")] = (t.float() * scale).to(t.dtype)
    out["model_ema.decay"] = torch.tensor(0.9999)
    out["model_ema.num_updates"] = torch.tensor(470000, dtype=torch.int32)
    return out


def single_file(unet, unet_config, vae, vae_config, text, buffers=torch.float32):
    """All three networks under CompVis' names. `text` is already converted."""
    out = rename(unet, unet_rules(unet_config), "model.diffusion_model.")
    out |= rename(vae, vae_rules(vae_config), "first_stage_model.")
    out |= text
    return schedule_buffers(buffers) | out


def check_against_diffusers(single, unet, unet_config, vae, vae_config, text_model=None, text=None):
    from diffusers.loaders import single_file_utils as s
    back = s.convert_ldm_unet_checkpoint(dict(single), dict(unet_config))
    assert set(back) == set(unet) and all(torch.equal(back[k], unet[k]) for k in unet), "UNet names"
    back = s.convert_ldm_vae_checkpoint(dict(single), dict(vae_config))
    assert set(back) == set(vae), set(back) ^ set(vae)
    assert all(torch.equal(back[k].reshape(vae[k].shape), vae[k]) for k in vae), "VAE names"
    strip = lambda d: {k.removeprefix("text_model."): v for k, v in d.items() if "position_ids" not in k}
    if any(k.startswith("cond_stage_model.model.") for k in single):
        back = strip(s.convert_open_clip_checkpoint(text_model, dict(single)))
        keep = strip(text)
        assert all(torch.equal(back[k], keep[k]) for k in keep), "OpenCLIP names"
    else:
        back = strip(s.convert_ldm_clip_checkpoint(dict(single)))
        keep = strip(text)
        assert set(back) == set(keep) and all(torch.equal(back[k], keep[k]) for k in keep), "CLIP names"


class _OldNames(pickle._Pickler):
    """Writes numpy's scalar as old files have it: numpy.core.multiarray."""
    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", None) or ""
        if module.startswith("numpy._core"):
            self.write(b"c" + module.replace("numpy._core", "numpy.core").encode() + b"\n" + obj.__name__.encode() + b"\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)


def save_ckpt(path, state):
    """A .ckpt as Lightning wrote it: {'state_dict': ...} with counters, a callback class as key, numpy scalars, optimiser leftovers."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    made = []
    for i in range(1, name.count(".") + 2):
        part = ".".join(name.split(".")[:i])
        if part not in sys.modules:
            sys.modules[part] = types.ModuleType(part)
            made.append(part)
    callback = type("ModelCheckpoint", (), {"__module__": name})
    sys.modules[name].ModelCheckpoint = callback
    old = types.SimpleNamespace(Pickler=_OldNames, dumps=pickle.dumps, dump=pickle.dump, loads=pickle.loads, load=pickle.load, Unpickler=pickle.Unpickler, __name__="pickle")
    content = {
        "epoch": 5, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state,
        "callbacks": {callback: {"monitor": None, "best_model_score": np.float64(0.125), "best_model_path": "", "current_score": None, "dirpath": "checkpoints"}},
        "optimizer_states": [{"state": {0: {"step": 470000, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]}],
        "lr_schedulers": [{"base_lrs": [np.float64(1e-4)], "last_epoch": 470000, "_last_lr": [np.float64(1e-4)]}],
    }
    try:
        torch.save(content, path, pickle_module=old, pickle_protocol=2)
    finally:
        for part in made:
            del sys.modules[part]
