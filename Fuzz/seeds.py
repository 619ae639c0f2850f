"""Writes the seed files of the fuzz targets into FOLDER/TARGET/: seeds.py FOLDER. Python's standard library is enough.

A torch checkpoint is a stored zip file with a pickle; the pickle is made by hand with the opcodes that torch writes.
"""

import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile
import zlib
from collections import OrderedDict


def safetensors(tensors, metadata=None):
    header, at, data = {}, 0, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def tensor(key, storage, shape, offset=0):
    """What torch writes for a tensor: _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)."""
    count, strides = 1, []
    for size in reversed(shape):
        strides.insert(0, count)
        count *= size
    numbers = lambda values: b"(" + b"".join(map(number, values)) + b"t"
    place = b"(" + text("storage") + name("torch", storage) + text(key) + text("cpu") + number(count + offset) + b"tQ"
    return (name("torch._utils", "_rebuild_tensor_v2") + b"(" + place + number(offset) + numbers(shape) + numbers(strides) + b"\x89"
            + name("collections", "OrderedDict") + b")RtR")


def state_dict(tensors):
    body = b"".join(text(key) + value for key, value in tensors.items())
    return name("collections", "OrderedDict") + b")R" + b"(" + body + b"u"


def checkpoint(data, storages, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        z.writestr("archive/data.pkl", data)
        z.writestr("archive/byteorder", "little")
        for key, raw in storages.items():
            z.writestr(f"archive/data/{key}", raw)
        z.writestr("archive/version", "3\n")
    return out.getvalue()


def npy(descr, shape, data, fortran=False, version=1):
    text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    size = "<H" if version == 1 else "<I"
    text += " " * (-(8 + struct.calcsize(size) + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(size, len(text)) + text.encode() + data


def seeds():
    floats = struct.pack("<6f", 1, -2, 0.5, 3e-39, 0, 7)
    yield "safetensors", "types", safetensors({
        "model.diffusion_model.input_blocks.1.0.in_layers.0.weight": ("F32", [2, 3], floats),
        "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight": ("F16", [3, 2], floats[:12]),
        "first_stage_model.decoder.mid.attn_1.q.weight": ("BF16", [1, 2, 1, 1], floats[:4]),
        "decoder.mid_block.attentions.0.query.bias": ("F64", [2], struct.pack("<2d", 1e-300, 3.5)),
        "position_ids": ("I64", [1, 2], bytes(16)), "empty": ("U8", [0], b"")}, {"format": "pt"})
    yield "safetensors", "empty", safetensors({})
    yield "safetensors", "escapes", struct.pack("<Q", 24) + b'{"__metadata__":{"\\u00e9\\ud83d\\ude00":"\\n"}}'.ljust(24)

    tensors = {"a.weight": tensor("0", "FloatStorage", [2, 3]), "a.bias": tensor("1", "HalfStorage", [3], 1),
               "ids": tensor("2", "LongStorage", [1])}
    model = b"\x80\x02" + state_dict(tensors) + b"."
    nested = (b"\x80\x02}q\x00(" + text("state_dict") + state_dict(tensors) + text("global_step") + b"J\x78\x56\x34\x12"
              + text("callbacks") + b"}" + name("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint") + b"}"
              + text("best") + name("numpy.core.multiarray", "scalar") + name("numpy", "dtype") + text("f8") + b"K\x00K\x01\x87R"
              + name("_codecs", "encode") + text("x") + text("latin1") + b"\x86R\x86Rss" + b"u.")
    yield "pickle", "model", model
    yield "pickle", "nested", nested
    for protocol in range(2, 6):
        value = {"a": [1, -2, 2**40, 2**80, 1.5, None, True, (1, 2, 3, 4), b"x", "é" * 300], "o": OrderedDict(x={1, 2}), "s": frozenset([1])}
        value.pop("s" if protocol < 4 else "-", None)
        if protocol < 4:
            value["o"] = OrderedDict(x=[1])
        if protocol < 3:
            value["a"].remove(b"x")
        yield "pickle", f"values{protocol}", pickle.dumps(value, protocol)
    yield "pickle", "hostile", b"cos\nsystem\n(S'true'\ntR."
    yield "pickle", "bomb", b"\x80\x02]q\x00" + b"(h\x00h\x00l" * 50 + b"."

    storages = {"0": floats, "1": floats[:8], "2": bytes(8)}
    yield "zip", "model", checkpoint(model, storages)
    yield "zip", "nested", checkpoint(nested, storages)
    yield "zip", "deflated", checkpoint(model, storages, zipfile.ZIP_DEFLATED)
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 0, 0, 0, 0) + struct.pack("<IIQI", 0x07064B50, 0, 0, 1)
    yield "zip", "zip64", end + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

    arrays = {}
    for kind, size in (("<f4", 4), ("<f8", 8), ("<f2", 2), ("<i4", 4), ("<i8", 8), ("|u1", 1)):
        arrays[kind] = npy(kind, "(2, 3)", bytes(range(6 * size)))
        yield "npy", kind.strip("<|"), arrays[kind]
    for version in (1, 2, 3):
        yield "npy", f"version{version}", npy("<f4", "(2, 3)", floats, version=version)
    yield "npy", "fortran", npy("<f4", "(3, 2)", floats, fortran=True)
    yield "npy", "scalar", npy("<f8", "()", struct.pack("<d", 7))
    yield "npy", "empty", npy("<f4", "(0, 5)", b"")
    yield "npy", "long", npy("<f4", "(6L,)", floats)
    yield "npy", "large", npy("<f4", "(4611686018427387904, 4)", b"")
    for label, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as z:
            z.writestr("a.npy", arrays["<f4"])
            z.writestr("b.npy", npy("<f8", "(2, 2, 2)", bytes(64)))
        yield "npz", label, b"\0" + out.getvalue()
    yield "npz", "entry", b"\1" + arrays["<i8"]
    for label, content in (("f4", arrays["<f4"]), ("zeros", npy("<f4", "(4000,)", bytes(16000)))):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        yield "npz", f"stream-{label}", b"\2" + struct.pack("<H", len(content)) + packer.compress(content) + packer.flush()

    resources = pathlib.Path(__file__).resolve().parent.parent / "Resources/scenes-model"
    for path in sorted(resources.glob("*/*config.json")):
        yield "config", path.parent.name, path.read_bytes()
    yield "config", "lists", json.dumps({"block_out_channels": [32, 64], "attention_head_dim": [4, 8], "layers_per_block": [1, 2],
                                         "down_block_types": ["DownBlock2D"] * 2, "trained_betas": [1e-4, 2e-4],
                                         "only_cross_attention": [True, False], "time_cond_proj_dim": 256}).encode()


folder = pathlib.Path(sys.argv[1])
for target, label, data in seeds():
    (folder / target).mkdir(parents=True, exist_ok=True)
    (folder / target / label).write_bytes(data)
