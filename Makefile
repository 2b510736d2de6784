SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PARTS := functions/score functions/label jobs
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

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "Installing pinned dependencies into .venv (about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --progress-bar on -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: .venv/installed ## Make .venv from the lock

.PHONY: demo
demo: install ## The whole loop on this machine: TRANSACTIONS=n SEED=s, or EVENTS=file LIVE=n
	@$(BIN)/python -m infra.local.demo $(if $(TRANSACTIONS),--transactions $(TRANSACTIONS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(EVENTS),--events '$(EVENTS)') $(if $(LIVE),--live $(LIVE)) $(ARGS)

.PHONY: up
up: install ## The local cloud and both functions on the demo's world, until Ctrl-C: FRESH=1 starts empty, ARGS=--help
	@exec $(BIN)/python -m infra.local $(if $(FRESH),--fresh) $(ARGS)

.PHONY: mlflow
mlflow: install ## The pages of MLflow on that world, until Ctrl-C
	@exec $(BIN)/python -m infra.local.mlflow_page $(ARGS)

.PHONY: traffic
traffic: install ## Publish the simulator's Pix into a running make up, until Ctrl-C: RATE=20 a second
	@exec $(BIN)/python -m infra.local.traffic $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: check
check: install ## Style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy shared functions jobs infra
	$(BIN)/lint-imports

.PHONY: test
test: check infra-check ## Everything: checks and the whole test suite, WORKERS=n files side by side
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

.PHONY: test-pythons
test-pythons: install ## The staged functions with their own locks on every Python that they are meant for
	$(BIN)/pytest tests/functions/test_staged.py --pythons 3.11,3.13

.local/checkov/installed: Makefile
	@$(PYTHON) -m venv .local/checkov
	@.local/checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	@touch $@

.PHONY: infra-check
infra-check: .local/checkov/installed ## Security of the Terraform configuration and the Dockerfile, by checkov in a venv of its own
	.local/checkov/bin/checkov --directory infra/terraform --framework terraform --compact --quiet --skip-download
	.local/checkov/bin/checkov --file jobs/Dockerfile --framework dockerfile --compact --quiet --skip-download

.local/supply/installed: Makefile
	@$(PYTHON) -m venv .local/supply
	@.local/supply/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

.PHONY: audit
audit: .local/supply/installed ## Known vulnerabilities in what is locked, as PyPI knows them
	for part in $(PARTS) .; do .local/supply/bin/pip-audit --strict --require-hashes --disable-pip -r $$part/requirements.txt \
	  || exit; done

.PHONY: licences
licences: install ## The licence of every package of functions and jobs; fails for one that is not allowed
	$(BIN)/python -m infra.deploy.licences

.PHONY: sbom
sbom: .local/supply/installed ## A bill of materials (CycloneDX) for each installable part, into build/
	mkdir -p build
	for part in $(PARTS); do .local/supply/bin/cyclonedx-py requirements --output-reproducible \
	  -o build/sbom-$$(basename $$part).json $$part/requirements.txt || exit; done

.PHONY: bench-quality
bench-quality: install ## The Fraud Detection Handbook's protocol on our history: DATA=fdh.parquet
	@[ -n '$(DATA)' ] || { echo 'DATA is missing: make bench-quality DATA=path/to/fdh.parquet' >&2; exit 2; }
	@$(BIN)/python -m tests.benchmarks.handbook '$(DATA)'

.PHONY: bench-retraining
bench-retraining: install ## A whole retraining on the simulator's world, and again from its snapshot: ARGS="--rows 60000"
	@$(BIN)/python -m tests.benchmarks.retraining $(ARGS)

.PHONY: bench-speed
bench-speed: install ## How many Pix one vCPU scores, how fast, and at what cost: ARGS="--only memory --seconds 5"
	@$(BIN)/python -m tests.benchmarks.speed $(ARGS)

.PHONY: bench-faults
bench-faults: install ## Everything fails while 100,000 Pix are scored; what came of it: TRANSACTIONS=n
	@$(BIN)/python -m tests.benchmarks.faults $(if $(TRANSACTIONS),--transactions $(TRANSACTIONS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: install ## A million bodies through both functions, led by coverage: RUNS=n SEED=s (Linux)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(ATHERIS)
	@$(BIN)/python -m tests.fuzz $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: schemas
schemas: install ## Write again what is derived: feature columns, JSON Schemas
	$(BIN)/python -m infra.derive

.PHONY: lock
lock: install ## Compile the locks of every installable part
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --all-extras pyproject.toml -o requirements.txt
	for part in $(PARTS); do $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --extra $$(basename $$part) -c requirements.txt pyproject.toml \
	  -o $$part/requirements.txt; done
