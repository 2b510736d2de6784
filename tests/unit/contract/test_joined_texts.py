"""Texts whose patterns are checked at once are accepted and refused as by one pattern each."""

from typing import Any

import msgspec
import pytest

from shared.contract.transaction import Transaction, decode_transaction
from tests.builders import encoded, transaction
from tests.unit.contract.refusals import reason

TEXTS = {
    "end_to_end_id": ("E2E", "\n"),
    "amount": ("10", "0.5", "1.234", "-1.00", "", "1.00\n", "1.00\n12345678909"),
    "payer__tax_id": ("12ABC345000190", "1234567890", "12345678909\n", "12345678909\n12345678", ""),
    "payer__ispb": ("A2345678", "a2345678", "1234567", "12345678\n1234567", None),
    "payer__account": ("1-2", "x" * 21, "1\n0001", "é", ""),
    "payer__branch": (None, "1", "", "1234567", "0001\n", "٣"),
    "payee__ispb": ("A2345678", "\n12345678", ""),
    "payee__account": ("X", "1\n", "", 7),
    "payee__tax_id": (None, "", "None", "12345678909", "12345678909\n0001"),
    "payee__branch": (None, "0", "", "-"),
    "device": (None, {"id": "-"}, {"id": ""}, {"id": "a b"}, {"id": "a\n"}, {"id": None}, {"id": "a\nb"}),
}
CASES = [(name, value) for name, values in TEXTS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_one_pattern_each_says_the_same(name: str, value: Any) -> None:
    data = encoded(transaction(**{name: value}))
    path = name.replace("__", ".")
    try:
        strict = msgspec.json.decode(data, type=Transaction)
    except msgspec.ValidationError:
        assert reason(data)[1] in (path, f"{path}.id")
    else:
        assert msgspec.to_builtins(decode_transaction(data).value) == msgspec.to_builtins(strict)
