"""Opens the runs that `sdlab trace` writes, with numpy alone.

    run = Run("runs/a-red-house-42-1a2b3c4d")
    run.prompt, run.timesteps, run.positions("red house")
    run.trajectory                       # [steps + 1, images, channels, height, width]
    run.capture("unet.mid_block.out")    # .values [calls, rows, ...]
    run.image(0)                         # [height, width, 3], 0 to 1

A run is a folder: manifest.json says what it is and lists its files, latents.safetensors has the final latents, trajectory.safetensors those of every
step, captures/ one file for each captured site, image-0.png and so on the pictures. Whatever is wrong with one is a RunError whose text says what
to do.
"""

import difflib
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np


class RunError(Exception):
    """Something about a run, or about a file of numbers, is not as it must be."""


class NoRun(RunError):
    """The folder is not there, or is no run."""


class DamagedFile(RunError):
    """A file is missing, cut short, or not what its header says."""


class MissingCapture(RunError):
    """The run has not kept this site."""


# safetensors: 8 bytes with the length of a JSON header, the header, the numbers. https://github.com/huggingface/safetensors

_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}
_LONGEST_HEADER = 100_000_000


def read_safetensors(path):
    """All tensors of a file by name. They are mapped, not read: only what is used is fetched. BF16, which numpy lacks, becomes float32."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise DamagedFile(f"{path}: there is no such file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise DamagedFile(f"{path}: not a safetensors file, or cut short: {size} bytes, a header of {length}")
        try:
            header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{path}: the header cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise DamagedFile(f"{path}: the header is no JSON object")
    return {name: _tensor(path, name, entry, 8 + length, size) for name, entry in header.items() if name != "__metadata__"}


def _distinct(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)


def _tensor(path, name, entry, start, size):
    try:
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise DamagedFile(f"{path}: {name}: expected dtype, shape and data_offsets") from None
    if kind not in _TYPES:
        raise DamagedFile(f"{path}: {name}: dtype {kind} is not one of {', '.join(_TYPES)}")
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise DamagedFile(f"{path}: {name}: shape and data_offsets must be whole numbers from 0")
    dtype = np.dtype(_TYPES[kind])
    expected = math.prod(shape) * dtype.itemsize
    if end - begin != expected:
        raise DamagedFile(f"{path}: {name}: {kind} {list(shape)} takes {expected} bytes, its data_offsets {begin} to {end}")
    if start + end > size:
        raise DamagedFile(f"{path}: {name}: cut short: {start + end} bytes expected, {size} found")
    if expected == 0:
        return np.zeros(shape, np.float32 if kind == "BF16" else dtype)
    values = np.memmap(path, dtype, "r", offset=start + begin, shape=shape)
    if kind == "BF16":
        return (np.asarray(values, np.uint32) << 16).view(np.float32)
    return values


def write_safetensors(path, tensors):
    """Writes arrays by name: float32, float16 or int64; float64 becomes float32. The file is whole or not there."""
    header, blobs, place = {}, [], 0
    for name, value in tensors.items():
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        kinds = [kind for kind, dtype in _TYPES.items() if kind != "BF16" and value.dtype == np.dtype(dtype)]
        if not kinds:
            raise RunError(f"{name}: {value.dtype} cannot be written; float32, float16 and int64 can")
        blob = value.astype(_TYPES[kinds[0]]).tobytes()
        header[name] = {"dtype": kinds[0], "shape": list(value.shape), "data_offsets": [place, place + len(blob)]}
        blobs.append(blob)
        place += len(blob)
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(path)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    os.replace(part, path)


@dataclass(frozen=True)
class Word:
    """A word of the prompt and where its tokens stand."""

    text: str
    positions: tuple


@dataclass(frozen=True)
class Capture:
    """What was kept of one site."""

    site: str
    # What the site's own dimensions are, before any reduction.
    axes: str
    # none, heads (mean over them), entropy or pixels (mean over the positions).
    reduction: str
    # (image, "cond" or "uncond") of each row.
    rows: tuple
    # Step and timestep of each entry of the first dimension.
    steps: tuple
    timesteps: tuple
    # [calls, rows, ...]
    values: np.ndarray

    def of(self, image=0, half="cond"):
        """The values of one row, [calls, ...], as float32."""
        if (image, half) not in self.rows:
            found = ", ".join(f"image {i} {h}" for i, h in self.rows)
            raise MissingCapture(f"{self.site}: no row image {image} {half} was kept; there are {found}")
        return np.asarray(self.values[:, self.rows.index((image, half))], np.float32)


class Run:
    """A finished run on the disk."""

    # The version of manifest.json that is read here.
    SCHEMA = 1

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        path = self.folder / "manifest.json"
        if not path.is_file():
            reason = "no manifest.json is in it" if self.folder.is_dir() else "there is no such folder"
            raise NoRun(f"{self.folder}: no run: {reason}; `sdlab trace \"PROMPT\"` makes one, `sdlab runs list` lists them")
        try:
            m = json.loads(path.read_text("utf-8"))
            schema = m["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(f"{path}: cannot be read: {error!r}") from None
        if schema != self.SCHEMA:
            raise NoRun(f"{path}: schema {schema}; this reader knows {self.SCHEMA}")
        self.manifest = m
        try:
            self.id = m["id"]
            # Everything that was asked for: prompt, seed, sampler, steps, guidance, width, height, count, ...
            self.parameters = m["spec"]["parameters"]
            self.prompt = self.parameters["prompt"]
            self.count = self.parameters["count"]
            # What the model reads, the padding included; the prompt's own tokens stand at 1...prompt_tokens.
            self.tokens = m["tokens"]
            self.prompt_tokens = m["prompt_tokens"]
            self.words = [Word(w["text"], tuple(w["positions"])) for w in m["words"]]
            # Of each step: the timestep and the share of the signal's variance there.
            self.timesteps = np.array(m["timesteps"], float)
            self.alphas_cumprod = np.array(m["alphas_cumprod"], float)
            # (step, timestep) of each evaluation of the network. With heun and pndm there are more than `steps` asks for.
            self.calls = [(c["step"], c["timestep"]) for c in m["calls"]]
            # Height and width of the latents.
            self.latent_size = tuple(m["latent_size"])
            self._captures = m["captures"]
            files = [(f["path"], f["bytes"], f["sha256"]) for f in m["files"]]
        except (KeyError, TypeError) as error:
            raise DamagedFile(f"{path}: {error} is missing or misshapen; make the run again") from None
        self._digests = {name: digest for name, _, digest in files}
        for name, size, _ in files:
            file = self.folder / name
            found = file.stat().st_size if file.is_file() else None
            if found != size:
                found = "no file" if found is None else found
                raise DamagedFile(f"{file}: {size} bytes expected, {found} found; the run is half there: make it again")

    def __repr__(self):
        return f"Run({self.id!r}: {len(self.timesteps)} steps, {self.count} image(s), {len(self._captures)} captures)"

    def verify(self):
        """Compares the SHA-256 of every file with the manifest's."""
        for name, digest in self._digests.items():
            if hashlib.sha256((self.folder / name).read_bytes()).hexdigest() != digest:
                raise DamagedFile(f"{self.folder / name}: was changed after the run was made: its SHA-256 is another")

    # The prompt

    def positions(self, words):
        """Where the tokens of a word, or of several words in a row, stand: of all occurrences, capitals ignored."""
        wanted = words.lower().split()
        texts = [word.text.lower() for word in self.words]
        found = [i for i in range(len(texts) - len(wanted) + 1) if wanted and texts[i : i + len(wanted)] == wanted]
        if not found:
            near = difflib.get_close_matches(words.lower(), texts, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(dict.fromkeys(texts))}"
            raise RunError(f"no word '{words}' in the prompt; {hint}")
        return [p for i in found for word in self.words[i : i + len(wanted)] for p in word.positions]

    # Pictures and latents

    def image(self, index=0):
        """Picture `index`, [height, width, 3], 0 to 1."""
        import matplotlib.image

        path = self.folder / f"image-{index}.png"
        if not path.is_file():
            raise RunError(f"{path}: the run has the images 0 to {self.count - 1}")
        return matplotlib.image.imread(path)[..., :3]

    @property
    def latents(self):
        """Final latents, [images, channels, height, width]."""
        return self._read("latents.safetensors", "latents")

    @property
    def trajectory(self):
        """Latents before the first and after every step, [steps + 1, images, channels, height, width]."""
        return self._read("trajectory.safetensors", "latents")

    @property
    def predicted_original(self):
        """What each step takes the finished latents to be (x0), [steps, images, channels, height, width]."""
        return self._read("trajectory.safetensors", "predicted_original")

    # Captures

    @property
    def sites(self):
        """The captured sites in the order of the network."""
        return list(dict.fromkeys(c["site"] for c in self._captures))

    def find(self, pattern):
        """The captured sites that match, * standing for any run of characters."""
        expression = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.S)
        found = [site for site in self.sites if expression.fullmatch(site)]
        if not found:
            raise MissingCapture(f"{self.id}: nothing was captured at {pattern}; `sdlab trace --sites '{pattern}'` would")
        return found

    def capture(self, site, reduction=None):
        """What was kept of a site; `reduction` (none, heads, entropy, pixels) decides when it was kept in several ways."""
        here = [c for c in self._captures if c["site"] == site]
        if not here:
            near = difflib.get_close_matches(site, self.sites, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"`sdlab trace --sites '{site}'` would"
            raise MissingCapture(f"{self.id}: {site} was not captured; {hint}")
        kinds = [c["reduction"] for c in here]
        fitting = [c for c in here if reduction in (None, c["reduction"])]
        if len(fitting) != 1:
            raise MissingCapture(f"{self.id}: {site} was kept with the reductions {', '.join(kinds)}: name one of them")
        entry = fitting[0]
        values = self._read(entry["file"], "values")
        if list(values.shape) != entry["shape"] or len(entry["calls"]) != len(values):
            raise DamagedFile(f"{self.folder / entry['file']}: shape {list(values.shape)}, the manifest says {entry['shape']}")
        calls = [self.calls[i] for i in entry["calls"]]
        return Capture(
            site, entry["axes"], entry["reduction"], tuple((row["image"], row["half"]) for row in entry["rows"]),
            tuple(step for step, _ in calls), tuple(t for _, t in calls), values)

    def map_size(self, pixels):
        """Height and width of a map with that many pixels: each level of the UNet halves the latents' sides, rounding up."""
        height, width = self.latent_size
        while height * width > pixels and height * width > 1:
            height, width = (height + 1) // 2, (width + 1) // 2
        if height * width != pixels:
            raise RunError(f"no level over latents of {self.latent_size[0]}x{self.latent_size[1]} has {pixels} pixels")
        return height, width

    def _read(self, file, name):
        tensors = read_safetensors(self.folder / file)
        if name not in tensors:
            raise DamagedFile(f"{self.folder / file}: {name} is missing; the run is damaged: make it again")
        return tensors[name]


def sdlab(*arguments):
    """Runs sdlab, from the PATH or from this package's build, and returns what it prints. Fails as loudly as it does."""
    built = pathlib.Path(__file__).resolve().parent.parent / ".build/release/sdlab"
    program = shutil.which("sdlab") or (str(built) if built.is_file() else None)
    if program is None:
        raise RunError("sdlab is not on the PATH and was not built; `make build` builds it")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RunError(f"sdlab {arguments[0]}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
