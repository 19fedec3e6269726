# Two commands: `make demo` (NumPy and Numba only) and `make test` (the pinned test set, with torch).
# The environment is .venv; its stamps make the second call start at once.

PY ?= python3.11
C ?= .ci/constraints.txt
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/core.stamp
	$(BIN)/lstm demo

test: .venv/test.stamp
	$(BIN)/python -m pytest -n auto

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/core.stamp: pyproject.toml $(C)
	$(PY) -m venv .venv || { $(PY) -m pip install --user virtualenv && $(PY) -m virtualenv .venv; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(C) --editable .
	touch $@

.venv/test.stamp: .venv/core.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(C) --editable '.[all]'
	touch $@

clean:
	rm -rf .venv
