"""PyTorch's time for one UNet step in the SD v1.5 shape: batch 2, 64x64 latents, 77 tokens, float32, random weights.

    python unet_step.py [--threads N] [--repeats 5] [--layout contiguous|channels_last|both] [--batch 2] [--size 64] [--peak]

Prints one JSON object: `runs` has one entry a layout with `seconds` (each repeat, warm-up left out), `min` and
`processor` (fewest processor seconds of a repeat, all threads).
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
    args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args.add_argument("--repeats", type=int, default=5)
    args.add_argument("--warmup", type=int, default=1)
    args.add_argument("--layout", choices=("contiguous", "channels_last", "both"), default="both")
    args.add_argument("--batch", type=int, default=2)
    args.add_argument("--size", type=int, default=64)
    args = args.parse_args()

    import diffusers
    import torch
    from diffusers import UNet2DConditionModel
    diffusers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**UNET).eval()
    x = torch.randn((args.batch, 4, args.size, args.size))
    context = torch.randn((args.batch, 77, 768))
    t = torch.tensor(500)
    runs = {}
    for layout in ("contiguous", "channels_last") if args.layout == "both" else (args.layout,):
        if layout == "channels_last":
            unet = unet.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        seconds, processor = [], []
        for i in range(args.warmup + args.repeats):
            start, used = time.perf_counter(), time.process_time()
            unet(x, t, encoder_hidden_states=context, return_dict=False)
            if i >= args.warmup:
                seconds.append(round(time.perf_counter() - start, 4))
                processor.append(round(time.process_time() - used, 4))
        runs[layout] = {"seconds": seconds, "min": min(seconds), "processor": min(processor)}
    name, flags = cpu()
    print(json.dumps({
        "peer": "PyTorch", "what": "UNet step, SD v1.5 shape, eager, float32", "batch": args.batch, "size": args.size, "threads": args.threads, "runs": runs,
        "seconds": min(runs.values(), key=lambda r: r["min"])["seconds"], "min": min(r["min"] for r in runs.values()),
        "torch": torch.__version__, "diffusers": diffusers.__version__, "cpu": name, "cores": os.cpu_count(), "flags": flags,
        "mkldnn": torch.backends.mkldnn.is_available(), "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
