"""One part of the benchmark: figures that it measures by itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

Figure = float | int | None
"""A figure of the last line; None where it was not measured."""


class Found(NamedTuple):
    """The figures of a part, and whether all of them keep their limits."""

    figures: Mapping[str, Figure]
    good: bool


def _no_options(_parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


class Part(NamedTuple):
    """A part: its name, the figures of the last line that it measures, and how.

    `run` gets all options of the command line; `add_options` adds those of the part, with names that no other has.
    """

    name: str
    figures: tuple[str, ...]
    run: Callable[[argparse.Namespace], Found]
    add_options: Callable[[argparse.ArgumentParser], None] = _no_options
