"""Plant causes and challengers whose truth is known; see whether health and comparison find it: make bench-health.

Each part measures some figures by itself, through the product's own functions. The last line is JSON; a figure whose
part did not run is null. The exit code is 1 if a figure misses its limit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from tests.benchmarks.health import causes, comparison, shadow, swaps
from tests.benchmarks.health.part import Figure, Part

FIGURES = (
    "causes",
    "causes_found",
    "false_alarms_30_days",
    "false_promotions_60_looks",
    "days_to_promote",
    "estimate_coverage",
    "shadow_ratio",
    "false_probations",
)
"""The figures of the last line, in their order."""
PARTS: tuple[Part, ...] = (causes.PART, comparison.PART, swaps.PART, shadow.PART)
"""The parts, in the order in which they run; one a line."""


def main(argv: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run the benchmark and return its exit code."""
    options = _parser(parts).parse_args(argv)
    figures: dict[str, Figure] = dict.fromkeys(FIGURES)
    good = True
    for part in parts:
        if options.only and part.name not in options.only:
            continue
        started = time.perf_counter()
        found = part.run(options)
        figures |= {name: found.figures[name] for name in part.figures}
        good &= found.good
        _tell(f"{part.name}: {json.dumps(dict(found.figures))} in {time.perf_counter() - started:.0f} s")
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if good else 1


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser(parts: Sequence[Part]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.health",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [part.name for part in parts]
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"run these: {', '.join(names)}")
    parser.add_argument("--workers", type=int, default=2, help="processes of a part (default: %(default)s)")
    for part in parts:
        part.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
