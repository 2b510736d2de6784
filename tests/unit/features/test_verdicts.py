"""The verdict that follows from reports: precedence, ties, and any order of delivery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.fields import Verdict
from shared.features.facts import VerdictCount
from shared.features.layout import WEIGHTS
from shared.features.reports import Reports, state_of
from shared.features.verdicts import (
    Correction,
    InForce,
    MarkerCount,
    RecoveryCount,
    VerdictLog,
    VerdictSource,
    facts_of,
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


def told(log: VerdictLog, reports: list[dict[str, Any]], pix: str = PIX) -> list[VerdictCount]:
    """Tell a log of reports, each at its own place; return all corrections of verdicts."""
    found: list[Correction] = []
    for place, report in enumerate(reports, 1):
        found += log.tell(row(report), {pix: PARTIES}, place)
    return [each for each in found if isinstance(each, VerdictCount)]


def net(corrections: list[VerdictCount]) -> dict[tuple[Any, ...], int]:
    """Return the facts that are left of corrections."""
    sums: dict[tuple[Any, ...], int] = {}
    for each in corrections:
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
    again = reports[which % len(reports)]
    (state,) = states(again)
    place = log.place_of(pix_key(PIX), state)
    assert log.tell(row(again), {PIX: PARTIES}, 99) == []
    assert log.encoded() == before
    assert log.place_of(pix_key(PIX), state) == place


def test_a_correction_takes_back_what_was_counted_from_the_records_in_which_it_was() -> None:
    log = VerdictLog()
    log.tell(row(med("AGREED", 0)), {PIX: ("payer", "payee", None)}, 1)
    back, cleared = log.tell(row(med("CANCELLED", 1)), {PIX: PARTIES}, 2)
    assert (back.sign, cleared.sign) == (-1, 1)
    assert isinstance(back, VerdictCount)
    assert back.device_id is None
    assert log.place_of(pix_key(PIX), states(med("CANCELLED", 1))[0]) == 2


def test_the_markers_of_a_person_and_a_key_are_counted_until_they_are_cancelled() -> None:
    log = VerdictLog()
    registered, cancelled = row(marker("REGISTERED", 0, key="a@b.c")), row(marker("CANCELLED", 1))
    assert registered.person_id is not None
    assert registered.key_id is not None
    holders, at = (registered.person_id, registered.key_id), registered.reported_at
    assert log.tell(registered, {}, 1) == [MarkerCount(holder, at, 1) for holder in holders]
    assert log.tell(registered, {}, 2) == []
    assert log.tell(cancelled, {}, 3) == [MarkerCount(holder, at, -1) for holder in holders]
    assert log.place_of(marker_key("f-1"), states(marker("REGISTERED", 0, key="a@b.c"))[0]) == 1


def test_a_marker_that_was_cancelled_before_it_came_is_never_counted() -> None:
    log = VerdictLog()
    assert log.tell(row(marker("CANCELLED", 1)), {}, 1) == []
    assert log.tell(row(marker("REGISTERED", 0)), {}, 2) == []
    assert log.place_of(marker_key("f-1"), states(marker("REGISTERED", 0))[0]) is None


def recoveries(log: VerdictLog, *reports: dict[str, Any]) -> list[Correction]:
    """Tell a log of reports, each about its own Pix; return the corrections of recoveries."""
    found: list[Correction] = []
    for place, report in enumerate(reports):
        found += log.tell(row(report), {report["end_to_end_id"]: PARTIES}, place)
    return [each for each in found if isinstance(each, RecoveryCount)]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_account_counts_once_for_each_recovery(reverse: bool) -> None:
    """Also for two Pix of one recovery, in either order; a report that is only open does not count."""
    other = PIX.replace("a1", "b2")
    one = med("AGREED", 1, "m-1", hop=2, funds_recovery_id="one")
    again = med("AGREED", 0, "m-2", pix=other, hop=3, funds_recovery_id="one")
    two = med("AGREED", 1, "m-3", hop=2, funds_recovery_id="two")
    opened = med("OPEN", 1, "m-4", hop=2, funds_recovery_id="three")
    reports = [one, again, two, opened]
    log = VerdictLog()
    sums: dict[tuple[str, int], int] = {}
    for each in recoveries(log, *(reports[::-1] if reverse else reports)):
        assert isinstance(each, RecoveryCount)
        key = (each.payee_id, each.reported_at)
        sums[key] = sums.get(key, 0) + each.sign
    at = [row(each).reported_at for each in (again, two)]
    assert {key: count for key, count in sums.items() if count} == {("payee", each): 1 for each in at}
    gone = [
        med("CANCELLED", 5, "m-1", funds_recovery_id="one"),
        med("CANCELLED", 5, "m-2", other, funds_recovery_id="one"),
    ]
    assert sum(each.sign for each in recoveries(log, *gone)) == -1


def test_facts_stand_in_the_order_of_their_corrections() -> None:
    found: list[Correction] = [
        RecoveryCount("payee", 1_000_000, 1),
        VerdictCount("payer", "payee", None, 2_000_000, True),
        MarkerCount("person", 3_000_000, -1),
        VerdictCount("payer", "payee", None, 4_000_000, False),
        RecoveryCount("payee", 5_000_000, -1),
    ]
    facts = facts_of(found)
    assert facts.at.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert facts.weights[:, WEIGHTS.index("recovery")].tolist() == [1.0, 0.0, 0.0, 0.0, -1.0]
    assert facts.weights[:, WEIGHTS.index("marker")].tolist() == [0.0, 0.0, -1.0, 0.0, 0.0]
    assert len(facts_of([])) == 0


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
