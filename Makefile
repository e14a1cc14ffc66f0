# Everything a new machine needs is Python 3.11 or newer with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/factory_module

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo test test-full test-long lint setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

# The main job: search the inspection module's design space, then write the Pareto report.
demo: setup
	$(BIN)/dse explore factory_module --out $(OUT)
	$(BIN)/dse report $(OUT) --out $(OUT)/report
	@echo "open $(OUT)/report/report.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Three tiers; docs/testing.md says what belongs where.
test: lint
	$(PYTEST)

test-full: setup
	$(PYTEST) -m "full and not long"

test-long: setup
	$(PYTEST) -m long

clean:
	rm -rf $(VENV) build dist out *.egg-info
