"""Fuzz model bundles and pointers by their structure: `make fuzz-bundles`.

A mutant whose hashes and signature were made again is refused, or it is sound: it scores probabilities, alone as in a
batch, explains them, has thresholds that are probabilities, and computes its golden scores. A mutant that nobody
trusted has signed as it is never serves. None raises or hangs. The last line is the result as JSON; exit status 0 if
all of that held. A process that ONNX Runtime ends counts as a crash.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import msgspec

from tests.fuzz.bundle_check import Found, World
from tests.fuzz.bundle_seeds import seeds

PART = 500
"""Mutants of one task of a process."""
HANGS_SECONDS = 60
"""Seconds after which a mutant hangs, on a busy machine too; most take a few milliseconds."""


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.bundles", description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="N", help="default: all CPUs")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    result = run(options.mutants, options.seed, options.processes)
    for example in result.examples:
        print(example, file=sys.stderr)
    print(f"{result.served:,} mutants are sound and served; {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(json.dumps({"mutants": result.mutants, **result.wrong()}, separators=(",", ":")))
    return int(any(result.wrong().values()))


def run(mutants: int, seed: int, processes: int) -> Found:
    """Return what a run has found."""
    total = Found()
    waiting = list(_parts(mutants, seed))
    while waiting:
        with ProcessPoolExecutor(processes, get_context("spawn"), _start) as pool:
            running = [(part, pool.submit(_try, *part)) for part in waiting]
            waiting = []
            for part, future in running:
                try:
                    total.add(msgspec.convert(future.result(), Found))
                except BrokenProcessPool:
                    waiting.append(part)
        if waiting:  # the first of them ended its process; those behind it were only waiting
            lost, *waiting = waiting
            total.add(Found(lost[1], crashes=1, examples=[f"a process ended within mutants {lost}"]))
    return total


def _parts(mutants: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield the seed and the number of mutants of each task."""
    for first in range(0, mutants, PART):
        yield seed * 1_000_000 + first, min(PART, mutants - first)


def _start() -> None:
    logging.disable(logging.CRITICAL)
    faulthandler.enable()
    signal.signal(signal.SIGALRM, signal.default_int_handler)


def _try(seed: int, mutants: int) -> dict[str, object]:
    """Try some mutants in this process."""
    found, chance = Found(), random.Random(seed)
    world = World(seeds())
    for _ in range(mutants):
        signal.alarm(HANGS_SECONDS)
        world.try_one(chance, found)
        signal.alarm(0)
    encoded: dict[str, object] = msgspec.to_builtins(found)
    return encoded


if __name__ == "__main__":
    sys.exit(main())
