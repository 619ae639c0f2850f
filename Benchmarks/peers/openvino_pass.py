"""OpenVINO's time for one pass in the SD v1.5 shape, random weights: a UNet step, or the VAE over a 512x512 picture.

    python openvino_pass.py --cache DIR [--work unet|decode|encode] [--threads N] [--repeats 5] [--precision f32|bf16]

The network is converted from diffusers' once, into DIR; each pass runs with the latency hint. Prints one JSON object like torch_pass.py.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from torch_pass import UNET, VAE  # noqa: E402


def convert(work, path):
    """Traces diffusers' network with the sizes of the pass and writes it, float32."""
    import openvino
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    torch.manual_seed(0)

    class Pass(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = (UNet2DConditionModel(**UNET) if work == "unet" else AutoencoderKL(**VAE)).eval()

        def forward(self, x, *rest):
            if work == "unet":
                return self.model(x, rest[0], encoder_hidden_states=rest[1], return_dict=False)[0]
            return self.model.decode(x, return_dict=False)[0] if work == "decode" else self.model.encode(x, return_dict=False)[0].mean

    inputs = {"unet": (torch.randn(2, 4, 64, 64), torch.tensor(500), torch.randn(2, 77, 768)), "decode": (torch.randn(1, 4, 64, 64),),
              "encode": (torch.randn(1, 3, 512, 512),)}[work]
    with torch.no_grad():
        converted = openvino.convert_model(Pass(), example_input=inputs, input=[tuple(i.shape) for i in inputs])
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(converted, path, compress_to_fp16=False)


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--work", choices=("unet", "decode", "encode"), default="unet")
    o.add_argument("--cache", type=Path, required=True)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--repeats", type=int, default=5)
    o.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="what it computes in")
    o.add_argument("--convert", action="store_true", help="only convert, and say nothing")
    o = o.parse_args()
    path = o.cache / f"{o.work}.xml"
    if o.convert:
        if not path.exists():
            convert(o.work, path)
        return
    import numpy
    import openvino
    core = openvino.Core()
    model = core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": o.threads, "INFERENCE_PRECISION_HINT": o.precision})
    random = numpy.random.default_rng(0)
    inputs = [random.standard_normal(i.shape, numpy.float32) if i.element_type == openvino.Type.f32 else numpy.array(500) for i in model.inputs]
    seconds, processor = [], []
    for i in range(1 + o.repeats):
        start, used = time.perf_counter(), time.process_time()
        out = model(inputs)[0]
        if i:
            seconds.append(round(time.perf_counter() - start, 4))
            processor.append(round(time.process_time() - used, 4))
    if not numpy.isfinite(out).all():
        raise SystemExit("the pass gave numbers that are not finite")
    print(json.dumps({
        "peer": "OpenVINO", "work": o.work, "threads": o.threads, "seconds": seconds, "min": min(seconds), "processor": min(processor),
        "openvino": openvino.__version__, "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
