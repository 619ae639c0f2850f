"""What every module of CLIP, the UNet and the VAE answers, by forward hooks under the module's own (diffusers) name."""

import torch

WANTED = ("time_proj", "time_embedding", "conv_in", "conv_norm_out", "conv_out", "quant_conv", "post_quant_conv")


def record(module, want, call):
    """Runs `call` with hooks on the submodules whose (name, class) `want` accepts -> {name: output}."""
    seen, hooks = {}, []

    def hook(name):
        def take(_, __, output):
            out = output[0] if isinstance(output, tuple) else output
            out = getattr(out, "sample", out)
            out = getattr(out, "last_hidden_state", out)
            seen[name] = out.detach().clone()
            if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], tuple):
                for i, r in enumerate(output[1]):
                    seen[f"{name}.residual.{i}"] = r.detach().clone()
        return take

    for name, m in module.named_modules():
        if name and want(name, type(m).__name__):
            hooks.append(m.register_forward_hook(hook(name)))
    try:
        result = call()
    finally:
        for h in hooks:
            h.remove()
    return seen, result


def unet_stages(unet, x, t, context, timestep_cond=None, detail=True, prefix="unet"):
    def want(name, kind):
        if name in WANTED:
            return True
        if kind.endswith(("Block2D", "MidBlock2DCrossAttn")):
            return kind != "ResnetBlock2D" or detail
        return detail and kind in ("Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D", "Attention", "FeedForward", "BasicTransformerBlock")

    seen, result = record(unet, want, lambda: unet(x, t, encoder_hidden_states=context, timestep_cond=timestep_cond, return_dict=False)[0])
    seen = {k: v for k, v in seen.items() if ".residual." not in k}
    out = {f"{prefix}:{k}": v for k, v in seen.items()}
    out |= {f"{prefix}:input.sample": x, f"{prefix}:input.timestep": torch.as_tensor(t).reshape(-1).to(torch.float32),
            f"{prefix}:input.context": context, f"{prefix}:eps": result}
    if timestep_cond is not None:
        out[f"{prefix}:input.timestepCond"] = timestep_cond
    return out


def clip_stages(encoder, ids, prefix="clip"):
    r = encoder(ids, output_hidden_states=True)
    out = {f"{prefix}:ids": ids, f"{prefix}:last": r.last_hidden_state, f"{prefix}:pooled": r.pooler_output}
    for i, h in enumerate(r.hidden_states):
        out[f"{prefix}:hidden.{i}"] = h
    seen, _ = record(encoder, lambda name, kind: kind == "CLIPEncoderLayer", lambda: encoder(ids))
    for name, v in seen.items():                     # hidden.i + 1 is what layer i gives, the last one before the final norm
        assert torch.equal(v, r.hidden_states[int(name.split(".")[-1]) + 1])
    return out


def vae_stages(vae, pixels, latents, detail=True, prefix="vae"):
    kinds = ("DownEncoderBlock2D", "UpDecoderBlock2D", "UNetMidBlock2D") + (("ResnetBlock2D", "Attention", "Downsample2D", "Upsample2D") if detail else ())

    def want(name, kind):
        return kind in kinds or name.split(".")[-1] in WANTED

    seen, posterior = record(vae, want, lambda: vae.encode(pixels).latent_dist)
    out = {f"{prefix}:{k}": v for k, v in seen.items()}
    seen, image = record(vae, want, lambda: vae.decode(latents, return_dict=False)[0])
    out |= {f"{prefix}:{k}": v for k, v in seen.items()}
    out |= {f"{prefix}:input.pixels": pixels, f"{prefix}:moments": posterior.parameters, f"{prefix}:std": posterior.std, f"{prefix}:input.latents": latents, f"{prefix}:decoded": image}
    return out
