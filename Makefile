# Needs Python 3.11+, make and PyPI; for the clients in other languages, Node.js 20+ and Go 1.24+. `make` alone says what
# there is.
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

# The clients in other languages, which are built and tested where their toolchains are.
TYPESCRIPT := client/typescript
GO := client/go
HAS_NPM := $(shell command -v npm)
HAS_GO := $(shell command -v go)
NPM := npm --prefix $(TYPESCRIPT) --silent
PACKAGES := $(if $(HAS_NPM),$(TYPESCRIPT)/node_modules/.installed)

$(TYPESCRIPT)/node_modules/.installed: $(TYPESCRIPT)/package.json $(TYPESCRIPT)/package-lock.json
	npm --prefix $(TYPESCRIPT) ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: typescript
typescript: $(PACKAGES) ## build the TypeScript client (Node.js 20 or newer)
	$(if $(HAS_NPM),$(NPM) run build,$(NO_NPM))

NO_NPM := @echo "SKIPPED: the TypeScript client and threads that change language; npm is not on the PATH"
NO_GO := @echo "SKIPPED: the Go client and what it approves; go is not on the PATH"

.PHONY: test
test: $(VENV)/.dev $(PACKAGES) ## run all tests of all clients against real servers and a real PostgreSQL
	$(if $(HAS_NPM),$(NPM) test)
	$(if $(HAS_GO),cd $(GO) && go test ./...)
	@# Two at a time: each file is run by one of them, with a server and a PostgreSQL of its own.
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(if $(HAS_NPM),,$(NO_NPM))
	$(if $(HAS_GO),,$(NO_GO))

.PHONY: robustness
robustness: $(VENV)/.dev ## kill servers and PostgreSQL under many clients; lose nothing (SEED=, SECONDS=, CLIENTS=, OUT=)
	$(BIN)/python -m tests.robustness.run $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(CLIENTS),--clients $(CLIENTS)) $(if $(OUT),--out $(OUT))

.PHONY: rolling
rolling: $(VENV)/.dev ## restart servers by turns under load, and print what clients saw
	$(BIN)/python -m tests.ha.rolling

.PHONY: failover
failover: $(VENV)/.dev ## kill the primary of two PostgreSQLs under load, and print what clients saw
	$(BIN)/python -m tests.ha.failover

.PHONY: overload
overload: $(VENV)/.dev ## offer ten times what a server can do, and print what it does (IN_FLIGHT=, SECONDS=)
	$(BIN)/python -m tests.load.overload $(if $(IN_FLIGHT),--in-flight $(IN_FLIGHT)) $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: bench
bench: $(VENV)/.dev ## measure it beside PostgresSaver on one PostgreSQL (QUICK=1, ROWS=NAME,..., OUT=DIR)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ROWS),--rows $(ROWS)) $(if $(OUT),--out $(OUT))

.PHONY: lint
lint: $(VENV)/.dev $(PACKAGES) ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(HAS_NPM),$(NPM) run lint)
	$(if $(HAS_GO),cd $(GO) && go vet ./... && go run ./internal/generate -check && test -z "$$(gofmt -l . | tee /dev/stderr)")

.PHONY: format
format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: protos
protos: $(VENV)/.dev $(PACKAGES) ## make the stubs from protos/checkpointd again
	$(BIN)/python protos/generate.py $(STUBS)
	$(if $(HAS_NPM),$(NPM) run generate)
	$(if $(HAS_GO),cd $(GO) && go run ./internal/generate)

.PHONY: clean
clean: ## remove the environment and caches; data in .data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist client/typescript/node_modules client/typescript/dist
