"""PyTorch's time for one pass in the SD v1.5 shape, random weights: a UNet step, or the VAE over a 512x512 picture.

    python torch_pass.py [--work unet|decode|encode] [--threads N] [--repeats 5] [--layout contiguous|channels_last|compiled|all] [--precision f32|bf16]

A UNet step has batch 2, 64x64 latents and 77 tokens. `compiled` is torch.compile (inductor, which needs a C++ compiler) of the channels-last network; compiling is part of the
warm-up and not counted. Prints one JSON object: `runs` has one entry a layout with `seconds` (each repeat, warm-up left
out), `min` and `processor` (fewest processor seconds of a repeat, all threads).
"""

import argparse
import json
import os
import platform
import resource
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

UNET = {"sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "attention_head_dim": 8, "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3}
VAE = {"in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4, "sample_size": 512,
       "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}


def cpu():
    name, flags = platform.processor(), []
    try:
        for line in open("/proc/cpuinfo"):
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = [f for f in value.split() if f.startswith(("avx", "fma", "f16c", "amx", "sse4"))]
                break
    except OSError:
        pass
    return name, sorted(flags)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", choices=("unet", "decode", "encode"), default="unet")
    args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args.add_argument("--repeats", type=int, default=5)
    args.add_argument("--warmup", type=int, default=1)
    args.add_argument("--layout", choices=("contiguous", "channels_last", "compiled", "all"), default="all")
    args.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    args = args.parse_args()

    import diffusers
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    diffusers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    if args.work == "unet":
        model = UNet2DConditionModel(**UNET).eval()
        x, context, t = torch.randn((2, 4, 64, 64)), torch.randn((2, 77, 768)), torch.tensor(500)
        run = lambda x: model(x, t, encoder_hidden_states=context, return_dict=False)
    else:
        model = AutoencoderKL(**VAE).eval()
        x = torch.randn((1, 4, 64, 64) if args.work == "decode" else (1, 3, 512, 512))
        run = (lambda x: model.decode(x, return_dict=False)) if args.work == "decode" else (lambda x: model.encode(x, return_dict=False))
    if args.precision == "bf16":
        model, x = model.to(torch.bfloat16), x.to(torch.bfloat16)
        context = context.to(torch.bfloat16) if args.work == "unet" else None
    runs = {}
    for layout in ("contiguous", "channels_last", "compiled") if args.layout == "all" else (args.layout,):
        if layout != "contiguous":
            model = model.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        if layout == "compiled":
            run = torch.compile(run)
        seconds, processor = [], []
        for i in range(args.warmup + args.repeats):
            start, used = time.perf_counter(), time.process_time()
            run(x)
            if i >= args.warmup:
                seconds.append(round(time.perf_counter() - start, 4))
                processor.append(round(time.process_time() - used, 4))
        runs[layout] = {"seconds": seconds, "min": min(seconds), "processor": min(processor)}
    name, flags = cpu()
    print(json.dumps({
        "peer": "PyTorch", "work": args.work, "precision": args.precision, "threads": args.threads, "runs": runs, "min": min(r["min"] for r in runs.values()),
        "torch": torch.__version__, "diffusers": diffusers.__version__, "cpu": name, "cores": os.cpu_count(), "flags": flags,
        "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
