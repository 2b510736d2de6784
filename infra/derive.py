"""Regenerate the files that derive from code: `make schemas`.

In `contract/bigquery/score_events.json` the columns of the event derive from `Event`; its feature columns, those of
`fills.json` and `training_sample.json`, and `features/FEATURES.md` derive from the feature catalogue; the JSON
Schemas in `contract/jsonschema/` and `contract/openapi.json` derive from the message types; the rules for Prometheus
and the dashboard for Grafana in `infra/monitoring/` derive from the alerts, charts and metrics. They are files so
that Terraform, Pub/Sub and people who do not read Python can use them; a test keeps them equal to the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import inspect

import shared
from infra.monitoring.files import files
from infra.monitoring.thresholds import defaults
from infra.openapi import openapi
from infra.schemas import schemas
from shared.contract.event import Event
from shared.contract.feedback import Feedback
from shared.contract.outcome import PixOutcome
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.transaction import Transaction
from shared.features.catalogue import FEATURES, markdown
from shared.serving.http.decide_api import DOCUMENT

_SHARED = Path(shared.__file__).parent
_CONTRACT = _SHARED / "contract"
_FEATURES = _SHARED / "features" / "FEATURES.md"
_COLUMN_TYPES: dict[type[inspect.Type], str] = {
    inspect.StrType: "STRING",
    inspect.BoolType: "BOOL",
    inspect.IntType: "INT64",
    inspect.FloatType: "FLOAT64",
}
_SCORE_EVENTS = _CONTRACT / "bigquery" / "score_events.json"
_TRAINING_SAMPLE = _CONTRACT / "bigquery" / "training_sample.json"
_FILLS = _CONTRACT / "bigquery" / "fills.json"


def derived_files() -> dict[Path, str]:
    """Return the content of each derived file, by path."""
    return {
        _FEATURES: markdown() + "\n",
        _SCORE_EVENTS: score_events(json.loads(_SCORE_EVENTS.read_text("utf-8"))),
        _TRAINING_SAMPLE: with_features(json.loads(_TRAINING_SAMPLE.read_text("utf-8"))),
        _FILLS: with_features(json.loads(_FILLS.read_text("utf-8"))),
        _CONTRACT / "jsonschema" / "pix-transactions.json": json_schema(Transaction, "One Pix"),
        _CONTRACT / "jsonschema" / "pix-outcomes.json": json_schema(PixOutcome, "One outcome of a Pix"),
        _CONTRACT / "jsonschema" / "pix-feedback.json": json_schema(Feedback, "One report about a Pix"),
        DOCUMENT: openapi(),
        **files(defaults()),
    }


def score_events(file: dict[str, Any]) -> str:
    """Return the table file with the columns of events in their present order, new ones next, and features last."""
    event = {column["name"]: column for column in event_columns()}
    columns = [event.pop(column["name"], column) for column in _plain(file)]
    return with_features(file | {"schema": [*columns, *event.values()]})


def with_features(file: dict[str, Any]) -> str:
    """Return the table file with its columns other than features, and a column for each feature behind them."""
    columns = [*_plain(file), *feature_columns()]
    head = {name: value for name, value in file.items() if name != "schema"}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    schema = ",\n".join(f"    {json.dumps(column, ensure_ascii=False)}" for column in columns)
    return "\n".join(["{", *lines, '  "schema": [', schema, "  ]", "}", ""])


def feature_columns() -> list[dict[str, str]]:
    """Return the column of each feature."""
    return [
        {
            "name": FEATURE_PREFIX + feature.name,
            "type": "FLOAT64",
            "mode": "NULLABLE",
            "description": f"{feature.meaning} ({feature.unit})",
        }
        for feature in FEATURES
    ]


def _plain(file: dict[str, Any]) -> list[dict[str, str]]:
    return [column for column in file["schema"] if not column["name"].startswith(FEATURE_PREFIX)]


def event_columns() -> list[dict[str, str]]:
    """Return the column of each field of Event.

    >>> event_columns()[1]
    {'name': 'initiated_at', 'type': 'TIMESTAMP', 'mode': 'REQUIRED', 'description': 'When the payer initiated it'}
    """
    info = inspect.type_info(Event)
    assert isinstance(info, inspect.StructType)
    return [_event_column(field) for field in info.fields]


def _event_column(field: inspect.Field) -> dict[str, str]:
    kind = field.type
    assert isinstance(kind, inspect.Metadata), f"Event.{field.name} has no description"
    return {
        "name": field.name,
        "type": _column_type(kind),
        "mode": "REQUIRED" if field.required else "NULLABLE",
        "description": (kind.extra_json_schema or {})["description"],
    }


def _column_type(kind: Any) -> str:
    if isinstance(kind, inspect.Metadata):
        return (kind.extra or {}).get("column") or _column_type(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next(_column_type(each) for each in kind.types if not isinstance(each, inspect.NoneType))
    return _COLUMN_TYPES[type(kind)]


def json_schema(kind: Any, title: str) -> str:
    """Return the JSON Schema (2020-12) of a message, as a file of its own."""
    (root,), components = schemas([kind], "#/$defs/{name}")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **root, "$defs": components}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every derived file."""
    for path, content in derived_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
