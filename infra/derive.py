"""Regenerate the files that derive from code: `make schemas`.

The feature columns in `contract/bigquery/score_events.json` and the table `features/FEATURES.md` derive from the
feature catalogue, the JSON Schemas in `contract/jsonschema/` from the message types. They are files so that
Terraform, Pub/Sub and people who do not read Python can use them; a test keeps them equal to the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

import shared
from shared.contract.feedback import Feedback
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.transaction import Transaction
from shared.features.catalogue import FEATURES, markdown

_SHARED = Path(shared.__file__).parent
_CONTRACT = _SHARED / "contract"
_FEATURES = _SHARED / "features" / "FEATURES.md"
_SCORE_EVENTS = _CONTRACT / "bigquery" / "score_events.json"


def derived_files() -> dict[Path, str]:
    """Return the content of each derived file, by path."""
    return {
        _FEATURES: markdown() + "\n",
        _SCORE_EVENTS: score_events(json.loads(_SCORE_EVENTS.read_text("utf-8"))),
        _CONTRACT / "jsonschema" / "pix-transactions.json": json_schema(Transaction, "One Pix"),
        _CONTRACT / "jsonschema" / "pix-feedback.json": json_schema(Feedback, "One report about a Pix"),
    }


def score_events(file: dict[str, Any]) -> str:
    """Return the table file with the feature columns regenerated, after all other columns."""
    columns = [column for column in file["schema"] if not column["name"].startswith(FEATURE_PREFIX)]
    columns += [
        {
            "name": FEATURE_PREFIX + feature.name,
            "type": "FLOAT64",
            "mode": "NULLABLE",
            "description": f"{feature.meaning} ({feature.unit})",
        }
        for feature in FEATURES
    ]
    head = {name: value for name, value in file.items() if name != "schema"}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    schema = ",\n".join(f"    {json.dumps(column, ensure_ascii=False)}" for column in columns)
    return "\n".join(["{", *lines, '  "schema": [', schema, "  ]", "}", ""])


def json_schema(kind: Any, title: str) -> str:
    """Return the JSON Schema (2020-12) of a message; it allows unknown fields, because the decoder ignores them."""
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **root, "$defs": components}
    return json.dumps(_open(schema), indent=2, ensure_ascii=False) + "\n"


def _open(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _open(value) for name, value in schema.items() if name != "additionalProperties"}
    return [_open(value) for value in schema] if isinstance(schema, list) else schema


def main() -> None:
    """Write every derived file."""
    for path, content in derived_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
