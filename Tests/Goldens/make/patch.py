"""Proves: sdlab's patched runs are what diffusers gives when PyTorch hooks change the same tensors.

Activations of one run put into another, keys and values of another prompt, heads set to zero and words replaced by padding, each in some steps and rows of the batch, by hooks on diffusers' own
modules. Every call of the network is a step. The metrics are computed here from diffusers' latents and pictures.
"""

from pathlib import Path

import common
import embedded
import heatmaps
import numpy as np
import pipeline
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

HERE = common.GOLDENS / "patch"
A, B = "a red house next to a green tree at night", "a blue boat on the sea"
UP = "up_blocks.2.attentions.0.transformer_blocks.0.attn2"
DOWN = "down_blocks.1.attentions.0.transformer_blocks.0"


def case(name, kind, modules, first, last, rows="cond", **more):
    row = {"case": name, "kind": kind, "a": A, "b": B, "modules": modules, "first": first, "last": last, "rows": rows, "sampler": "ddim", "steps": 6, "guidance": 4.0,
           "seed": "42", "width": 64, "height": 64, "head": None, "word": None, "region": None}
    unknown = set(more) - set(row)
    assert not unknown, unknown
    return row | more


CASES = [
    case("out-middle-steps", "out", [UP], 2, 4),
    case("out-heun", "out", [UP, f"{DOWN}.attn2"], 2, 3, sampler="heun", steps=3),
    case("mid-both-halves", "out", ["mid_block"], 0, 2, rows="both"),
    case("block-multistep", "out", ["up_blocks.1"], 3, 5, sampler="dpmpp-2m", region="house"),
    case("prompt-one-layer", "kv", [UP], 0, 5, region="boat"),
    case("prompt-keys-only", "k", [UP, f"{DOWN}.attn2"], 0, 5, width=96, height=64),
    case("head-cross", "head", [f"{DOWN}.attn2"], 0, 5, head=2),
    case("head-self-both", "head", [f"{DOWN}.attn1"], 0, 2, rows="both", head=1),
    case("word", "word", None, 0, 5, b=A, word="house"),
    case("word-late", "word", None, 3, 5, b=A, word="green tree", sampler="euler-a"),
    case("no-guidance", "out", [UP], 0, 3, guidance=1.0),
]


def run_row(c, prompt):
    return embedded.case(c["case"], prompt, c["sampler"], c["steps"], c["guidance"], int(c["seed"]), width=c["width"], height=c["height"])


def embedding(pipe, text):
    ids = pipe.tokenizer(text, padding="max_length", max_length=pipe.tokenizer.model_max_length, truncation=True, return_tensors="pt").input_ids
    return pipe.text_encoder(ids).last_hidden_state


def without(pipe, prompt, word):
    """The prompt's embedding with the word's rows replaced by those of the empty prompt's padding (its place 1 is EOS)."""
    e, empty = embedding(pipe, prompt).clone(), embedding(pipe, "")
    for p in heatmaps.positions(pipe.tokenizer, prompt, word, pipe.tokenizer.model_max_length - 2)["whole"]:
        e[0, p] = empty[0, max(2, p)]
    return e


class Hooks:
    """Registers hooks for one run and knows which call of the network it is."""

    def __init__(self, unet):
        self.unet, self.call, self.handles = unet, -1, []
        self.handles.append(unet.register_forward_pre_hook(lambda *_: setattr(self, "call", self.call + 1)))

    def output(self, module, f):
        self.handles.append(self.unet.get_submodule(module).register_forward_hook(lambda m, i, o: f(m, i, o)))

    def input(self, module, f):
        self.handles.append(self.unet.get_submodule(module).register_forward_pre_hook(lambda m, i: (f(m, i[0]), *i[1:])))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for h in self.handles:
            h.remove()


def first(o):
    return o[0] if isinstance(o, tuple) else o


def chosen(t, c):
    """Which rows of a batch are patched: diffusers puts the unconditional half first."""
    n = t.shape[0]
    return slice(0, n) if c["rows"] == "both" or c["guidance"] <= 1 else slice(n // 2, n)


def replaced(t, c, value):
    out = t.clone()
    rows = chosen(t, c)
    out[rows] = value[rows] if value.shape[0] == t.shape[0] else value
    return out


def patched(pipes, c):
    pipe = pipes["text"]
    unet = pipe.unet
    kept = {}
    if c["kind"] == "out":
        with Hooks(unet) as hooks:
            for m in c["modules"]:
                def keep(mod, i, o, m=m):
                    kept[m, hooks.call] = first(o).clone()
                hooks.output(m, keep)
            embedded.run(pipes, run_row(c, c["a"]), torch.float32, HERE)
    text = embedding(pipe, c["a"]) if c["kind"] in ("k", "kv") else without(pipe, c["b"], c["word"]) if c["kind"] == "word" else None
    with Hooks(unet) as hooks:

        def active():
            return c["first"] <= hooks.call <= c["last"]

        if c["kind"] == "out":
            for m in c["modules"]:
                def swap(mod, i, o, m=m):
                    if not active():
                        return None
                    new = replaced(first(o), c, kept[m, hooks.call])
                    return (new, *o[1:]) if isinstance(o, tuple) else new
                hooks.output(m, swap)
        elif c["kind"] == "head":
            for m in c["modules"]:
                attn = unet.get_submodule(m)
                def zero(mod, x, heads=attn.heads):
                    if not active():
                        return x
                    width = x.shape[-1] // heads
                    out = x.clone()
                    out[chosen(x, c), :, c["head"] * width:(c["head"] + 1) * width] = 0
                    return out
                hooks.input(f"{m}.to_out.0", zero)
        else:
            modules = c["modules"] or [n for n, mod in unet.named_modules() if n.endswith(".attn2")]
            for m in modules:
                for part in ("to_k",) if c["kind"] == "k" else ("to_k", "to_v"):
                    weight = unet.get_submodule(f"{m}.{part}").weight
                    hooks.output(f"{m}.{part}", lambda mod, i, o, w=weight: replaced(o, c, text @ w.T) if active() else None)
        return embedded.run(pipes, run_row(c, c["b"]), torch.float32, HERE)


def region(pipes, c, of):
    """Pixels where the word's DAAM map, stretched to 0...1, is above 0.4."""
    row = run_row(c, of)
    latents, kept, pipe = heatmaps.watched(pipes, row, torch.float32)
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    size = list(latents.shape[2:])
    at = heatmaps.positions(pipe.tokenizer, of, c["region"], pipe.tokenizer.model_max_length - 2)["whole"]
    m = heatmaps.daam(kept, 1 if c["guidance"] > 1 else 0, size)[at].mean(0)
    m = (m - m.min()) / (m.max() - m.min())
    margin = (m - 0.4).abs().min().item()
    return (m > 0.4).repeat_interleave(c["height"] // size[0], 0).repeat_interleave(c["width"] // size[1], 1).numpy(), margin


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    embedded.draw_noise_in_float32()
    pipe = pipeline.load(args.model)
    pipe.set_progress_bar_config(disable=True)
    pipes = {"text": pipe, "config": dict(pipe.scheduler.config)}
    tensors, rows = {}, []
    for c in CASES:
        two = c["kind"] in ("out", "k", "kv")
        runs = {"x": patched(pipes, c), "b": embedded.run(pipes, run_row(c, c["b"]), torch.float32, HERE)}
        if two:
            runs["a"] = embedded.run(pipes, run_row(c, c["a"]), torch.float32, HERE)
        latents = {k: trace[-1].double() for k, (trace, _, _) in runs.items()}
        pictures = {k: p.double().numpy() for k, (_, p, _) in runs.items()}
        effect = {"change": float(np.abs(pictures["x"] - pictures["b"]).mean() / 255),
                  "latent": ((latents["x"] - latents["b"]).norm() / latents["b"].norm()).item()}
        if two:
            effect["toward"] = (1 - (latents["x"] - latents["a"]).norm() / (latents["b"] - latents["a"]).norm()).item()
        more = {}
        if c["region"]:
            mask, margin = region(pipes, c, c["a"] if c["region"] in c["a"].split() else c["b"])
            inside = lambda p: p[0][:, mask].ravel()
            effect["region"] = float(np.corrcoef(inside(pictures["x"]), inside(pictures["a"]))[0, 1])
            more = {"regionPixels": int(mask.sum()), "regionMargin": margin}
        tensors[f"{c['case']}:latents"] = latents["x"]
        rows.append(c | {"effect": effect} | more)
        print(c["case"], effect, more, flush=True)
    common.write_tensors(args.out / "patch.safetensors", tensors)
    common.write_rows(args.out / "cases.json", {"versions": common.versions("diffusers", "torch")}, "cases", rows)


if __name__ == "__main__":
    main()
