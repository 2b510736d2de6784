"""Faults name their field by its path, whatever its name and depth, and never by a value or a key of the message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contract.decoding import TolerantDecoder
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from tests.builders import encoded, transaction

WINDOWS = {"d90": 1, "m12": 9, "m60": 9}


@pytest.mark.parametrize("field", sorted(WINDOWS))
def test_a_missing_window_is_a_missing_field_with_its_path(field: str) -> None:
    windows = {name: count for name, count in WINDOWS.items() if name != field}
    with pytest.raises(Malformed) as refused:
        decode_transaction(encoded(transaction(payee_statistics={"settlements": windows})))
    assert (refused.value.reason, refused.value.field) == ("missing_field", f"payee_statistics.settlements.{field}")


class Part(msgspec.Struct):
    d90: int


class Nested(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[Part] = []
    by_key: dict[str, Part] = {}


class Row(msgspec.Struct):
    w7: Nested


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        ({"w7": {"parts": [{"d90": 1}, {}]}}, "missing_field", "w7.parts[1].d90"),
        ({"w7": {"parts": [{"d90": "x"}]}}, "wrong_type", "w7.parts[0].d90"),
        ({"w7": {"by_key": {"secret": {}}}}, "missing_field", "w7.by_key[...].d90"),
        ({"w7": {"by_key": {"secret": {"d90": "x"}}}}, "wrong_type", "w7.by_key[...].d90"),
        ({}, "missing_field", "w7"),
    ],
)
def test_a_path_leads_through_lists_and_maps(message: dict[str, Any], reason: str, field: str) -> None:
    decode: TolerantDecoder[Row] = TolerantDecoder(Row, lambda _: None)
    with pytest.raises(Malformed) as refused:
        decode(encoded(message))
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_a_list_of_messages_is_named_by_its_index() -> None:
    decode: TolerantDecoder[list[Row]] = TolerantDecoder(list[Row], lambda _: None)
    with pytest.raises(Malformed) as refused:
        decode(b"[{}]")
    assert (refused.value.reason, refused.value.field) == ("missing_field", "[0].w7")
