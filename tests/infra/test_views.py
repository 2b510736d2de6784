"""Terraform fills the SQL of the views just as the code does; Terraform itself is asked."""

import json
import os
import re
import shutil
import subprocess

import pytest

from shared.contract import tables
from tests.infra.configuration import FOLDER

OUTPUTS = """
variable "project_id" { default = "my-project" }
variable "maturity_days" { default = 87 }
output "views" { value = local.views }
output "tables" { value = local.tables }
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> dict:
    """Return what the local values of bigquery.tf come to, in a folder of their own that needs no provider."""
    terraform = shutil.which("terraform")
    if not terraform:
        pytest.skip("terraform is not installed, so what it would make of the views is not known")
    root = tmp_path_factory.mktemp("views")
    folder = root / "infra" / "terraform"
    folder.mkdir(parents=True)
    shutil.copytree(tables.FOLDER, root / "shared" / "contract" / "bigquery")
    blocks = re.findall(r"^locals \{\n.*?^\}\n", (FOLDER / "bigquery.tf").read_text("utf-8"), re.S | re.M)
    text = "\n".join(blocks).replace("google_bigquery_dataset.pix.dataset_id", '"pix"')
    (folder / "main.tf").write_text(text + OUTPUTS, "utf-8")
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}

    def run(*command: str) -> str:
        done = subprocess.run(
            [terraform, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "-input=false")
    run("apply", "-auto-approve", "-input=false")
    return {name: each["value"] for name, each in json.loads(run("output", "-json")).items()}


@pytest.mark.parametrize("view", tables.views("my-project", "pix", 87.0), ids=lambda view: view.name)
def test_a_view_reads_as_the_code_has_it(evaluated, view):
    assert evaluated["views"][view.name] == view.sql


@pytest.mark.parametrize("table", tables.tables(), ids=lambda table: table.name)
def test_a_table_has_the_columns_and_layout_of_its_file(evaluated, table):
    found = evaluated["tables"][table.name]
    assert [column["name"] for column in found["schema"]] == [column.name for column in table.schema]
    assert (found["partition_field"], found["clustering"]) == (table.partition_field, table.clustering)
