# Everything a new machine needs is Python 3.11 or newer with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/factory_module

.PHONY: demo test lint setup clean

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

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

clean:
	rm -rf $(VENV) build dist out *.egg-info
