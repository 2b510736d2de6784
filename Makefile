SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PARTS := functions/score functions/outcome functions/label jobs shared/adapters/kafka
export PYTHONDONTWRITEBYTECODE :=
TRANSACTIONS ?=
SEED ?=
EVENTS ?=
LIVE ?=
FRESH ?=
RATE ?=
DATA ?=
RUNS ?=
WORKERS ?= 2
# Not in the lock, as there are wheels for Linux only.
ATHERIS := atheris==3.0.0
ARGS ?=
# A user's settings of pip that would install outside the virtual environment, or refuse it.
PIP := env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PYTHONHOME -u PYTHONPATH PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
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

.PHONY: traffic
traffic: install ## Publish the simulator's Pix into a running make up, until Ctrl-C: RATE=20 a second
	@exec $(BIN)/python -m infra.local.traffic $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: doctor
doctor: install ## Find what the local cloud has and lacks on this machine, and the cost of each missing part
	@$(BIN)/python -m infra.local.doctor

.PHONY: check
check: install ## Style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy shared functions jobs infra tests
	$(BIN)/lint-imports

.PHONY: test
test: check infra-check ## Everything: checks, the test suite (WORKERS=n files side by side), coverage
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term

.PHONY: test-pythons
test-pythons: install ## The staged functions with their own locks on every Python that they are meant for
	$(BIN)/pytest tests/functions/test_staged.py --pythons 3.11,3.13

.local/checkov/installed: Makefile $(call moved,.local/checkov/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/checkov
	@$(PIP) .local/checkov/bin/python $(PIP_INSTALL) checkov==3.3.30
	@pwd -P > $@

.PHONY: infra-check
infra-check: .local/checkov/installed ## Security of the Terraform configuration and the Dockerfile, by checkov in a venv of its own
	.local/checkov/bin/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download
	.local/checkov/bin/checkov --file jobs/Dockerfile --framework dockerfile --compact --quiet --skip-download

.local/supply/installed: Makefile $(call moved,.local/supply/installed)
	@$(PYTHON) -m venv $(if $(call moved,$@),--clear) .local/supply
	@$(PIP) .local/supply/bin/python $(PIP_INSTALL) cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@pwd -P > $@

.PHONY: audit
audit: .local/supply/installed ## Known vulnerabilities of the locked packages, by PyPI
	for part in $(PARTS) .; do .local/supply/bin/pip-audit --strict --require-hashes --disable-pip -r $$part/requirements.txt \
	  || exit; done

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

.PHONY: bench-learning
bench-learning: install ## Generations of models that learn from what their decisions leave: ARGS="--seeds 1 2 --skip-gate"
	@OMP_WAIT_POLICY=passive $(BIN)/python -m tests.benchmarks.learning $(ARGS)

.PHONY: bench-gate
bench-gate: install ## Planted models before the gate, and nightly looks at equal ones: ARGS="--runs 60"
	@$(BIN)/python -m tests.benchmarks.gate $(ARGS)

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

.PHONY: schemas
schemas: install ## Regenerate derived files: table columns, JSON Schemas
	$(BIN)/python -m infra.derive

.PHONY: lock
lock: install ## Compile the locks of every installable part
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --all-extras pyproject.toml -o requirements.txt
	for part in $(PARTS); do $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --extra $$(basename $$part) -c requirements.txt pyproject.toml \
	  -o $$part/requirements.txt; done
