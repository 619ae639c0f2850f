"""Writes the seed files of the fuzz target image-metadata into FOLDER/image-metadata/: image_seeds.py FOLDER.

The first byte says what the rest is: see Sources/Fuzz/Imaging.swift. The pictures are the tests' goldens.
"""

import base64
import json
import pathlib
import sys
import zlib

A1111 = """a cat, (x:1.2)
Negative prompt: bad
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 1, Size: 512x512, Model hash: 6ce0, Model: "a, b\\"", \
Denoising strength: 0.7, Clip skip: 2, RNG: NV, Version: v1"""

SDLAB = dict(schema=1, sdlab_version="1", prompt="p", negative_prompt="", sampler="ddpm", steps=5, guidance=8, seed=1, index=0, count=1, width=8,
             height=8, model=dict(name="m", sha256="00"), eta=0, clip_skip=0, emphasis="none", long_prompt="cut", rng="cpu", strength=0.5,
             init_image=dict(name="x"))

PROMPT = {
    "3": dict(class_type="KSampler", inputs=dict(seed=1, steps=25, cfg=6.5, sampler_name="euler_ancestral", scheduler="normal", denoise=1,
              model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0])),
    "4": dict(class_type="CheckpointLoaderSimple", inputs=dict(ckpt_name="v")),
    "5": dict(class_type="EmptyLatentImage", inputs=dict(width=640, height=448)),
    "6": dict(class_type="CLIPTextEncode", inputs=dict(text=["8", 0], clip=["11", 0])),
    "8": dict(class_type="String", inputs=dict(value="x")),
    "11": dict(class_type="CLIPSetLastLayer", inputs=dict(stop_at_clip_layer=-2)),
}

WORKFLOW = dict(
    nodes=[dict(id=3, type="KSampler", mode=0, widgets_values=[7, "fixed", 20, 8, "dpmpp_2m", "karras", 0.5], inputs=[dict(name="positive", link=4)]),
           dict(id=6, type="CLIPTextEncode", widgets_values=["a"])],
    links=[[4, 6, 0, 3, 1, "C"]])

EXIF = (b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87i\0\x04\0\0\0\x01\0\0\0&\0\0\0\0"
        b"\0\x01\x92\x86\0\x07\0\0\0\x0c\0\0\0\x38\0\0\0\0UNICODE\0\0a\0b")


def seeds():
    goldens = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/imaging/decode.json"
    for case in json.loads(goldens.read_text()):
        for kind in [11] if case["name"].startswith("jpeg") else [0, 1]:
            yield f"{case['name'].replace(' ', '-')}-{kind}", kind, base64.b64decode(case["file"])
    yield "a1111", 5, A1111.encode()
    yield "a1111-latin", 9, A1111.encode()
    yield "comfyui-prompt", 6, json.dumps(PROMPT).encode()
    yield "comfyui-workflow", 7, json.dumps(WORKFLOW).encode()
    yield "sdlab", 8, json.dumps(SDLAB).encode()
    yield "text", 2, b"parameters\0" + A1111.encode()
    yield "compressed", 3, b"k\0\0" + zlib.compress(b"hello" * 50)
    yield "international", 4, b"k\0\0\0de\0t\0text"
    yield "international-compressed", 4, b"k\0\x01\0\0\0" + zlib.compress(b"hello" * 50)
    yield "exif", 10, EXIF
    yield "exif-little", 10, b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


folder = pathlib.Path(sys.argv[1]) / "image-metadata"
folder.mkdir(parents=True, exist_ok=True)
for label, kind, data in seeds():
    (folder / label).write_bytes(bytes([kind]) + data)
