"""`mlflow run jobs` turns its parameters into a command line of the job."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest
from mlflow.projects._project_spec import load_project

from jobs import retrain

JOBS = Path(retrain.__file__).parent


def read(parameters: dict[str, str]) -> argparse.Namespace:
    command = load_project(str(JOBS)).get_entry_point("retrain").compute_command(parameters, None)
    python, module, name, *arguments = shlex.split(command)
    assert (python, module, name) == ("python", "-m", "jobs.retrain")
    return retrain._parser().parse_args(arguments)


def test_a_project_run_without_parameters_is_the_job_without_arguments() -> None:
    assert read({}) == retrain._parser().parse_args([])


@pytest.mark.parametrize(
    ("name", "given", "known"),
    [
        ("snapshot", "0a1b", "0a1b"),
        ("mode", "incremental", "incremental"),
        ("trials", "5", 5),
        ("config", "a folder/config.yaml", Path("a folder/config.yaml")),
        ("trigger", "auto", "auto"),
        ("recovered", "configured", "configured"),
    ],
)
def test_every_option_of_the_job_is_a_parameter_of_the_project_run(name: str, given: str, known: object) -> None:
    assert vars(read({name: given})) == vars(read({})) | {name: known}
