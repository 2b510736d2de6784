"""Values of enumerations of a Pix: those of the norms, new ones, and texts that are no codes."""

import json

import jsonschema
import pytest

from infra.derive import derived_files
from shared.contract.feedback import decode_feedback
from shared.contract.fields import AccountType, InitiationForm, KeyType, OpenEnum, Purpose
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.transaction import decode_transaction
from tests.builders import encoded, med_report, transaction
from tests.unit.contract.refusals import reason

FIELDS: dict[str, tuple[type[OpenEnum], str]] = {
    "initiation_form": (InitiationForm, "initiation_form"),
    "purpose": (Purpose, "purpose"),
    "payer__account_type": (AccountType, "payer_account_type"),
    "payee__account_type": (AccountType, "payee_account_type"),
    "payee__key_type": (KeyType, "payee_key_type"),
}
"""The enumeration and the column of each field."""


def stored(field: str, value: object) -> object:
    """Return the value of a field in its column."""
    decoded = decode_transaction(encoded(transaction(**{field: value}))).value
    return getattr(event_of(decoded, Pseudonymiser(b"secret")), FIELDS[field][1])


@pytest.mark.parametrize("field", FIELDS)
def test_each_known_value_is_stored_as_it_is(field: str) -> None:
    for value in FIELDS[field][0].known():
        message = transaction(**{field: value})
        assert stored(field, value) == value
        assert decode_transaction(encoded(message)).value.unknown_values() == []


@pytest.mark.parametrize(
    ("field", "value"), [("initiation_form", "APES"), ("purpose", "IPRT"), ("payer__account_type", "OTHR")]
)
def test_values_of_newer_catalogues_are_known(field: str, value: str) -> None:
    assert stored(field, value) == value


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ["NEWF", "X", "A_1", "Z" * 20, "OTHER", "20260101"])
def test_an_unknown_code_is_stored_as_other_and_named(field: str, value: str) -> None:
    decoded = decode_transaction(encoded(transaction(**{field: value})))
    assert stored(field, value) == "OTHER"
    assert decoded.value.unknown_values() == [field.replace("__", ".")]
    assert decoded.unknown_fields == 0


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ["", "newf", "Ana Silva", "ana@example.com", "Z" * 21, "NEWF\n", "N\u00c9WF"])
def test_a_text_that_is_not_a_code_is_malformed(field: str, value: str) -> None:
    assert reason(encoded(transaction(**{field: value}))) == ("invalid_value", field.replace("__", "."))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [7, 1.5, True, ["DICT"], {"a": 1}])
def test_a_value_of_another_type_is_malformed(field: str, value: object) -> None:
    assert reason(encoded(transaction(**{field: value}))) == ("wrong_type", field.replace("__", "."))


def test_several_unknown_values_are_named_each() -> None:
    message = transaction(**dict.fromkeys(FIELDS, "NEWF"))
    assert decode_transaction(encoded(message)).value.unknown_values() == [name.replace("__", ".") for name in FIELDS]


@pytest.mark.parametrize("field", ["status", "analysis_result"])
def test_enumerations_that_decide_a_verdict_stay_closed(field: str) -> None:
    message = med_report(transaction()["end_to_end_id"], **{field: "NEWF"})
    assert reason(encoded(message), decode_feedback) == ("invalid_value", field)


def test_the_json_schema_accepts_the_values_that_the_decoder_accepts() -> None:
    schema = next(json.loads(text) for path, text in derived_files().items() if path.stem == "pix-transactions")
    validator = jsonschema.Draft202012Validator(schema)
    for field in FIELDS:
        assert validator.is_valid(transaction(**{field: "NEWF"}))
        assert not validator.is_valid(transaction(**{field: "Ana Silva"}))
