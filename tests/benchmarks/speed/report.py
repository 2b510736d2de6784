"""The results as a table and as a JSON summary."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from infra.capacity.figures import prices
from shared.settings import Settings
from tests.benchmarks.speed.comparison import STARTS, TURNS, Comparison, Turns
from tests.benchmarks.speed.course import OPEN_RATE, ROUNDS, Rounds
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.explained import Explained
from tests.benchmarks.speed.measure import EXPORT_MS, Exporting, Memory
from tests.benchmarks.speed.outcomes import RATE as OUTCOMES_RATE
from tests.benchmarks.speed.outcomes import Published
from tests.benchmarks.speed.prices import Cost, Use, cost
from tests.benchmarks.speed.questions import DEADLINE_MS, Asked
from tests.benchmarks.speed.questions import RATE as QUESTIONS_RATE
from tests.benchmarks.speed.shadow import Shadowed

INSTANCE_GIB = 1.0  # `score_memory` in infra/terraform
_EXPORT_SECONDS = Settings("").otel_metric_export_interval / 1e3
_NOTES = f"""Closed-loop figures, here and in the JSON, are medians of {ROUNDS} rounds at the best number of
connections. Settings are the defaults. Not included: TLS, the token of each push, the network. The measured server
has its own core; load, stub, history store, bqemulator and collector share the other."""


class Result(Struct):
    """The measured parts; None: not measured."""

    prepared: Prepared
    memory: Memory | None = None
    reasons: Explained | None = None
    shadow: Shadowed | None = None
    metrics: Exporting | None = None
    valkey: Rounds | None = None
    outcomes: Published | None = None
    decide: Asked | None = None
    bqemulator: Rounds | None = None
    tutorial: Rounds | None = None
    mlflow: Rounds | None = None
    baseline: Comparison | None = None

    @property
    def cost(self) -> Cost | None:
        """Return the cost of a million Pix, None without the measurement in memory."""
        if self.memory is None:
            return None
        seconds = 1e6 / self.memory.course.rounds.median
        return cost(Use(seconds, INSTANCE_GIB, self.prepared.message_bytes, self.memory.row_bytes), prices())


class Target(NamedTuple):
    """The target of a figure: a minimum (">=") or a maximum ("<=")."""

    sign: str
    value: float

    def compared(self, figure: float) -> str:
        """Return the target, and whether a figure misses it.

        >>> Target(">=", 10_000).compared(9_800)
        '>= 10,000: missed'
        """
        reached: Callable[[float, float], bool] = operator.ge if self.sign == ">=" else operator.le
        return f"{self.sign} {self.value:,g}" + ("" if reached(figure, self.value) else ": missed")


TARGETS = {
    "tx_per_s_per_vcpu": Target(">=", 10_000),
    "p99_ms": Target("<=", 15),
    "reasons_ratio": Target(">=", 0.9),
    "shadow_ratio": Target(">=", 0.9),
    "valkey_tx_per_s": Target(">=", 6_000),
    "outcomes_tx_per_s": Target(">=", 6_000),
    "cold_start_s": Target("<=", 0.7),
    "rss_mb": Target("<=", 300),
    "ratio_to_tutorial": Target(">=", 30),
    "ratio_to_mlflow": Target(">=", 15),
    "memory_to_baseline": Target(">=", 0.9),
    "valkey_to_baseline": Target(">=", 0.9),
    "outcomes_to_baseline": Target(">=", 0.9),
    "cold_start_to_baseline": Target("<=", 1.1),
    "rest_to_baseline": Target("<=", 1.1),
    "rss_to_baseline": Target("<=", 1.1),
    "valkey_rss_to_baseline": Target("<=", 1.1),
}
"""Targets by key of the summary; memory is measured after a million transactions of 100,000 accounts."""


class _Compared(NamedTuple):
    """A field of Comparison, its name in the table, and its unit with the digits to show."""

    figure: str
    name: str
    unit: str
    digits: int = 0


_COMPARED = {
    "memory_to_baseline": _Compared("memory", "throughput, state in memory", "tx/s"),
    "valkey_to_baseline": _Compared("valkey", "throughput, state in Valkey or Redis, outcomes assumed", "tx/s"),
    "outcomes_to_baseline": _Compared(
        "outcomes", f"throughput, the same, {OUTCOMES_RATE} outcomes a second published beside this revision", "tx/s"
    ),
    "valkey_cpu_to_baseline": _Compared("valkey_cpu_s", "processor for a million, outcomes assumed", "s", digits=1),
    "outcomes_cpu_to_baseline": _Compared(
        "outcomes_cpu_s", "processor for a million, outcomes published", "s", digits=1
    ),
    "cold_start_to_baseline": _Compared(
        "cold_start_s", "process start to first acknowledged transaction", "s", digits=3
    ),
    "rest_to_baseline": _Compared("rest_mb", "memory at rest", "MB"),
    "rss_to_baseline": _Compared("after_mb", "memory after all transactions, state in memory", "MB"),
    "valkey_rss_to_baseline": _Compared("valkey_mb", "memory after throughput, state in Valkey or Redis", "MB"),
}
"""Compared figures by key of the summary."""


class Row(NamedTuple):
    """A line of the table; `key` is the key of its figure in the summary."""

    name: str
    value: str
    note: str = ""
    key: str = ""


def summary(result: Result) -> dict[str, float | None]:
    """Return the figures for comparing runs."""
    memory, cost_ = result.memory, result.cost
    rounds, opened = (memory.course.rounds, memory.course.open) if memory else (None, None)
    return {
        "tx_per_s_per_vcpu": _rounded(rounds.median if rounds else None, 0),
        "p50_ms": _rounded(opened.p50_ms if opened else None, 2),
        "p99_ms": _rounded(opened.p99_ms if opened else None, 2),
        "open_loop_tx_per_s": _rounded(opened.per_second if opened else None, 0),
        "valkey_tx_per_s": _rounded(result.valkey.median if result.valkey else None, 0),
        "outcomes_tx_per_s": _rounded(result.outcomes.rounds.median if result.outcomes else None, 0),
        "decide_p50_ms": _rounded(result.decide.p50_ms if result.decide else None, 2),
        "decide_p99_ms": _rounded(result.decide.p99_ms if result.decide else None, 2),
        "decide_in_time": _rounded(result.decide.in_time if result.decide else None, 4),
        "cold_start_s": _rounded(memory.cold_start_s if memory else None, 3),
        "rss_mb": _rounded(memory.after_mb if memory else None, 0),
        "ratio_to_tutorial": _rounded(_ratio(memory, result.tutorial), 1),
        "ratio_to_mlflow": _rounded(_ratio(memory, result.mlflow), 1),
        "usd_per_million": _rounded(cost_.total if cost_ else None, 3),
        "reasons_ratio": _rounded(result.reasons.ratio if result.reasons else None, 3),
        "shadow_ratio": _rounded(result.shadow.ratio if result.shadow else None, 3),
        **{key: _rounded(turns.ratio if turns else None, 3) for key, turns in _compared(result.baseline).items()},
    }


def table(result: Result) -> str:
    """Render the table: each figure with its target and a note."""
    figures = summary(result)
    rows = [("", "measured", "target", "")]
    measured = [
        *_memory_rows(result),
        *_turned_rows("exact reasons for every Pix, to none", "reasons_ratio", result.reasons),
        *_turned_rows("a challenger in the shadow, to none", "shadow_ratio", result.shadow),
        *_metrics_rows(result.metrics),
        *_peer_rows(result, figures),
    ]
    for row in [*measured, *_baseline_rows(result.baseline)]:
        figure, target = figures.get(row.key), TARGETS.get(row.key)
        rows.append((row.name, row.value, target.compared(figure) if target and figure is not None else "", row.note))
    name, value, target_ = (max(len(row[i]) for row in rows) for i in range(3))
    lines = [f"{row[0]:<{name}}  {row[1]:>{value}}  {row[2]:<{target_}}  {row[3]}".rstrip() for row in rows]
    return "\n".join([*lines, _NOTES])


def _memory_rows(result: Result) -> list[Row]:
    memory, cost_, prepared = result.memory, result.cost, result.prepared
    if memory is None or cost_ is None:
        return []
    opened, messages = memory.course.open, f"{memory.transactions:,} transactions"
    services = f"Cloud Run {cost_.cloud_run:.3f}, Pub/Sub {cost_.pubsub:.3f}, BigQuery {cost_.bigquery:.3f}"
    highest = f"highest {opened.highest_ms:.0f} ms"
    return [
        _rounds_row(
            "score function, one vCPU, state in memory, rows to a stub that acknowledges",
            memory.course.rounds,
            "tx_per_s_per_vcpu",
        ),
        Row("  open loop: answered", f"{opened.per_second:,.0f} tx/s", f"offered {OPEN_RATE:,}"),
        Row("  open loop: p50 / p99", f"{opened.p50_ms:.1f} / {opened.p99_ms:.1f} ms", highest, "p99_ms"),
        Row(
            "  process start to first acknowledged transaction",
            f"{memory.cold_start_s:.2f} s",
            f"median of {STARTS}, files in the page cache",
            "cold_start_s",
        ),
        Row("  memory at rest", f"{memory.rest_mb:.0f} MB"),
        Row(f"  memory after {messages}", f"{memory.after_mb:.0f} MB", f"{prepared.accounts:,} accounts", "rss_mb"),
        Row(
            "  processor for a million",
            f"{memory.course.cpu_s_per_million:.0f} s",
            f"{memory.rows_per_append:.0f} rows an append",
        ),
        Row("  bytes of a message / of a row", f"{prepared.message_bytes:.0f} / {memory.row_bytes:.0f}"),
        Row("  a million Pix at list prices, full instances (minimum)", f"{cost_.total:.2f} USD", services),
    ]


def _turned_rows(name: str, key: str, found: Explained | Shadowed | None) -> list[Row]:
    if found is None:
        return []
    rates, cpu = (
        [statistics.median(side) for side in (turns.before, turns.now)]
        for turns in (found.per_second, found.cpu_s_per_million)
    )
    note = f"processor for a million {cpu[1]:.0f} s, without {cpu[0]:.0f}; {rates[1]:,.0f} tx/s, {rates[0]:,.0f}"
    return [Row(name, f"{found.ratio:.3f} x", note, key)]


def _metrics_rows(metrics: Exporting | None) -> list[Row]:
    if metrics is None:
        return []
    name = f"the same, metrics to a collector on the other core every {EXPORT_MS} ms"
    cost_ = metrics.cpu_s_per_export
    loops = f"with them {metrics.exporting.open.p99_ms:.1f} ms, without {metrics.plain.open.p99_ms:.1f} ms"
    return [
        _rounds_row(name, metrics.exporting.rounds),
        Row("  the same without them", f"{metrics.plain.rounds.median:,.0f} tx/s", f"open loop, p99: {loops}"),
        Row(
            "  processor for an export",
            f"{1e3 * cost_:.1f} ms",
            f"of {metrics.exports}; one every {_EXPORT_SECONDS:g} s, the default, "
            f"is {100 * cost_ / _EXPORT_SECONDS:.3f} % of a core",
        ),
    ]


def _peer_rows(result: Result, figures: dict[str, float | None]) -> list[Row]:
    rows = []
    for peer, name, key in (
        (result.valkey, "the same, state in Valkey or Redis on the other core", "valkey_tx_per_s"),
        (result.bqemulator, "the same, rows to bqemulator on the other core", ""),
        (result.tutorial, "tutorial function: predict_proba and insert_rows_json a message, to the stub", ""),
        (result.mlflow, "mlflow models serve, ready vector, no row", ""),
    ):
        if peer:
            rows.append(_rounds_row(name, peer, key))
        if key == "valkey_tx_per_s" and result.outcomes:
            rows.append(_outcomes_row(result.outcomes))
        if key == "valkey_tx_per_s" and result.decide:
            rows.append(_decide_row(result.decide))
    for key, name in (("ratio_to_tutorial", "the tutorial function"), ("ratio_to_mlflow", "mlflow models serve")):
        if (ratio := figures[key]) is not None:
            rows.append(Row(f"score function against {name}", f"{ratio:.1f} x", "medians", key))
    return rows


def _outcomes_row(found: Published) -> Row:
    name = f"the same, {found.rate:,} outcomes a second to an outcome function on the other core"
    row = _rounds_row(name, found.rounds, "outcomes_tx_per_s")
    return row._replace(note=f"{row.note}; outcomes: p99 {found.p99_ms:.1f} ms")


def _decide_row(found: Asked) -> Row:
    name = f"decide function: p50 / p99, {QUESTIONS_RATE:,} questions a second, state in Valkey or Redis"
    in_time = (
        f"{100 * found.in_time:.2f} % decided within {DEADLINE_MS} ms; processor {found.cpu_us:.0f} us a question"
    )
    return Row(name, f"{found.p50_ms:.1f} / {found.p99_ms:.1f} ms", in_time, "decide_p99_ms")


def _compared(compared: Comparison | None) -> dict[str, Turns | None]:
    """Return the compared figures by key of the summary."""
    return {key: getattr(compared, each.figure) if compared else None for key, each in _COMPARED.items()}


def _baseline_rows(compared: Comparison | None) -> list[Row]:
    if compared is None:
        return []
    note = f"{compared.baseline}; medians of {TURNS} turns; {compared.transactions:,} transactions"
    rows = [Row("this revision to the baseline", "", note)]
    for key, turns in _compared(compared).items():
        if turns:
            before, now = (
                f"{statistics.median(side):,.{_COMPARED[key].digits}f}" for side in (turns.before, turns.now)
            )
            note = f"{now} {_COMPARED[key].unit}, before {before}"
            rows.append(Row(f"  {_COMPARED[key].name}", f"{turns.ratio:.3f} x", note, key))
    return rows


def _rounds_row(name: str, rounds: Rounds, key: str = "") -> Row:
    note = f"{rounds.connections} connections; best round {rounds.best:,.0f}"
    return Row(name, f"{rounds.median:,.0f} tx/s", note, key)


def _ratio(memory: Memory | None, peer: Rounds | None) -> float | None:
    return memory.course.rounds.median / peer.median if memory and peer else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
