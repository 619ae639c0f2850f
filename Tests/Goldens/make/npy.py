"""Small .npy and .npz files of every kind that sdlab reads, as numpy writes them."""

import pathlib

import numpy as np

folder = pathlib.Path(__file__).resolve().parent.parent / "npy"
folder.mkdir(exist_ok=True)
values = np.array([[0, 1, 2], [3, 4, 250]])
for dtype in ["f4", "f8", "f2", "i4", "i8", "u1"]:
    np.save(folder / f"{dtype}.npy", values.astype(dtype))
np.save(folder / "f4-fortran.npy", np.asfortranarray(values.astype("f4")))
for version in [2, 3]:
    with open(folder / f"f4-v{version}.npy", "wb") as file:
        np.lib.format.write_array(file, values.astype("f4"), version=(version, 0))
arrays = {"matrix": values.astype("f4"), "cube": np.arange(24).reshape(2, 3, 4), "scalar": np.float64(7)}
np.savez(folder / "stored.npz", **arrays)
np.savez_compressed(folder / "deflated.npz", **arrays)
