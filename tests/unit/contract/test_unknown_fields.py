"""Unknown fields: dropped and counted at every depth, whatever came before, and without inspecting types again."""

from collections.abc import Callable

import msgspec
import pytest

from shared.contract.decoding import TolerantDecoder
from shared.contract.feedback import decode_feedback
from shared.contract.transaction import Transaction, decode_transaction
from tests.builders import encoded, med_report, transaction
from tests.unit.contract.refusals import reason

Make = Callable[[], TolerantDecoder[Transaction]]


def decoder() -> TolerantDecoder[Transaction]:
    """Return a decoder that has seen no message."""
    return TolerantDecoder(Transaction, check=lambda _: None)


def primed() -> TolerantDecoder[Transaction]:
    """Return a decoder that has seen unknown fields."""
    decode = decoder()
    decode(encoded(transaction(novelty=1)))
    return decode


@pytest.mark.parametrize("make", [decoder, primed])
@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 0),
        ({"novelty": 1}, 1),
        ({"novelty": {"payer": {"x": 1}, "y": 2}}, 1),
        ({"payer__novelty": None, "payee__a": 1, "payee__b": [1]}, 3),
        ({"payee_statistics__settlements__x": 1, "payee_statistics__fraud_markers__x": {"d90": 1}}, 2),
        ({"device__x": 1, "source": "MED"}, 2),
    ],
)
def test_the_message_is_that_without_its_unknown_fields(make: Make, changes: dict[str, object], count: int) -> None:
    message = transaction(**changes)
    decoded = make()(encoded(message))
    known = {name: value for name, value in message.items() if name in Transaction.__struct_fields__}
    clean = transaction(end_to_end_id=known["end_to_end_id"])
    assert decoded.unknown_fields == count
    assert decoded.value == decoder()(encoded(clean)).value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(transaction(amount=1)), ("wrong_type", "amount")),
        (encoded(transaction(payer=None)), ("wrong_type", "payer")),
        (encoded(transaction(payer=[], novelty=1)), ("wrong_type", "payer")),
        (encoded(transaction(payer__tax_id="1", novelty=1)), ("invalid_value", "payer.tax_id")),
        (b"[" * 60_000, ("wrong_type", None)),
        (b"[]", ("wrong_type", None)),
        (b"\xff", ("not_utf8", None)),
        (b'{"a":' * 10_000, ("too_deep", None)),
        (b"{", ("not_json", None)),
    ],
)
def test_a_reason_does_not_depend_on_earlier_messages(data: bytes, expected: tuple[str, str | None]) -> None:
    assert reason(data, decoder()) == reason(data, primed()) == expected


def test_types_are_not_inspected_for_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = decoder()

    def inspected(kind: object) -> None:
        raise AssertionError(f"{kind} was inspected")

    monkeypatch.setattr(msgspec.inspect, "type_info", inspected)
    monkeypatch.setattr(msgspec.inspect, "multi_type_info", inspected)
    assert decode(encoded(transaction(novelty=1))).unknown_fields == 1


def test_reports_drop_unknown_fields_by_their_source() -> None:
    report = med_report(transaction()["end_to_end_id"])
    for _ in range(2):
        assert decode_feedback(encoded(report | {"x": 1, "y": 2})).unknown_fields == 2
        assert decode_feedback(encoded(report)).unknown_fields == 0
    assert reason(encoded(report | {"source": "X", "x": 1}), decode_feedback) == ("invalid_value", "source")
    assert reason(encoded(report | {"source": 7, "x": 1}), decode_feedback) == ("invalid_value", "source")


def test_clean_messages_after_unknown_fields_are_decoded_strictly_again() -> None:
    decode = primed()
    for _ in range(600):
        assert decode(encoded(transaction())).unknown_fields == 0
    assert decode(encoded(transaction(novelty=1))).unknown_fields == 1
    assert decode_transaction(encoded(transaction())).unknown_fields == 0
