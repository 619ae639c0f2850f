"""Proves: features and similarities are those of DIFT's definition, computed here from diffusers' UNet with a hook.

The published code's way: the picture's latents noised to one timestep with each noise of an ensemble, output of one up block, mean over the ensemble; enlarged to the
picture by bilinear interpolation; cosine similarity of a pixel's vector with all pixels of the other picture. Two scenes of the reference sheet.
"""

from pathlib import Path

import common
import numpy as np
import pipeline
import torch
from diffusers import DDPMScheduler
from PIL import Image
from torch.nn import functional as F

HERE = common.GOLDENS / "features"
# where on the sheet: left, upper, right, lower
CASES = [
    {"case": "default", "boxes": [(0, 0, 64, 64), (64, 0, 128, 64)], "prompt": "", "block": 1, "timestep": 261, "ensemble": 8,
     "points": [(20, 30), (63, 0), (41, 52)]},
    {"case": "other", "boxes": [(0, 0, 64, 48), (64, 64, 160, 128)], "prompt": "a red house", "block": 0, "timestep": 100, "ensemble": 3,
     "points": [(5, 7), (32, 40)]},
]


def features(pipe, latents, case, noise, embedding):
    found = []
    hook = pipe.unet.up_blocks[case["block"]].register_forward_hook(lambda m, a, out: found.append(out))
    t = torch.tensor(case["timestep"])
    x = pipe.scheduler.add_noise(latents.repeat(len(noise), 1, 1, 1), noise, t.repeat(len(noise)))
    pipe.unet(x, t, encoder_hidden_states=embedding.repeat(len(noise), 1, 1))
    hook.remove()
    return found[0].mean(0, keepdim=True)


def main():
    parser = pipeline.options(__doc__, HERE)
    parser.add_argument("--scenes", type=Path, default=common.ROOT / "Resources" / "scenes-reference" / "scenes.png")
    args = pipeline.begin(parser)
    pipe = pipeline.load(args.model)
    pipe.scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    sheet = Image.open(args.scenes).convert("RGB")
    tensors = {}
    for case in CASES:
        name = case["case"]
        embedding = pipe.encode_prompt(case["prompt"], "cpu", 1, False)[0]
        enlarged = []
        for side, box in zip("ab", case["boxes"]):
            picture = sheet.crop(box)
            latents = pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mode() * pipe.vae.config.scaling_factor
            # one generator for each picture, as the published code seeds anew
            noise = torch.randn((case["ensemble"], *latents.shape[1:]), generator=torch.Generator().manual_seed(42))
            f = features(pipe, latents, case, noise, embedding)
            tensors |= {f"{name}:{side}.picture": torch.from_numpy(np.array(picture)), f"{name}:{side}.latents": latents, f"{name}:{side}.features": f}
            enlarged.append(F.interpolate(f, size=(picture.height, picture.width), mode="bilinear", align_corners=False))
        a, b = enlarged
        maps = torch.stack([F.cosine_similarity(a[0, :, y, x][:, None, None], b[0], dim=0) for x, y in case["points"]])
        tensors[f"{name}:similarity"] = maps
        case["matches"] = [divmod(int(m.argmax()), m.shape[1])[::-1] for m in maps]
        # cells that are each other's best
        flat_a, flat_b = (F.normalize(tensors[f"{name}:{s}.features"][0].flatten(1), dim=0) for s in "ab")
        s = flat_a.T @ flat_b
        forth, back = s.argmax(1), s.argmax(0)
        case["mutual"] = [[i, int(forth[i])] for i in range(len(forth)) if back[forth[i]] == i]
        case["cells"] = [list(tensors[f"{name}:{side}.features"].shape[2:]) for side in "ab"]
    common.write_tensors(args.out / "features.safetensors", tensors)
    common.write_rows(args.out / "cases.json", {"versions": common.versions("diffusers", "transformers", "torch")}, "cases", CASES)


if __name__ == "__main__":
    main()
