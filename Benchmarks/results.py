"""What the benchmarks share: a kind of processor, seconds and memory of a process, and the sections of RESULTS.md."""

import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "RESULTS.md"
sys.path.insert(0, str(HERE / "peers"))

from torch_pass import cpu  # noqa: E402

LEVELS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with BF16", "avx512f": "AVX-512", "avx2": "AVX2"}


def kind():
    """The kind of this processor, by which RESULTS.md is divided: what it has for matrix products."""
    flags = cpu()[1]
    return next((name for flag, name in LEVELS.items() if flag in flags), platform.machine())


def machine(threads, *more):
    """One line: when and on what, and with which versions."""
    load = f"load at the end {os.getloadavg()[0]:.1f}"
    return ", ".join([f"{datetime.date.today():%d %B %Y}", cpu()[0], f"{threads} threads of {os.cpu_count()} processors"]) + "; " + "; ".join([*more, load]) + "."


def spread(seconds, digits=2):
    """`best (median, worst)`."""
    seconds = sorted(seconds)
    return f"{seconds[0]:.{digits}f} ({statistics.median(seconds):.{digits}f}, {seconds[-1]:.{digits}f})"


def ratio(ours, theirs):
    """Of the best turns, and of the medians."""
    return f"{min(ours) / min(theirs):.3f} ({statistics.median(ours) / statistics.median(theirs):.3f})"


def process(command, **environment):
    """Runs a program to its end: what it printed, wall seconds from its start to its end, its largest resident size in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: ended with {child.returncode}")
    return out, seconds, usage.ru_maxrss // 1024


def write(title, lines):
    """Replaces the section of this title in RESULTS.md, or adds it."""
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    head, *sections = re.split(r"^(?=## )", old, flags=re.M)
    sections = [s for s in sections if not s.startswith(f"## {title}\n")] + [f"## {title}\n\n" + "\n".join(lines) + "\n"]
    RESULTS.write_text(head.rstrip() + "\n\n" + "\n".join(s.rstrip() + "\n" for s in sorted(sections)))
