"""Figures, plots and words of the desk: quality of reviews, charts, money, reasons, settings."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.deploy.stage import ROOT
from infra.local.desk import environment
from shared.contract.fields import Verdict
from shared.desk import charts
from shared.desk.dossier import devices
from shared.desk.money import drawn
from shared.desk.quality import agreement, quality
from shared.desk.reasons import explained
from shared.desk.records import Payment
from shared.desk.settings import DeskSettings
from shared.desk.web.formats import Formats
from shared.desk.web.texts import texts
from shared.errors import Misconfigured
from shared.learning.config import load
from shared.settings import Settings
from shared.trace.flow import follow
from shared.trace.graph import Pix, TraceLimits, grow
from tests.unit.desk.world import ANA, BIA, NOW, SOL, World, held, run

AT = dt.datetime(2026, 11, 20, 15, 30, tzinfo=dt.UTC)
MINUTE = 60_000_000


def payment(ago: dt.timedelta, amount: int = 10_000, **more: Any) -> Payment:
    values = {"decision": "APPROVE", "payer_id": "a", "payee_id": "b"} | more
    return Payment("E1", AT - ago, amount, **values)


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [([], None), ([("FRAUD", "FRAUD")], None), ([("FRAUD", "LEGITIMATE"), ("LEGITIMATE", "FRAUD")], -1.0)],
)
def test_kappa_of_few_pairs(pairs: list[tuple[str, str]], kappa: float | None) -> None:
    assert agreement(pairs).kappa == kappa


@given(st.lists(st.tuples(*[st.sampled_from(["FRAUD", "LEGITIMATE"])] * 2), min_size=1))
def test_kappa_never_exceeds_one(pairs: list[tuple[str, str]]) -> None:
    found = agreement(pairs)
    assert found.kappa is None or -1 <= found.kappa <= 1


def test_quality_counts_verdicts_pairs_hits_and_days() -> None:
    world = World(second_share=1.0)
    world.rows.add(held(1), held(2, reasons=("NIGHT_LIMIT",)))
    world.take(held(1).case)
    world.later(seconds=30)
    world.judge(held(1).case)
    world.judge(held(2).case, verdict=Verdict.LEGITIMATE)
    world.judge(held(1).case, BIA)
    reviews = run(world.rows.reviews(NOW - dt.timedelta(days=1)))
    found = quality(reviews, run(world.rows.reviewed(NOW - dt.timedelta(days=1))), 28)
    assert (found.agreement.pairs, found.agreement.share) == (1, 1.0)
    assert (found.everybody.verdicts, found.everybody.frauds, found.everybody.seconds) == (3, 2, 30)
    assert [(each.by_id, each.verdicts) for each in found.analysts] == [(ANA.id, 2), (BIA.id, 1)]
    assert {(each.reason, each.cases, each.frauds) for each in found.hits} == {
        ("NEW_PAYEE", 1, 1),
        ("NIGHT_LIMIT", 1, 0),
    }
    assert (found.busiest, found.awaiting, found.doubted) == (3, 0, ())


def test_a_second_verdict_that_differs_is_doubt_until_the_case_is_judged_again_and_stays_a_pair() -> None:
    world, case = World(second_share=1.0), held().case
    world.rows.add(held())
    found = []
    for person, verdict in ((ANA, Verdict.FRAUD), (BIA, Verdict.LEGITIMATE), (SOL, Verdict.LEGITIMATE)):
        world.judge(case, person, verdict)
        world.later(minutes=1)
        figures = quality(run(world.rows.reviews(NOW)), [], 28)
        found.append((figures.doubted, figures.agreement.pairs, figures.agreement.share))
    assert found == [((), 0, None), ((case,), 1, 0.0), ((), 1, 0.0)]


def test_larger_amounts_are_higher_and_later_ones_further_right() -> None:
    plot = charts.amounts(
        [payment(dt.timedelta(days=80), 1_000), payment(dt.timedelta(days=1), 500_000)], AT, 20_000, 90
    )
    old, new, this = plot.dots
    assert old.x < new.x < this.x
    assert new.y < this.y < old.y
    assert (plot.count, plot.median, plot.largest, this.kind) == (2, 250_500, 500_000, "this")


def test_an_account_without_payments_has_a_plot_of_the_pix_alone() -> None:
    plot = charts.amounts([], AT, 1, 90)
    assert [dot.kind for dot in plot.dots] == ["this"]
    assert plot.median is None


def test_bars_count_by_local_hour_and_day() -> None:
    before = [payment(dt.timedelta(0)), payment(dt.timedelta(hours=13)), payment(dt.timedelta(days=2))]
    by_hour, by_day = charts.hours(before, AT), charts.days(before, AT, 28)
    assert (by_hour.bars[12].count, by_hour.bars[12].marked, by_hour.bars[23].count) == (2, True, 1)
    assert [bar.count for bar in by_day.bars[-3:]] == [1, 1, 1]
    assert (by_day.total, by_day.most) == (30_000, 1)
    assert charts.days([], AT, 28).most == 0


def test_devices_are_told_by_use() -> None:
    used = [payment(dt.timedelta(days=day), device_id=name) for day, name in ((3, "old"), (2, "old"), (1, "new"))]
    assert [(each.id, each.count) for each in devices(used)] == [("old", 2), ("new", 1)]


def test_money_is_drawn_from_left_to_right() -> None:
    root, onward = Pix("E1", "a", "b", 100_000, 0, 0), Pix("E2", "b", "c", 90_000, 0, MINUTE, verdict="FRAUD")
    limits = TraceLimits()
    found = drawn(follow(grow(root, lambda spans: [onward] if "b" in spans else [], limits), limits))
    first, second = found.boxes
    assert first.x < second.x < found.width
    assert (second.hop, second.amount, second.verdict, second.share) == (2, 90_000, "FRAUD", 0.9)
    assert len(found.lines) == 1


def test_a_blind_drawing_of_money_has_no_verdict() -> None:
    root, limits = Pix("E1", "a", "b", 100_000, 0, 0, verdict="FRAUD"), TraceLimits()
    trace = follow(grow(root, lambda _: [], limits), limits)
    drawings = [drawn(trace), drawn(trace, ["E1"]), drawn(trace, ["E2"]), drawn(trace, with_verdicts=False)]
    assert [each.boxes[0].verdict for each in drawings] == ["FRAUD", None, "FRAUD", None]


def test_a_rule_shows_the_numbers_that_it_compares() -> None:
    (reason,) = explained(["PAYEE_MARKED_IN_DICT"], {"dict_marker_share": 0.25, "dict_markers_d90": 1.0})
    shown = {each.value for each in reason.evidence}
    assert shown <= {0.25, 1.0}
    assert shown


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [("flag", 1.0, "sim"), ("flag", 0.0, "não"), ("BRL", 12.5, "R$ 12,50"), ("d", 3.0, "3 dias"), ("d", None, "—")],
)
def test_a_number_is_written_in_its_unit(unit: str, value: float | None, words: str) -> None:
    (reason,) = explained(["NEW_PAYEE"], {})
    shown = type(reason.evidence[0])(reason.evidence[0].words, unit, value)
    assert Formats("pt", texts("pt")).evidence(shown).replace("\u00a0", " ") == words


LOCAL = Settings("pix-local", bigquery_emulator_host="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ({}, LOCAL),
        ({"PIX_DESK_USER": "ana@x", "PIX_DESK_AUDIENCE": "/projects/1"}, LOCAL),
        ({"PIX_DESK_USER": "ana@x"}, Settings("bank")),
        ({"PIX_DESK_USER": "ana@x", "PIX_DESK_SECOND_SHARE": "2"}, LOCAL),
        ({"PIX_DESK_USER": "ana@x", "PIX_DESK_LOCK_SECONDS": "soon"}, LOCAL),
    ],
)
def test_settings_that_let_anybody_in_or_are_no_number_stop_the_start(
    env: dict[str, str], settings: Settings
) -> None:
    with pytest.raises(Misconfigured, match="PIX_DESK_"):
        DeskSettings.from_env(env, settings)


def test_the_local_cloud_sets_what_the_desk_reads() -> None:
    found = DeskSettings.from_env(environment(lock_seconds=2.0), LOCAL)
    assert (found.user, found.lock_seconds) == ("ana@desk.local", 2.0)


def test_the_capacity_is_the_budget_of_reviews() -> None:
    costs = load(ROOT / "jobs" / "config.yaml").costs
    assert {costs.payer.reviews_per_day_max, costs.payee.reviews_per_day_max} == {DeskSettings().reviews_per_day}
