"""The verdict on a demo, from its figures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from rich.console import Console

from infra.local.demo.models import Looked, Swap
from infra.local.demo.queries import Control, Fates, Shadowed, TurnedAway, VersionQuality
from infra.local.demo.report import DemoResult, render, succeeded, verdict
from infra.local.demo.trace import Traced

UNSEEN = VersionQuality("v1", 10, 0, math.nan, math.nan)
DRILL = Swap("v1", "v2", is_drill=True)


def figures(**changes: Any) -> DemoResult:
    """Return the figures of a run that showed everything, with some of them changed."""
    fields: dict[str, Any] = {
        "transactions": 10,
        "scored": 10,
        "lost": 0,
        "duplicated": 0,
        "outcomes": 9,
        "outcomes_lost": 0,
        "fates": Fates(settled=8, returned=1, duplicated=0),
        "traced": Traced("TRACED", "E1", "950.00", hops=3, transactions=5),
        "malformed": 0,
        "quarantined": 0,
        "set_aside": 0,
        "throughput": 5.0,
        "watched": 1,
        "row_ms": (1.0, 2.0),
        "decided_ms": (1.0, 2.0),
        "decisions": {"APPROVE": 10},
        "control": Control(paid=2, amount=1234.5, held=1),
        "turned_away": TurnedAway(good=3_200, rejected=4),
        "quality": [],
        "scored_by": {"v1": 6, "v2": 4},
        "swap": DRILL,
        "seconds_to_first_score": 1.5,
        "shadowed": Shadowed(400, 3),
        "looked": Looked("TOO_FEW", ["12 frauds of 100"]),
    }
    return DemoResult(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "words", "success"),
    [
        ({}, "the swap under load served rows from both models", True),
        (
            {"swap": Swap(None, "v2", is_drill=False), "scored_by": {None: 6, "v2": 4}},
            "rows from the rules and the model",
            True,
        ),
        ({"swap": None}, "no model passed the gate", False),
        ({"scored_by": {"v1": 10}}, "only one side of the swap", False),
        ({"lost": 2}, "2 transactions and 0 outcomes were LOST", False),
        ({"outcomes_lost": 3}, "0 transactions and 3 outcomes were LOST", False),
        ({"duplicated": 1}, "1 are in a view twice", False),
        ({"set_aside": 3}, "Nothing was lost", True),
    ],
)
def test_the_verdict_names_the_first_thing_that_is_missing(
    changes: dict[str, Any], words: str, success: bool
) -> None:
    result = figures(**changes)
    assert words in verdict(result)
    assert succeeded(result) == success


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({}, "swap under load (drill) │ 1.5 s to the first score"),
        ({"swap": Swap("v1", "v2", is_drill=False)}, "swap under load (by the gate) │ 1.5 s to the first score"),
        ({"swap": None, "seconds_to_first_score": None}, "swap under load │ none"),
        ({"set_aside": 3}, "set aside: in the future │ 3"),
        ({}, "outcomes published / lost │ 9 / 0"),
        ({}, "settled / returned (pix.life) │ 8 / 1"),
        ({}, "traced │ 5 Pix over 3 hops behind BRL 950.00"),
        ({"traced": Traced("NOT_SETTLED", "E1")}, "traced │ NOT_SETTLED E1"),
        (
            {"quality": [UNSEEN]},
            "average precision / recall │ no fraud seen",
        ),
        ({}, "control group: paid / held │ 2 for BRL 1,234.50 / 1"),
        ({}, "good Pix rejected by a model │ 4 of 3,200 (0.12%)"),
        ({"turned_away": TurnedAway(0, 0)}, "good Pix rejected by a model │ 0 of 0"),
        ({"traced": None}, "traced │ none: no report of a later hop"),
        ({}, "model of before in the shadow │ 400 scored by both, 3 decided otherwise"),
        ({}, "compared with the one that serves │ TOO_FEW"),
    ],
)
def test_the_table_names_a_drill_and_events_ahead_of_the_clock(
    changes: dict[str, Any], row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(width=120).print(render(figures(**changes)))
    rows = [" ".join(line.strip("│ ").split()) for line in capsys.readouterr().out.splitlines()]
    assert row in rows
