"""Executes notebooks with IPython alone: no Jupyter, no server. `notebooks/run` calls it."""

import base64
import io
import json
import os
import pathlib
import sys
import tempfile
import time

import matplotlib.pyplot as plt
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image  # Matplotlib brings it.

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "out/notebooks"


def execute(path, target):
    """Runs the cells in order, in the notebook's folder as Jupyter does, and writes the notebook with their outputs to `target`.

    Returns None, or what went wrong."""
    notebook = json.loads(path.read_text("utf-8"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    os.chdir(path.parent)
    count, failure = 0, None
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if failure:
            continue
        count += 1
        with capture_output() as captured:
            result = shell.run_cell("".join(cell["source"]), store_history=True)
            figures = [png(plt.figure(number)) for number in plt.get_fignums()]
        plt.close("all")
        cell["execution_count"] = count
        if captured.stdout:
            cell["outputs"].append({"output_type": "stream", "name": "stdout", "text": captured.stdout.splitlines(keepends=True)})
        cell["outputs"] += [{"output_type": "display_data", "metadata": {}, "data": data} for data in figures]
        if not result.success:
            failure = f"cell {count}: {result.error_before_exec or result.error_in_exec!r}\n{captured.stdout}{captured.stderr}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return failure


def png(figure):
    """A figure as notebooks store it: 128 colours and no dates, so that it is small and the same figure gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    image = Image.open(file).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": ["<Figure>"]}


def main(arguments):
    write = "--write" in arguments
    names = [name for name in arguments if name != "--write"]
    paths = [pathlib.Path(name).resolve() if os.path.exists(name) else HERE / name for name in names] or sorted(HERE.glob("*.ipynb"))
    failed = False
    for path in paths:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            # Runs and files go where nothing is left behind.
            os.environ["SDLAB_NOTEBOOK_FOLDER"] = scratch
            failure = execute(path, OUT / path.name)
        print(f"{path.name}: {'failed' if failure else 'ok'}, {time.monotonic() - begin:.1f} s", flush=True)
        if failure:
            print(failure, file=sys.stderr)
            failed = True
        elif write:
            path.write_bytes((OUT / path.name).read_bytes())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
