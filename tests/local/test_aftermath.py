"""Outcomes, reviews and reports fit the decisions on their Pix, and come after them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from infra.local.aftermath import held as held_messages
from infra.local.aftermath import publisher as publishing
from infra.local.aftermath.fitting import DecidedPix, Message, TopicMessage, fitted
from infra.local.aftermath.held import Decided, HeldMessages, Published
from infra.local.aftermath.publisher import AftermathPublisher
from infra.local.aftermath.reviewers import COMPLAINTS, complains, lot, refusals, refuses
from shared.contract.feedback import decode_feedback
from shared.contract.outcome import decode_outcome
from shared.contract.topics import FEEDBACK, OUTCOMES
from tests.builders import encoded
from tests.waiting import until

FRAUD = "SCAM"
SETTLED: Message = {"end_to_end_id": "E1", "side": "PAYER", "status": "SETTLED", "at": "2026-11-20T14:32:06Z"}
RETURNED: Message = SETTLED | {"status": "RETURNED", "return_id": "D1", "amount": "1.00"}
EXPIRED: Message = SETTLED | {"status": "EXPIRED", "reason": "AB03"}
MED: Message = {
    "source": "MED",
    "report_id": "R1",
    "end_to_end_id": "E1",
    "reported_at": "2026-11-21T09:00:00Z",
    "status": "OPEN",
}
MARKER: Message = {"source": "FRAUD_MARKER", "report_id": "M1", "infraction_report_id": "R1"}
REFUND: Message = {"source": "REFUND", "report_id": "F1", "end_to_end_id": "E1"}
RECOVERY: Message = {"source": "FUNDS_RECOVERY", "report_id": "V1", "root_end_to_end_id": "E1", "graph": []}
DESK: Message = {"source": "ANALYST", "report_id": "A1", "end_to_end_id": "E1", "verdict": "FRAUD"}
REPORTS = (MED, MARKER, REFUND, RECOVERY, DESK)


def pix(end_to_end_id: str, decision: str, situation: str | None = None) -> DecidedPix:
    return DecidedPix(end_to_end_id, "12.00", "87654321", decision, situation)


def named(refused: bool, situation: str | None, complaint: bool = False) -> str:
    """Return an EndToEndId whose reviewer refuses it or not, and whose customer complains or not."""
    ids = (f"E12345678202611201432{n:011d}" for n in range(1_000))
    return next(
        id_
        for id_ in ids
        if refuses(id_, situation) == refused and complains(id_, situation) == (complaint and situation is None)
    )


def words(found: Iterable[TopicMessage]) -> list[str]:
    """Return the status of outcomes and the verdicts of analysts."""
    return [each.message.get("status") or each.message["verdict"] for each in found]


@pytest.mark.parametrize(
    ("decision", "refused", "situation", "published"),
    [
        ("APPROVE", False, None, ["SETTLED"]),
        ("HOLD", False, None, ["SETTLED", "LEGITIMATE"]),
        ("HOLD", True, FRAUD, ["REJECTED", "FRAUD"]),
        ("BLOCK", False, None, ["SETTLED", "BLOCKED", "RELEASED", "LEGITIMATE"]),
        ("BLOCK", True, FRAUD, ["SETTLED", "BLOCKED", "RETURNED", "FRAUD"]),
        ("REJECT", True, FRAUD, ["REJECTED"]),
        ("REJECT", False, None, ["REJECTED"]),
    ],
)
def test_what_is_published_fits_the_decision_and_is_of_the_contract(
    decision: str, refused: bool, situation: str | None, published: list[str]
) -> None:
    id_ = named(refused, situation)
    found = fitted(pix(id_, decision, situation), SETTLED | {"end_to_end_id": id_})
    assert words(found) == published
    for topic, message in found:
        read: Any = decode_outcome if topic == OUTCOMES else decode_feedback
        assert read(encoded(message)).value.end_to_end_id == id_


@pytest.mark.parametrize(("decision", "before"), [("REJECT", ["REJECTED"]), ("HOLD", ["REJECTED", "FRAUD"])])
def test_a_good_customer_who_complains_has_the_last_word(decision: str, before: list[str]) -> None:
    id_ = named(refused=True, situation=None, complaint=True)
    *others, complaint = fitted(pix(id_, decision), SETTLED | {"end_to_end_id": id_})
    assert words(others) == before
    assert words([complaint]) == ["LEGITIMATE"]
    assert complaint.message["reported_at"] > SETTLED["at"]


@pytest.mark.parametrize("decision", ["APPROVE", "HOLD", "BLOCK", "REJECT"])
def test_what_the_spi_refused_was_not_reviewed(decision: str) -> None:
    assert fitted(pix("E1", decision, FRAUD), EXPIRED) == [TopicMessage(OUTCOMES, EXPIRED)]


def test_nothing_follows_a_settlement_that_did_not_take_place() -> None:
    refused, released = named(refused=True, situation=FRAUD), named(refused=False, situation=FRAUD)
    assert fitted(pix(refused, "HOLD", FRAUD), RETURNED) == fitted(pix(refused, "REJECT", FRAUD), RETURNED) == []
    assert words(fitted(pix(released, "HOLD", FRAUD), RETURNED)) == ["RETURNED"]


@pytest.mark.parametrize("situation", ["ACCOUNT_TAKEOVER", "SCAM", "UNKNOWN", None])
def test_reviewers_err_at_their_rates(situation: str | None) -> None:
    ids = [f"E{n}" for n in range(20_000)]
    share = sum(refuses(id_, situation) for id_ in ids) / len(ids)
    assert share == pytest.approx(refusals(situation), abs=0.01)
    complaints = sum(complains(id_, situation) for id_ in ids) / len(ids)
    assert complaints == pytest.approx(COMPLAINTS if situation is None else 0, abs=0.01)


def test_lots_of_one_pix_about_two_questions_are_not_alike() -> None:
    both = sum(lot(f"E{n}", "review") < 0.5 and lot(f"E{n}", "complaint") < 0.5 for n in range(10_000))
    assert both / 10_000 == pytest.approx(0.25, abs=0.02)


def waiting_for(
    reports: Sequence[Message] = (), truth: dict[str, str] | None = None, ids: Sequence[str] = ("E1",)
) -> HeldMessages:
    held = HeldMessages((truth or {}).get)
    for id_ in ids:
        held.ask(Published(id_, "PAYER", "12.00", "87654321"))
    for report in reports:
        held.hold(TopicMessage(FEEDBACK, report))
    return held


def test_messages_wait_for_every_side_that_was_asked_and_fit_the_strictest() -> None:
    held = waiting_for()
    held.ask(Published("E1", "PAYEE", "12.00", "87654321"))
    held.hold(TopicMessage(OUTCOMES, SETTLED))
    assert (held.take(), held.waiting()) == ([], ["E1"])
    held.decide([Decided("E1", "PAYER", "APPROVE")])
    assert held.take() == []
    held.decide([Decided("E1", "PAYER", "APPROVE"), Decided("E1", "PAYEE", "REJECT")])
    assert (words(held.take())[:1], held.waiting()) == (["REJECTED"], [])
    held.hold(TopicMessage(OUTCOMES, RETURNED))
    assert held.take() == []


def test_the_first_decision_of_a_side_counts() -> None:
    held = waiting_for()
    held.hold(TopicMessage(OUTCOMES, SETTLED))
    held.decide([Decided("E1", "PAYER", "APPROVE"), Decided("E1", "PAYER", "REJECT")])
    assert held.take() == [TopicMessage(OUTCOMES, SETTLED)]


def test_reports_on_a_pix_that_was_paid_stay_as_they_are() -> None:
    held = waiting_for(REPORTS)
    assert held.take() == []
    held.decide([Decided("E1", "PAYER", "APPROVE")])
    assert [each.message for each in held.take()] == list(REPORTS)


def test_nobody_reports_a_fraud_that_was_stopped() -> None:
    held = waiting_for(REPORTS, {"E1": FRAUD})
    held.decide([Decided("E1", "PAYER", "REJECT")])
    assert (held.take(), held.waiting()) == ([], [])
    held.hold(TopicMessage(FEEDBACK, MARKER))
    assert held.take() == []


def test_of_a_pix_that_was_released_all_but_the_desk_s_own_review_is_told() -> None:
    id_ = named(refused=False, situation=FRAUD)
    renamed = [
        {name: id_ if value == "E1" else value for name, value in report.items()} for report in (MED, MARKER, DESK)
    ]
    held = waiting_for(renamed, {id_: FRAUD}, [id_])
    held.decide([Decided(id_, "PAYER", "HOLD")])
    assert [each.message["source"] for each in held.take()] == ["MED", "FRAUD_MARKER"]


HOP: Message = MED | {"report_id": "R2", "end_to_end_id": "E2", "root_end_to_end_id": "E1", "hop": 2}
HOP_REFUND: Message = REFUND | {"end_to_end_id": "E2"}


@pytest.mark.parametrize(("root", "hop"), [("REJECT", "APPROVE"), ("APPROVE", "REJECT")])
def test_there_is_no_report_of_a_hop_whose_money_never_came(root: str, hop: str) -> None:
    held = waiting_for([HOP, HOP_REFUND], {"E1": FRAUD, "E2": "OTHER"}, ["E1", "E2"])
    held.decide([Decided("E1", "PAYER", root)])
    held.decide([Decided("E2", "PAYER", hop)])
    assert (held.take(), held.waiting()) == ([], [])


def test_a_graph_is_without_the_pix_that_were_stopped() -> None:
    edges = [{"end_to_end_id": id_, "hop": hop, "amount": "1.00"} for hop, id_ in enumerate(("E1", "E2", "E3"), 1)]
    held = waiting_for([HOP, RECOVERY | {"graph": edges}], {"E2": "OTHER"}, ["E1", "E2"])
    held.decide([Decided("E1", "PAYER", "APPROVE"), Decided("E2", "PAYER", "REJECT")])
    held.decide([Decided("E2", "PAYER", "REJECT")])
    held.hold(TopicMessage(FEEDBACK, RECOVERY | {"graph": edges}))
    assert [edge["end_to_end_id"] for edge in held.take()[-1].message["graph"]] == ["E1", "E3"]


def test_a_message_about_an_earlier_pix_stays_as_it_is() -> None:
    held = HeldMessages(dict[str, str]().get)
    for topic, message in ((OUTCOMES, RETURNED), *((FEEDBACK, report) for report in REPORTS)):
        held.hold(TopicMessage(topic, message))
        assert held.take() == [TopicMessage(topic, message)]


def test_the_oldest_pix_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_messages, "REMEMBERED_MAX", 1)
    held = waiting_for()
    held.hold(TopicMessage(OUTCOMES, SETTLED))
    held.ask(Published("E2", "PAYER", "12.00", "87654321"))
    assert held.waiting() == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "LOOK_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
def test_messages_are_published_once_their_pix_are_decided() -> None:
    published: list[TopicMessage] = []
    decided = threading.Event()

    def ask(ids: Sequence[str]) -> list[Decided]:
        return [Decided(id_, "PAYER", "APPROVE") for id_ in ids if decided.is_set()]

    both = [TopicMessage(OUTCOMES, SETTLED), TopicMessage(FEEDBACK, MED)]
    with AftermathPublisher(ask, published.extend, dict[str, str]().get) as publisher:
        publisher.asked(Published("E1", "PAYER", "12.00", "87654321"))
        for each in both:
            publisher.hold(each)
        assert (publisher.waiting(), published) == (1, [])
        decided.set()
        until(lambda: published == both)
        assert publisher.waiting() == 0


@pytest.mark.usefixtures("quick")
def test_an_error_of_the_thread_reaches_the_publisher() -> None:
    def ask(_: Sequence[str]) -> Any:
        raise TimeoutError("away")

    def told() -> None:
        with AftermathPublisher(ask, lambda _: None, dict[str, str]().get) as publisher:
            publisher.asked(Published("E1", "PAYER", "12.00", "87654321"))
            publisher.hold(TopicMessage(OUTCOMES, SETTLED))
            until(lambda: publisher.waiting() == 0)

    with pytest.raises(TimeoutError, match="away"):
        told()
