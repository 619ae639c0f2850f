"""Proves: CLIP whole, the safety checker and the Inception network of FID agree with transformers, diffusers and torch-fidelity (pytorch-fid's network), and pictures are
resized for them as CLIP's processor and clean-fid do.

CLIP and the checker are tiny models with seeded random weights. Inception is whole: its weights come from torch's generator, tensor by tensor, and are drawn again in the test,
so that only the answers lie here. Needs: pip install --no-deps torch-fidelity
"""

import math
import shutil
import sys
import tempfile
from unittest.mock import MagicMock

import common
import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
try:
    import torchvision  # noqa: F401
except ImportError:
    # The package asks for it at once; the Inception network does not need it.
    sys.modules |= {n: MagicMock() for n in ("torchvision", "torchvision.datasets", "torchvision.models", "torchvision.transforms", "torchvision.transforms.functional")}
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip import CLIPImageProcessorPil

from tiny import CLIP, randomise

HERE = common.GOLDENS / "extractors"
torch.set_num_threads(common.THREADS)


def picture(width, height, shift=0):
    """Smooth in parts and full of edges in others; the test draws the same."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([(x * 7 + y * 13 + c * 29 + x * y // 5 + shift) % 256 for c in range(3)], -1).astype(np.uint8)


def config(image=20, patch=6):
    text = CLIP | {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "quick_gelu"}
    vision = {"hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": image, "patch_size": patch, "hidden_act": "gelu",
              "layer_norm_eps": 1e-3}
    c = CLIPConfig(projection_dim=12, text_config=text, vision_config=vision)
    c._attn_implementation = "eager"
    return c


PROMPTS = ["a red house", "", "a blue boat on the sea at night"]
PICTURES = [(31, 23), (20, 20), (17, 40)]


def clip():
    folder = HERE / "clip"
    model = CLIPModel(config())
    scale, model.logit_scale = model.logit_scale, None      # a single number has no row to be scaled by
    randomise(model, 11, torch.float16)
    model.logit_scale = scale
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder)
    model.float()
    tokenizer = CLIPTokenizer.from_pretrained(common.GOLDENS / "tiny" / "v1" / "tokenizer")
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(common.GOLDENS / "tiny" / "v1" / "tokenizer" / name, folder / name)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20})
    processor.save_pretrained(folder)
    pictures = [Image.fromarray(picture(w, h, i)) for i, (w, h) in enumerate(PICTURES)]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    ids = torch.tensor(tokenizer(PROMPTS, padding="max_length", max_length=32, truncation=True)["input_ids"])
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
        # In the outputs of the whole model these are projected already.
        vision, text = model.vision_model(pixels), model.text_model(ids)
    common.write_tensors(HERE / "clip.safetensors", {
        "pixels": pixels, "ids": ids, "vision.last": vision.last_hidden_state, "vision.pooled": vision.pooler_output,
        "text.pooled": text.pooler_output, "images": out.image_embeds, "texts": out.text_embeds})


def checker():
    folder = HERE / "checked"
    shutil.rmtree(folder, ignore_errors=True)
    model = randomise(StableDiffusionSafetyChecker(config()), 12, torch.float16)
    torch.manual_seed(3)
    model.concept_embeds.data = torch.randn(17, 12).half().float()
    model.special_care_embeds.data = torch.randn(3, 12).half().float()
    pictures = [Image.fromarray(picture(w, h, 40 * i)) for i, (w, h) in enumerate(PICTURES + [(25, 25)])]
    processor = CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20})
    processor.save_pretrained(folder / "feature_extractor")
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        embeds = model.visual_projection(model.vision_model(pixels)[1])
        norm = torch.nn.functional.normalize
        cos, special = norm(embeds) @ norm(model.concept_embeds).T, norm(embeds) @ norm(model.special_care_embeds).T
        # Thresholds between the pictures' own values: some are flagged, some are not, and a special one makes the difference of a hundredth count.
        model.concept_embeds_weights.data = (cos.max(0).values + 0.004).half().float()
        model.concept_embeds_weights.data[2] = float(cos[:, 2].sort().values[2:4].mean())
        model.special_care_embeds_weights.data = (special.max(0).values + 0.1).half().float()
        model.special_care_embeds_weights.data[1] = float(special[:, 1].sort().values[1:3].mean())
        seen = []
        original = model.visual_projection
        model.half().save_pretrained(folder / "safety_checker")
        model.float()
        # The scores are not returned: they are computed again as forward does, and the verdict is checked against its own.
        weights, care = model.concept_embeds_weights, model.special_care_embeds_weights
        cos = (norm(embeds) @ norm(model.concept_embeds).T).numpy()
        special = (norm(embeds) @ norm(model.special_care_embeds).T).numpy()
        for i in range(len(pictures)):
            adjustment, ss, cs = 0.0, [], []
            for k in range(3):
                ss.append(round(float(special[i][k]) - care[k].item() + adjustment, 3))
                if ss[-1] > 0:
                    adjustment = 0.01
            for k in range(17):
                cs.append(round(float(cos[i][k]) - weights[k].item() + adjustment, 3))
            seen.append((ss, cs))
        flagged = model(pixels, [np.zeros((2, 2, 3)) for _ in pictures])[1]
    assert flagged == [any(c > 0 for c in cs) for _, cs in seen] and any(flagged) and not all(flagged), flagged
    assert any(s > 0 for ss, _ in seen for s in ss)
    # As older transformers name the tower: nested once more.
    from safetensors.torch import load_file, save_file
    file = folder / "safety_checker" / "model.safetensors"
    save_file({("vision_model." + k if k.startswith("vision_model.") else k): v for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    common.write_json(HERE / "checked.json", {"made_with": common.versions("torch", "transformers", "diffusers", "pillow"),
                                              "special": [s for s, _ in seen], "concepts": [c for _, c in seen], "flagged": flagged})


def inception():
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in skeleton().state_dict().items()}
    common.write_rows(HERE / "inception.json", {"made_with": common.versions("torch", "torch-fidelity")}, "tensors",
                      [{"name": name, "shape": list(shapes[name])} for name in sorted(shapes)])
    state = {}
    for seed, name in enumerate(sorted(shapes)):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
            continue
        torch.manual_seed(seed)
        v = torch.randn(shapes[name].numel()).reshape(shapes[name])
        if name.endswith("conv.weight"):
            v = v * math.sqrt(2 / v[0].numel())
        elif name.endswith("running_var"):
            v = 1 + 0.1 * v.abs()
        elif name.endswith("bn.weight"):
            v = 1 + 0.1 * v
        elif name == "fc.weight":
            v = v / math.sqrt(2048)
        else:
            v = 0.1 * v
        state[name] = v
    with tempfile.NamedTemporaryFile(suffix=".pth") as f:
        torch.save(state, f.name)
        net = FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], feature_extractor_weights_path=f.name).eval()
    x = torch.from_numpy(np.stack([picture(299, 299), picture(299, 299, 101)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        features, logits = net(x)
    small = torch.from_numpy(np.stack([f32(picture(41, 30), 26, 52), f32(picture(41, 30), 26, 52)]))
    wide = f32(picture(12, 90), 30, 21)
    common.write_tensors(HERE / "inception.safetensors", {"features": features, "logits": logits, "resized": small[0], "resizedTall": torch.from_numpy(wide)})


def skeleton():
    """The network without its weights: the constructor wants a file, which is made of what it would load."""
    import torch_fidelity.feature_extractor_inceptionv3 as m
    class Bare(m.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_, **__):
            return None
    real = torch.load
    torch.load = lambda *_, **__: {}
    try:
        net = Bare("x", ["2048"], feature_extractor_weights_path="none")
    finally:
        torch.load = real
    return net


def f32(pixels, width, height):
    """clean-fid's resize: every channel in floating point, bicubic, cut to 0...255."""
    one = [np.asarray(Image.fromarray(pixels[:, :, c].astype(np.float32), mode="F").resize((width, height), Image.BICUBIC)).clip(0, 255) for c in range(3)]
    return np.stack(one, -1).astype(np.float32)


if __name__ == "__main__":
    clip()
    checker()
    inception()
    for file in HERE.rglob("*.safetensors"):
        file.chmod(0o644)
