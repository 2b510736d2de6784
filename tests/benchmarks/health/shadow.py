"""The throughput with a challenger in the shadow over that without one, as bench-speed measures it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from tests.benchmarks.health.part import Found, Part

RATIO_MIN = 0.9


def shadowed(options: argparse.Namespace) -> Found:
    """Return the figure of the part of bench-speed, which pins itself to a core and so has a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.speed", "--only", "shadow"]
    command += ["--seconds", str(options.shadow_seconds), "--transactions", str(options.shadow_transactions)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    lines = done.stdout.splitlines()
    ratio = json.loads(lines[-1])["shadow_ratio"] if done.returncode == 0 and lines else None
    return Found({"shadow_ratio": ratio}, good=ratio is not None and ratio >= RATIO_MIN)


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--shadow-seconds", type=float, default=10.0, help="length of a measurement (default: %(default)s)")
    add("--shadow-transactions", type=int, default=1_000_000, help="(default: %(default)s)")


PART = Part("shadow", ("shadow_ratio",), shadowed, _options)
