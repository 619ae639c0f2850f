"""Proves: sdlab's random numbers are torch's.

cases.json lists scripts of draws from one generator. CPU: torch.Generator().manual_seed(seed), whole sequences, so that
the cached second normal (counts under 16) and the redrawn tail (counts that are no multiple of 16) are seen.
CUDA: there is no GPU here; Philox4x32-10 is written out below in numpy, checked against Random123's known answers and
against the twelve published values of torch.randn(3, 4, device="cuda") with seed 0.
"""

import argparse
from pathlib import Path

import common
import numpy as np
import torch


def raw_mt19937(seed, n):
    """32-bit outputs of MT19937 seeded as torch does: with the low 32 bits of the seed."""
    state = np.random.RandomState(seed & 0xFFFFFFFF)
    return state.randint(0, 2**32, size=n, dtype=np.uint32).astype(np.int64)


# ---- Philox

def philox4x32(counter, key, rounds=10):
    """counter: uint32[4, n], key: uint32[2, n] -> uint32[4, n]. Salmon et al., SC 2011."""
    c = [x.astype(np.uint64) for x in counter]
    k = [x.astype(np.uint64) for x in key]
    low = np.uint64(0xFFFFFFFF)
    for r in range(rounds):
        if r:
            k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k[0], p1 & low, (p0 >> np.uint64(32)) ^ c[3] ^ k[1], p0 & low]
    return np.stack(c).astype(np.uint32)


def philox_words(seed, call, n):
    """The four words of thread i in the call-th draw: counter = (call, 0, i, 0), key = (seed low, seed high)."""
    counter = np.zeros((4, n), np.uint32)
    counter[0] = call
    counter[2] = np.arange(n, dtype=np.uint32)
    key = np.zeros((2, n), np.uint32)
    key[0], key[1] = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    return philox4x32(counter, key)


def philox_randn(seed, call, n):
    """curand_normal4's first value in float32: s * sin(v). Each thread writes one value while n <= threads on the GPU."""
    w = philox_words(seed, call, n)
    f, d = np.float32, np.float64
    inv = f(2.3283064e-10)
    inv2pi = f(2.3283064e-10) * f(6.2831855)
    x, y = w[0].astype(f), w[1].astype(f)
    u = (d(inv) * x.astype(d) + d(inv / f(2))).astype(f)      # one rounding, as the fused multiply-add of the GPU
    v = (d(inv2pi) * y.astype(d) + d(inv2pi / f(2))).astype(f)
    s = np.sqrt(f(-2) * np.log(u.astype(d)).astype(f))
    return (s * np.sin(v.astype(d)).astype(f)).astype(f)


KNOWN = [  # Random123 kat_vectors: philox4x32 10
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]
CUDA_SEED_0 = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709,
               -1.07454231, -0.36314407, -1.67105067, 2.26550497]


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--out", type=Path, default=common.GOLDENS / "random")
    out = args.parse_args().out
    torch.set_num_threads(common.THREADS)
    tensors, cases = {}, []

    def case(name, seed, script):
        """script: list of (kind, count or arguments). Long draws keep 64 values at each end and the float64 sum."""
        g = torch.Generator().manual_seed(seed)
        draws = []
        for i, (kind, n) in enumerate(script):
            key = f"{name}.{i}"
            d = {"kind": kind, "key": key}
            if kind == "randn":
                t = torch.randn(n, generator=g)
            elif kind == "rand":
                t = torch.rand(n, generator=g)
            elif kind == "randn64":
                t = torch.randn(n, generator=g, dtype=torch.float64)
            elif kind == "randint":
                (low, high), n = n
                d |= {"low": low, "high": high}
                t = torch.randint(low, high, (n,), generator=g)
            elif kind == "randperm":
                t = torch.randperm(n, generator=g)
            d["count"] = n
            if n > 2048:
                d["sum"] = t.double().sum().item()
                d["kept"] = "first and last 64"
                t = torch.cat([t[:64], t[-64:]])
            tensors[key] = t
            draws.append(d)
        cases.append({"name": name, "seed": str(seed), "draws": draws})

    seeds = {"0": 0, "42": 42, "1234567": 1234567, "u32max": 2**32 - 1, "2p32": 2**32, "2p32p42": 2**32 + 42, "i63max": 2**63 - 1}
    for label, seed in seeds.items():
        tensors[f"mt19937.{label}"] = raw_mt19937(seed, 16)
        g = torch.Generator().manual_seed(seed)
        u = torch.rand(16, generator=g).double() * 2**24
        assert (u.long() == torch.from_numpy(raw_mt19937(seed, 16)) % 2**24).all()
        for n in (1, 3, 7, 15, 16, 17, 31, 33, 100, 1024):
            case(f"cpu.{label}.n{n}", seed, [("randn", n)])
    for label in ("0", "42"):
        case(f"cpu.{label}.latent16", seeds[label], [("randn", 4 * 16 * 16)])
        case(f"cpu.{label}.latent64", seeds[label], [("randn", 4 * 64 * 64)])
        case(f"cpu.{label}.past624", seeds[label], [("randn", 15)] * 25 + [("randn", 640), ("randn", 5)])
    case("cpu.mixed.odd-then-large", 42, [("randn", n) for n in (3, 16, 1, 5, 17, 2, 100, 7, 7, 15, 31, 1, 1, 1)])
    case("cpu.mixed.large-then-odd", 7, [("randn", n) for n in (1024, 1, 1024, 1, 33, 15, 16)])
    case("cpu.mixed.uniform-between", 7, [("randn", 3), ("rand", 5), ("randn", 2), ("rand", 40), ("randn", 17), ("rand", 1), ("randn", 1)])
    case("cpu.mixed.int-between", 9, [("randint", ((0, 1000), 9)), ("randn", 3), ("randint", ((0, 1000), 1)), ("randn", 20),
                                      ("randint", ((-5, 2**33), 6)), ("randn", 1), ("randperm", 10), ("randn", 16), ("randperm", 100)])
    case("cpu.mixed.double", 11, [("randn64", 3), ("randn64", 16), ("randn", 4), ("randn64", 21), ("randn", 1)])
    for n in (1, 2, 15, 16, 100):
        case(f"cpu.uniform.n{n}", 42, [("rand", n)])

    # two rows drawn by two generators, as diffusers' randn_tensor does with a list of generators
    from diffusers.utils.torch_utils import randn_tensor
    gens = [torch.Generator().manual_seed(42 + i) for i in range(3)]
    tensors["list-of-generators"] = randn_tensor((3, 4, 2, 3), generator=gens)
    tensors["one-generator"] = randn_tensor((3, 4, 2, 3), generator=torch.Generator().manual_seed(42))

    known = []
    for counter, key, want in KNOWN:
        got = philox4x32(np.array(counter, np.uint32)[:, None], np.array(key, np.uint32)[:, None])[:, 0]
        assert got.tolist() == want, (counter, got)
        known.append({"counter": counter, "key": key, "output": want})
    seen = philox_randn(0, 0, 12)
    assert np.abs(seen - np.array(CUDA_SEED_0)).max() < 1e-6, seen
    philox = []
    for label, seed in {"0": 0, "42": 42, "u32max": 2**32 - 1, "2p32p42": 2**32 + 42, "i63max": 2**63 - 1}.items():
        key = f"philox.words.{label}"
        tensors[key] = philox_words(seed, 0, 8).astype(np.int64)
        draws = []
        for call, n in enumerate((12, 1, 17, 1024, 16384)):
            key = f"philox.{label}.{call}"
            t = philox_randn(seed, call, n)
            d = {"kind": "randn", "count": n, "key": key}
            if n > 2048:
                d |= {"sum": float(t.astype(np.float64).sum()), "kept": "first and last 64"}
                t = np.concatenate([t[:64], t[-64:]])
            tensors[key] = t
            draws.append(d)
        philox.append({"name": f"philox.{label}", "seed": str(seed), "draws": draws})

    common.write_tensors(out / "random.safetensors", tensors)
    head = {"versions": common.versions("torch", "numpy"),
            "philoxKnownAnswers": known,
            "cudaSeed0Published": CUDA_SEED_0,
            "philox": philox}
    common.write_rows(out / "cases.json", head, "cases", cases)
    print(f"{len(cases)} scripts on the CPU generator, {len(philox)} on Philox, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
