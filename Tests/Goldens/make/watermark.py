"""Watermarks of invisible-watermark (method dwtDct): pictures, and the same ones with a few bytes written into them. Writes ../watermark/.

The first has texture in its colour, and the package must read what it wrote. The others are hard, and it does not, so that its mistakes are compared too: flat fields
of the most saturated colours, and coarse cells of noise with sides that are no multiples of 4.
"""

import argparse
import json
import pathlib

import cv2
import numpy as np
from imwatermark import WatermarkDecoder, WatermarkEncoder

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "watermark")
folder = parser.parse_args().out
folder.mkdir(exist_ok=True, parents=True)


def textured():
    y, x = np.mgrid[0:264, 0:264]
    rgb = np.stack([128 + 30 * np.sin(x / 41 + i) * np.cos(y / 37 - i) for i in range(3)], axis=-1)
    rgb[..., 2] += np.random.default_rng(3).integers(-32, 33, (132, 132)).repeat(2, 0).repeat(2, 1)
    return rgb.round().clip(0, 255).astype(np.uint8)


def saturated():
    y, x = np.mgrid[0:256, 0:256]
    rgb = np.stack([x, y, 255 - (x + y) // 2], axis=-1).astype(np.uint8)
    for i, colour in enumerate([(0, 0, 255), (255, 255, 0), (255, 0, 0), (0, 0, 0), (255, 255, 255), (0, 255, 0)]):
        rgb[32:96, 32 * i : 32 * i + 32] = colour
    return rgb


def cells():
    rng = np.random.default_rng(11)
    return rng.integers(0, 256, (53, 87, 3), dtype=np.uint8).repeat(5, 0).repeat(3, 1)[:263, :259]


cases = []
for name, rgb, content in [("textured", textured(), b"sdlab"), ("saturated", saturated(), b"sdlab"), ("cells", cells(), b"\x00\xff\xa5test, 16 bytes")]:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoder = WatermarkEncoder()
    encoder.set_watermark("bytes", content)
    marked = encoder.encode(bgr.copy(), "dwtDct")
    length = 8 * len(content)
    read = lambda picture: WatermarkDecoder("bytes", length).decode(picture, "dwtDct")  # noqa: E731
    cv2.imwrite(str(folder / f"{name}.png"), bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(folder / f"{name}-marked.png"), marked, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cases.append({"name": name, "content": content.hex(), "read": read(marked).hex(), "readUnmarked": read(bgr).hex()})
assert bytes.fromhex(cases[0]["read"]) == b"sdlab", cases[0]
(folder / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
