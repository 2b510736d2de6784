"""The root's money: first in, first out, never more than came in; and properties over random worlds."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.trace.flow import MINUTE, Trace
from shared.trace.graph import Pix, TraceLimits
from tests.unit.trace.world import pix, shown, traced

ROOT = pix("root", "victim", "mule", 1000, 0)


def test_an_account_passes_on_no_more_than_it_received() -> None:
    every = [pix("a", "mule", "x", 700, 1), pix("b", "mule", "y", 700, 2), pix("c", "mule", "z", 700, 3)]
    trace = traced(ROOT, every)
    assert shown(trace) == {
        "root": (1, None, 1000.0),
        "a": (2, "root", 700.0),
        "b": (2, "root", 300.0),
        "c": (2, "root", 0.0),
    }
    assert trace.root.share_passed == 1.0
    assert trace.share(trace.step("b")) == pytest.approx(0.3)
    assert trace.step("c").share_passed is None


def test_money_from_two_ways_is_joined_and_shown_under_the_larger() -> None:
    every = [
        pix("a", "mule", "left", 400, 1),
        pix("b", "mule", "right", 600, 1),
        pix("c", "left", "end", 400, 2),
        pix("d", "right", "end", 600, 3),
        pix("e", "end", "cash", 900, 5),
    ]
    last = traced(ROOT, every).step("e")
    assert [(source.end_to_end_id, source.amount) for source in last.sources] == [("c", 40_000), ("d", 50_000)]
    assert (last.parent, last.traced, last.stays) == ("d", 90_000, 90_000)
    assert traced(ROOT, every).step("d").stays == 10_000


def test_minutes_count_from_the_previous_hop_and_from_the_root() -> None:
    trace = traced(ROOT, [pix("a", "mule", "x", 700, 10), pix("b", "x", "y", 600, 25.5)])
    assert trace.minutes(trace.step("b")) == (15.5, 25.5)
    assert trace.minutes(trace.root) == (0, 0)


ACCOUNTS = ["a", "b", "c", "d", "e", "f"]
worlds = st.lists(
    st.tuples(
        st.sampled_from(ACCOUNTS),
        st.sampled_from(ACCOUNTS),
        st.integers(1, 100_000),
        st.integers(0, 30_000),
        st.integers(-10, 300),
    ),
    max_size=40,
)
bounds = st.builds(
    TraceLimits,
    st.integers(1, 6),
    st.integers(1, 180).map(lambda minutes: dt.timedelta(minutes=minutes)),
    st.integers(0, 30_000),
    st.integers(1, 30),
)


@given(worlds, bounds, st.integers(1, 100_000))
def test_every_trace_keeps_its_bounds(
    world: list[tuple[str, str, int, int, int]], limits: TraceLimits, amount: int
) -> None:
    every = [
        Pix(f"p{number:02}", payer, payee, centavos, returned, minute * MINUTE)
        for number, (payer, payee, centavos, returned, minute) in enumerate(world)
    ]
    root = Pix("root", "a", "b", amount, 0, 0)
    trace = traced(root, [root, *every], limits)
    _bounded(trace)
    _conserved(trace)
    _acyclic(trace)


def _bounded(trace: Trace) -> None:
    limits, window = trace.limits, trace.limits.hop_window.total_seconds() / 60
    assert len(trace.by_id()) == len(trace.steps) <= limits.transactions_max
    for step in trace.steps[1:]:
        parent = trace.step(step.parent)
        assert parent.member.layer + 1 == step.member.layer <= limits.hops_max
        assert parent.pix.payee_id == step.pix.payer_id
        assert not parent.member.returns
        assert 0 <= trace.minutes(step)[0] <= window
        assert step.pix.net >= max(limits.amount_min, 1)


def _conserved(trace: Trace) -> None:
    taken: dict[str, int] = {}
    for step in trace.steps[1:]:
        assert sum(source.amount for source in step.sources) == step.traced <= step.pix.net
        for source in step.sources:
            assert source.amount > 0
            assert trace.step(source.end_to_end_id).pix.moved_at <= step.pix.moved_at
            taken[source.end_to_end_id] = taken.get(source.end_to_end_id, 0) + source.amount
    for step in trace.steps:
        assert taken.get(step.pix.end_to_end_id, 0) == step.passed <= step.traced
    assert sum(step.stays for step in trace.steps) == trace.root.pix.net


def _acyclic(trace: Trace) -> None:
    paid: dict[str, set[str]] = {}
    for step in trace.steps:
        if not step.member.returns:
            paid.setdefault(step.pix.payer_id, set()).add(step.pix.payee_id)
    while leaves := {account for account, payees in paid.items() if not payees & paid.keys()}:
        paid = {account: payees for account, payees in paid.items() if account not in leaves}
    assert not paid
