"""Series of metrics for which each rule for Prometheus fires, and others for which it is quiet.

Values are in the notation of promtool, one a minute: `0+2x30` grows by 2 for 30 minutes, `_` is no sample, and
`stale` ends a series.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Series = Mapping[str, str]
FIRES, QUIET = True, False

AGED, FRESH = -46 * 86_400, -86_400
"""Times of training: seconds before the first minute, which is at the epoch."""
_JOB = {"job": "pix-score"}
_NONE: Mapping[str, str] = {}


class Case(NamedTuple):
    """One look at one alert."""

    alert: str
    fires: bool
    series: Series
    minute: int = 30
    labels: Mapping[str, str] = _NONE
    """Of the alert, beside its severity."""


def of(metric: str, **labels: str) -> str:
    """Return the name of a series of pix-score, unless its labels name another job."""
    matched = ",".join(f'{name}="{value}"' for name, value in {**_JOB, **labels}.items())
    return f"{metric}{{{matched}}}"


def counter(before: float, after: float) -> str:
    """Return a counter that gains one amount a minute for five hours, and another one for the next two."""
    return f"0+{before:g}x300 {300 * before + after:g}+{after:g}x120"


def messages(before: float, after: float, status: str = "unavailable") -> Series:
    """Return the series of deliveries of which a share is not acknowledged, in the first five hours and then."""
    return {
        of("pix_messages_total", status="stored"): counter(1000 * (1 - before), 1000 * (1 - after)),
        of("pix_messages_total", status=status): counter(1000 * before, 1000 * after),
    }


def timed(before: float, after: float) -> Series:
    """Return the series of Pix of which a share takes longer than a second, in the first five hours and then."""
    name, stage = "pix_stage_duration_seconds", "total"
    return {
        of(f"{name}_bucket", stage=stage, le="0.1"): counter(1, 1),
        of(f"{name}_bucket", stage=stage, le="1.0"): counter(1000 * (1 - before), 1000 * (1 - after)),
        of(f"{name}_bucket", stage=stage, le="2.5"): counter(1000, 1000),
        of(f"{name}_bucket", stage=stage, le="+Inf"): counter(1000, 1000),
        of(f"{name}_count", stage=stage): counter(1000, 1000),
    }


def created(*times: int) -> Series:
    """Return the times of the models that instances serve."""
    return {of("pix_model_created_seconds", instance=str(i)): f"{time}x400" for i, time in enumerate(times)}


def share(metric: str, label: str, good: str, bad: str, by: float) -> Series:
    """Return a counter that gains 1,000 good values a minute, and this number of bad ones."""
    return {of(metric, **{label: good}): "0+1000x60", of(metric, **{label: bad}): f"0+{by}x60"}


def rejects(of_ceiling: float) -> Series:
    """Return the series of 1,000 good customers a minute; a model rejects this part of the share of the ceiling."""
    gained = {"pix_good_total": 1000.0, "pix_good_rejected_total": 2.0 * of_ceiling}
    return {of(name, side="PAYER"): f"0+{by:g}x180" for name, by in gained.items()}


def event(alert: str, series: str) -> list[Case]:
    """Return the cases of a counter of rare events: its first, another one, and one that is long ago."""
    return [
        Case(alert, FIRES, {series: "_x24 1x10"}, labels=_JOB),
        Case(alert, FIRES, {series: "4x24 5x10"}, labels=_JOB),
        Case(alert, QUIET, {series: "4x3 5x40"}),
        Case(alert, QUIET, {series: "0x40"}),
        Case(alert, QUIET, {}),
    ]


_STORED = of("pix_messages_total", status="stored")
_OUTCOME = of("pix_messages_total", job="pix-outcome", status="stored")
_APPROVED = of("pix_decisions_total", decision="APPROVE")
_SCORED, _LATE = of("pix_scored_total", step="full"), of("pix_late_total")
_REGISTER = ("pix_suspicions_readings_total", "outcome", "answered", "failed")
_HISTORY = ("pix_history_calls_total", "outcome", "answered", "failed")

CASES = (
    *event("PixChallengerDropped", of("pix_challenger_dropped_total", reason="slow")),
    Case("PixDegraded", FIRES, share("pix_scored_total", "step", "full", "no_history", 2)),
    Case("PixDegraded", FIRES, share("pix_scored_total", "step", "full", "rules_only", 2)),
    Case("PixDegraded", QUIET, share("pix_scored_total", "step", "full", "rules_only", 0.9)),
    Case("PixDegraded", QUIET, {}),
    Case("PixHistory", FIRES, share(*_HISTORY, 2), labels=_JOB),
    Case("PixHistory", QUIET, share(*_HISTORY, 0.9)),
    *event("PixHistoryEmpty", of("pix_history_calls_total", outcome="empty")),
    Case("PixHistoryEmpty", QUIET, {of("pix_history_calls_total", outcome="answered"): "0+10x40"}),
    Case("PixLate", FIRES, {_SCORED: "0+1000x60", _LATE: "0+2x60"}),
    Case("PixLate", QUIET, {_SCORED: "0+1000x60", _LATE: "0+0.9x60"}),
    Case("PixMetricsNotExported", FIRES, {_STORED: "0+10x60 stale"}, 85, labels=_JOB),
    Case("PixMetricsNotExported", QUIET, {_STORED: "0+10x60 stale"}, 65),
    Case("PixMetricsNotExported", QUIET, {_STORED: "0+10x100"}, 85),
    Case("PixMetricsNotExported", QUIET, {}, 85),
    *event("PixModelFailed", of("pix_model_failures_total", part="score")),
    Case("PixModelFailed", QUIET, {of("pix_model_failures_total", part="reasons"): "0+1x40"}),
    *event("PixModelRefused", of("pix_model_refused_total")),
    Case("PixNoTraffic", FIRES, {}),
    Case("PixNoTraffic", FIRES, {_STORED: "700x60"}),
    Case("PixNoTraffic", FIRES, {_OUTCOME: "0+10x60"}),
    Case("PixNoTraffic", QUIET, {}, 14),
    Case("PixNoTraffic", QUIET, {_STORED: "0+1x60"}),
    Case("PixOutcomes", FIRES, {_OUTCOME: "0+10x60 600x120", _APPROVED: "0+10x180"}, 150),
    Case("PixOutcomes", FIRES, {_OUTCOME: "0+10x60 stale", _APPROVED: "0+10x180"}, 150),
    Case("PixOutcomes", QUIET, {_OUTCOME: "0+10x180", _APPROVED: "0+10x180"}, 150),
    Case("PixOutcomes", QUIET, {_APPROVED: "0+10x180"}, 150),
    Case("PixOutcomes", QUIET, {_OUTCOME: "0+10x60 600x120", _APPROVED: "0+10x60 600x120"}, 150),
    Case("PixQuarantine", FIRES, {of("pix_quarantined_total", reason="not_json"): "0+1x60"}, 40),
    Case("PixQuarantine", QUIET, {of("pix_quarantined_total", reason="not_json"): "0+0.6x60"}, 40),
    Case("PixRejectCeiling", FIRES, rejects(1.5), 120, {"side": "PAYER"}),
    Case("PixRejectCeiling", QUIET, rejects(0.9), 120),
    Case("PixRejectCeiling", QUIET, rejects(1.5), 1),
    Case("PixRejectCeiling", QUIET, rejects(0), 120),
    Case("PixRejectCeiling", QUIET, {}, 120),
    *event("PixRowsRefused", of("pix_append_refused_total", table="score_events")),
    Case("PixSloAvailability", FIRES, messages(0, 0.02), 365),
    *(
        Case("PixSloAvailability", FIRES, messages(0, 0.02, status), 365)
        for status in ("overloaded", "failed", "refused")
    ),
    Case("PixSloAvailability", QUIET, messages(0, 0.02, "quarantined"), 365),
    Case("PixSloAvailability", QUIET, messages(0, 0.007), 365),
    Case("PixSloAvailability", FIRES, messages(0.007, 0.007), 365),
    Case("PixSloAvailability", QUIET, messages(0.004, 0.004), 365),
    Case("PixSloAvailability", QUIET, messages(0.02, 0), 335),
    Case("PixSloAvailability", QUIET, {_STORED: counter(1000, 1000)}, 365),
    Case("PixSloAvailability", QUIET, {}, 365),
    Case("PixSloDecisionTime", FIRES, timed(0, 0.2), 365),
    Case("PixSloDecisionTime", QUIET, timed(0, 0.07), 365),
    Case("PixSloDecisionTime", FIRES, timed(0.07, 0.07), 365),
    Case("PixSloDecisionTime", QUIET, timed(0.005, 0.005), 365),
    Case("PixSloFreshness", FIRES, created(FRESH, AGED), 365),
    Case("PixSloFreshness", QUIET, created(FRESH, FRESH), 365),
    Case("PixSloFreshness", QUIET, {}, 365),
    Case("PixSuspicions", FIRES, share(*_REGISTER, 1100), labels=_JOB),
    Case("PixSuspicions", QUIET, share(*_REGISTER, 900)),
    Case("PixSuspicions", QUIET, {of("pix_suspicions_readings_total", outcome="failed"): "0x20 1x40"}, 22),
    Case("PixSuspicions", QUIET, {}),
    Case("PixTotalP99", FIRES, timed(0.02, 0.02), labels=_JOB),
    Case("PixTotalP99", QUIET, timed(0.005, 0.005)),
    *event("PixUnhandled", of("pix_messages_total", status="failed")),
    Case("PixUnhandled", QUIET, {of("pix_messages_total", status="unavailable"): "0+1x40"}),
)
