"""The reader: what it reads and how it refuses. `notebooks/run` runs this first."""

import json
import pathlib
import shutil
import tempfile
import unittest

import numpy as np

from sdlab_run import DamagedFile, MissingCapture, NoRun, Run, RunError, read_safetensors, sdlab, write_safetensors


def raw(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


class Safetensors(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "x.safetensors"

    def test_what_is_written_is_read(self):
        tensors = {
            "a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5, -2], np.float16), "c": np.array([[-7]]),
            "none": np.zeros((0, 4), np.float32), "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T}
        write_safetensors(self.path, tensors)
        found = read_safetensors(self.path)
        self.assertEqual(list(found), list(tensors))
        for name, value in tensors.items():
            self.assertEqual(found[name].dtype, value.dtype)
            np.testing.assert_array_equal(found[name], value)

    def test_bfloat16(self):
        # 1, -2 and 3.140625 are exact in bfloat16: the upper halves of their float32.
        values = np.array([1, -2, 3.140625], np.float32)
        data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        self.path.write_bytes(raw({"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}, data))
        np.testing.assert_array_equal(read_safetensors(self.path)["x"], values)

    def test_damaged_files(self):
        entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        twice = b'{"x":' + json.dumps(entry).encode() + b',"x":' + json.dumps(entry).encode() + b"}"
        for name, content in {
            "empty": b"", "a header longer than the file": (99).to_bytes(8, "little") + b"{}", "no JSON": raw(b"{no"), "no object": raw(b"[]"),
            "a key twice": raw(twice, bytes(8)), "cut short": raw({"x": entry}, bytes(7)), "another size": raw({"x": entry | {"shape": [3]}}, bytes(12)),
            "unknown type": raw({"x": entry | {"dtype": "F8"}}, bytes(8)), "negative": raw({"x": entry | {"shape": [-2], "data_offsets": [8, 0]}}, bytes(8)),
            "no offsets": raw({"x": {"dtype": "F32", "shape": [2]}}, bytes(8)),
        }.items():
            with self.subTest(name), self.assertRaises(DamagedFile):
                self.path.write_bytes(content)
                read_safetensors(self.path)


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.store.cleanup)
        cls.folder = pathlib.Path(
            sdlab("trace", "a red house, a cat", "--sampler", "heun", "--steps", 2, "--sites", "unet.*.attn2.probs@heads", "--rows", "all",
                  "--store", "f16", "--count", 2, "-H", 128, "--runs", cls.store.name, "-q"))

    def test_a_run(self):
        run = Run(self.folder)
        run.verify()
        self.assertEqual((run.prompt, run.count, run.latent_size), ("a red house, a cat", 2, (32, 16)))
        self.assertEqual(run.positions("A"), [1, 5])
        self.assertEqual(run.positions("red house"), [2, 3])
        self.assertEqual([run.tokens[p] for p in run.positions("cat")], ["cat</w>"])
        self.assertEqual(run.latents.shape, (2, 4, 32, 16))
        np.testing.assert_array_equal(run.trajectory[-1], run.latents)
        self.assertEqual(run.image(1).shape, (128, 64, 3))
        self.assertEqual(run.map_size(128), (16, 8))
        capture = run.capture(run.find("unet.up_blocks.*")[0])
        self.assertEqual((capture.reduction, len(capture.rows)), ("heads", 4))
        # heun with 2 steps asks the network three times, and each counts as a step of the run.
        self.assertEqual((capture.steps, len(run.timesteps), len(run.trajectory)), ((0, 1, 2), 3, 4))
        for image in (0, 1):
            for half in ("cond", "uncond"):
                np.testing.assert_allclose(capture.of(image, half).sum(axis=-1), 1, atol=2e-2)
        self.assertGreater(np.abs(capture.of(0, "cond") - capture.of(0, "uncond")).max(), 0.01)

    def test_refusals(self):
        run = Run(self.folder)
        for error, call in (
            (NoRun, lambda: Run(self.folder / "nowhere")), (NoRun, lambda: Run(self.store.name)), (RunError, lambda: run.positions("hous")),
            (MissingCapture, lambda: run.capture("unet.mid_block.out")), (MissingCapture, lambda: run.find("vae.*")),
            (MissingCapture, lambda: run.capture(run.sites[0]).of(image=2)), (MissingCapture, lambda: run.capture(run.sites[0], "none")),
            (RunError, lambda: run.image(2)), (RunError, lambda: run.map_size(7)), (RunError, lambda: sdlab("trace", "a", "--steps", "x")),
        ):
            with self.assertRaises(error):
                call()

    def test_damaged_runs(self):
        def spoil(name, change):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                copy = pathlib.Path(folder) / "run"
                shutil.copytree(self.folder, copy)
                change(copy)
                with self.assertRaises(DamagedFile):
                    Run(copy).verify()

        spoil("a file is missing", lambda copy: (copy / "image-0.png").unlink())
        spoil("a file is cut short", lambda copy: (copy / "latents.safetensors").write_bytes(b"x"))
        spoil("the manifest is cut short", lambda copy: (copy / "manifest.json").write_text('{"schema": 1'))
        spoil("the manifest lacks a key", lambda copy: (copy / "manifest.json").write_text('{"schema": 1}'))
        file = self.folder / "latents.safetensors"
        spoil("a byte is another", lambda copy: (copy / "latents.safetensors").write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1])))


if __name__ == "__main__":
    unittest.main()
