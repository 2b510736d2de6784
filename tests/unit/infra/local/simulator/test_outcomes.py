"""Simulated Pix settle, are refused, returned or blocked, as the contract says, and reports agree with it."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import pytest

from infra.local.simulator import SimulationConfig, simulate
from tests.unit.infra.local.simulator.simulated import END, moment_of

Messages = list[dict[str, Any]]
REFUSALS = {"REJECTED", "EXPIRED", "CANCELLED"}


@pytest.fixture(scope="session")
def lives(transactions: Messages, outcomes: Messages) -> list[tuple[dict[str, Any], Messages]]:
    """Each Pix with its outcomes in time order."""
    told = defaultdict(list)
    for outcome in outcomes:
        told[outcome["end_to_end_id"]].append(outcome)
    assert set(told) == {tx["end_to_end_id"] for tx in transactions}
    return [(tx, told[tx["end_to_end_id"]]) for tx in transactions]


def test_every_pix_settles_or_is_refused_within_a_minute_or_so(lives: list[tuple[dict[str, Any], Messages]]) -> None:
    counts = Counter(first["status"] for _, (first, *_) in lives)
    assert set(counts) == REFUSALS | {"SETTLED"}
    assert 0.985 < counts["SETTLED"] / len(lives) < 0.995
    for tx, (first, *later) in lives:
        delay = moment_of(first["at"]) - moment_of(tx["initiated_at"])
        assert timedelta(seconds=0.5) < delay <= timedelta(seconds=10 if first["status"] == "SETTLED" else 75)
        assert not later or first["status"] == "SETTLED"


def test_refusals_have_a_reason_of_the_spi(lives: list[tuple[dict[str, Any], Messages]]) -> None:
    reasons = {(first["status"], first.get("reason")) for _, (first, *_) in lives}
    assert {reason for status, reason in reasons if status == "REJECTED"} >= {"AB03", "AC03", "AM02"}
    assert {reason for status, reason in reasons if status == "EXPIRED"} == {"AB03"}
    assert {reason for status, reason in reasons if status in ("SETTLED", "CANCELLED")} == {None}


def test_returns_are_whole_or_in_part_and_never_more_than_the_pix(
    lives: list[tuple[dict[str, Any], Messages]],
) -> None:
    parts: Counter[tuple[str, bool]] = Counter()
    ids = set()
    for tx, told in lives:
        returned = [outcome for outcome in told if outcome["status"] == "RETURNED"]
        ids |= {outcome["return_id"] for outcome in returned}
        whole = round(100 * float(tx["amount"]))
        given = [round(100 * float(outcome["amount"])) for outcome in returned]
        assert sum(given) <= whole
        for outcome, cents in zip(returned, given, strict=True):
            parts[outcome["reason"], cents == whole] += 1
            assert outcome["return_id"][:9] == f"D{tx['payee']['ispb']}"
            assert outcome["return_id"][9:21] == f"{moment_of(outcome['at']):%Y%m%d%H%M}"
    assert len(ids) == parts.total()
    assert {reason for reason, _ in parts} == {"MD06", "BE08", "SL02", "FR01"}
    assert 0 < parts["MD06", False] < parts["MD06", True]
    assert not parts["BE08", False]


def test_money_is_blocked_by_the_payees_institution_for_at_most_72_hours(
    lives: list[tuple[dict[str, Any], Messages]],
) -> None:
    endings: Counter[str] = Counter()
    for _, told in lives:
        statuses = [outcome["status"] for outcome in told]
        assert ("RELEASED" in statuses) <= ("BLOCKED" in statuses)
        if "BLOCKED" in statuses:
            _, blocked, ended, *_ = told
            assert blocked["side"] == "PAYEE"
            assert moment_of(ended["at"]) - moment_of(blocked["at"]) < timedelta(hours=72)
            endings[ended["status"]] += 1
    assert set(endings) == {"RELEASED", "RETURNED"}


def test_nobody_reports_or_passes_on_money_that_did_not_arrive(
    lives: list[tuple[dict[str, Any], Messages]], feedback: Messages
) -> None:
    refused = {tx["end_to_end_id"] for tx, (first, *_) in lives if first["status"] in REFUSALS}
    assert not refused & {report.get("end_to_end_id") for report in feedback if report["source"] == "MED"}


def test_outcomes_can_be_left_out() -> None:
    def lines(*, outcomes: bool) -> list[bytes]:
        return list(simulate(SimulationConfig(end=END, transactions=600, days=5, seed=4, outcomes=outcomes)))

    kept = [line for line in lines(outcomes=True) if b'"pix-outcomes"' not in line]
    assert kept == lines(outcomes=False)
