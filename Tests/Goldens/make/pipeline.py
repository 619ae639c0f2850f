"""What the scripts begin with that compute goldens of a model: their options, a quiet and repeatable torch, and diffusers' pipeline."""

import argparse
import warnings
from pathlib import Path

import common
import diffusers
import torch

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()


def options(description, out):
    """A parser with --model and --out; scripts add what else they take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, default=common.MODEL)
    parser.add_argument("--out", type=Path, default=out)
    return parser


def begin(parser):
    """The options' values; torch then computes without gradients and with as many threads every time."""
    args = parser.parse_args()
    torch.set_num_threads(common.THREADS)
    torch.set_grad_enabled(False)
    return args


def load(model=common.MODEL, dtype=torch.float32):
    return diffusers.StableDiffusionPipeline.from_pretrained(str(model), torch_dtype=dtype, local_files_only=True)
