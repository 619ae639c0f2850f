"""Proves: sdlab's attention maps are those of their definitions, computed here from diffusers' own attention probabilities.

Public pipelines run on the embedded model with an attention processor that keeps what `Attention.get_attention_scores` answers. DAAM, Prompt-to-Prompt, Attend-and-Excite's
neglect statistic, OVAM and the attention budget are then computed from these with torch alone, as the papers' published code has them.
"""

import re
from pathlib import Path

import common
import diffusers
import embedded
import pipeline
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from samplers import jsonable
from torch.nn import functional as F

HERE = common.GOLDENS / "heatmaps"
KINDS = ["bos", "words", "eot", "padding"]


def cases():
    """`words` None: every word of the prompt. `has`: which methods beside DAAM and OVAM are kept, for the repository's sake."""
    rows = []

    def add(name, prompt, sampler, steps, guidance, seed, attribution, subjects, has=(), words=None, phrases=(), subsets=(), **more):
        rows.append(embedded.case(name, prompt, sampler, steps, guidance, seed, **more) | {
            "words": words, "phrases": list(phrases), "attribution": attribution, "subjects": subjects,
            "subsets": [dict(zip(("name", "layers", "steps"), s)) for s in subsets], "has": list(has)})

    most = ("p2p", "neglect", "budget")
    add("short-ddim", "a red circle", "ddim", 4, 4, 42, "a blue star", ["circle"], (*most, "layers"))
    add("repeated-ddpm", "a Red circle next to a RED star, and a dragonfly!", "ddpm", 6, 4, 7, "a shiny dragon", ["circle", "star"], ("neglect",),
        phrases=("red star", "next to"))
    add("wide-ddim", embedded.B, "ddim", 5, 4, 3, "the sky", ["star", "tree"], most, phrases=("yellow tree",), width=96, height=64)
    add("tall-heun", "a red house next to a green tree at night", "heun", 4, 2.5, 11, "red house", ["house", "tree"], most,
        subsets=[("down-1-2", "down_blocks", [1, 2])], width=64, height=96)
    add("no-guidance", embedded.C, "ddim", 5, 1, 2, "a Cat, on GRASS", ["heart", "house"], most)
    add("count-2", embedded.D, "ddpm", 5, 4, 42, "a fish", ["fish"], ("neglect",), count=2)
    add("no-guidance-count-2", "a white cloud", "ddim", 3, 1, 5, "moon", ["cloud"], count=2)
    add("subset-ddim", "a large white cat left of a small orange balloon", "ddim", 8, 4, 9, "dog", ["cat", "balloon"], words=["cat", "balloon"],
        subsets=[("up-0-4", "up_blocks", [0, 4]), ("one-layer", "up_blocks.1.attentions.0.", [0, 7]), ("last-step", "", [7, 7])])
    # DAAM compares tokens without their end-of-word marks: "a" and "in" are found inside "dinosaur"
    add("part-of-a-word", "a green dinosaur in a red house", "pndm", 4, 4, 13, "in", ["house"])
    add("cut", embedded.LONG, "dpmpp-2m", 4, 4, 17, "purple tree", ["circle", "house"], words=["a", "circle", "cloud", "house"])
    add("odd-negative-count-2", "a yellow moon above a blue boat on sea", "euler-a", 4, 6, 100, "sun", ["moon", "boat"], most, words=["moon", "boat", "sea"],
        width=72, height=40, count=2, negative="snow, night")
    return rows


class Keep(AttnProcessor2_0):
    """diffusers' own processor; queries and probabilities of every call are computed beside it and kept."""

    def __init__(self, name, kept):
        super().__init__()
        self.name, self.kept = name, kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, *args, **more):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        p = attn.get_attention_scores(query, attn.head_to_batch_dim(attn.to_k(context)), attention_mask)
        rows = lambda t: t.unflatten(0, (-1, attn.heads))  # [rows, heads, pixels, ...]
        self.kept[self.name].append((rows(query), rows(p)))
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **more)


def watched(pipes, row, dtype):
    """Latents of a run, and for every attention layer its calls: (queries [rows, heads, pixels, d], probabilities [rows, heads, pixels, keys])."""
    unet = pipes["text"].unet
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    kept = {name: [] for name in names}  # in diffusers' order of modules: down, up, mid
    unet.set_attn_processor({f"{name}.processor": Keep(name, kept) for name in names})
    trace, _, pipe = embedded.run(pipes, row, dtype, HERE)
    return trace[-1], kept, pipe


def tokens_of(tokenizer, text):
    """Token strings of a text, the end of a word marked `</w>`."""
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False).input_ids)


def occurrences(tokens, sought, limit):
    starts = [i for i in range(len(tokens)) if tokens[i:i + len(sought)] == sought]
    return [p for i in starts for p in range(i + 1, i + 1 + len(sought)) if p <= limit]


def positions(tokenizer, prompt, word, limit):
    """`tokens`: as DAAM finds a word, by its tokens without end-of-word marks, anywhere. `whole`: only as a word of its own."""
    tokens, sought = tokens_of(tokenizer, prompt.lower()), tokens_of(tokenizer, word.lower())
    bare = lambda ts: [t.removesuffix("</w>") for t in ts]
    whole = [p for p in occurrences(tokens, sought, limit)]
    begins = lambda p: p == 1 or tokens[p - 2].endswith("</w>")
    kept = []
    for at in range(0, len(whole), len(sought)):
        if begins(whole[at]):
            kept += whole[at:at + len(sought)]
    return {"tokens": occurrences(bare(tokens), bare(sought), limit), "whole": kept}


def call_steps(sampler, calls):
    """Which step of the plan each call belongs to: Heun looks twice but for the last step, PNDM twice for the first."""
    return [i // 2 if sampler == "heun" else max(0, i - 1) if sampler == "pndm" else i for i in range(calls)]


def level_of(size, levels=3):
    """The level that has the number of positions nearest to 16x16."""
    sizes = [size]
    for _ in range(levels - 1):
        sizes.append([(s + 1) // 2 for s in sizes[-1]])
    return min(sizes, key=lambda s: abs(torch.tensor(s[0] * s[1] / 256).log().item()))


def size_of(pixels, latents):
    size = list(latents)
    while size[0] * size[1] > pixels:
        size = [(s + 1) // 2 for s in size]
    assert size[0] * size[1] == pixels
    return size


def cross(kept):
    """Cross-attention layers, in diffusers' order of modules; the flag says whether DAAM takes the layer."""
    return [(n, not n.startswith("mid_block")) for n in kept if n.endswith(".attn2")]


def maps_of(summed, latents):
    """Sum of P over calls [heads, pixels, tokens] -> [heads, tokens, h, w] at the latents' size, not clamped."""
    size = size_of(summed.shape[1], latents)
    return F.interpolate(summed.transpose(1, 2).unflatten(2, size), size=tuple(latents), mode="bicubic", align_corners=False)


def daam(kept, row, latents, want=lambda name: True, steps=None, clamp=True):
    """castorini/daam: [tokens, h, w] = mean over layers and heads of the clamped, upsampled sum over calls."""
    planes = []
    for name, is_daam in cross(kept):
        calls = [p[row] for i, (_, p) in enumerate(kept[name]) if steps is None or steps(i)]
        summed = torch.stack(calls).sum(0)
        if is_daam and want(name) and latents[0] * latents[1] != 64 * summed.shape[1]:
            up = maps_of(summed, latents)
            planes.append(up.clamp(min=0) if clamp else up)
    return torch.cat(planes).mean(0)


def level_means(kept, row, level, kind="attn2"):
    """Mean over heads and layers at the level, for each call: [calls, pixels, keys]."""
    names = [n for n in kept if n.endswith(kind) and kept[n][0][1].shape[2] == level[0] * level[1]]
    return torch.stack([torch.stack([kept[n][i][1][row].mean(0) for n in names]).mean(0) for i in range(len(kept[names[0]]))])


def prompt_to_prompt(kept, row, level, shown):
    mean = level_means(kept, row, level).mean(0).T[:shown]
    largest = mean.amax(1)
    attention = level_means(kept, row, level, "attn1").mean(0)
    _, s, vh = torch.linalg.svd((attention - attention.mean(1, keepdim=True)).double())
    components, margins = [], []
    for v in vh[:3]:
        sign = v[v.abs().argmax()].sign()
        components.append((v * sign).unflatten(0, level))
        margins.append((v.abs().amax() / (-v * sign).amax()).item())
    gaps = ((s[:3] - s[1:4]) / s[:3]).min().item()
    middle = level[0] // 2 * level[1] + level[1] // 2
    tensors = {"maps": (mean / largest[:, None]).unflatten(1, level), "max": largest, "self.components": torch.stack(components),
               "self.singularValues": s[:6], "self.middle": attention[middle].unflatten(0, level), "self.received": attention.mean(0).unflatten(0, level)}
    return tensors, min(margins), gaps


def neglect(kept, row, level, last):
    """Attend-and-Excite's largest smoothed value of the tokens 1 ..< last, for each call."""
    x = torch.softmax(100 * level_means(kept, row, level)[:, :, 1:last], -1).transpose(1, 2).unflatten(2, level)
    d = torch.arange(-1, 2, dtype=x.dtype)
    line = torch.exp(-(d / (2 * 0.5)) ** 2)
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1]).amax((2, 3))


def ovam(unet, kept, row, embedding, latents):
    """[tokens, h, w]: queries of the run against the keys of the attribution prompt."""
    total = 0
    for name, is_daam in cross(kept):
        if not is_daam:
            continue
        attn = unet.get_submodule(name)
        key = attn.head_to_batch_dim(attn.to_k(embedding))
        summed = sum(attn.get_attention_scores(q[row], key).sum(0) for q, _ in kept[name])  # [pixels, tokens]
        total = total + F.interpolate(summed.T.unflatten(1, size_of(summed.shape[0], latents))[None], size=tuple(latents), mode="bilinear", align_corners=False)[0]
    return total


def budget(kept, row, content):
    """`share` [calls, layers, heads, kinds] and `entropy` [calls, layers, heads] in nats, both means over the pixels."""
    shares, entropies = [], []
    for name, _ in cross(kept):
        p = torch.stack([p[row] for _, p in kept[name]])  # [calls, heads, pixels, tokens]
        kinds = (p[..., :1], p[..., 1:1 + content], p[..., 1 + content:2 + content], p[..., 2 + content:])
        shares.append(torch.stack([k.sum(-1).mean(-1) for k in kinds], -1))
        entropies.append(torch.special.entr(p).sum(-1).mean(-1))
    return torch.stack(shares, 1), torch.stack(entropies, 1)


def upsampling():
    tensors, g = {}, torch.Generator().manual_seed(3)
    for small, large in (((4, 4), (16, 16)), ((8, 8), (16, 16)), ((3, 5), (7, 20))):
        name = f"{small[0]}x{small[1]}to{large[0]}x{large[1]}"
        x = torch.rand((2, *small), generator=g)
        tensors[f"{name}:in"] = x
        for mode in ("bicubic", "bilinear"):
            tensors[f"{name}:{mode}"] = F.interpolate(x[None], size=large, mode=mode, align_corners=False)[0]
    return tensors


def main():
    args = pipeline.begin(pipeline.options(__doc__, HERE))
    embedded.draw_noise_in_float32()
    both = {}
    for dtype in (torch.float32, torch.float64):
        pipe = pipeline.load(args.model, dtype)
        pipe.set_progress_bar_config(disable=True)
        both[dtype] = {"text": pipe, "config": dict(pipe.scheduler.config)}
    pipe = both[torch.float32]["text"]
    tokenizer, limit = pipe.tokenizer, pipe.tokenizer.model_max_length - 2

    files = {name: {} for name in ("runs", "daam", "p2p", "neglect", "ovam", "budget")}
    rows, layers = [], None
    for c in cases():
        name = c["case"]
        latents, kept, used = watched(both[torch.float32], c, torch.float32)
        latents64, kept64, _ = watched(both[torch.float64], c, torch.float64)
        ids = tokenizer(c["prompt"], padding="max_length", truncation=True, max_length=limit + 2).input_ids
        content = min(limit, len(tokenizer(c["prompt"], add_special_tokens=False).input_ids))
        negative = min(limit, len(tokenizer(c["negative"] or "", add_special_tokens=False).input_ids))
        attribution = tokenizer(c["attribution"]).input_ids
        words = c["words"] if c["words"] is not None else re.findall(r"[a-z]+", c["prompt"].lower())
        words = {w: positions(tokenizer, c["prompt"], w, limit) for w in dict.fromkeys([*words, *c["phrases"]])}
        subjects = [positions(tokenizer, c["prompt"], w, limit)["whole"][0] for w in c["subjects"]]
        calls = len(kept[cross(kept)[0][0]])
        size, steps = list(latents.shape[2:]), call_steps(c["sampler"], calls)
        level = level_of(size)
        layers = [{"name": n, "heads": kept[n][0][1].shape[1], "daam": d} for n, d in cross(kept)]
        files["runs"][f"{name}:latents"] = latents
        row = c | {"words": words, "ids": ids, "promptTokens": content, "negativeTokens": negative, "subjectTokens": subjects, "attributionIds": attribution,
                   "calls": calls, "callSteps": steps, "latentSize": size, "level": level, "scheduler": jsonable(used.scheduler.config),
                   "timesteps": [float(t) for t in used.scheduler.timesteps], "drift64": (latents.double() - latents64).abs().max().item(),
                   "largestLatent": latents.abs().max().item()}
        margins, gaps, clamps, drifts = [], [], [], []
        embedding = pipe.text_encoder(torch.tensor([attribution])).last_hidden_state
        guided = c["guidance"] > 1
        for image in range(c["count"]):
            key, cond = f"{name}:{image}", image + (c["count"] if guided else 0)
            halves = {"cond": (cond, content)} | ({"uncond": (image, negative)} if guided else {})
            raw, raw64 = daam(kept, cond, size), daam(kept64, cond, size)
            plain = daam(kept, cond, size, clamp=False)
            clamps.append(((raw - plain).abs().max() / raw.max()).item())
            drifts.append(((raw.double() - raw64).abs().max() / raw64.max()).item())
            out = {"raw": raw[:content + 3], "normalized": (raw / (raw[1:content + 1].sum(0) + 1e-6))[:content + 2]}
            for word, at in words.items():
                out[f"word.{word}"] = raw[at["tokens"]].mean(0)
                if at["whole"] != at["tokens"]:
                    out[f"whole.{word}"] = raw[at["whole"]].mean(0)
            for s in c["subsets"]:
                first, last = s["steps"]
                out[f"subset.{s['name']}"] = daam(kept, cond, size, lambda n: n.startswith(s["layers"]), lambda i: first <= steps[i] <= last)[:content + 3]
            if "layers" in c["has"]:
                for n, _ in cross(kept):
                    summed = torch.stack([p[cond] for _, p in kept[n]]).sum((0, 1))  # over calls and heads
                    out[f"layer.{n}"] = summed.T.unflatten(1, size_of(summed.shape[0], size))[:content + 3]
            files["daam"] |= {f"{key}:{k}": v for k, v in out.items()}
            if "p2p" in c["has"]:
                tensors, margin, gap = prompt_to_prompt(kept, cond, level, content + 3)
                files["p2p"] |= {f"{key}:{k}": v for k, v in tensors.items()}
                margins.append(margin)
                gaps.append(gap)
            if "neglect" in c["has"]:
                for suffix, last in (("", len(ids) - 1), (".eot", content + 1)):
                    largest = neglect(kept, cond, level, last)
                    files["neglect"][f"{key}:max{suffix}"] = largest
                    files["neglect"][f"{key}:neglect{suffix}"] = 1 - largest[:, [t - 1 for t in subjects]].amin(1)
            for half, (r, n) in halves.items():
                files["ovam"][f"{key}:{half}"] = ovam(pipe.unet, kept, r, embedding, size)
                if "budget" in c["has"]:
                    files["budget"][f"{key}:{half}.share"], files["budget"][f"{key}:{half}.entropy"] = budget(kept, r, n)
        row |= {"clampAdds": max(clamps), "mapDrift64": max(drifts)}
        if margins:
            row |= {"signMargin": min(margins), "orderGap": min(gaps)}
        rows.append(row)
        print(f"{name:24} latents drift {row['drift64']:.2e}, maps {row['mapDrift64']:.2e}", flush=True)
    files["upsample"] = upsampling()
    for name, tensors in files.items():
        common.write_tensors(args.out / f"{name}.safetensors", tensors)
    head = {"versions": common.versions("diffusers", "transformers", "torch"), "model": "Resources/scenes-model", "kinds": KINDS, "layers": layers}
    common.write_rows(args.out / "cases.json", head, "cases", rows)


if __name__ == "__main__":
    main()
