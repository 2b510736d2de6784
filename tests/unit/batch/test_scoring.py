"""A batch decides as functions do, whatever the rows beside a Pix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.batch.inputs import Vectors
from shared.batch.scoring import SCHEMA, BatchScorer, Explained
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.bundle import Bundle
from shared.scoring.policy import ModelScores, decide
from shared.scoring.rules import Rules
from tests.unit.batch.worlds import labelled, method
from tests.unit.learning.bundles import FAULT_ABOVE, INFINITE, faulty, small_bundle


def rows(n: int) -> pa.RecordBatch:
    return labelled(n).combine_chunks().to_batches()[0]


def served(batch: pa.RecordBatch, bundle: Bundle) -> list[dict[str, Any]]:
    """Return the decisions of the policy on all rows at once."""
    features = Vectors(FEATURE_NAMES).of(batch)
    at = batch.column("initiated_at").cast(pa.int64()).to_numpy()
    scored = [ModelScores(bundle, np.arange(len(at)), bundle.score(features))]
    found = decide(features, scored, Rules.load().apply(features), at)
    columns = (found.scores, found.decisions, found.hold_until, found.reasons, found.contributions)
    names = ("score", "decision", "hold_until", "reasons", "reason_contributions")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("explained", ["stopped", "all"])
def test_decisions_are_those_of_the_policy_that_serves(
    explained: Explained, trained_bundle: dict[str, bytes]
) -> None:
    bundle, batch = Bundle(trained_bundle), rows(2_700)
    assert bundle.explains_all
    found = BatchScorer(method(files=trained_bundle, explained=explained)).scored(batch)
    assert found.schema.equals(SCHEMA)
    table = pa.Table.from_batches([found]).set_column(5, "hold_until", found["hold_until"].cast(pa.int64()))
    expected = served(batch, bundle)
    stopped = [row["decision"] != "APPROVE" for row in expected]
    assert 0 < sum(stopped) < len(stopped)
    for row, own, is_stopped in zip(table.to_pylist(), expected, stopped, strict=True):
        if explained == "stopped" and not is_stopped:
            own |= {"reasons": [], "reason_contributions": []}
        assert {name: row[name] for name in own} == own
    assert found["side"].to_pylist() == ["PAYEE" if each == 1 else "PAYER" for each in batch["f_side"].to_pylist()]
    assert found["end_to_end_id"].equals(batch["end_to_end_id"].cast(pa.string()))


def test_vectors_hold_nothing_of_the_batch_before() -> None:
    read = Vectors(["hour", "amount"])
    amount, hour = FEATURE_NAMES.index("amount"), FEATURE_NAMES.index("hour")
    for values in ([1.0, 2.0, 3.0], [None, 5.0], [6.0] * 40, [None]):
        batch = pa.record_batch({"f_amount": pa.array(values, pa.float64()), "f_hour": pa.nulls(len(values))})
        found = read.of(batch)
        assert found.shape == (len(values), len(FEATURE_NAMES))
        np.testing.assert_array_equal(found[:, amount], np.array(values, np.float32))
        assert np.isnan(found[:, hour]).all()
        assert np.isnan(np.delete(found, amount, axis=1)).all()


def test_a_decision_does_not_depend_on_the_rows_beside_it(trained_bundle: dict[str, bytes]) -> None:
    batch = rows(1_000)
    scorer = BatchScorer(method(files=trained_bundle, explained="all"))
    together = pa.Table.from_batches([scorer.scored(batch)])
    for size in (1, 7, 300):
        parts = [
            scorer.scored(batch.slice(start, size)) for start in range(0, 20 * size if size == 1 else 1_000, size)
        ]
        apart = pa.Table.from_batches(parts)
        assert apart.combine_chunks().equals(together.slice(0, len(apart)).combine_chunks())


def test_pix_that_the_model_cannot_score_are_decided_by_rules_and_say_so() -> None:
    batch = rows(50)
    name = f"f_{FEATURE_NAMES[0]}"
    place = batch.schema.get_field_index(name)
    values = batch.column(place).to_numpy(zero_copy_only=False).copy()
    values[3] = 2 * FAULT_ABOVE
    batch = batch.set_column(place, name, pa.array(values))
    found = BatchScorer(method(files=small_bundle("v1", onnx=faulty(INFINITE)))).scored(batch).to_pylist()
    assert (found[3]["score"], found[3]["model_version"], found[3]["reasons"][-1]) == (None, None, "NO_MODEL")
    assert all(row["model_version"] == "v1" for i, row in enumerate(found) if i != 3)


def test_a_scheduled_pix_is_held_from_when_it_is_due_and_not_before_it_was_initiated() -> None:
    batch = pa.Table.from_batches([rows(400)])
    due = pa.array(np.where(np.arange(400) % 2, 4 * 10**15, 10**15), pa.timestamp("us", tz="UTC"))  # in 2096 and 2001
    [later] = batch.append_column("scheduled_for", due).combine_chunks().to_batches()
    scorer = BatchScorer(method())
    held = [row["hold_until"] for row in scorer.scored(later).to_pylist()]
    plain = [row["hold_until"] for row in scorer.scored(rows(400)).to_pylist()]
    stopped = [i for i, each in enumerate(plain) if each]
    assert {i % 2 for i in stopped} == {0, 1}
    assert all((held[i] == plain[i]) == (i % 2 == 0) for i in stopped)


@pytest.mark.parametrize("column", ["end_to_end_id", "initiated_at"])
def test_a_row_without_id_or_time_is_refused(column: str) -> None:
    batch = rows(30)
    place = batch.schema.get_field_index(column)
    batch = batch.set_column(place, column, pa.nulls(30, batch.schema.types[place]))
    with pytest.raises(Misconfigured, match="no initiated_at"):
        BatchScorer(method()).scored(batch)


def test_only_rows_of_the_period_count() -> None:
    batch = rows(200)
    at = sorted(batch["initiated_at"].cast(pa.int64()).to_pylist())
    found = BatchScorer(method(since=at[50], until=at[150])).scored(batch)
    assert sorted(found["initiated_at"].cast(pa.int64()).to_pylist()) == at[50:150]
