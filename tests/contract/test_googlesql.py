"""Google's analyser accepts every SQL statement of the product; a new one is a new line in TEXTS."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from zetasql.core.exceptions import ServerError  # type: ignore[import-untyped]  # zetasql has no type information
from zetasql.types import TypeKind  # type: ignore[import-untyped]  # zetasql has no type information

from shared.adapters.bigquery.asked import known_statement, outcomes_statement, scored_statement
from shared.adapters.bigquery.lookup import far_statement, reports_statement, returns_statement, statement
from shared.adapters.bigquery.query import export_statement
from shared.adapters.bigquery.unplaced import UnplacedSql
from shared.contract import tables as contract
from shared.errors import Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.label_chance import COLUMNS
from shared.learning.data.training_query import FACTS, RATE, TrainingQuery
from shared.learning.data.training_sample import CHANGED, MATURED, SampleSql
from shared.learning.data.unjudged import unjudged_sql
from shared.learning.data.unlabelled import counts_sql
from shared.learning.lifecycle import drift, trigger
from shared.replay.mark import CountedPlaces
from shared.replay.tables import StoredTables, Stretch
from tests.contract.googlesql import DATASET, PROJECT, check, columns

AS_OF = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
EXAMPLES = TrainingQuery(PROJECT, DATASET, 87, AS_OF)
SAMPLE = SampleSql(PROJECT, DATASET, 87, AS_OF)
BEFORE = AS_OF - dt.timedelta(days=1)
README = (Path(contract.__file__).parents[2] / "README.md").read_text("utf-8")


class Recorder:
    """Queries and exports that record their SQL and answer nothing."""

    def __init__(self) -> None:
        self.sql: list[str] = []

    def rows(self, sql: str, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.sql.append(sql)
        raise Unavailable("nobody answers")

    def export(self, sql: str, _: Path) -> list[Path]:
        self.rows(sql, {})
        return []

    def stage(self, sql: str, _: str) -> None:
        self.sql.append(sql)

    def clear(self, _: str) -> None:
        pass


def sent_by(call: Callable[[Any], object]) -> list[str]:
    """Return the SQL that a call sends."""
    tables = Recorder()
    with suppress(Unavailable):
        call(tables)
    return tables.sql


def recent(tables: Recorder) -> drift.DriftSource:
    return drift.DriftSource(tables, tables, PROJECT, DATASET, AS_OF - dt.timedelta(days=1), AS_OF)


UNPLACED = UnplacedSql(PROJECT, DATASET)
TEXTS: dict[str, list[str]] = {
    "views": [view.sql for view in contract.views(PROJECT, DATASET, 87)],
    "readme": re.findall(r"^SELECT[^;]*;", README, re.MULTILINE),
    "training set": [EXAMPLES.count(), EXAMPLES.rows(FEATURE_NAMES), EXAMPLES.rows(FEATURE_NAMES, 50_000)],
    "training sample": [
        SAMPLE.known(),
        SAMPLE.changed(BEFORE),
        *(SAMPLE.count(SAMPLE.matured(since)) for since in (None, BEFORE)),
        SAMPLE.append(SAMPLE.matured(BEFORE), MATURED, 50_000),
        SAMPLE.append(SAMPLE.named(["E123456782026112000000000000000a"], BEFORE), CHANGED, 1_000_000),
        SAMPLE.withdraw(SAMPLE.named(["E123456782026112000000000000000a"], BEFORE)),
    ],
    "labels": [
        counts_sql(PROJECT, DATASET, 87, BEFORE, AS_OF),
        *sent_by(
            lambda tables: tables.stage(
                unjudged_sql(TrainingSource(tables, tables, PROJECT, DATASET, 87), AS_OF, 5, FEATURE_NAMES, 9), ""
            )
        ),
    ],
    "export": [export_statement(EXAMPLES.rows(FEATURE_NAMES), "gs://bucket/exports/*.parquet")],
    "lookup": [
        statement(f"{PROJECT}.{DATASET}.score_events", ["E123456782026112000000000000000a"]),
        far_statement(f"{PROJECT}.{DATASET}.score_events"),
        returns_statement(f"{PROJECT}.{DATASET}.outcomes", ["D123456782026112000000000000000a"]),
        reports_statement(f"{PROJECT}.{DATASET}.feedback"),
        known_statement(PROJECT, DATASET, ["E123456782026112000000000000000a"]),
        scored_statement(PROJECT, DATASET, ["E123456782026112000000000000000a"]),
        outcomes_statement(PROJECT, DATASET, AS_OF),
    ],
    "unplaced rows": [
        UNPLACED.lacking(),
        UNPLACED.pending([AS_OF]),
        *(UNPLACED.scores([AS_OF, AS_OF], 9, follow) for follow in (False, True)),
        *(UNPLACED.reasons(), UNPLACED.outcomes(), UNPLACED.reports()),
    ],
    "trigger": sent_by(
        lambda tables: trigger.new_labels(
            TrainingSource(tables, tables, PROJECT, DATASET, 87), AS_OF - dt.timedelta(days=9), AS_OF
        )
    ),
    "drift": [
        *sent_by(lambda tables: drift.read_traffic(recent(tables))),
        drift.sample_query(recent(Recorder()), 1_000_000, 10_000),
    ],
    "replay": sent_by(lambda tables: StoredTables(tables, PROJECT, DATASET).stage("run")),
    "replay of what was counted": sent_by(lambda tables: StoredTables(tables, PROJECT, DATASET).stage("run", True)),
    "replay after a snapshot": sent_by(
        lambda tables: StoredTables(tables, PROJECT, DATASET).stage("run", True, Stretch(5, 9))
    ),
    "places": [
        CountedPlaces(StoredTables(Recorder(), PROJECT, DATASET)).query(5),  # type: ignore[arg-type]  # it sends nothing
        *sent_by(lambda tables: CountedPlaces(StoredTables(tables, PROJECT, DATASET)).tally(5)),
    ],
}


@pytest.mark.parametrize(
    "sql", [pytest.param(sql, id=f"{name} {i}") for name, texts in TEXTS.items() for i, sql in enumerate(texts)]
)
def test_statement_is_valid_googlesql(sql: str) -> None:
    check(sql)


def test_every_source_has_a_statement() -> None:
    assert [name for name, texts in TEXTS.items() if not texts] == []
    assert len(TEXTS["readme"]) >= 5


def test_the_training_set_has_its_columns_and_types() -> None:
    found = {name: TypeKind(kind.type_kind) for name, kind in columns(EXAMPLES.rows(FEATURE_NAMES, 10)).items()}
    assert found == {
        "end_to_end_id": TypeKind.TYPE_STRING,
        "initiated_at": TypeKind.TYPE_TIMESTAMP,
        "amount": TypeKind.TYPE_DOUBLE,
        "verdict": TypeKind.TYPE_STRING,
        RATE: TypeKind.TYPE_DOUBLE,
        **dict.fromkeys((*FACTS, *COLUMNS[:2]), TypeKind.TYPE_STRING),
        COLUMNS[2]: TypeKind.TYPE_DOUBLE,
        **{f"f_{name}": TypeKind.TYPE_DOUBLE for name in FEATURE_NAMES},
    }


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT verdic FROM pix.labels", "verdict"),
        ("SELECT amount + reasons FROM pix.score_events", "No matching signature"),
        ("SELECT 1 FROM pix.nowhere", "nowhere"),
        ("SELECT COUNT(*) FROM pix.labels GROUP verdict", "Syntax error"),
    ],
)
def test_faulty_statement_is_refused(sql: str, fault: str) -> None:
    with pytest.raises(ServerError, match=fault):
        check(sql)
