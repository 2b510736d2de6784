"""Files derived from the contract are complete and up to date."""

import json

import jsonschema
import pytest

from infra.derive import derived_files, score_events
from shared.contract.event import Event
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from tests.builders import med_report, transaction

E2E = transaction()["end_to_end_id"]


def test_a_new_field_of_an_event_becomes_a_column_before_the_features() -> None:
    file = json.loads(score_events({"schema": []}))
    names = [column["name"] for column in file["schema"]]
    assert names == [*Event.__struct_fields__, *(FEATURE_PREFIX + name for name in FEATURE_NAMES)]
    shuffled = {"schema": file["schema"][3:0:-1]}
    assert [column["name"] for column in json.loads(score_events(shuffled))["schema"]][:4] == [
        *("initiation_form", "amount", "initiated_at"),
        "end_to_end_id",
    ]


def test_derived_files_are_up_to_date() -> None:
    for path, content in derived_files().items():
        assert path.read_text("utf-8") == content, f"{path.name} is stale: run make schemas"


@pytest.mark.parametrize("name", ["pix-transactions", "pix-feedback"])
def test_the_json_schemas_agree_with_the_decoder(name: str) -> None:
    schema = json.loads(next(content for path, content in derived_files().items() if path.stem == name))
    validator = jsonschema.Draft202012Validator(schema)
    message = transaction(novelty=1) if name == "pix-transactions" else med_report(E2E, novelty=1)
    validator.validate(message)
    del message["end_to_end_id"]
    assert not validator.is_valid(message)
