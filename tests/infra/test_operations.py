"""What infra/README.md tells people to type and to look at is there."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.infra.configuration import Configuration, arguments, plain
from tests.infra.test_rights import ALLOWED

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra"
TEXT = (FOLDER / "README.md").read_text("utf-8")
TERRAFORM = "\n".join(path.read_text("utf-8") for path in sorted((FOLDER / "terraform").rglob("*.tf")))
COMMANDS = re.findall(r"(?:python -m|\boperate)\s+((?:jobs|infra)\.\w+)([^`\n#]*)", TEXT)
OPERATED = {module for _, module in re.findall(r"(operate) (jobs\.\w+)", TEXT)}


@cache
def help_of(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


@pytest.mark.parametrize(("module", "arguments"), sorted(set(COMMANDS)))
def test_a_command_is_there_and_takes_its_options(module: str, arguments: str) -> None:
    known = help_of(module)
    given = re.findall(r"--[a-z-]+", arguments)
    assert [option for option in given if not re.search(rf"(?<![\w-]){option}(?![\w-])", known)] == []
    words = [word for word in shlex.split(arguments.split("|")[0]) if not word.startswith("-")]
    if words and words[0].isidentifier() and words[0].islower():
        assert words[0] in known, "a word that the command knows"


def test_every_job_that_a_person_starts_is_told_about() -> None:
    assert {"jobs.promote", "jobs.redrive", "jobs.replay", "jobs.rollback", "jobs.skew"} <= OPERATED
    assert len(COMMANDS) >= 12


def test_nothing_that_asks_for_a_person_is_run_where_arguments_are_logged() -> None:
    assert "jobs.erase" not in OPERATED
    assert "jobs.erase" in dict(COMMANDS)


@pytest.mark.parametrize("name", re.findall(r"output -raw (\w+)", TEXT))
def test_an_output_is_there(name: str) -> None:
    assert f'output "{name}"' in TERRAFORM


def test_variables_of_terraform_are_there() -> None:
    named = re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", TEXT)
    columns = (ROOT / "shared/contract/bigquery/score_events.json").read_text("utf-8")
    results = (ROOT / "shared/replay/audit.py").read_text("utf-8")
    unknown = [
        name
        for name in named
        if f'variable "{name}"' not in TERRAFORM
        and f'"{name}":' not in results
        and f'"name": "{name}"' not in columns
        and name != "score_events"
    ]
    assert unknown == []
    assert {"hmac_key_version", "publishers", "schedules_paused"} - set(named) <= {"publishers"}


def test_nobody_is_told_to_apply_by_hand_what_the_pipeline_applies() -> None:
    folders = re.findall(r"terraform -chdir=(\S+) apply", TEXT)
    assert folders == ["infra/terraform/bootstrap"]


def test_what_an_owner_applies_again_has_the_variables_of_the_first_time_as_they_are_kept_in_the_bucket() -> None:
    (apply,) = re.findall(r"terraform -chdir=infra/terraform/bootstrap apply (.*)", TEXT)
    assert apply == '-var-file="$PWD/bootstrap.tfvars"'
    fetched = TEXT.index('gcloud storage cp "gs://$BUCKET/bootstrap.tfvars" .')
    assert re.search(r'gcloud storage cp [^`]*\bbootstrap\.tfvars "gs://\$BUCKET/"', TEXT).start() < fetched
    assert fetched < TEXT.index(apply)
    example = (FOLDER / "terraform" / "bootstrap" / "terraform.tfvars.example").read_text("utf-8")
    variables = {block.labels[0]: block.body for block in Configuration.read("bootstrap").of("variable")}
    named = set(re.findall(r"^(?:# )?(\w+) += ", example, re.MULTILINE))
    assert {"billing_account", "image_readers"} <= named <= set(variables)
    required = {name for name, body in variables.items() if "default" not in body}
    assert required <= set(re.findall(r"^(\w+) += ", example, re.MULTILINE))


def test_the_state_of_one_environment_is_never_taken_for_that_of_another() -> None:
    inits = re.findall(r"terraform -chdir=\S+ init (?:.*\\\n)?.*", TEXT)
    assert len(inits) == 2
    assert all(" -reconfigure " in init for init in inits)


def test_what_runs_on_the_machine_of_a_person_reaches_the_project_and_its_buckets() -> None:
    exports = "\n".join(re.findall(r"^    (export .*)$", TEXT.partition("\n## ")[0], re.MULTILINE))
    shown = subprocess.run(["sh", "-euc", f"{exports}\nenv -0"], capture_output=True, text=True, check=True, env={})
    given = dict(each.partition("=")[::2] for each in shown.stdout.split("\0") if each)
    settings = Settings.from_env(given)
    assert settings.project == given["PROJECT"]
    name = plain(Configuration.read().resource("google_storage_bucket", "buckets")["name"])
    for bucket, key in ((settings.bucket, "models"), (settings.data_bucket, "data")):
        assert key in arguments(Configuration.read().local("buckets"))
        assert bucket == name.replace("${var.project_id}", settings.project).replace("${each.key}", key)


def test_what_runs_on_the_machine_of_a_person_runs_by_the_python_that_make_installs() -> None:
    assert "`make install`" in TEXT.partition("\n## ")[0]
    by_another = re.findall(r"(?<!\.venv/bin/)python -m (\S+)", TEXT)
    assert by_another == ["jobs.rollback"], "which is what runs in the job"


def test_no_comment_stands_behind_a_command_as_zsh_takes_its_words_for_arguments() -> None:
    commands = [line for line in TEXT.splitlines() if re.match(r" {4,}\S", line)]
    assert commands
    assert [line for line in commands if re.search(r"\s#", line)] == []


@pytest.mark.parametrize(
    "command", re.findall(r"gcloud run (?:jobs|services)[^`]*|gcloud builds (?:submit|triggers)[^`]*", TEXT)
)
def test_a_command_that_reaches_a_region_names_it_and_the_project(command: str) -> None:
    command = re.split(r"\n(?! *-)", command)[0]
    assert '--project="$PROJECT"' in command
    assert '--region="$REGION"' in command


def test_a_training_by_hand_runs_in_the_job_that_may_store_what_it_makes() -> None:
    job, given = re.search(r"gcloud run jobs execute pix-(\w+)[^`]*?--args=-m,(jobs\.retrain[\w,-]*)`", TEXT).groups()
    module, *rest = given.split(",")
    importlib.import_module(module)._parser().parse_args(rest)
    assert "roles/storage.objectUser on storage_bucket mlflow" in ALLOWED[job]


def test_a_first_deployment_runs_as_the_account_that_bootstrap_makes() -> None:
    bootstrap = Configuration.read("bootstrap")
    account = plain(bootstrap.resource("google_service_account", "deploy")["account_id"])
    assert f"serviceAccounts/{account}@$PROJECT.iam.gserviceaccount.com" in TEXT


def test_apis_and_agents_that_terraform_cannot_wait_for_are_there_before_it() -> None:
    apis = str(Configuration.read("bootstrap").resource("google_project_service", "apis")["for_each"])
    by_hand = re.findall(
        r"\w+\.googleapis\.com", TEXT.partition("gcloud services enable")[2].partition("--project")[0]
    )
    assert {"cloudresourcemanager.googleapis.com", "iam.googleapis.com", "serviceusage.googleapis.com"} == set(
        by_hand
    )
    assert all(f'"{api}"' in apis for api in by_hand)
    made = re.search(r"for api in ([\w ]+); do gcloud beta services identity create", TEXT)[1].split()
    agents = arguments(Configuration.read().local("agents")).values()
    assert {f"gcp-sa-{api}" for api in made} == {re.search(r"gcp-sa-\w+", str(agent))[0] for agent in agents}


def test_every_alert_is_told_about_by_its_title_and_no_other() -> None:
    files = (FOLDER / "terraform" / name for name in ("measured.tf", "monitoring.tf", "watch.tf"))
    titles = {
        title for path in files for title in re.findall(r'^ +title +(?:=) "([^"]+)"', path.read_text(), re.MULTILINE)
    }
    table = TEXT.partition("## Alerts")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)) - {"alert", "---"}
    assert told == titles


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (FOLDER / link).exists()


@pytest.mark.parametrize("path", re.findall(r"`((?:shared|tests|\.ci|infra)/[\w./*]+)`", TEXT))
def test_a_path_is_there(path: str) -> None:
    assert list(ROOT.glob(path))


def test_the_ports_that_others_plug_into_are_there() -> None:
    ports = "".join((ROOT / "shared" / name).read_text() for name in ("ports.py", "learning/ports.py"))
    named = {
        *re.findall(r"adapter for (.*), held", TEXT)[0].replace("`", "").replace(" or ", ", ").split(", "),
        "Exports",
    }
    assert {name for name in named if f"class {name}(Protocol)" not in ports} == set()


def test_settings_are_there() -> None:
    known = Settings("").to_env()
    assert [name for name in set(re.findall(r"\bPIX_[A-Z_]+", TEXT)) if name not in known] == []


def test_ten_steps_lead_to_a_first_deployment() -> None:
    steps = TEXT.partition("## First deployment")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", steps, re.MULTILINE) == [str(i) for i in range(1, 11)]
