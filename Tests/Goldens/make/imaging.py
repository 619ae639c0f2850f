"""Goldens for Tests/EngineTests/Imaging*: what Pillow makes of PNG and JPEG files, and of resizing.

Writes Tests/Goldens/imaging/decode.json: [{name, file, width, height, white, ignored, tolerance}] with base64 bytes; `white` is the picture over
white, `ignored` the one with its alpha thrown away. And resize.json: [{filter, width, height, pixels}], source first.

    python Tests/Goldens/make/imaging.py
"""
import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parents[1] / "imaging"
W, H = 13, 11
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def b64(x):
    return base64.b64encode(bytes(x)).decode()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, depth, colour, interlaced=False, extra=b""):
    """samples [h, w, channels] of any depth, written without Pillow, which cannot write most of these."""
    h, w, channels = samples.shape

    def rows(a):
        out = b""
        if a.size == 0:
            return out
        for row in a.reshape(a.shape[0], -1):
            if depth == 16:
                packed = row.astype(">u2").tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in row)
                bits += "0" * (-len(bits) % 8)
                packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
            out += b"\0" + packed
        return out

    body = b"".join(rows(samples[y::dy, x::dx]) for x, y, dx, dy in ADAM7) if interlaced else rows(samples)
    header = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def opened(data, alpha):
    im = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if alpha == "white" and (im.mode in ("RGBA", "LA", "PA") or "transparency" in im.info):
        im = im.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", im.size, "white"), im).convert("RGB")
    return im.convert("RGB")


def main():
    rng = np.random.default_rng(7)
    cases = []

    def add(name, data, tolerance=0, expected=None):
        white = np.array(opened(data, "white")) if expected is None else expected
        ignored = np.array(opened(data, "ignored")) if expected is None else expected
        cases.append(dict(name=name, file=b64(data), width=white.shape[1], height=white.shape[0],
                          white=b64(white.tobytes()), ignored=b64(ignored.tobytes()), tolerance=tolerance))

    def noise(channels, depth, high=None):
        return rng.integers(0, high or 2**depth, (H, W, channels))

    palette = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    plte = chunk(b"PLTE", palette.tobytes())
    for interlaced in (False, True):
        tail = " interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8):
            add(f"grey {depth}{tail}", png(noise(1, depth), depth, 0, interlaced))
        grey16 = noise(1, 16)
        high = np.repeat(grey16 >> 8, 3, axis=2).astype(np.uint8)  # Pillow saturates 16-bit grey instead: see Picture.init(bytes:)
        add(f"grey 16{tail}", png(grey16, 16, 0, interlaced), expected=high)
        for depth in (1, 2, 4, 8):
            add(f"palette {depth}{tail}", png(noise(1, depth, min(16, 2**depth)), depth, 3, interlaced, plte))
        for depth in (8, 16):
            add(f"grey and alpha {depth}{tail}", png(noise(2, depth), depth, 4, interlaced), 1)
            add(f"rgb {depth}{tail}", png(noise(3, depth), depth, 2, interlaced))
            add(f"rgba {depth}{tail}", png(noise(4, depth), depth, 6, interlaced), 1)
    add("palette with transparency", png(noise(1, 4), 4, 3, extra=plte + chunk(b"tRNS", rng.integers(0, 256, 9, dtype=np.uint8).tobytes())), 1)
    grey = noise(1, 8, 4)
    add("grey with a transparent value", png(grey, 8, 0, extra=chunk(b"tRNS", struct.pack(">H", 2))), 1)
    rgb = noise(3, 8, 2)
    add("rgb with a transparent colour", png(rgb, 8, 2, extra=chunk(b"tRNS", struct.pack(">HHH", 1, 0, 1))), 1)
    add("gamma is ignored", png(noise(3, 8), 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 100000))))

    y, x = np.mgrid[0:29, 0:37]
    smooth = np.stack([x * 6 + 10, y * 8, 255 - x * 3 - y * 3], axis=2).clip(0, 255).astype(np.uint8)
    smooth[5:15, 8:20] = (240, 30, 60)
    photo = Image.fromarray(smooth)

    def jpeg(im, **options):
        out = io.BytesIO()
        im.save(out, "JPEG", **options)
        return out.getvalue()

    for sampling in (0, 1, 2):
        add(f"jpeg subsampling {sampling}", jpeg(photo, quality=85, subsampling=sampling), 1)
    add("jpeg progressive", jpeg(photo, quality=80, progressive=True), 1)
    add("jpeg grey", jpeg(photo.convert("L"), quality=85), 1)
    add("jpeg cmyk", jpeg(photo.convert("CMYK"), quality=85), 1)
    add("jpeg with restart markers", jpeg(photo, quality=85, restart_marker_rows=1), 1)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        add(f"jpeg orientation {orientation}", jpeg(photo.crop((0, 0, 16, 8)), quality=90, exif=exif), 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    photo.crop((0, 0, 16, 8)).save(out, "PNG", exif=exif)
    add("png orientation 6", out.getvalue())
    (HERE / "decode.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")

    source = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    source[:, 15:] = np.where(rng.random((23, 16, 1)) < 0.5, 0, 255)  # hard edges: ringing must be clipped as Pillow clips it
    im = Image.fromarray(source)
    resized = [dict(filter="source", width=31, height=23, pixels=b64(source.tobytes()))]
    for name, f in dict(nearest=Image.NEAREST, box=Image.BOX, bilinear=Image.BILINEAR, bicubic=Image.BICUBIC, lanczos=Image.LANCZOS).items():
        for w, h in [(16, 8), (31, 9), (12, 23), (64, 40), (33, 22), (1, 1), (7, 50), (30, 10), (10, 1), (20, 12)]:
            resized.append(dict(filter=name, width=w, height=h, pixels=b64(np.array(im.resize((w, h), f)).tobytes())))
    resized.append(dict(filter="grey", width=31, height=23, pixels=b64(np.array(im.convert("L")).tobytes())))
    (HERE / "resize.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in resized) + "\n]\n")


main()
