"""Explain a day: find its causes, write them as text, and as rows of `pix.health`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.cause import CAUSE, CHANGES, CauseRecord
from shared.contract.rows import HealthRow
from shared.learning.errors import NothingToDo
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.monitoring.causes.ranking import Change, DriftCause, causes
from shared.learning.monitoring.causes.rows import REFERENCE_DAYS, CauseSource, day_and_reference
from shared.learning.monitoring.measures import Key
from shared.ports.blobs import Blobs
from shared.scoring.champion import read_bundle

_KINDS = {
    "CODE": "our code: all publishers changed at once",
    "CONTRACT": "the contract: a publisher or feed sends something else",
    "TRAFFIC": "the traffic: people do something else",
}


class DriftExplained(Struct, frozen=True):
    """A day of `number` Pix against the days before it, by samples of both, and the causes of its change."""

    outcome: str
    day: dt.date
    version: str
    number: int
    sampled: int
    reference_sampled: int
    change: Change
    causes: list[DriftCause]


def explain_day(source: CauseSource, models: Blobs, day: dt.datetime) -> DriftExplained:
    """Explain the change of a day's scores by the champion.

    Raises NothingToDo without a champion or with too few rows, BundleRefused, Unavailable, Misconfigured.
    """
    version = read_pointer(models).version
    if version is None:
        raise NothingToDo("no model serves")
    bundle = read_bundle(models, version)
    rows, reference, number = day_and_reference(source, day)
    change, found = causes(bundle, rows, reference, number)
    return DriftExplained("EXPLAINED", day.date(), version, number, len(rows), len(reference), change, found)


def text(found: DriftExplained) -> str:
    """Return the explanation for people."""
    change = found.change
    lines = [
        f"{found.day:%F}, {found.number:,} Pix by {found.version}, against the {REFERENCE_DAYS} days before:",
        f"log-odds of the score {change.score:+.3f}, alerts {change.alerts:+,.0f}, "
        f"foretold loss R$ {change.brl:+,.0f}",
    ]
    for rank, cause in enumerate(found.causes, start=1):
        lines += _lines(rank, cause)
    return "\n".join(lines if found.causes else [*lines, "no source of features explains more than chance"])


def _lines(rank: int, cause: DriftCause) -> list[str]:
    about = [
        cause.source,
        *([f"of {cause.publisher}"] if cause.publisher else []),
        *([cause.segment] if cause.segment else []),
    ]
    signs = ["signs: " + "; ".join(each.text for each in cause.evidence)] if cause.evidence else []
    parts = f"log-odds {cause.score.value:+.3f} (± {cause.score.error:.3f}), alerts {cause.alerts.value:+,.1f}"
    return [
        f"{rank}. {', '.join(about)}: likelier {_KINDS[cause.kind]}",
        f"   {parts}, loss R$ {cause.brl.value:+,.0f}; {', '.join(cause.features)}",
        *(f"   {sign}" for sign in signs),
        f"   for example {', '.join(cause.examples[:3])}",
    ]


def health_rows(found: DriftExplained, key: Key) -> list[HealthRow]:
    """Return the explanation as rows of health."""
    values = (found.change.score, found.change.alerts, found.change.brl)
    totals = [key.count(name, value, found.number) for name, value in zip(CHANGES, values, strict=True)]
    return [*totals, *_causes(found.causes, key, found.sampled)]


def _causes(found: Sequence[DriftCause], key: Key, rows: int) -> list[HealthRow]:
    return [
        key.count(CAUSE, cause.weight, rows, record_of(rank, cause).text())
        for rank, cause in enumerate(found, start=1)
    ]


def record_of(rank: int, cause: DriftCause) -> CauseRecord:
    """Return a cause as it is stored."""
    return CauseRecord(
        rank=rank,
        source=cause.source,
        kind=cause.kind,
        publisher=cause.publisher,
        segment=cause.segment,
        score=cause.score.value,
        score_error=cause.score.error,
        alerts=cause.alerts.value,
        brl=cause.brl.value,
        features=cause.features,
        evidence=[each.text for each in cause.evidence],
        examples=cause.examples,
    )
