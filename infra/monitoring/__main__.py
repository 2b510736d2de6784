"""Write the rules for Prometheus and the dashboard for Grafana with thresholds of your own.

A threshold has the name of its variable in Terraform, and unless it is set the default there. Paths of the files are
printed. Exit status 2 for an unknown name or a value that is not a number.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from infra.monitoring.files import files
from infra.monitoring.thresholds import defaults


def main(arguments: list[str] | None = None) -> int:
    """Write the files and print their paths; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        written = files({**defaults(), **dict(_threshold(text) for text in options.set)}, options.folder)
    except ValueError as error:
        parser.error(str(error))
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        print(path)  # noqa: T201 - the result of the command
    return 0


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in defaults():
        raise ValueError(f"{name}: not one of {', '.join(sorted(defaults()))}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name}: {value!r} is not a number of at least zero")
    return name, number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.monitoring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the files are written")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a threshold, such as alert_quarantined=50"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
