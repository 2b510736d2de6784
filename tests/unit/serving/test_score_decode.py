"""The score function counts the fields and values that the contract does not know, and keeps none of them."""

import datetime as dt
from typing import Any, cast

import msgspec
import pytest

from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.tables import NEXT_KEY, PIX_IDS
from shared.errors import Malformed
from shared.ports.tables import Table
from shared.scoring.scorer import Scorer
from shared.serving.score_service import ScorePipeline
from shared.telemetry.metrics import UNKNOWN_FIELDS, UNKNOWN_VALUES, Metrics
from tests.builders import encoded, transaction

NOW = micros(dt.datetime(2026, 11, 20, 14, 32, 6, tzinfo=dt.UTC))


class Decoding:
    """A pipeline that only decodes."""

    def __init__(self, following: Pseudonymiser | None = None, key: bytes = b"secret") -> None:
        self.metrics = Metrics()
        scorer, table = cast(Scorer, None), cast(Table, None)  # decoding needs neither
        own = Pseudonymiser(key)
        self._pipeline = ScorePipeline(scorer, table, own, lambda: NOW, 1.0, self.metrics, following=following)

    def __call__(self, published: dt.datetime | None = None, **changes: Any) -> Any:
        """Return the delivery of a message with changes."""
        return self._pipeline.decode(PubsubMessage(encoded(transaction(**changes)), "1", published))


def test_a_pix_has_its_pseudonyms_under_the_next_key_beside_the_others() -> None:
    pix = {"end_to_end_id": transaction()["end_to_end_id"]}
    both, later = Decoding(Pseudonymiser(b"another"))(**pix), Decoding(key=b"another")(**pix).event
    alone = Decoding()(**pix)
    assert (both.event, alone.next_ids) == (alone.event, None)
    ids = both.next_ids.columns()
    assert ids.pop(NEXT_KEY) == Pseudonymiser(b"another").fingerprint
    assert ids == {f"next_{name}": getattr(later, name) for name in PIX_IDS}
    assert not {*ids.values()} & {getattr(alone.event, name) for name in PIX_IDS}


def test_a_missing_id_is_missing_under_both_keys() -> None:
    missing = dict.fromkeys(("payee__tax_id", "payee__key", "payee__key_type", "device"))
    found = Decoding(Pseudonymiser(b"another"))(**missing)
    assert {*found.next_ids.columns()} == {NEXT_KEY, "next_payer_id", "next_payer_person_id", "next_payee_id"}


@pytest.fixture
def decode() -> Decoding:
    return Decoding()


def test_unknown_values_are_counted_by_field_and_not_kept(decode: Decoding) -> None:
    delivery = decode(purpose="NEWP", payee__account_type="NEWA")
    decode(purpose="NEWQ")
    counted = [decode.metrics.value(UNKNOWN_VALUES, name) for name in ("purpose", "payee.account_type")]
    assert counted == [2, 1]
    assert b"NEW" not in msgspec.json.encode(delivery.event)
    assert decode.metrics.value(UNKNOWN_FIELDS) == 0


def test_unknown_fields_are_counted_exactly_in_any_mixture(decode: Decoding) -> None:
    for message in ({"x": 1}, {}, {"x": 1, "payer__y": 2}, {}, {}, {"device__z": {"x": 1}}):
        decode(**message)
    assert decode.metrics.value(UNKNOWN_FIELDS) == 4


@pytest.mark.parametrize(("days", "accepted"), [(0, True), (1_799, True), (1_801, False), (5_000, False)])
def test_a_pix_older_than_a_stream_takes_is_malformed(decode: Decoding, days: int, accepted: bool) -> None:
    at = dt.datetime(2026, 11, 20, 14, 32, tzinfo=dt.UTC) - dt.timedelta(days)
    dated: dict[str, Any] = {"end_to_end_id": f"E12345678{at:%Y%m%d%H%M}{7:011d}", "initiated_at": at.isoformat()}
    if accepted:
        assert decode(**dated).event.initiated_at == micros(at)
        return
    with pytest.raises(Malformed) as refused:
        decode(**dated)
    assert (refused.value.reason, refused.value.field) == ("too_old", "initiated_at")


def test_a_schedule_does_not_let_an_old_pix_in(decode: Decoding) -> None:
    with pytest.raises(Malformed):
        decode(initiated_at="2012-11-20T14:32:05Z", scheduled_for="2026-11-20T14:32:00Z")


@pytest.mark.parametrize(("year", "kept"), [(2026, True), (1, False), (9999, False)])
def test_a_publish_time_outside_the_range_is_missing(decode: Decoding, year: int, kept: bool) -> None:
    at = dt.datetime(year, 11, 20, tzinfo=dt.UTC)
    assert decode(at).published_at == (micros(at) if kept else None)
