"""Proves: the Diffusion Lens takes the hidden state that transformers gives behind each layer, through the final layer norm, and its pictures' latents are
those that diffusers' public pipeline gives for these embeddings with an ordinary negative prompt.
"""

from pathlib import Path

import common
import embedded
import pipeline
import torch
from diffusers import DDIMScheduler

HERE = common.GOLDENS / "lens"
PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a red house next to a green tree at night", "snow", 42, 8, 4.0


def states(encoder, ids):
    """Embeddings and the output of each layer, before the final norm, seen by hooks: what `hidden_states` holds at its end differs between versions."""
    found = []
    hooks = [encoder.encoder.layers[0].register_forward_pre_hook(lambda m, a, k: found.append(a[0] if a else k["hidden_states"]), with_kwargs=True)]
    hooks += [layer.register_forward_hook(lambda m, a, out: found.append(out[0] if isinstance(out, tuple) else out)) for layer in encoder.encoder.layers]
    last = encoder(ids).last_hidden_state
    for hook in hooks:
        hook.remove()
    assert torch.equal(encoder.final_layer_norm(found[-1]), last)
    return found


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    embedded.draw_noise_in_float32()
    pipe = pipeline.load(args.model)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    encoder = getattr(pipe.text_encoder, "text_model", pipe.text_encoder)
    row = lambda text: pipe.tokenizer(text, padding="max_length", truncation=True, max_length=pipe.tokenizer.model_max_length, return_tensors="pt").input_ids
    embeddings = [encoder.final_layer_norm(s) for s in states(encoder, row(PROMPT))]
    negative = encoder(row(NEGATIVE)).last_hidden_state
    tensors = {"negative": negative}
    for layer, e in enumerate(embeddings):
        tensors[f"embedding.{layer}"] = e
        run = pipe(prompt_embeds=e, negative_prompt_embeds=negative, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
                   generator=torch.Generator().manual_seed(SEED), output_type="latent")
        tensors[f"latents.{layer}"] = run.images
    plain = pipe(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=torch.Generator().manual_seed(SEED),
                 output_type="latent").images
    assert (plain - tensors[f"latents.{len(embeddings) - 1}"]).abs().max() < 1e-5
    common.write_tensors(args.out / "lens.safetensors", tensors)
    common.write_json(args.out / "case.json", {
        "versions": common.versions("diffusers", "transformers", "torch"), "prompt": PROMPT, "negative": NEGATIVE, "seed": SEED, "steps": STEPS,
        "guidance": GUIDANCE, "layers": len(embeddings) - 1})


if __name__ == "__main__":
    main()
