"""AutoencoderKL.enable_tiling() on the embedded VAE -> embedded/tiling.safetensors: what the seams of a large picture look like.

`latents` [1,4,29,20] (raw) and `decoded`; `pixels` [1,3,108,72] U8 (x / 127.5 - 1 is what is encoded) and `moments`.
"""

import torch
from diffusers import AutoencoderKL

from common import GOLDENS, MODEL, THREADS, write_tensors


def main():
    torch.set_num_threads(THREADS)
    vae = AutoencoderKL.from_pretrained(MODEL / "vae", torch_dtype=torch.float32).eval()
    vae.enable_tiling()
    latents = torch.randn(1, 4, 29, 20, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        decoded = vae.decode(latents, return_dict=False)[0]
        smooth = torch.nn.functional.avg_pool2d(decoded.clamp(-1, 1), 3, 1, 1)[:, :, :108, :72]
        pixels = ((smooth + 1) * 127.5).round().to(torch.uint8)
        moments = vae.encode(pixels.float() / 127.5 - 1).latent_dist.parameters
    write_tensors(GOLDENS / "embedded" / "tiling.safetensors", {"latents": latents, "decoded": decoded, "pixels": pixels, "moments": moments})


if __name__ == "__main__":
    main()
