# Needs Python 3.11+, make and PyPI. `make` alone says what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STUBS := protos/gen/python

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# What serving needs, and what developing needs on top. A stamp makes the second call cheap.
$(VENV)/.serve: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("checkpointd needs Python 3.11 or newer; call make PYTHON=...") if sys.version_info < (3, 11) else 0'
	@# Also one that was interrupted while it was made, and has no pip.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[server,langgraph]'
	@touch $@

$(VENV)/.dev: $(VENV)/.serve
	$(BIN)/python -m pip install --quiet --editable '.[server,langgraph]' --group dev
	@touch $@

.PHONY: env
env: $(VENV)/.dev ## make the environment in .venv, with all that development needs

.PHONY: serve
serve: $(VENV)/.serve ## start a server on 127.0.0.1:50051 with a PostgreSQL of its own (data in .data)
	@CHECKPOINTD_DATA_DIR="$${CHECKPOINTD_DATA_DIR:-.data}" exec $(BIN)/checkpointd serve

.PHONY: test
test: $(VENV)/.dev ## run all tests against real servers and a real PostgreSQL
	$(BIN)/python -m pytest

.PHONY: robustness
robustness: $(VENV)/.dev ## kill servers and PostgreSQL under many clients; lose nothing (SEED=, SECONDS=, CLIENTS=, OUT=)
	$(BIN)/python -m tests.robustness.run $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(CLIENTS),--clients $(CLIENTS)) $(if $(OUT),--out $(OUT))

.PHONY: bench
bench: $(VENV)/.dev ## measure it beside PostgresSaver on one PostgreSQL (QUICK=1, ROWS=NAME,..., OUT=DIR)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS)) $(if $(OUT),--out $(OUT))

.PHONY: lint
lint: $(VENV)/.dev ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: protos
protos: $(VENV)/.dev ## make the stubs from protos/checkpointd again
	$(BIN)/python protos/generate.py $(STUBS)

.PHONY: clean
clean: ## remove the environment and caches; data in .data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
