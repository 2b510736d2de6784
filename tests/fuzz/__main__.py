"""Fuzz the functions, guided by coverage (atheris): `make fuzz`.

Every body must be answered with 204 and leave exactly one row: a score, a report, an outcome or a quarantined
message. Otherwise the body is printed and written to a file `crash-*`. Exit status 0 if there is no such body.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec

BATCH = 64
"""Bodies delivered together; each is decoded on its own first, to attribute coverage to it."""
FRESH = 0.6
"""Share of inputs that start from a valid delivery; most inputs of the corpus are broken already."""


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer; on a failure libFuzzer ends the process with its own status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N", help="bodies (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional, Linux only
    except ImportError:
        parser.error("atheris is not installed (it is for Linux): make fuzz installs it")
    with atheris.instrument_imports(include=["shared"]):
        from tests.fuzz import mutations
        from tests.fuzz.functions import Functions
        from tests.fuzz.run import Fuzzer

    fuzzer = Fuzzer(Functions(), options.runs, BATCH)
    with tempfile.TemporaryDirectory(prefix="pix-fuzz-") as folder:
        for number, (function, body) in enumerate(mutations.seeds()):
            Path(folder, str(number)).write_bytes(bytes([function]) + body)
        flags = [
            f"-runs={options.runs}",
            f"-seed={options.seed}",
            f"-max_len={mutations.MAX_BODY}",
            *("-rss_limit_mb=0", "-timeout=60", "-len_control=0"),
        ]
        # libFuzzer ends the process itself, so the last run has to print the report.
        fuzzer.done = lambda: _report(fuzzer.bodies, fuzzer.quarantined, started)
        started = time.monotonic()
        # atheris replaces its Mutate in Fuzz(), so it must be looked up at each call.
        mutator = _mutator(lambda data, size: atheris.Mutate(data, size), mutations)
        atheris.Setup([sys.argv[0], *flags, folder], fuzzer, custom_mutator=mutator)
        atheris.Fuzz()
    return 0


def _mutator(
    mutate_bytes: Callable[[bytes, int], bytes], mutations: ModuleType
) -> Callable[[bytes, int, int], bytes]:
    """Return the mutator of libFuzzer; `mutations` is passed in as it is imported under instrumentation."""
    seeds = mutations.seeds()

    def mutate(data: bytes, _rng: random.Random) -> bytes:
        return bytes(mutate_bytes(data, min(2 * len(data) + 16, mutations.MAX_BODY)))

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        function, body = data[:1], data[1:]
        if rng.random() < FRESH:
            number, body = rng.choice(seeds)
            function = bytes([number])
        elif rng.random() < 0.05:
            function = bytes([rng.randrange(mutations.FUNCTIONS)])
        mutated: bytes = function + mutations.mutated(body, rng, mutate)
        return mutated[:max_size]

    return mutator


def _report(bodies: int, quarantined: int, started: float) -> None:
    seconds = round(time.monotonic() - started, 1)
    used = bodies - quarantined
    result = {"inputs": bodies, "used": used, "quarantined": quarantined, "failures": 0, "seconds": seconds}
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
