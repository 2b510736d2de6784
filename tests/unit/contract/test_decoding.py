"""Messages: what is accepted, what is malformed and why, and that no value leaks into a reason."""

import contextlib
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.derive import derived_files, score_events
from shared.contract.event import Event
from shared.contract.feedback import decode_feedback
from shared.contract.fields import Verdict
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.features.catalogue import FEATURE_NAMES
from tests.builders import encoded, med_report, transaction

E2E = transaction()["end_to_end_id"]


def reason(data: bytes, decode=decode_transaction) -> tuple[str, str | None]:
    with pytest.raises(Malformed) as error:
        decode(data)
    return error.value.reason, error.value.field


def test_a_full_transaction_is_accepted():
    decoded = decode_transaction(encoded(transaction(amount="1234.5")))
    assert decoded.value.centavos == 123450
    assert decoded.value.payee.key == "+5511999999999"
    assert decoded.unknown_fields == 0


@pytest.mark.parametrize(
    "field", ["purpose", "device", "payee_statistics", "payer__branch", "payee__tax_id", "payee__key"]
)
def test_optional_fields_may_be_absent(field):
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
def test_required_fields_may_not(field):
    message = transaction()
    place = message[field.split(".")[0]] if "." in field else message
    del place[field.split(".")[-1]]
    assert reason(encoded(message)) == ("missing_field", field)


def test_unknown_fields_are_dropped_and_counted_at_every_depth():
    message = transaction(novelty=[1, {"a": 2}], payer__novelty={}, payee_statistics__settlements__novelty=1)
    decoded = decode_transaction(encoded(message))
    assert decoded.unknown_fields == 3
    assert decoded.value.payer.tax_id == "12345678909"


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "-1.00", "NaN", "1e3", "1.001", "", " 1", "1\n", "\u0661", 150.0, None, "9" * 14]
)
def test_amounts_that_are_not_positive_decimals_are_malformed(amount):
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
        ("initiation_form", "PIGEON"),
        ("payer__opened_at", "2019-13-01"),
        ("payer__tax_id", "123"),
        ("payee__key_type", "FAX"),
    ],
)
def test_values_out_of_range_are_malformed(field, value):
    assert reason(encoded(transaction(**{field: value}))) == ("invalid_value", field.replace("__", "."))


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
def test_undecodable_data_is_malformed(data, expected):
    assert reason(data)[0] == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_malformed(data):
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
def test_a_reason_never_repeats_a_value(value, field):
    said = ""
    try:
        decode_transaction(json.dumps(transaction(**{field: value})).encode())
    except Malformed as error:
        said = f"{error} {error.reason} {error.field}"
    assert _SECRET not in said


@pytest.mark.parametrize(
    ("status", "result", "verdict"),
    [
        ("OPEN", None, Verdict.PENDING),
        ("ACKNOWLEDGED", None, Verdict.PENDING),
        ("CLOSED", "AGREED", Verdict.FRAUD),
        ("CLOSED", "DISAGREED", Verdict.LEGITIMATE),
        ("CANCELLED", None, Verdict.LEGITIMATE),
        ("CANCELLED", "AGREED", Verdict.LEGITIMATE),
    ],
)
def test_the_verdict_of_a_med_report(status, result, verdict):
    report = decode_feedback(encoded(med_report(E2E, status=status, analysis_result=result))).value
    assert report.verdict is verdict


def test_the_verdict_of_an_analyst():
    message = {
        "source": "ANALYST",
        "report_id": "r",
        "end_to_end_id": E2E,
        "reported_at": "2026-11-22T10:00:00Z",
        "verdict": "FRAUD",
    }
    assert decode_feedback(encoded(message)).value.verdict is Verdict.FRAUD
    assert decode_feedback(encoded(message | {"novelty": 1})).unknown_fields == 1
    assert reason(encoded(message | {"verdict": "PENDING"}), decode_feedback) == ("invalid_value", "verdict")


def test_a_closed_report_needs_its_result():
    assert reason(encoded(med_report(E2E, analysis_result=None)), decode_feedback) == (
        "missing_field",
        "analysis_result",
    )


def test_a_new_field_of_an_event_becomes_a_column_before_the_features():
    file = json.loads(score_events({"schema": []}))
    names = [column["name"] for column in file["schema"]]
    assert names == [*Event.__struct_fields__, *(FEATURE_PREFIX + name for name in FEATURE_NAMES)]
    shuffled = {"schema": file["schema"][3:0:-1]}
    assert [column["name"] for column in json.loads(score_events(shuffled))["schema"]][:4] == [
        *("initiation_form", "amount", "initiated_at"),
        "end_to_end_id",
    ]


def test_derived_files_are_up_to_date():
    for path, content in derived_files().items():
        assert path.read_text("utf-8") == content, f"{path.name} is stale: run make schemas"


@pytest.mark.parametrize("name", ["pix-transactions", "pix-feedback"])
def test_the_json_schemas_accept_what_the_decoder_accepts(name):
    schema = json.loads(next(content for path, content in derived_files().items() if path.stem == name))
    validator = jsonschema.Draft202012Validator(schema)
    message = transaction(novelty=1) if name == "pix-transactions" else med_report(E2E, novelty=1)
    validator.validate(message)
    del message["end_to_end_id"]
    assert not validator.is_valid(message)
