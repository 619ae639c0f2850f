"""A picture by diffusers' StableDiffusionPipeline, as a person would make it in Python: the whole process, or the warm denoising loop.

    python diffusers_pipeline.py MODEL PROMPT --output out.png [--sampler ddim|dpmpp-2m|euler] [--steps 25] [--guidance 8] [--seed 42] [--size PIXELS] [--threads N]
                                 [--layout contiguous|channels_last|compiled] [--warm]

With --warm the pipeline runs once before, and then once more with its loop timed: from the first call of the UNet to the end of the last step. Prints one JSON object.
"""

import argparse
import json
import os
import resource
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.simplefilter("ignore")


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("model")
    o.add_argument("prompt")
    o.add_argument("--output", required=True)
    o.add_argument("--sampler", choices=("ddim", "dpmpp-2m", "euler"), default="ddim")
    o.add_argument("--steps", type=int, default=25)
    o.add_argument("--guidance", type=float, default=8)
    o.add_argument("--seed", type=int, default=42)
    o.add_argument("--size", type=int)
    o.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    o.add_argument("--layout", choices=("contiguous", "channels_last", "compiled"), default="contiguous")
    o.add_argument("--warm", action="store_true")
    o = o.parse_args()

    import torch
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, logging
    logging.set_verbosity_error()
    torch.set_num_threads(o.threads)
    pipe = StableDiffusionPipeline.from_pretrained(o.model, torch_dtype=torch.float32, safety_checker=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    scheduler = {"ddim": DDIMScheduler, "dpmpp-2m": DPMSolverMultistepScheduler, "euler": EulerDiscreteScheduler}[o.sampler]
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    if o.layout != "contiguous":
        pipe.unet.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    if o.layout == "compiled":
        pipe.unet = torch.compile(pipe.unet)
    times = []
    # Before the first call of the network, and after each step.
    pipe.unet.register_forward_pre_hook(lambda *_: times.append(time.perf_counter()) if not times else None)
    for _ in range(2 if o.warm else 1):
        times.clear()
        picture = pipe(
            o.prompt, num_inference_steps=o.steps, guidance_scale=o.guidance, width=o.size, height=o.size, generator=torch.Generator().manual_seed(o.seed),
            callback_on_step_end=lambda pipe, i, t, values: times.append(time.perf_counter()) or {}).images[0]
    picture.save(o.output)
    print(json.dumps({"loop": times[-1] - times[0], "steps": len(times) - 1, "torch": torch.__version__,
                      "diffusers": __import__("diffusers").__version__, "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
