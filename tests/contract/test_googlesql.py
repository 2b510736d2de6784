"""Google's analyser accepts every SQL statement of the product; a new one is a new line in TEXTS."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from zetasql.core.exceptions import ServerError  # type: ignore[import-untyped]  # zetasql has no type information
from zetasql.types import TypeKind  # type: ignore[import-untyped]  # zetasql has no type information

from shared.adapters.bigquery.asked import known_statement, outcomes_statement, scored_statement
from shared.adapters.bigquery.decisions import decisions_statement
from shared.adapters.bigquery.desk.sql import DeskSql
from shared.adapters.bigquery.desk.watch import recent_moves
from shared.adapters.bigquery.lookup import far_statement, reports_statement, returns_statement, statement
from shared.adapters.bigquery.query import export_statement
from shared.adapters.bigquery.suspicions import in_force_statement, suspicions_statement
from shared.adapters.bigquery.unplaced import UnplacedSql
from shared.batch.query import period_sql
from shared.contract import tables as contract
from shared.errors import Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.contest.contest_sql import ContestSql
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.label_chance import COLUMNS
from shared.learning.data.training_query import FACTS, RATE, TrainingQuery
from shared.learning.data.training_sample import CHANGED, MATURED, SampleSql
from shared.learning.data.unjudged import unjudged_sql
from shared.learning.data.unlabelled import counts_sql
from shared.learning.lifecycle import drift, trigger
from shared.learning.lifecycle.arm_counts import counts_sql as counts_of_arms
from shared.learning.monitoring.causes.rows import CauseSource
from shared.learning.monitoring.health_sql import HealthSql
from shared.learning.monitoring.input_sql import InputSql
from shared.learning.probation.rows import ProbationRows
from shared.operations.erasure import ErasureSql
from shared.operations.rotation import RotationSql
from shared.ports.decisions import Sought
from shared.replay.audit import rows_sql
from shared.replay.bounds import ReplayPeriod, bounds_of, earliest_sql, first_sql
from shared.replay.mark import CountedPlaces
from shared.replay.tables import StoredTables, Stretch
from shared.scoring.challenge import Mode
from shared.scoring.rules import Rules
from tests.contract.googlesql import DATASET, PROJECT, check, columns

AS_OF = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
EXAMPLES = TrainingQuery(PROJECT, DATASET, 87, AS_OF)
SAMPLE = SampleSql(PROJECT, DATASET, 87, AS_OF)
BEFORE = AS_OF - dt.timedelta(days=1)
README = (Path(contract.__file__).parents[2] / "README.md").read_text("utf-8")
RUNBOOK = (Path(contract.__file__).parents[2] / "infra" / "README.md").read_text("utf-8")


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

    def staged(self, *_: object) -> list[Path]:
        raise Unavailable("nobody answers")

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
RULES = Rules.load()
HEALTH = HealthSql(PROJECT, DATASET, 87, RULES)
INPUTS = InputSql(PROJECT, DATASET)
ROTATION, HMAC_KEY = RotationSql(f"{PROJECT}.{DATASET}"), "3d7e5c2e"
DESK = DeskSql(PROJECT, DATASET)
TEXTS: dict[str, list[str]] = {
    "views": [view.sql for view in contract.views(PROJECT, DATASET, 87)],
    "readme": re.findall(r"^SELECT[^;]*;", README, re.MULTILINE),
    "runbook": re.findall(r"^SELECT[^;]*;", RUNBOOK, re.MULTILINE),
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
    "health": [
        contract.measured(PROJECT, DATASET),
        recent_moves(PROJECT, DATASET),
        HEALTH.traffic(BEFORE),
        HEALTH.reasons(BEFORE),
        HEALTH.arrivals(BEFORE),
        HEALTH.cohort(BEFORE, 7),
        contract.measured(PROJECT, DATASET, ["decided"], segments=False),
    ],
    "inputs": [
        *(sql for _, sql in INPUTS.features(BEFORE, {name: [-0.5, 1e-07, 2.0] for name in FEATURE_NAMES})),
        INPUTS.codes(BEFORE),
        INPUTS.scores(BEFORE, "v1", [0.1, 0.9]),
        CauseSource(Recorder(), Recorder(), PROJECT, DATASET).rows_sql(BEFORE, AS_OF, 7),
        *sent_by(lambda tables: CauseSource(tables, tables, PROJECT, DATASET).sampled(BEFORE, AS_OF)),
    ],
    "challenge": [counts_of_arms(PROJECT, DATASET, RULES)],
    "probation": [ProbationRows(Recorder(), PROJECT, DATASET, RULES).sql("v1", (BEFORE, AS_OF), [0.1, 0.5])],
    "contest": [
        text
        for mode in get_args(Mode)
        for sql in (ContestSql(PROJECT, DATASET, 87, "v1", "v2", mode),)
        for age in (None, 14)
        for text in (sql.totals(BEFORE, age), sql.rows(BEFORE, age))
    ],
    "batch": [period_sql(PROJECT, DATASET, BEFORE, AS_OF, AS_OF, FEATURE_NAMES)],
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
    "stored decisions": [
        decisions_statement(PROJECT, DATASET, [Sought("E123456782026112000000000000000a", "PAYER", at)]) or ""
        for at in (None, 0)
    ],
    "desk": [
        *(
            DESK.held,
            DESK.ended,
            DESK.overdue,
            DESK.ended_in_time,
            DESK.reviews,
            DESK.history,
            DESK.reviewed,
            DESK.decided(2),
            DESK.decided(1, "*"),
            DESK.reports,
            DESK.earlier,
            DESK.outcomes,
        ),
        *(DESK.payments(party) for party in ("payer_id", "payee_id")),
    ],
    "suspicions": [
        *(suspicions_statement(f"{PROJECT}.{DATASET}.suspicions", each) for each in (False, True)),
        in_force_statement(f"{PROJECT}.{DATASET}.suspicions"),
    ],
    "unplaced rows": [
        UNPLACED.lacking(),
        UNPLACED.pending([AS_OF]),
        *(UNPLACED.scores([AS_OF, AS_OF], 9, follow) for follow in (False, True)),
        *(UNPLACED.reasons(), UNPLACED.outcomes(), UNPLACED.reports()),
    ],
    "rows under two keys": [
        *(ROTATION.count(table, ROTATION.lacks(table, HMAC_KEY, AS_OF)) for table in ("score_events", "feedback")),
        *(ROTATION.backfill(table, HMAC_KEY, AS_OF) for table in ("score_events", "feedback")),
        *ROTATION.finish(HMAC_KEY, 2, AS_OF),
        *sent_by(lambda tables: StoredTables(tables, PROJECT, DATASET, hmac_key=HMAC_KEY).stage("run")),
        statement(f"{PROJECT}.{DATASET}.score_events", ["E123456782026112000000000000000a"], HMAC_KEY),
        scored_statement(PROJECT, DATASET, ["E123456782026112000000000000000a"], HMAC_KEY),
        UnplacedSql(PROJECT, DATASET, HMAC_KEY).scores([AS_OF], 9),
        UnplacedSql(PROJECT, DATASET, HMAC_KEY).reports(),
        *(
            f"DELETE {ErasureSql(f'{PROJECT}.{DATASET}', 2, HMAC_KEY).rows_of(table)}"
            for table in ("score_events", "feedback", "fills")
        ),
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
    "audit": [
        *sent_by(lambda tables: bounds_of(StoredTables(tables, PROJECT, DATASET), ReplayPeriod(BEFORE, AS_OF), 5)),
        first_sql(StoredTables(Recorder(), PROJECT, DATASET), ReplayPeriod(BEFORE, AS_OF)),  # type: ignore[arg-type]  # it sends nothing
        earliest_sql(StoredTables(Recorder(), PROJECT, DATASET), Stretch(5, 9)),  # type: ignore[arg-type]  # it sends nothing
        *sent_by(lambda tables: list(StoredTables(tables, PROJECT, DATASET).changes(Stretch(5, 9)))),
        *(
            rows_sql(StoredTables(Recorder(), PROJECT, DATASET), Stretch(5, 9), BEFORE, features)  # type: ignore[arg-type]  # it sends nothing
            for features in (False, True)
        ),
    ],
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
