"""Messages of `pix-transactions`: accepted, malformed, and the reason."""

import pytest

from shared.contract.transaction import decode_transaction
from tests.builders import encoded, transaction
from tests.unit.contract.refusals import reason

E2E = transaction()["end_to_end_id"]


def test_a_full_transaction_is_accepted() -> None:
    decoded = decode_transaction(encoded(transaction(amount="1234.5")))
    assert decoded.value.centavos == 123450
    assert decoded.value.payee.key == "+5511999999999"
    assert decoded.unknown_fields == 0


@pytest.mark.parametrize(
    "field", ["purpose", "device", "payee_statistics", "payer__branch", "payee__tax_id", "payee__key"]
)
def test_optional_fields_may_be_absent(field: str) -> None:
    message = transaction()
    place = message[field.split("__")[0]] if "__" in field else message
    del place[field.split("__")[-1]]
    decode_transaction(encoded(message))


@pytest.mark.parametrize(
    "field",
    [
        "end_to_end_id",
        "initiated_at",
        "amount",
        "initiation_form",
        "payer",
        "payee",
        "payer.tax_id",
        "payer.ispb",
        "payer.account",
        "payee.ispb",
        "payee.account",
    ],
)
def test_required_fields_may_not_be_absent(field: str) -> None:
    message = transaction()
    place = message[field.split(".")[0]] if "." in field else message
    del place[field.split(".")[-1]]
    assert reason(encoded(message)) == ("missing_field", field)


def test_unknown_fields_are_dropped_and_counted_at_every_depth() -> None:
    message = transaction(novelty=[1, {"a": 2}], payer__novelty={}, payee_statistics__settlements__novelty=1)
    decoded = decode_transaction(encoded(message))
    assert decoded.unknown_fields == 3
    assert decoded.value.payer.tax_id == "12345678909"


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "-1.00", "NaN", "1e3", "1.001", "", " 1", "1\n", "\u0661", 150.0, None, "9" * 14]
)
def test_amounts_that_are_not_positive_decimals_are_malformed(amount: object) -> None:
    assert reason(encoded(transaction(amount=amount)))[1] == "amount"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("end_to_end_id", "E1234567820261120143"),
        ("end_to_end_id", "E12345678202613201432a1b2c3d4e5f"),
        ("end_to_end_id", "X12345678202611201432a1b2c3d4e5f"),
        ("end_to_end_id", "E12345678000101011432a1b2c3d4e5f"),
        ("end_to_end_id", "E12345678999912311432a1b2c3d4e5f"),
        ("end_to_end_id", E2E + "\n"),
        ("initiated_at", "2026-02-30T00:00:00Z"),
        ("initiated_at", "2026-11-20T14:32:05"),
        ("initiated_at", "yesterday"),
        ("initiation_form", "by pigeon"),
        ("payer__opened_at", "2019-13-01"),
        ("payer__tax_id", "123"),
        ("payee__key_type", "fax"),
    ],
)
def test_values_out_of_range_are_malformed(field: str, value: str) -> None:
    assert reason(encoded(transaction(**{field: value}))) == ("invalid_value", field.replace("__", "."))
