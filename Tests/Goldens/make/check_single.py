"""Proves nothing by itself: checks that diffusers' own single-file loader makes of tiny/v1.* and tiny/v2.* what the folders hold."""

import sys
import types

import common
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file


def main():
    for name in ("v1", "v2"):
        folder = common.GOLDENS / "tiny" / name
        plain = load_file(str(common.GOLDENS / "tiny" / f"{name}.safetensors"))
        for module in ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"):
            sys.modules.setdefault(module, types.ModuleType(module))
        sys.modules["pytorch_lightning.callbacks.model_checkpoint"].ModelCheckpoint = type("ModelCheckpoint", (), {})
        ckpt = torch.load(common.GOLDENS / "tiny" / f"{name}.ckpt", weights_only=False)["state_dict"]
        assert set(ckpt) == set(plain) and all(torch.equal(ckpt[k], plain[k]) for k in plain)
        for cls, part in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae")):
            a = cls.from_pretrained(str(folder / part), torch_dtype=torch.float32).state_dict()
            b = cls.from_single_file(str(common.GOLDENS / "tiny" / f"{name}.safetensors"), config=str(folder), subfolder=part, torch_dtype=torch.float32).state_dict()
            assert set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a), (name, part)
        print(name, "the folder, the .safetensors and the .ckpt agree")


if __name__ == "__main__":
    main()
