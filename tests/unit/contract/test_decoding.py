"""Any bytes are decoded or malformed, and no reason repeats a value."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.feedback import decode_feedback
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from tests.builders import transaction
from tests.unit.contract.refusals import reason


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not_json"),
        (b"\xff\xfe\x00", "not_utf8"),
        (b'{"amount": "\xc3\x28"}', "not_utf8"),
        (b'{"amount": NaN}', "not_json"),
        (b"null", "wrong_type"),
        (b"[" * 60_000, "wrong_type"),
        (b'{"a":' * 10_000, "too_deep"),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "too_deep"),
        (b"x" * 10_000_000, "too_large"),
    ],
)
def test_undecodable_data_is_malformed(data: bytes, expected: str) -> None:
    assert reason(data)[0] == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_malformed(data: bytes) -> None:
    for decode in (decode_transaction, decode_feedback):
        with contextlib.suppress(Malformed):
            decode(data)


_SECRET = "11122233344"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.just(_SECRET),
        lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from(["a", _SECRET]), s, max_size=3),
    ),
    st.sampled_from(sorted(transaction())),
)
def test_a_reason_never_repeats_a_value(value: object, field: str) -> None:
    text = ""
    try:
        decode_transaction(json.dumps(transaction(**{field: value})).encode())
    except Malformed as error:
        text = f"{error} {error.reason} {error.field}"
    assert _SECRET not in text
