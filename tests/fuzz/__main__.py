"""Fuzz both functions, led by coverage (atheris): `make fuzz`.

Every body has to be answered with 204 and leave exactly one row, of a score, a report or a quarantine. A body that
does not is printed, and left as a file `crash-*`. Exit status 0 says that there was none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec

BATCH = 64
"""Bodies that are delivered together; each is decoded by itself first, so that coverage is told apart."""
AFRESH = 0.6
"""Share of the inputs that begin with a valid delivery: what is found to be new is most often broken already."""


def main(arguments: list[str] | None = None) -> int:
    """Run; libFuzzer ends the process with its own status where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N", help="bodies (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        parser.error("atheris is not installed (it is for Linux): make fuzz installs it")
    with atheris.instrument_imports(include=["shared"]):
        from tests.fuzz import mutations
        from tests.fuzz.functions import Functions
        from tests.fuzz.run import Fuzzer

    seeds = mutations.seeds()
    fuzzer = Fuzzer(Functions(), options.runs, BATCH)

    def mutate(data: bytes, _chance: random.Random) -> bytes:
        return bytes(atheris.Mutate(data, min(2 * len(data) + 16, mutations.MAX_BODY)))

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        function, body = data[:1], data[1:]
        if chance.random() < AFRESH:
            to, body = chance.choice(seeds)
            function = bytes([to])
        elif chance.random() < 0.05:
            function = bytes([chance.randrange(2)])
        return (function + mutations.mutated(body, chance, mutate))[:max_size]

    with tempfile.TemporaryDirectory(prefix="pix-fuzz-") as folder:
        for number, (function, body) in enumerate(seeds):
            Path(folder, str(number)).write_bytes(bytes([function]) + body)
        flags = [
            f"-runs={options.runs}",
            f"-seed={options.seed}",
            f"-max_len={mutations.MAX_BODY}",
            "-rss_limit_mb=0",
        ]
        # libFuzzer ends the process itself, so the last line is written by the run that is the last.
        fuzzer.done = lambda: _report(fuzzer.bodies, fuzzer.aside, started)
        started = time.monotonic()
        atheris.Setup([sys.argv[0], *flags, "-timeout=60", "-len_control=0", folder], fuzzer, custom_mutator=mutator)
        atheris.Fuzz()
    return 0


def _report(bodies: int, aside: int, started: float) -> None:
    seconds = round(time.monotonic() - started, 1)
    result = {"inputs": bodies, "used": bodies - aside, "quarantined": aside, "failures": 0, "seconds": seconds}
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
