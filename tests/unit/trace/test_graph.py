"""The tracking graph: layers, windows, limits, cycles."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from shared.trace.graph import Pix, Spans, TraceLimits, grow
from tests.unit.trace.world import WIDE, pix, sender, traced

ROOT = pix("root", "victim", "mule", 1000, 0)


def layers(every: list[Pix], limits: TraceLimits = WIDE) -> dict[str, int]:
    members = grow(ROOT, sender(every), limits).members
    return {member.pix.end_to_end_id: member.layer for member in members if member.layer > 1}


def test_each_layer_holds_the_pix_of_the_payees_before() -> None:
    every = [
        pix("a", "mule", "second", 900, 10),
        pix("b", "second", "third", 800, 20),
        pix("foreign", "elsewhere", "third", 800, 20),
    ]
    assert layers(every) == {"a": 2, "b": 3}


@pytest.mark.parametrize(("minute", "found"), [(-1, False), (0, True), (120, True), (120.1, False)])
def test_money_leaves_after_it_came_in_and_within_the_window(minute: float, found: bool) -> None:
    assert bool(layers([pix("a", "mule", "second", 900, minute)])) is found


def test_later_money_into_a_known_account_opens_a_window_of_its_own() -> None:
    every = [
        pix("a", "mule", "second", 400, 1),
        pix("b", "second", "third", 300, 2),
        pix("c", "mule", "third", 300, 110),
        pix("d", "third", "fourth", 500, 200),
    ]
    assert layers(every) == {"a": 2, "c": 2, "b": 3, "d": 3}


def test_amounts_count_net_of_returns() -> None:
    limits = msgspec.structs.replace(WIDE, amount_min=20_000)
    kept, returned = pix("kept", "mule", "x", 300, 1, returned=10_000), pix("r", "mule", "y", 300, 1, returned=10_001)
    assert layers([kept, returned], limits) == {"kept": 2}
    assert (
        layers([pix("gone", "mule", "x", 300, 1, returned=30_000)], msgspec.structs.replace(WIDE, amount_min=0)) == {}
    )


def test_the_largest_pix_of_a_layer_are_taken_first_and_the_others_counted() -> None:
    every = [pix(f"p{brl}", "mule", f"m{brl}", brl, 1) for brl in (100, 300, 200)]
    graph = grow(ROOT, sender(every), msgspec.structs.replace(WIDE, transactions_max=3))
    assert {member.pix.end_to_end_id for member in graph.members} == {"root", "p300", "p200"}
    assert graph.left_out == 1


def test_no_layer_beyond_the_last_hop_is_asked_for() -> None:
    asked: list[Spans] = []

    def sent(spans: Spans) -> list[Pix]:
        asked.append(spans)
        return [pix(f"to-{len(asked)}", payer, f"m{len(asked)}", 900, len(asked)) for payer in spans]

    graph = grow(ROOT, sent, msgspec.structs.replace(WIDE, hops_max=3))
    assert [member.layer for member in graph.members] == [1, 2, 3]
    assert len(asked) == 2


def test_one_question_covers_all_accounts_of_a_layer() -> None:
    asked: list[set[str]] = []

    def sent(spans: Spans) -> list[Pix]:
        asked.append(set(spans))
        return [pix(f"{payer}-{i}", payer, f"{payer}{i}", 100, len(asked)) for payer in spans for i in range(3)]

    grow(ROOT, sent, msgspec.structs.replace(WIDE, hops_max=3))
    assert asked == [{"mule"}, {"mule0", "mule1", "mule2"}]


@pytest.mark.parametrize("back_to", ["victim", "mule", "second"])
def test_a_pix_back_to_its_path_is_marked_and_not_followed(back_to: str) -> None:
    every = [
        pix("a", "mule", "second", 900, 10),
        pix("back", "second", back_to, 800, 20),
        pix("after", back_to, "third", 700, 125),
    ]
    steps = {step.pix.end_to_end_id: step for step in traced(ROOT, every).steps}
    assert [id_ for id_, step in steps.items() if step.member.returns] == ["back"]
    assert "after" not in steps or steps["after"].parent == "a"  # it also follows the first Pix into `second`


def test_two_ways_to_one_account_are_no_cycle() -> None:
    every = [
        pix("a", "mule", "left", 400, 1),
        pix("b", "mule", "right", 400, 1),
        pix("c", "left", "end", 400, 2),
        pix("d", "right", "end", 400, 2),
    ]
    assert not any(step.member.returns for step in traced(ROOT, every).steps)


def test_a_root_of_an_account_to_itself_leads_nowhere() -> None:
    own = pix("own", "mule", "mule", 900, 0)
    [step] = traced(own, [pix("a", "mule", "second", 900, 1)]).steps
    assert step.member.returns


def test_the_defaults_are_those_of_the_sources() -> None:
    assert TraceLimits() == TraceLimits(5, dt.timedelta(hours=2), 20_000, 10)
