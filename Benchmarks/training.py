"""Training sdlab's small latent diffusion model here and in PyTorch: seconds a step, in alternation, and their ratio.

    training.py [--sdlab .build/release/sdlab] [--batch 16] [--turns 3] [--threads N] [--text] [--write]

The same work on both sides, in float32: the UNet of the model that comes with sdlab (with --text its text encoder too), AdamW, minimum-SNR weights, gradients clipped, a moving average.
PyTorch runs as its users would at their best: channels-last, fused AdamW, the foreach average, with the UNet as it is and compiled (inductor). sdlab's steps are those of `sdlab train ldm`: two trainings of
different lengths, so that loading, drawing scenes and writing cancel out; PyTorch's are timed in process after three that warm up, on latents in memory.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from results import ROOT, kind, machine, spread, write

MODEL = ROOT / "Resources" / "scenes-model"
SHORT, LONG = 4, 24


def sdlab(program, batch, text, threads):
    def seconds(steps):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "t"
            command = [program, "train", "ldm", "--steps", str(steps), "--batch", str(batch), "--examples", "200", "--checkpoint", "100000", "--samples", "", "--out", str(out), "--json", "-q"]
            done = subprocess.run(command + (["--text-encoder"] if text else []), capture_output=True, text=True, env=os.environ | {"SDLAB_LOG": "off", "SDLAB_THREADS": str(threads)})
            if done.returncode:
                raise SystemExit(done.stderr)
            return json.loads(done.stdout)["seconds"]
    return (seconds(LONG) - seconds(SHORT)) / (LONG - SHORT)


class Torch:
    def __init__(self, batch, text, compiled):
        import torch
        from diffusers import DDPMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel
        self.torch, self.batch = torch, batch
        self.unet = UNet2DConditionModel.from_pretrained(MODEL, subfolder="unet", torch_dtype=torch.float32).to(memory_format=torch.channels_last).train()
        self.text = CLIPTextModel.from_pretrained(MODEL, subfolder="text_encoder", torch_dtype=torch.float32).train(text)
        self.text.requires_grad_(text)
        schedule = DDPMScheduler.from_pretrained(MODEL, subfolder="scheduler")
        self.alphas = schedule.alphas_cumprod
        self.trained = list(self.unet.parameters()) + (list(self.text.parameters()) if text else [])
        self.average = [p.detach().clone() for p in self.trained]
        self.optimiser = torch.optim.AdamW(self.trained, 1e-4, weight_decay=0.01, fused=True)
        self.call = torch.compile(self.unet) if compiled else self.unet
        g = torch.Generator().manual_seed(0)
        self.latents = torch.randn(64, 4, 16, 16, generator=g)
        self.ids = torch.randint(0, 600, (64, 32), generator=g)

    def step(self, k):
        torch = self.torch
        rows = (torch.arange(self.batch) + k * self.batch) % 64
        x = self.latents[rows].contiguous(memory_format=torch.channels_last)
        t = torch.randint(0, 1000, (self.batch,))
        a = self.alphas[t][:, None, None, None]
        noise = torch.randn_like(x)
        out = self.call(a.sqrt() * x + (1 - a).sqrt() * noise, t, encoder_hidden_states=self.text(self.ids[rows])[0]).sample
        snr = (a / (1 - a)).flatten()
        loss = ((out - noise).square().mean((1, 2, 3)) * (snr.clamp(max=5) / snr)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        torch._foreach_lerp_(self.average, [p.detach() for p in self.trained], 0.001)
        return loss.item()

    def seconds(self):
        for k in range(3):
            self.step(k)
        start = time.perf_counter()
        for k in range(LONG - SHORT):
            self.step(k)
        return (time.perf_counter() - start) / (LONG - SHORT)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sdlab", default=str(ROOT / ".build" / "release" / "sdlab"))
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--text", action="store_true", help="train the text encoder too")
    p.add_argument("--write", action="store_true", help="write the table to RESULTS.md")
    args = p.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    peers = {"PyTorch, channels last": Torch(args.batch, args.text, False), "PyTorch, compiled": Torch(args.batch, args.text, True)}
    ours, theirs = [], {name: [] for name in peers}
    for turn in range(args.turns):
        ours.append(sdlab(args.sdlab, args.batch, args.text, args.threads))
        for name, peer in peers.items():
            theirs[name].append(peer.seconds())
        print(f"turn {turn + 1}: sdlab {ours[-1]:.3f} s a step, " + ", ".join(f"{name} {seconds[-1]:.3f}" for name, seconds in theirs.items()), flush=True)
    best, other = min(ours), min(min(seconds) for seconds in theirs.values())
    lines = [
        machine(args.threads, f"torch {torch.__version__}", f"`Benchmarks/training.py`, {args.turns} turns: the UNet of the small model{' and its text encoder' if args.text else ''}, batch {args.batch}, "
                "float32, AdamW, clipped gradients, a moving average; seconds a step"), "",
        "| | sdlab | " + " | ".join(peers) + " | sdlab's examples a second | of the faster peer's |", "| --- " * (4 + len(peers)) + "|",
        f"| UNet{' and text encoder' if args.text else ''} | {spread(ours, 3)} | " + " | ".join(spread(seconds, 3) for seconds in theirs.values())
        + f" | {args.batch / best:.1f} | {other / best:.2f} |"]
    print("\n".join(lines))
    if args.write:
        write(f"{kind()}: training", lines)


if __name__ == "__main__":
    main()
