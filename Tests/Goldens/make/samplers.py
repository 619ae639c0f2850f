"""Proves: every sdlab sampler is diffusers' scheduler, step by step, apart from any network.

The model is a fixed elementwise function, out = 0.6 sin(1.7 x) + 0.1 cos(0.01 t), taken in float64 on the scaled input and cast to float32.
Schedulers are built by `from_config`, driven as the public pipelines drive them, and their noise is recorded as it is drawn.
Each case is run a second time in float64 on the same noise: the difference is what rounding alone may do.
"""

import argparse
import collections
import importlib
import math
import types
import warnings
from pathlib import Path

import common
import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from diffusers.utils.torch_utils import randn_tensor

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()

CLASSES = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp-2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp-2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp-2s": ("DPMSolverSinglestepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
STOCHASTIC = {"ddpm", "euler-a", "dpmpp-2m-sde", "lcm"}

SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "trained_betas": None}
BASES = {
    # SD v1.5, SD 2.1, SD-Turbo and an LCM as their scheduler_config.json say; `bare` says nothing, so each class uses its own defaults
    "sd15": {"_class_name": "PNDMScheduler", **SCALED, "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1},
    "sd21": {"_class_name": "DDIMScheduler", **SCALED, "clip_sample": False, "prediction_type": "v_prediction", "set_alpha_to_one": False,
             "skip_prk_steps": True, "steps_offset": 1},
    "turbo": {"_class_name": "EulerDiscreteScheduler", **SCALED, "clip_sample": False, "interpolation_type": "linear", "prediction_type": "epsilon",
              "sample_max_value": 1.0, "set_alpha_to_one": False, "sigma_max": None, "sigma_min": None, "skip_prk_steps": True, "steps_offset": 1,
              "timestep_spacing": "trailing", "timestep_type": "discrete", "use_karras_sigmas": False},
    "lcm": {"_class_name": "LCMScheduler", **SCALED, "clip_sample": False, "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995,
            "original_inference_steps": 50, "prediction_type": "epsilon", "rescale_betas_zero_snr": False, "sample_max_value": 1.0,
            "set_alpha_to_one": True, "steps_offset": 0, "thresholding": False, "timestep_scaling": 10.0, "timestep_spacing": "leading"},
    "bare": {},
}


def model(x, t):
    x = x.double()
    return 0.6 * torch.sin(1.7 * x) + 0.1 * math.cos(0.01 * float(t))


def build(name, config, overrides):
    cls, own = CLASSES[name]
    return getattr(diffusers, cls).from_config(dict(config), **{**own, **overrides})


class Noise:
    """Stands in for randn_tensor in every scheduler module: records, or gives back what was recorded."""
    def __init__(self):
        self.record, self.replay, self.call = [], None, 0
        for name, _ in CLASSES.values():
            module = importlib.import_module(getattr(diffusers, name).__module__)
            if hasattr(module, "randn_tensor"):
                module.randn_tensor = self

    def __call__(self, shape, generator=None, device=None, dtype=None, **kw):
        if self.replay is not None:
            return self.replay.popleft().to(dtype)
        n = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        self.record.append((self.call, n))
        return n


NOISE = Noise()
SHAPE = (1, 4, 3, 3)


def start_of(scheduler, steps, strength):
    pipe = types.SimpleNamespace(scheduler=scheduler)
    return StableDiffusionImg2ImgPipeline.get_timesteps(pipe, steps, strength, "cpu")


def drive(name, config, overrides, steps, eta, strength, dtype, replay=None):
    s = build(name, config, overrides)
    s.set_timesteps(steps)
    g = torch.Generator().manual_seed(0)
    out = {"scheduler": s}
    NOISE.record, NOISE.replay = [], None
    timesteps = s.timesteps
    if strength is None:
        x = (randn_tensor(SHAPE, generator=g) * s.init_noise_sigma).to(dtype)
    else:
        timesteps, _ = start_of(s, steps, strength)
        init = 0.8 * randn_tensor(SHAPE, generator=torch.Generator().manual_seed(1))
        noise = randn_tensor(SHAPE, generator=g)
        x = s.add_noise(init.to(dtype), noise.to(dtype), timesteps[:1])
        out |= {"init": init, "initNoise": noise}
    out["x"] = x
    if replay is not None:
        NOISE.replay = collections.deque(replay)
    extra = StableDiffusionPipeline.prepare_extra_step_kwargs(types.SimpleNamespace(scheduler=s), g, eta)
    xs, preds, inputs = [], [], []
    for i, t in enumerate(timesteps):
        NOISE.call = i
        x_in = s.scale_model_input(x, t)
        y = model(x_in, t).to(dtype)
        r = s.step(y, t, x, **extra)
        x = r.prev_sample
        xs.append(x)
        inputs.append(x_in)
        p = getattr(r, "pred_original_sample", None)
        if p is None:
            p = getattr(r, "denoised", None)
        preds.append(p)
    out |= {"steps": xs, "preds": preds, "inputs": inputs, "visited": timesteps}
    return out


def jsonable(config):
    clean = {}
    for k, v in config.items():
        if k in ("_use_default_values", "_diffusers_version"):
            continue
        if isinstance(v, float) and math.isinf(v):
            v = "-inf" if v < 0 else "inf"
        clean[k] = v
    return dict(sorted(clean.items()))


def cases():
    """(sampler, base, overrides, steps, eta, strength)"""
    out = []
    add = lambda name, base, steps, eta=0.0, strength=None, **over: out.append((name, base, over, steps, eta, strength))
    for name in CLASSES:
        lcm = name == "lcm"
        for steps in (1, 2, 4, 8) if lcm else (1, 2, 3, 10, 50):
            add(name, "embedded", steps)
        add(name, "sd15", 6 if lcm else 20)
        add(name, "sd21", 4 if lcm else 7)
        add(name, "sd21", 5 if lcm else 20)
        add(name, "bare", 4 if lcm else 10)
        add(name, "turbo", 3)
        for strength in (0.3, 0.5, 0.9):
            add(name, "embedded", 8 if lcm else 10, strength=strength)
    for name in ("dpmpp-2m", "dpmpp-2s", "unipc", "lms", "pndm"):
        add(name, "embedded", 7, strength=0.6)
        add(name, "embedded", 15)
    # spacing
    for name in CLASSES:
        if name not in ("lcm", "dpmpp-2m-karras"):
            for spacing in ("leading", "linspace", "trailing"):
                add(name, "embedded", 7, timestep_spacing=spacing)
    # Karras where the class has it
    for name in ("lms", "euler", "heun", "dpmpp-2m-sde", "dpmpp-2s", "unipc"):
        add(name, "embedded", 10, use_karras_sigmas=True)
        add(name, "sd21", 7, use_karras_sigmas=True)
    add("euler", "embedded", 6, use_karras_sigmas=True, timestep_spacing="trailing")
    add("dpmpp-2m-karras", "embedded", 7, timestep_spacing="trailing")
    add("dpmpp-2m-karras", "embedded", 10, final_sigmas_type="sigma_min")
    add("dpmpp-2m-karras", "embedded", 25)
    # ddim: eta, offsets, last alpha, clipping, zero terminal signal-to-noise
    for eta in (0.5, 1.0):
        add("ddim", "embedded", 10, eta=eta)
        add("ddim", "sd21", 7, eta=eta)
        add("ddim", "embedded", 10, eta=eta, strength=0.5)
    for offset in (0, 1):
        for one in (False, True):
            add("ddim", "embedded", 10, steps_offset=offset, set_alpha_to_one=one)
            add("pndm", "embedded", 10, steps_offset=offset, set_alpha_to_one=one)
    add("ddim", "embedded", 10, clip_sample=True)
    add("ddim", "embedded", 10, eta=1.0, clip_sample=True, clip_sample_range=2.0)
    for base in ("sd15", "sd21"):
        add("ddim", base, 10, rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction")
        add("ddim", base, 10, eta=1.0, rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction")
    for name in ("ddpm", "euler", "euler-a", "dpmpp-2m", "lcm"):
        add(name, "sd21", 4 if name == "lcm" else 7, rescale_betas_zero_snr=True, timestep_spacing="leading" if name == "lcm" else "trailing", prediction_type="v_prediction")
    # ddpm: variance and clipping
    for kind in ("fixed_small", "fixed_large", "fixed_small_log", "fixed_large_log"):
        if kind != "fixed_large_log":
            add("ddpm", "embedded", 10, variance_type=kind)
    add("ddpm", "embedded", 10, clip_sample=True)
    add("ddpm", "embedded", 10, clip_sample=True, clip_sample_range=3.0)
    add("ddpm", "embedded", 1000)
    add("ddpm", "embedded", 1000, steps_offset=0)
    add("ddpm", "embedded", 10, steps_offset=0)
    # pndm with its Runge-Kutta start
    for steps in (10, 20, 50):
        add("pndm", "embedded", steps, skip_prk_steps=False)
    add("pndm", "sd21", 10, skip_prk_steps=False)
    # multistep solvers
    for name in ("dpmpp-2m", "dpmpp-2s", "unipc"):
        for order in (1, 2, 3):
            for steps in (5, 16):
                add(name, "embedded", steps, solver_order=order)
    for name in ("dpmpp-2m", "dpmpp-2m-sde"):
        add(name, "embedded", 10, solver_type="heun")
        add(name, "embedded", 10, euler_at_final=True)
        add(name, "embedded", 10, final_sigmas_type="sigma_min")
        add(name, "embedded", 20, lower_order_final=False, final_sigmas_type="sigma_min")
    add("dpmpp-2m-sde", "sd21", 10, use_karras_sigmas=True)
    add("dpmpp-2m", "embedded", 10, use_lu_lambdas=True)
    add("dpmpp-2m", "embedded", 8, lambda_min_clipped=-5.1)
    add("dpmpp-2s", "embedded", 10, final_sigmas_type="sigma_min")
    add("dpmpp-2s", "embedded", 9, solver_type="heun")
    add("dpmpp-2s", "embedded", 9, lower_order_final=False)
    add("dpmpp-2s", "embedded", 9, lower_order_final=True)
    add("dpmpp-2s", "embedded", 10, lower_order_final=True)
    add("unipc", "embedded", 10, solver_type="bh1")
    add("unipc", "embedded", 10, disable_corrector=[0, 1])
    add("unipc", "embedded", 10, predict_x0=False)
    add("unipc", "embedded", 10, solver_type="bh1", final_sigmas_type="sigma_min")
    add("unipc", "embedded", 10, predict_x0=False, final_sigmas_type="sigma_min")
    add("unipc", "embedded", 10, final_sigmas_type="sigma_min")
    add("unipc", "embedded", 10, lower_order_final=False, final_sigmas_type="sigma_min")
    # other noise schedules
    for name in CLASSES:
        add(name, "embedded", 5, beta_schedule="squaredcos_cap_v2")
    for name in ("ddpm", "ddim", "euler", "dpmpp-2m", "unipc", "heun"):
        add(name, "embedded", 5, beta_schedule="linear", beta_start=0.0001, beta_end=0.02)
    # prediction override
    for name in CLASSES:
        add(name, "embedded", 6, prediction_type="v_prediction")
    # LCM
    for steps in (1, 2, 4, 8):
        add("lcm", "lcm", steps)
    add("lcm", "lcm", 4, strength=0.5)
    add("lcm", "lcm", 4, original_inference_steps=100)
    add("lcm", "lcm", 50)
    add("lcm", "lcm", 4, timestep_scaling=5.0)
    add("lcm", "lcm", 4, clip_sample=True)
    for steps in (1, 2, 4):
        add("euler", "turbo", steps)
        add("euler-a", "turbo", steps)
    for kind in ("linear", "log_linear"):
        add("euler", "embedded", 6, interpolation_type=kind)
    add("euler", "embedded", 6, final_sigmas_type="sigma_min")
    seen, unique = set(), []
    for c in out:
        key = repr(c)
        if key not in seen:
            seen.add(key)
            unique.append(c)
    return unique


def label(name, base, over, steps, eta, strength):
    parts = [base, f"n{steps}"]
    parts += [f"eta{eta:g}"] if eta else []
    parts += [f"strength{strength:g}"] if strength is not None else []
    parts += [f"{k}={'-'.join(map(str, v)) if isinstance(v, list) else v}" for k, v in over.items()]
    return "/".join([name] + parts)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, default=common.MODEL)
    args.add_argument("--out", type=Path, default=common.GOLDENS / "samplers")
    args = args.parse_args()
    torch.set_num_threads(common.THREADS)
    import json
    BASES["embedded"] = json.loads((args.model / "scheduler" / "scheduler_config.json").read_text())
    tensors = collections.defaultdict(dict)
    rows, refused, configs = [], [], []
    for case in cases():
        name, base, over, steps, eta, strength = case
        case_label = label(*case)
        try:
            r = drive(name, BASES[base], over, steps, eta, strength, torch.float32)
        except Exception as e:
            refused.append({"case": case_label, "sampler": name, "base": base, "overrides": over, "steps": steps, "error": f"{type(e).__name__}: {e}"[:300]})
            continue
        if not all(torch.isfinite(x).all() for x in r["steps"]):
            refused.append({"case": case_label, "sampler": name, "base": base, "overrides": over, "steps": steps, "error": "diffusers itself gives values that are not finite"})
            continue
        noise = list(NOISE.record)
        s, t = r["scheduler"], tensors[name]
        n_calls = len(r["steps"])
        d = drive(name, BASES[base], over, steps, eta, strength, torch.float64, [n for _, n in noise])
        NOISE.replay = None
        scale = max(x.abs().max().item() for x in r["steps"])
        drift = max((a.double() - b.double()).abs().max().item() for a, b in zip(r["steps"], d["steps"]))
        keep = list(range(n_calls)) if n_calls <= 60 else [i for i in range(n_calls) if i < 10 or i % 100 == 99 or i >= n_calls - 10]
        p = case_label
        t[p + ":x"] = r["x"]
        t[p + ":steps"] = torch.cat([r["steps"][i] for i in keep])
        t[p + ":timesteps"] = s.timesteps.to(torch.float32)
        if r["preds"][0] is not None and n_calls <= 10:
            t[p + ":pred"] = torch.cat([r["preds"][i] for i in keep])
        if getattr(s, "sigmas", None) is not None and hasattr(s, "set_begin_index") and name not in ("ddpm", "ddim", "pndm", "lcm"):
            t[p + ":sigmas"] = torch.as_tensor(np.asarray(s.sigmas), dtype=torch.float32)
        long = len(noise) > 60
        if noise and not long:
            t[p + ":noise"] = torch.cat([n for _, n in noise])
        if strength is not None:
            t[p + ":init"], t[p + ":initNoise"] = r["init"], r["initNoise"]
        row = {"case": p, "sampler": name, "base": base, "overrides": over, "steps": steps, "eta": eta, "strength": strength, "calls": n_calls,
               "order": getattr(s, "order", 1), "initNoiseSigma": float(s.init_noise_sigma), "noiseCalls": [i for i, _ in noise], "noiseStored": bool(noise) and not long,
               "kept": keep if len(keep) != n_calls else None, "scale": scale, "drift64": drift}
        if strength is not None:
            _, left = start_of(build_set(name, BASES[base], over, steps), steps, strength)
            row |= {"start": len(s.timesteps) - n_calls, "startSteps": left, "firstTimesteps": [float(v) for v in r["visited"][:3]]}
        config = jsonable(s.config)
        if config not in configs:
            configs.append(config)
        row["config"] = configs.index(config)
        rows.append(row)

    # add_noise at the first, a middle and the last timestep, and where image to image starts
    noising, starts = [], []
    for name in CLASSES:
        for base in ("embedded", "sd21", "bare"):
            s = build_set(name, BASES[base], {}, 10 if name != "lcm" else 8)
            picked = s.timesteps[[0, len(s.timesteps) // 2, -1]]
            g = torch.Generator().manual_seed(3)
            x = torch.randn((3, 4, 3, 3), generator=g)
            n = torch.randn((3, 4, 3, 3), generator=g)
            key = f"add_noise/{name}/{base}"
            tensors["add_noise"][f"{key}:out"] = s.add_noise(x, n, picked)
            noising.append({"case": key, "sampler": name, "base": base, "steps": 10 if name != "lcm" else 8, "timesteps": [float(v) for v in picked]})
        for steps in (1, 2, 10, 20, 50):
            for strength in (0.0, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0):
                s = build_set(name, BASES["embedded"], {}, steps)
                t, left = start_of(s, steps, strength)
                starts.append({"sampler": name, "steps": steps, "strength": strength, "start": len(s.timesteps) - len(t), "startSteps": left,
                               "calls": len(t), "firstTimesteps": [float(v) for v in t[:3]]})
    tensors["add_noise"]["x"], tensors["add_noise"]["noise"] = x, n
    # the schedule itself
    for base in ("embedded", "bare"):
        for over in ({}, {"beta_schedule": "squaredcos_cap_v2"}, {"rescale_betas_zero_snr": True}):
            s = build("ddim", BASES[base], over)
            tensors["schedule"]["/".join([base, *map(str, over.values())]) + ":alphasCumprod"] = s.alphas_cumprod

    for name, t in tensors.items():
        common.write_tensors(args.out / f"{name}.safetensors", t)
    head = {"versions": common.versions("diffusers", "torch", "numpy", "scipy"), "bases": BASES,
            "classes": {k: {"class": c, "overrides": o, "defaults": jsonable(getattr(diffusers, c)().config)} for k, (c, o) in CLASSES.items()}}
    head["configs"] = configs
    common.write_rows(args.out / "cases.json", head, "cases", rows)
    common.write_rows(args.out / "starts.json", {"base": "embedded"}, "starts", starts)
    common.write_rows(args.out / "add_noise.json", {"tensors": "x and noise are [3,4,3,3]; row i goes with timesteps[i]"}, "cases", noising)
    common.write_rows(args.out / "refused.json", {"about": "what diffusers itself refuses or answers with nothing finite"}, "cases", refused)
    print(f"{len(rows)} cases, {len(refused)} refused, worst drift/scale {max(r['drift64'] / max(1, r['scale']) for r in rows):.2e}")
    for r in refused:
        print("  ", r["case"], "->", r["error"][:120])


def build_set(name, config, over, steps):
    s = build(name, config, over)
    s.set_timesteps(steps)
    return s


if __name__ == "__main__":
    main()
