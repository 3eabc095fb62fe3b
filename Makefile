PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Without it pyright asks a registry at each start whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
CELERY := .cache/bench/bin/celery
# make is told by its own process id, so that a guard sees when it is gone.
GUARD = exec "$$([ -x $(PY) ] && echo $(PY) || echo $(PYTHON))" tests/tools/guard.py $$PPID
LOCK = $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
MEMBERS := sdk/pyproject.toml server/pyproject.toml workers/pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint gen bench soak revision lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the lock; quick when nothing changed

$(READY): requirements/dev.txt requirements/demo.txt pyproject.toml $(MEMBERS) tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh $(VENV)
	@touch $@

demo: setup ## Collect 336,776 flights, kill a worker on the way, compare every record
	@exec $(PY) -m demo

test: ## Lint, then all tests on a private MariaDB, SQLite and Redis, JOBS=2 at a time (ARGS="-k …" for some)
	@$(GUARD) $(MAKE) --no-print-directory check JOBS=$(JOBS) ARGS='$(ARGS)'

check: lint
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: setup ## Format, rules, layers, contract, documents, types, migrations
	@$(PY) -m tools.lint

gen: setup ## Write sdk/weir/v1 and the clients from protos/, and the parts of docs/ that the code knows
	@$(PY) -m tools.gen
	@$(PY) -m tools.docs

bench: setup $(CELERY) ## Measure and print, beside bare drivers, bare gRPC and Celery (ARGS="calls --quick" for some)
	@$(GUARD) $(PY) -m tests.bench $(ARGS)

soak: setup ## Kill, freeze, flush and restart a whole Weir under load, and check its books (ARGS="crowd --seed 7" for one)
	@$(GUARD) $(PY) -m tests.faults $(ARGS)

# Celery's needs must not hold back ours: it has an environment of its own, and nothing else looks at it.
$(CELERY): requirements/bench.txt | $(READY)
	@$(VENV)/bin/uv venv -q --clear --python $(PY) .cache/bench
	@$(VENV)/bin/uv pip install -q --python .cache/bench --no-deps --require-hashes -r $<
	@touch $@

revision: setup ## Write a migration from the changed tables: make revision m="what changed"
	@$(PY) -m tools.revision "$(m)"

lock: ## Write requirements/ anew from the pyproject files (with uv)
	@$(LOCK) $(MEMBERS) --extra cli --extra arrow --extra s3 -o requirements/runtime.txt
	@$(LOCK) $(MEMBERS) --extra cli --extra arrow --extra s3 --extra sql --group build --group dev -c requirements/runtime.txt -o requirements/dev.txt
	@$(LOCK) --group demo -o requirements/demo.txt
	@$(LOCK) --group wheel -c requirements/dev.txt -o requirements/build.txt
	@$(LOCK) --group bench -o requirements/bench.txt
