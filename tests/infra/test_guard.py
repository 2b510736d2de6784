"""The guard over plans that Terraform itself makes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.deploy import guard
from tests.infra.configuration import PARTS, Configuration

ROWS = """
variable "rows" {
  type    = string
  default = "kept"
}
variable "more" {
  type    = list(string)
  default = []
}
resource "terraform_data" "rows" {
  count            = var.rows == "gone" ? 0 : 1
  input            = { name = var.rows, list = [1, 2] }
  triggers_replace = var.rows == "replaced"
}
resource "terraform_data" "more" {
  for_each = toset(var.more)
  input    = [each.key, terraform_data.rows[*].output]
}
"""
DATA = ("terraform_data",)


class Toy:
    """A configuration of which one resource holds data, once applied."""

    def __init__(self, terraform: str, folder: Path) -> None:
        self._terraform, self._folder = terraform, folder
        (folder / "main.tf").write_text(ROWS, "utf-8")
        self._run("init", "-input=false")
        self._run("apply", "-auto-approve")

    def plan(self, **variables: Any) -> dict[str, Any]:
        """Return a plan as the pipeline has it."""
        (self._folder / "given.auto.tfvars.json").write_text(json.dumps(variables), "utf-8")
        self._run("plan", "-out=plan")
        plan: dict[str, Any] = json.loads(self._run("show", "-json", "plan"))
        return plan

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
        command = [self._terraform, *arguments]
        done = subprocess.run(command, cwd=self._folder, env=environment, check=True, capture_output=True, text=True)
        return done.stdout


@pytest.fixture(scope="module")
def toy(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(terraform, tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("rows", ["gone", "replaced"])
def test_data_is_neither_deleted_nor_replaced(toy: Toy, rows: str) -> None:
    plan = toy.plan(rows=rows)
    assert guard.refusals(plan, kinds=DATA) == ["destroys data: terraform_data.rows[0]"]
    assert guard.refusals(plan, approved=plan, kinds=DATA), "an approval does not help"
    assert guard.refusals(plan) == [], "nothing is lost with other resources"


@pytest.mark.parametrize("variables", [{}, {"rows": "other"}, {"more": ["a"]}])
def test_what_keeps_data_is_applied(toy: Toy, variables: dict[str, Any]) -> None:
    plan = toy.plan(**variables)
    assert guard.refusals(plan, kinds=DATA) == []
    assert guard.refusals(plan, approved=plan, kinds=DATA) == []


def test_a_part_of_an_approved_plan_is_applied_and_nothing_beyond_it(toy: Toy) -> None:
    whole, part = toy.plan(rows="other", more=["a", "b"]), toy.plan(more=["a"])
    assert guard.refusals(toy.plan(), approved=part) == []
    assert guard.refusals(toy.plan(rows="other", more=["a"]), approved=whole) == []
    assert guard.refusals(whole, approved=part) == [
        'is not in the approved plan: terraform_data.more["b"] (create)',
        "is not in the approved plan: terraform_data.rows[0] (update)",
    ]


def test_another_value_of_an_approved_change_is_refused(toy: Toy) -> None:
    refused = guard.refusals(toy.plan(rows="third"), approved=toy.plan(rows="other"))
    assert refused == ["is not in the approved plan: terraform_data.rows[0] (update)"]


def test_a_view_may_be_replaced() -> None:
    change = {
        "actions": ["delete", "create"],
        "before": {"view": [{"query": "SELECT 1"}]},
        "after": {},
        "after_unknown": {},
    }
    view = {"address": "google_bigquery_table.views", "type": "google_bigquery_table", "change": change}
    assert guard.refusals({"resource_changes": [view]}) == []
    change["before"] = {"view": []}
    assert guard.refusals({"resource_changes": [view]}) == ["destroys data: google_bigquery_table.views"]


def test_values_of_a_plan_are_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = {"actions": ["delete"], "before": {"secret_data": "key"}, "after": None, "after_unknown": {}}
    secret = {"address": "google_secret_manager_secret_version.k", "type": "google_secret_manager_secret_version"}
    (tmp_path / "plan.json").write_text(json.dumps({"resource_changes": [{**secret, "change": change}]}), "utf-8")
    assert guard.main([str(tmp_path / "plan.json")]) == 1
    assert capsys.readouterr().err == "the plan destroys data: google_secret_manager_secret_version.k\n"


def test_every_type_of_data_is_one_that_we_make() -> None:
    """Bootstrap makes the keys; a state that still has one from before must not lose it."""
    made = {block.labels[0] for part in PARTS for block in Configuration.read(part).of("resource")}
    assert made >= guard.DATA
