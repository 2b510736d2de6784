"""The commands and names in infra/README.md exist."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.monitoring.alerts import read
from infra.monitoring.thresholds import defaults
from shared.desk.settings import DeskSettings
from shared.settings import Settings
from tests.infra.configuration import Configuration, arguments, plain
from tests.infra.grants import ALLOWED
from tests.infra.matching import match

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra"
TEXT = (FOLDER / "README.md").read_text("utf-8")
TERRAFORM = "\n".join(path.read_text("utf-8") for path in sorted((FOLDER / "terraform").rglob("*.tf")))
COMMANDS = re.findall(r"(?:python -m|\b(?:operate|sign))\s+((?:jobs|infra)(?:\.\w+)+)([^`\n#]*)", TEXT)
HEADINGS = {heading.lower().replace(" ", "-"): heading for heading in re.findall(r"^##+ (.*)$", TEXT, re.MULTILINE)}
"""Parts of the runbook by their anchors."""
OPERATED = set(re.findall(r"\boperate (jobs\.\w+)", TEXT))
SIGNED = set(re.findall(r"\bsign (jobs\.\w+)", TEXT))


@cache
def help_of(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


@pytest.mark.parametrize(("module", "arguments"), sorted(set(COMMANDS)))
def test_command_exists_and_accepts_its_options(module: str, arguments: str) -> None:
    known = help_of(module)
    given = re.findall(r"--[a-z-]+", arguments)
    assert [option for option in given if not re.search(rf"(?<![\w-]){option}(?![\w-])", known)] == []
    words = [word for word in shlex.split(arguments.split("|")[0]) if not word.startswith("-")]
    if words and words[0].isidentifier() and words[0].islower():
        assert words[0] in known, "a subcommand or choice of the command"


def test_readme_covers_every_job_that_a_person_starts() -> None:
    assert {"jobs.redrive", "jobs.repair", "jobs.skew"} <= OPERATED
    moved = {"jobs.challenge", "jobs.compare", "jobs.control", "jobs.promote", "jobs.rollback"}
    assert {"jobs.retrain", *moved} == SIGNED
    assert not SIGNED & OPERATED, "pix-operate may not sign"
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("module", sorted(OPERATED))
def test_operate_starts_a_job_that_has_the_key_only_if_the_module_needs_it(module: str) -> None:
    """The function of the README runs in a shell, with a gcloud that prints its arguments."""
    function = match(r"(?ms)^    operate\(\) \{.*?^    \}", TEXT)[0]
    script = f'gcloud() {{ echo "$4 $*"; }}\nPROJECT=p REGION=r\n{function}\noperate {module} --help now'
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    job = match(r"pix-(\w+)", done.stdout)[1]
    jobs = Configuration.read()
    assert job in arguments(jobs.local("jobs"))
    assert f"--args=^|^-m|{module}|--help|now" in done.stdout
    keyed = job in map(plain, jobs.local("hmac_jobs"))
    assert keyed == (module in {"jobs.fill", "jobs.repair", "jobs.replay", "jobs.rotate", "jobs.skew"})


def test_erase_never_runs_where_arguments_are_logged() -> None:
    assert "jobs.erase" not in OPERATED
    assert "jobs.erase" in dict(COMMANDS)


@pytest.mark.parametrize("name", re.findall(r"output -raw (\w+)", TEXT))
def test_terraform_output_exists(name: str) -> None:
    assert f'output "{name}"' in TERRAFORM


def test_terraform_variables_exist() -> None:
    named = re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", TEXT)
    columns = (ROOT / "shared/contract/bigquery/score_events.json").read_text("utf-8")
    results = (ROOT / "shared/replay/audit.py").read_text("utf-8")
    gate = (ROOT / "shared/learning/specs/gate.py").read_text("utf-8")
    measures = (ROOT / "shared/learning/monitoring/measures.py").read_text("utf-8")
    unknown = [
        name
        for name in named
        if f'variable "{name}"' not in TERRAFORM
        and f'"{name}":' not in results
        and f'"name": "{name}"' not in columns
        and f"\n    {name}: " not in gate
        and f'"{name}"' not in measures
        and name != "score_events"
    ]
    assert unknown == []
    assert {"hmac_key_version", "publishers", "schedules_paused"} - set(named) <= {"publishers"}


def test_only_bootstrap_is_applied_by_hand() -> None:
    folders = re.findall(r"terraform -chdir=(\S+) apply", TEXT)
    assert folders == ["infra/terraform/bootstrap"]


def test_bootstrap_takes_its_variables_from_the_bucket() -> None:
    (apply,) = re.findall(r"terraform -chdir=infra/terraform/bootstrap apply (.*)", TEXT)
    assert apply == '-var-file="$PWD/bootstrap.tfvars"'
    fetched = TEXT.index('gcloud storage cp "gs://$PROJECT-pix-bootstrap/bootstrap.tfvars" .')
    assert TEXT.index('gcloud storage cp bootstrap.tfvars "gs://$PROJECT-pix-bootstrap/"') < fetched
    assert fetched < TEXT.index(apply)
    example = (FOLDER / "terraform" / "bootstrap" / "terraform.tfvars.example").read_text("utf-8")
    variables = {block.labels[0]: block.body for block in Configuration.read("bootstrap").of("variable")}
    named = set(re.findall(r"^(?:# )?(\w+) += ", example, re.MULTILINE))
    assert {"billing_account", "image_readers"} <= named <= set(variables)
    required = {name for name, body in variables.items() if "default" not in body}
    assert required <= set(re.findall(r"^(\w+) += ", example, re.MULTILINE))


def test_every_init_reconfigures_the_backend() -> None:
    inits = re.findall(r"terraform -chdir=\S+ init (?:.*\\\n)?.*", TEXT)
    assert len(inits) == 2
    assert all(" -reconfigure " in init for init in inits)


@cache
def backend_options() -> list[str]:
    """Return the -backend-config values of bootstrap's init, in order."""
    (init,) = re.findall(r"terraform -chdir=infra/terraform/bootstrap init (?:.*\\\n)?.*", TEXT)
    return re.findall(r"-backend-config=(\S+)", init)


def test_bootstrap_has_a_bucket_of_its_own() -> None:
    (bucket,) = backend_options()
    assert bucket == '"bucket=$PROJECT-pix-bootstrap"'
    made = re.findall(r'gcloud storage buckets create "gs://([^"]+)"', TEXT)
    assert made == ["$BUCKET", "$PROJECT-pix-bootstrap"]
    kept = re.findall(r'gcloud storage buckets update "gs://([^"]+)" --versioning', TEXT)
    assert kept == made, "earlier states can be read"
    (backend,) = re.findall(
        r'backend "gcs" \{(.*?)\}', (FOLDER / "terraform/bootstrap/versions.tf").read_text("utf-8")
    )
    assert backend == ""


def test_terraform_takes_the_bucket_of_bootstrap(tmp_path: Path) -> None:
    """Terraform reads the README's option, under the name that a backend without a network has for it."""
    terraform = shutil.which("terraform")
    if not terraform:
        pytest.skip("terraform is not installed, so the option is only read")
    (tmp_path / "main.tf").write_text('terraform {\n  backend "local" {}\n}\n', "utf-8")
    (option,) = backend_options()
    given = f"-backend-config={option.replace('bucket=', 'path=')}"
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "PROJECT": "bank"}
    command = ["sh", "-euc", f"{terraform} init {given}"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    state = json.loads((tmp_path / ".terraform" / "terraform.tfstate").read_text("utf-8"))
    assert state["backend"]["config"]["path"] == "bank-pix-bootstrap"


def test_exports_select_the_project_and_its_buckets() -> None:
    exports = "\n".join(re.findall(r"^    (export .*)$", TEXT.partition("\n## ")[0], re.MULTILINE))
    shown = subprocess.run(["sh", "-euc", f"{exports}\nenv -0"], capture_output=True, text=True, check=True, env={})
    given = dict(each.partition("=")[::2] for each in shown.stdout.split("\0") if each)
    settings = Settings.from_env(given)
    assert settings.project == given["PROJECT"]
    name = plain(Configuration.read().resource("google_storage_bucket", "buckets")["name"])
    for bucket, key in ((settings.bucket, "models"), (settings.data_bucket, "data")):
        assert key in arguments(Configuration.read().local("buckets"))
        assert bucket == name.replace("${var.project_id}", settings.project).replace("${each.key}", key)


def test_local_commands_use_the_installed_python() -> None:
    assert "`make install`" in TEXT.partition("\n## ")[0]
    by_another = re.findall(r"(?<!\.venv/bin/)python -m (\S+)", TEXT)
    assert by_another == ["jobs.redrive"], "the example of a command inside the job"


def test_no_command_ends_in_a_comment() -> None:
    commands = [line for line in TEXT.splitlines() if re.match(r" {4,}\S", line)]
    assert commands
    assert [line for line in commands if re.search(r"\s#", line)] == []


@pytest.mark.parametrize(
    "command", re.findall(r"gcloud run (?:jobs|services)[^`]*|gcloud builds triggers[^`]*", TEXT)
)
def test_gcloud_command_names_project_and_region(command: str) -> None:
    command = re.split(r"\n(?! *-)", command)[0]
    assert '--project="$PROJECT"' in command
    assert '--region="$REGION"' in command


def test_manual_training_runs_in_a_job_with_rights_on_artifacts() -> None:
    (job,) = match(r"sign\(\) \{ gcloud run jobs execute pix-(\w+) ", TEXT).groups()
    module, *rest = match(r"sign (jobs\.retrain[^`\n]*)", TEXT)[1].split()
    importlib.import_module(module)._parser().parse_args(rest)
    assert "roles/storage.objectUser on storage_bucket mlflow" in ALLOWED[job]
    assert job in map(plain, Configuration.read("bootstrap").local("signers"))


def test_first_deployment_runs_as_the_bootstrap_account() -> None:
    bootstrap = Configuration.read("bootstrap")
    account = plain(bootstrap.resource("google_service_account", "deploy")["account_id"])
    submit = (FOLDER / "deploy" / "submit.sh").read_text("utf-8")
    assert "sh infra/deploy/submit.sh cloudbuild.yaml" in TEXT
    assert f"account={account} ;;" in submit
    assert "serviceAccounts/$account@$PROJECT.iam.gserviceaccount.com" in submit


def test_apis_and_agents_are_made_before_terraform_needs_them() -> None:
    apis = str(Configuration.read("bootstrap").resource("google_project_service", "apis")["for_each"])
    by_hand = re.findall(
        r"\w+\.googleapis\.com", TEXT.partition("gcloud services enable")[2].partition("--project")[0]
    )
    assert {"cloudresourcemanager.googleapis.com", "iam.googleapis.com", "serviceusage.googleapis.com"} == set(
        by_hand
    )
    assert all(f'"{api}"' in apis for api in by_hand)
    made = match(r"for api in ([\w ]+); do gcloud beta services identity create", TEXT)[1].split()
    agents = arguments(Configuration.read().local("agents")).values()
    assert {f"gcp-sa-{api}" for api in made} == {match(r"gcp-sa-\w+", str(agent))[0] for agent in agents}


def test_readme_lists_exactly_the_alerts() -> None:
    table = TEXT.partition("## Alerts")[2].partition("\n## ")[0]
    rows = {tuple(row.split(" | ")) for row in re.findall(r"^\| (.*) \|$", table, re.MULTILINE)}
    alerts = read(defaults()).alerts.values()
    texts = {(each.title, each.meaning, each.first_step, f"[{HEADINGS[each.page]}](#{each.page})") for each in alerts}
    assert rows - {("Alert", "Meaning", "First step", "Page")} == texts


def test_every_alert_of_the_definition_is_raised_somewhere(deployed: dict[str, Any]) -> None:
    raised = {name.removeprefix("table_") for name in deployed["google_monitoring_alert_policy.alerts"]}
    assert raised == {*read(defaults()).alerts}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_link_target_exists(link: str) -> None:
    if link.startswith("#"):
        assert link[1:] in HEADINGS
    else:
        assert (FOLDER / link).exists()


@pytest.mark.parametrize("path", re.findall(r"`((?:shared|tests|\.ci|\.github|infra)/[\w./*]+)`", TEXT))
def test_path_exists(path: str) -> None:
    assert list(ROOT.glob(path))


def test_named_ports_exist() -> None:
    files = [*(ROOT / "shared/ports").glob("*.py"), ROOT / "shared/learning/ports.py"]
    ports = "".join(file.read_text() for file in files)
    named = {
        *re.findall(r"adapter for (.*), held", TEXT)[0].replace("`", "").replace(" or ", ", ").split(", "),
        "RowExports",
    }
    assert {name for name in named if f"class {name}(Protocol)" not in ports} == set()


def test_settings_exist() -> None:
    known = {*Settings("").to_env(), *(f"PIX_DESK_{field.name.upper()}" for field in fields(DeskSettings))}
    assert set(re.findall(r"\bPIX_[A-Z_]+", TEXT)) - known == set()


def test_steps_are_numbered() -> None:
    sections = re.split(r"^##+ (.*)$", TEXT, flags=re.MULTILINE)
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        steps = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
        assert steps == list(range(1, len(steps) + 1)), title


@pytest.mark.parametrize(
    "title",
    [
        "First deployment",
        "Deploy a change",
        "Roll back a model",
        "Redrive dead letters",
        "Rebuild history",
        "Erase a person",
    ],
)
def test_procedure_has_steps_with_commands(title: str) -> None:
    steps = TEXT.partition(f"\n## {title}\n")[2].partition("\n##")[0]
    assert re.search(r"^1\. ", steps, re.MULTILINE)
    assert re.search(r"^ {7,}\S", steps, re.MULTILINE)
