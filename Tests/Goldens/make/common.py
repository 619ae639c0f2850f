"""Shared by every golden script: where things are, and how tensors and JSON are written.

Tensors go to safetensors (float32, int64 or uint8, row-major, NCHW as in PyTorch), everything else to JSON.
Running a script twice on the same machine writes the same bytes.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

GOLDENS = Path(__file__).resolve().parent.parent
ROOT = GOLDENS.parent.parent
MODEL = ROOT / "Resources" / "scenes-model"
THREADS = 1      # deterministic, and quick enough beside other work


def versions(*names):
    import importlib.metadata as m
    return {n: m.version(n).split("+")[0] for n in names}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, indent=1, sort_keys=False) + "\n")


def write_rows(path, head, key, rows):
    """A JSON object whose list `key` has one entry a line: small, and readable as a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(r, ensure_ascii=True, separators=(",", ":")) for r in rows)
    parts = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=True)}" for k, v in head.items()]
    parts.append(f" {json.dumps(key)}: [\n{lines}\n ]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def write_tensors(path, tensors):
    import torch
    from safetensors.torch import save_file
    path.parent.mkdir(parents=True, exist_ok=True)
    out = {}
    for name, t in tensors.items():
        t = torch.as_tensor(t).detach()
        if t.dtype in (torch.float64, torch.float16, torch.bfloat16):
            t = t.to(torch.float32)
        assert t.dtype in (torch.float32, torch.int64, torch.uint8), (name, t.dtype)
        if t.dtype == torch.float32:
            assert torch.isfinite(t).all(), f"{name} is not finite"
        out[name] = t.contiguous().clone()
    save_file(dict(sorted(out.items())), str(path))
    path.chmod(0o644)
