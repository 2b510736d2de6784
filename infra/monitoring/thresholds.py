"""The thresholds of alerts and the objectives: the defaults of Terraform's variables, which users know them by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import hcl2

from shared.telemetry.metrics import STAGE

Thresholds = Mapping[str, float]

_TERRAFORM = Path(__file__).parents[1] / "terraform"
_FILES = ("variables-alerts.tf", "variables-slo.tf")


def defaults() -> dict[str, float]:
    """Return the default of each variable that is a number, by its name."""
    variables = [named for file in _FILES for named in _variables(_TERRAFORM / file)]
    found = {name: body.get("default") for named in variables for name, body in named.items()}
    return {name.strip('"'): value for name, value in found.items() if isinstance(value, int | float)}


def in_time(thresholds: Thresholds) -> str:
    """Return the pattern of the bound of the bucket of Pix that were decided in time, however it is written.

    >>> in_time({"slo_decision_seconds": 2.5})
    '2[.]5([.]0)?'
    """
    seconds = thresholds["slo_decision_seconds"]
    if seconds not in STAGE.bounds:
        raise ValueError(f"slo_decision_seconds: {seconds:g} is not a bound of {STAGE.name}")
    return f"{seconds:g}".replace(".", "[.]") + "([.]0)?"


def _variables(file: Path) -> list[dict[str, dict[str, object]]]:
    with file.open(encoding="utf-8") as text:
        parsed: list[dict[str, dict[str, object]]] = hcl2.load(text)["variable"]
    return parsed
