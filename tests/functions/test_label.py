"""The label function under functions-framework: every report is a row, and the view has the verdict in force."""

from typing import Any

from infra.local.cloud import LocalCloud
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.world import ask, deliver, url


def reported(end_to_end_id: str, day: int, **changes: Any) -> bytes:
    return push_body(encoded(med_report(end_to_end_id, reported_at=f"2026-11-{day:02d}T00:00:00Z", **changes)))


def verdict(cloud: LocalCloud, end_to_end_id: str) -> str | None:
    rows = ask(cloud, "SELECT * FROM pix.labels WHERE end_to_end_id = @id", id=end_to_end_id)
    assert len(rows) <= 1
    found: str | None = rows[0].verdict if rows else None
    return found


def scored(cloud: LocalCloud, **changes: Any) -> str:
    """Score a Pix and return its id; a report about an unknown Pix comes again."""
    message = transaction(**changes)
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    return str(message["end_to_end_id"])


def test_the_latest_state_of_a_report_is_in_force_in_any_order_of_arrival(cloud: LocalCloud) -> None:
    # Between accounts without a fraud: a Pix that is held for one is not paid, and then no ended report clears it.
    approved = {"payer__account": "777007", "payee__account": "555007", "device__id": "latest-state"}
    (closed, cancelled, late) = (scored(cloud, **approved) for _ in range(3))
    open_ = {"status": "OPEN", "analysis_result": None}
    bodies = [
        reported(closed, 5, **open_),
        reported(closed, 7),
        reported(cancelled, 5),
        reported(cancelled, 6, status="CANCELLED", analysis_result=None),
        reported(late, 9),
        reported(late, 8, **open_),
    ]
    assert set(deliver(url(cloud, "label"), bodies)) == {204}
    assert verdict(cloud, closed) == "FRAUD"
    assert verdict(cloud, cancelled) == "LEGITIMATE"
    assert verdict(cloud, late) == "FRAUD"


def test_an_unreported_pix_is_legitimate_once_matured(cloud: LocalCloud) -> None:
    young = transaction()
    approved = {"payer__account": "777009", "payee__account": "555009", "device__id": "unreported"}
    at = {"end_to_end_id": "E12345678202602011500unreported0", "initiated_at": "2026-02-01T15:00:00Z"}
    old = transaction(**approved, **at)
    deliver(url(cloud, "score"), [push_body(encoded(message)) for message in (young, old)])
    assert verdict(cloud, young["end_to_end_id"]) is None
    assert verdict(cloud, old["end_to_end_id"]) == "LEGITIMATE"


def test_a_verdict_stands_until_a_stronger_one(cloud: LocalCloud) -> None:
    """A customer's report does not undo the analyst; a cancelled marker undoes the agreed report it followed from."""
    approved = {"payer__account": "777008", "payee__account": "555008", "device__id": "stronger"}
    pix, marked = (scored(cloud, **approved) for _ in range(2))
    analyst = {"source": "ANALYST", "report_id": "a", "end_to_end_id": pix, "reported_at": "2026-11-21T00:00:00Z"}
    bodies = [
        push_body(encoded(analyst | {"verdict": "FRAUD"})),
        reported(pix, 22, status="OPEN", analysis_result=None),
        reported(marked, 22, report_id=f"report on {marked[-5:]}".replace(" ", "-")),
    ]
    assert deliver(url(cloud, "label"), bodies) == [204] * 3
    assert (verdict(cloud, pix), verdict(cloud, marked)) == ("FRAUD", "FRAUD")
    marker = {
        "source": "FRAUD_MARKER",
        "report_id": "marker",
        "tax_id": "98765432100",
        "reported_at": "2026-11-22T11:00:00Z",
        "status": "CANCELLED",
        "infraction_report_id": f"report-on-{marked[-5:]}",
    }
    assert deliver(url(cloud, "label"), [push_body(encoded(marker))]) == [204]
    assert (verdict(cloud, pix), verdict(cloud, marked)) == ("FRAUD", "LEGITIMATE")
    assert ask(cloud, "SELECT COUNT(*) AS n FROM pix.feedback WHERE report_id = 'marker'")[0].n == 1


def test_a_malformed_report_is_quarantined(cloud: LocalCloud) -> None:
    body = push_body(encoded(med_report(transaction()["end_to_end_id"], status="LOST")))
    before = ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine WHERE topic = 'pix-feedback'")[0].n
    assert deliver(url(cloud, "label"), [body]) == [204]
    assert ask(cloud, "SELECT COUNT(*) AS n FROM pix.quarantine WHERE topic = 'pix-feedback'")[0].n == before + 1
