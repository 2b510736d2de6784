"""MLflow's files in a world that moves."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from infra.local.experiments import CARD, copy_card, database, tracking_uri
from infra.local.home import claimed, mark


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_artifacts_of_a_world_that_was_moved_are_found(tmp_path: Path) -> None:
    before, after = tmp_path / "world é'1", tmp_path / "moved"
    mark(before)
    database(before).parent.mkdir()
    client = mlflow.MlflowClient(tracking_uri(before))
    experiment = client.create_experiment("pix", (before / "mlflow" / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "a card", CARD)
    before.rename(after)
    with claimed(after, "make up") as home:
        home.open()
    moved = mlflow.MlflowClient(tracking_uri(after))
    assert Path(moved.download_artifacts(run, CARD, str(tmp_path))).read_text() == "a card"
    assert moved.get_run(run).info.artifact_uri.startswith((after / "mlflow").as_uri())
    assert not before.exists()
    card = copy_card(after, run)
    assert card is not None
    assert card.read_text() == "a card"
    assert copy_card(after, "another") is None
