"""Collect the figures of a run and render them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from infra.local.demo.models import Looked, Swap
from infra.local.demo.queries import (
    Control,
    Fates,
    Queries,
    Shadowed,
    TimeRange,
    TurnedAway,
    VersionQuality,
    percentiles,
)
from infra.local.demo.trace import Traced
from infra.local.demo.traffic import Sent


@dataclass(frozen=True, slots=True)
class LoadPhases:
    """The calm phase and the burst of the live traffic."""

    calm: TimeRange
    burst: TimeRange
    waits: list[float]
    """Milliseconds from publish to a visible row, for transactions watched in the calm phase."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The figures of a run; latencies in milliseconds, throughput in transactions a second."""

    transactions: int
    scored: int
    lost: int
    duplicated: int
    outcomes: int
    outcomes_lost: int
    fates: Fates
    traced: Traced | None
    """The chain of one root; None if no later hop was reported."""
    malformed: int
    quarantined: int
    set_aside: int
    """Transactions whose time lies in the future: in quarantine, neither scored nor lost."""
    throughput: float
    watched: int
    row_ms: tuple[float, float]
    decided_ms: tuple[float, float]
    decisions: dict[str, int]
    control: Control
    turned_away: TurnedAway
    quality: list[VersionQuality]
    scored_by: dict[str | None, int]
    """Live rows of each model version; None for rules alone."""
    swap: Swap | None
    seconds_to_first_score: float | None
    shadowed: Shadowed
    looked: Looked | None
    """The comparison of the model in the shadow with the one that serves; None if there was no other model."""


def collect(
    queries: Queries,
    sent: Sent,
    frauds: Collection[str],
    traffic: LoadPhases,
    as_of: dt.datetime,
    swap: Swap | None,
    chain: Traced | None,
    looked: Looked | None,
) -> DemoResult:
    """Query the figures of a run, with the swap under load, the traced chain and the comparison if there were any.

    `frauds` are the EndToEndIds that reports confirm at any time.
    """
    ids, ahead, fates = queries.live_ids(), queries.in_the_future(), queries.fates()
    return DemoResult(
        transactions=sent.transactions,
        scored=len(set(ids)),
        lost=max(0, len(sent.ids - set(ids)) - ahead),
        duplicated=len(ids) - len(set(ids)) + fates.duplicated,
        outcomes=len(sent.outcomes),
        outcomes_lost=len(sent.outcomes - queries.outcomes()),
        fates=fates,
        traced=chain,
        malformed=sent.malformed,
        quarantined=queries.quarantined(),
        set_aside=ahead,
        throughput=queries.throughput(traffic.burst),
        watched=len(traffic.waits),
        row_ms=percentiles(traffic.waits),
        decided_ms=queries.decided_ms(traffic.calm),
        decisions=queries.decisions(),
        control=queries.control(),
        turned_away=queries.turned_away(frauds),
        quality=queries.quality(as_of),
        scored_by=queries.scored_by(),
        swap=swap,
        seconds_to_first_score=queries.seconds_to_first_score(swap.after) if swap else None,
        shadowed=queries.shadowed(),
        looked=looked,
    )


def succeeded(result: DemoResult) -> bool:
    """Return whether nothing was lost or duplicated, and rows were scored before and after a swap under load."""
    return not (result.lost or result.outcomes_lost or result.duplicated) and _served_both(result)


def verdict(result: DemoResult) -> str:
    """Return the outcome of a run in a sentence."""
    if result.lost or result.outcomes_lost or result.duplicated:
        lost = f"{result.lost} transactions and {result.outcomes_lost} outcomes were LOST"
        return f"{lost}, {result.duplicated} are in a view twice."
    if result.swap is None:
        return "Nothing was lost or duplicated, but no model passed the gate, so there was no swap under load."
    if not _served_both(result):
        return "Nothing was lost or duplicated, but only one side of the swap scored rows."
    sides = "both models" if result.swap.before else "the rules and the model"
    return f"Nothing was lost or duplicated, and the swap under load served rows from {sides}."


def _served_both(result: DemoResult) -> bool:
    swap = result.swap
    return swap is not None and all(result.scored_by.get(version) for version in (swap.before, swap.after))


def _milliseconds(percentiles: tuple[float, float]) -> str:
    return "none" if np.isnan(percentiles[0]) else f"{percentiles[0]:,.0f} / {percentiles[1]:,.0f} ms"


def render(result: DemoResult) -> Table:
    """Render the final table."""
    table = Table(title="The run, as recorded in BigQuery", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = [
        ("transactions published", f"{result.transactions:,}"),
        ("scored (rows of pix.scores)", f"{result.scored:,}"),
        ("lost", f"{result.lost:,}"),
        ("duplicated in a view", f"{result.duplicated:,}"),
        ("outcomes published / lost", f"{result.outcomes:,} / {result.outcomes_lost:,}"),
        ("settled / returned (pix.life)", f"{result.fates.settled:,} / {result.fates.returned:,}"),
        ("traced", _chain(result.traced)),
        ("malformed published / in quarantine", f"{result.malformed:,} / {result.quarantined:,}"),
        *([("set aside: in the future", f"{result.set_aside:,}")] if result.set_aside else []),
        ("throughput under load", f"{result.throughput:,.0f} tx/s"),
        ("publish to decision, p50 / p99", _milliseconds(result.decided_ms)),
        (f"publish to row seen by a query ({result.watched})", _milliseconds(result.row_ms)),
        ("decisions", ", ".join(f"{name} {n:,}" for name, n in sorted(result.decisions.items()))),
        ("control group: paid / held", _control(result.control)),
        ("good Pix rejected by a model", _turned_away(result.turned_away)),
    ]
    for q in result.quality:
        rows.append((f"model {q.version}", f"{q.scored:,} scored, {q.frauds} frauds"))
        found = f"{q.average_precision:.3f} / {q.recall:.3f}" if q.frauds else "no fraud seen"
        rows.append(("  average precision / recall", found))
    rows += [_swap_row(result), *_shadow_rows(result)]
    for name, value in rows:
        table.add_row(name, value)
    return table


def _chain(chain: Traced | None) -> str:
    if chain is None:
        return "none: no report of a later hop"
    if not chain.transactions:
        return f"{chain.outcome} {chain.end_to_end_id}"
    return f"{chain.transactions} Pix over {chain.hops} hops behind BRL {chain.amount}"


def _control(found: Control) -> str:
    return f"{found.paid:,} for BRL {found.amount:,.2f} / {found.held:,}"


def _turned_away(found: TurnedAway) -> str:
    share = f" ({found.rejected / found.good:.2%})" if found.good else ""
    return f"{found.rejected:,} of {found.good:,}{share}"


def _swap_row(result: DemoResult) -> tuple[str, str]:
    seconds = result.seconds_to_first_score
    if result.swap is None or seconds is None:
        return "swap under load", "none"
    how = "drill" if result.swap.is_drill else "by the gate"
    return f"swap under load ({how})", f"{seconds:.1f} s to the first score"


def _shadow_rows(result: DemoResult) -> list[tuple[str, str]]:
    if result.looked is None:
        return []
    both = f"{result.shadowed.scored:,} scored by both, {result.shadowed.differing:,} decided otherwise"
    return [("model of before in the shadow", both), ("  compared with the one that serves", result.looked.outcome)]
