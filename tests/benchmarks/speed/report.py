"""The table, and the line of JSON."""

from __future__ import annotations

from msgspec import Struct

from infra.capacity.figures import prices
from tests.benchmarks.speed.events import Prepared
from tests.benchmarks.speed.measure import Memory, Peer
from tests.benchmarks.speed.prices import Cost, Use, cost

INSTANCE_GIB = 1.0  # `score_memory` in infra/terraform


class Result(Struct):
    """What was measured; None is what was left out."""

    prepared: Prepared
    memory: Memory | None = None
    valkey: Peer | None = None
    bqemulator: Peer | None = None
    tutorial: Peer | None = None
    mlflow: Peer | None = None

    @property
    def cost(self) -> Cost | None:
        """Return what a million Pix cost."""
        if self.memory is None:
            return None
        seconds = 1e6 / self.memory.best.per_second
        return cost(Use(seconds, INSTANCE_GIB, self.prepared.message_bytes, self.memory.row_bytes), prices())


def summary(result: Result) -> dict[str, float | None]:
    """Return the figures by which runs are compared."""
    memory, cost_ = result.memory, result.cost
    return {
        "tx_per_s_per_vcpu": _rounded(memory and memory.best.per_second, 0),
        "p50_ms": _rounded(memory and memory.open.p50_ms, 2),
        "p99_ms": _rounded(memory and memory.open.p99_ms, 2),
        "open_loop_tx_per_s": _rounded(memory and memory.open.per_second, 0),
        "valkey_tx_per_s": _rounded(result.valkey and result.valkey.best.per_second, 0),
        "cold_start_s": _rounded(memory and memory.cold_start_s, 3),
        "rss_mb": _rounded(memory and memory.after_mb, 0),
        "ratio_to_tutorial": _rounded(_ratio(memory, result.tutorial), 1),
        "ratio_to_mlflow": _rounded(_ratio(memory, result.mlflow), 1),
        "usd_per_million": _rounded(cost_ and cost_.total, 3),
    }


def table(result: Result) -> str:
    """Return the lines for a person."""
    rows = [*_memory_rows(result)]
    for peer, name in (
        (result.valkey, "the same, state in Valkey or Redis on the other core"),
        (result.bqemulator, "the same, rows to bqemulator on the other core"),
        (result.tutorial, "tutorial function: predict_proba and insert_rows_json a message, to the stub"),
        (result.mlflow, "mlflow models serve, ready vector, no row"),
    ):
        if peer:
            rows.append((name, f"{peer.best.per_second:,.0f} tx/s", f"{peer.connections} connections"))
    wide = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return "\n".join(f"{name:<{wide[0]}}  {value:>{wide[1]}}  {note}".rstrip() for name, value, note in rows)


def _memory_rows(result: Result) -> list[tuple[str, str, str]]:
    memory, cost_, prepared = result.memory, result.cost, result.prepared
    if memory is None or cost_ is None:
        return []
    best, opened = memory.best, memory.open
    return [
        (
            "score function, one vCPU, state in memory, rows to a stub that acknowledges",
            f"{best.per_second:,.0f} tx/s",
            f"{memory.connections} connections; median of rounds {memory.median_per_second:,.0f}",
        ),
        ("  open loop: offered and answered", f"{opened.per_second:,.0f} tx/s", ""),
        (
            "  open loop: p50 / p99 / highest",
            f"{opened.p50_ms:.1f} / {opened.p99_ms:.1f} ms",
            f"{opened.highest_ms:.0f} ms",
        ),
        ("  process start to first acknowledged transaction", f"{memory.cold_start_s:.2f} s", "best of 3"),
        ("  memory at rest", f"{memory.rest_mb:.0f} MB", ""),
        (
            f"  memory after {memory.transactions:,} transactions",
            f"{memory.after_mb:.0f} MB",
            f"{prepared.accounts:,} accounts",
        ),
        (
            "  processor for a million",
            f"{memory.cpu_s_per_million:.0f} s",
            f"{memory.rows_per_append:.0f} rows an append",
        ),
        ("  bytes of a message / of a row", f"{prepared.message_bytes:.0f} / {memory.row_bytes:.0f}", ""),
        (
            "  a million Pix at list prices",
            f"{cost_.total:.2f} USD",
            f"Cloud Run {cost_.cloud_run:.3f}, Pub/Sub {cost_.pubsub:.3f}, BigQuery {cost_.bigquery:.3f}",
        ),
    ]


def _ratio(memory: Memory | None, peer: Peer | None) -> float | None:
    return memory.best.per_second / peer.best.per_second if memory and peer else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
