"""The verdict that follows from reports: precedence, ties, and any order of delivery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.fields import Verdict
from shared.features.facts import VerdictCount
from shared.features.reports import Reports, state_of
from shared.features.verdicts import (
    Correction,
    InForce,
    MarkerCount,
    VerdictLog,
    VerdictSource,
    in_force,
    marker_key,
    pix_key,
)
from tests.unit.report_states import PIX, RETURN, analyst, customer, marker, med, messages, row

PARTIES = ("payer", "payee", "device")


def states(*reports: dict[str, Any]) -> list[Any]:
    return [state_of(row(each)) for each in reports]


def verdict(*reports: dict[str, Any]) -> str:
    found = in_force(states(*reports))
    assert found is not None
    return f"{found.verdict} {found.source}"


def told(log: VerdictLog, reports: list[dict[str, Any]], pix: str = PIX) -> list[Correction]:
    """Tell a log of reports, each at its own place; return all corrections."""
    found: list[Correction] = []
    for place, state in enumerate(states(*reports), 1):
        found += log.judge(pix, state, PARTIES, place)
    return found


def net(corrections: list[Correction]) -> dict[tuple[Any, ...], int]:
    """Return the facts that are left of corrections."""
    sums: dict[tuple[Any, ...], int] = {}
    for each in corrections:
        assert isinstance(each, VerdictCount)
        key = (each.payer_id, each.payee_id, each.device_id, each.reported_at, each.fraud, each.hop)
        sums[key] = sums.get(key, 0) + each.sign
    return {key: count for key, count in sums.items() if count}


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([med("OPEN", 0)], "PENDING OPEN"),
        ([med("OPEN", 0), med("ACKNOWLEDGED", 1), med("AGREED", 2)], "FRAUD AGREED"),
        ([med("AGREED", 1), med("CANCELLED", 2)], "LEGITIMATE CANCELLED"),
        ([med("AGREED", 0), med("OPEN", 5, "m-2")], "FRAUD AGREED"),
        ([med("AGREED", 0), med("DISAGREED", 5, "m-2")], "FRAUD AGREED"),
        ([med("DISAGREED", 0), med("OPEN", -5, "m-2")], "PENDING OPEN"),
        ([analyst("FRAUD", 0), med("OPEN", 5)], "FRAUD ANALYST"),
        ([analyst("FRAUD", 0), med("CANCELLED", 5)], "FRAUD ANALYST"),
        ([analyst("LEGITIMATE", 9), med("AGREED", 0)], "FRAUD AGREED"),
        ([analyst("FRAUD", 0), analyst("LEGITIMATE", 1, "a-2")], "LEGITIMATE ANALYST"),
        ([analyst("LEGITIMATE", 0), customer("CONTESTED", 1)], "LEGITIMATE ANALYST"),
        ([customer("CONTESTED", 1)], "PENDING CONTESTED"),
        ([customer("CONTESTED", 1), customer("WITHDRAWN", 2)], "LEGITIMATE WITHDRAWN"),
        ([customer("CONTESTED", 1), med("DISAGREED", 5)], "PENDING CONTESTED"),
        ([med("AGREED", 0), marker("REGISTERED", 0)], "FRAUD AGREED"),
        ([med("AGREED", 0), marker("REGISTERED", 0), marker("CANCELLED", 1)], "LEGITIMATE CANCELLED"),
        ([med("AGREED", 0), marker("CANCELLED", 1, about="m-2")], "FRAUD AGREED"),
        ([med("AGREED", 0), analyst("FRAUD", 0), marker("CANCELLED", 1)], "FRAUD ANALYST"),
    ],
)
def test_the_stronger_word_is_in_force(reports: list[dict[str, Any]], expected: str) -> None:
    assert verdict(*reports) == expected
    assert verdict(*reversed(reports)) == expected


def test_states_of_one_time_are_ordered_by_themselves() -> None:
    """DICT's CreationTime in each state: the first state, delivered again, does not undo the last."""
    opened, agreed = med("OPEN", 0), med("AGREED", 0)
    log = VerdictLog()
    (counted,) = told(log, [opened, agreed, opened, agreed, opened])
    assert isinstance(counted, VerdictCount)
    assert (counted.fraud, counted.sign) == (True, 1)


def test_a_marker_alone_judges_no_pix() -> None:
    assert in_force(states(marker("CANCELLED", 0))) is None


def test_a_verdict_after_a_cancelled_marker_dates_from_the_cancellation() -> None:
    (agreed, revoked) = states(med("AGREED", 0), marker("CANCELLED", 1))
    assert in_force([agreed, revoked]) == InForce(Verdict.LEGITIMATE, VerdictSource.CANCELLED, revoked.reported_at, 1)


@pytest.mark.parametrize(
    ("reports", "hop", "payer"),
    [
        ([med("AGREED", 0)], 1, "payer"),
        ([med("AGREED", 0, hop=1)], 1, "payer"),
        ([med("AGREED", 0, hop=3)], 3, ""),
        ([med("AGREED", 0, root_end_to_end_id=PIX)], 1, "payer"),
        ([med("AGREED", 0, root_end_to_end_id=PIX.replace("a1", "b2"))], 2, ""),
        ([med("AGREED", 0, hop=2), med("AGREED", 5, "m-2", hop=1)], 1, "payer"),
        ([med("OPEN", 0, hop=2), analyst("FRAUD", 1)], 2, ""),
        ([analyst("FRAUD", 1)], 1, "payer"),
    ],
)
def test_who_passes_on_a_stolen_sum_is_no_victim(reports: list[dict[str, Any]], hop: int, payer: str) -> None:
    ((key, count),) = net(told(VerdictLog(), reports)).items()
    assert (key[0], key[1], key[5], count) == (payer, "payee", hop, 1)


def test_a_cancelled_refund_is_the_fraud_of_who_got_it_and_harms_nobody_else() -> None:
    report = med("AGREED", 0, pix=RETURN, reason="REFUND_CANCELLED", situation_type="OTHER")
    (counted,) = told(VerdictLog(), [report], RETURN)
    assert isinstance(counted, VerdictCount)
    assert (counted.payer_id, counted.payee_id, counted.fraud) == ("", "payee", True)


@given(st.lists(messages, max_size=7), st.data())
def test_any_order_and_number_of_deliveries_ends_in_the_same_verdict(
    reports: list[dict[str, Any]], data: st.DataObject
) -> None:
    once, again = VerdictLog(), VerdictLog()
    repeated = [*reports, *data.draw(st.lists(st.sampled_from(reports), max_size=5))] if reports else []
    assert net(told(once, reports)) == net(told(again, data.draw(st.permutations(repeated))))
    one, other = (log.values.get(pix_key(PIX), Reports()) for log in (once, again))
    assert one.counted == other.counted
    assert in_force(one.states) == in_force(other.states)
    if reports:
        assert Reports.decode(other.encode()) == other


@given(st.lists(messages, min_size=1, max_size=6), st.integers(0, 5))
def test_a_redelivery_changes_nothing_and_has_the_first_place(reports: list[dict[str, Any]], which: int) -> None:
    log = VerdictLog()
    told(log, reports)
    before = log.encoded()
    (state,) = states(reports[which % len(reports)])
    place = log.place_of(pix_key(PIX), state)
    assert log.judge(PIX, state, PARTIES, 99) == []
    assert log.encoded() == before
    assert log.place_of(pix_key(PIX), state) == place


def test_a_correction_takes_back_what_was_counted_from_the_records_in_which_it_was() -> None:
    log = VerdictLog()
    (agreed, cancelled) = states(med("AGREED", 0), med("CANCELLED", 1))
    log.judge(PIX, agreed, ("payer", "payee", None), 1)
    back, cleared = log.judge(PIX, cancelled, PARTIES, 2)
    assert (back.sign, cleared.sign) == (-1, 1)
    assert isinstance(back, VerdictCount)
    assert back.device_id is None
    assert log.place_of(pix_key(PIX), cancelled) == 2


def test_the_markers_of_a_person_and_a_key_are_counted_until_they_are_cancelled() -> None:
    log = VerdictLog()
    registered, cancelled = states(marker("REGISTERED", 0, key="a@b.c"), marker("CANCELLED", 1))
    at = registered.reported_at
    assert log.mark("f-1", registered, "person", "key", 1) == [
        MarkerCount("person", at, 1),
        MarkerCount("key", at, 1),
    ]
    assert log.mark("f-1", registered, "person", "key", 2) == []
    assert log.mark("f-1", cancelled, "person", None, 3) == [
        MarkerCount("person", at, -1),
        MarkerCount("key", at, -1),
    ]
    assert log.place_of(marker_key("f-1"), registered) == 1


def test_a_marker_that_was_cancelled_before_it_came_is_never_counted() -> None:
    log = VerdictLog()
    registered, cancelled = states(marker("REGISTERED", 0), marker("CANCELLED", 1))
    assert log.mark("f-1", cancelled, "person", None, 1) == []
    assert log.mark("f-1", registered, "person", None, 2) == []
    assert log.place_of(marker_key("f-1"), registered) is None


def test_a_log_continues_from_its_bytes() -> None:
    log, other = VerdictLog(), VerdictLog()
    told(log, [med("OPEN", 0), med("AGREED", 1), analyst("LEGITIMATE", 2)])
    other.restore(log.encoded())
    assert other.values == log.values
    assert told(other, [med("AGREED", 1)]) == []


def test_the_place_of_the_last_state_is_where_a_store_writes_it() -> None:
    log = VerdictLog()
    told(log, [med("OPEN", 0), med("AGREED", 1)])
    value = log.values[pix_key(PIX)]
    written = value.placed(-1).encode()
    written = written[: value.place_at] + np.int64(2).tobytes() + written[value.place_at + 8 :]
    assert Reports.decode(written) == value
    assert int.from_bytes(written[:4], "little") == 2
