# Two commands: `make demo` (NumPy and Numba only) and `make test` (the pinned test set, with torch).
# `make mutation` changes every operator and number of the numeric modules in turn and asks the tests (an hour).
# `make gpu-wheels` gathers what a machine with a GPU and no network lacks for `python -m benchmarks.gpu`.
# The environment is .venv; its stamps make the second call start at once.

PY ?= python3.11
C ?= .ci/constraints.txt
BIN := .venv/bin

.PHONY: demo test lint mutation gpu-wheels clean

demo: .venv/core.stamp
	$(BIN)/lstm demo

test: .venv/test.stamp
	$(BIN)/python -m pytest -n auto

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

mutation: .venv/mutation.stamp
	$(BIN)/python -m parity_tests.mutation

# For CPython 3.12 on x86-64 Linux; torch, NumPy and Numba are expected to be there.
gpu-wheels: .venv/core.stamp
	rm -f build/gpu-wheels/*.whl
	$(BIN)/pip download --quiet --disable-pip-version-check --constraint $(C) --only-binary=:all: \
		--python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
		--platform manylinux2014_x86_64 --dest build/gpu-wheels pydantic platformdirs safetensors

.venv/core.stamp: pyproject.toml $(C)
	$(PY) -m venv .venv || { $(PY) -m pip install --user virtualenv && $(PY) -m virtualenv .venv; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(C) --editable .
	touch $@

.venv/test.stamp: .venv/core.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(C) --editable '.[all]'
	touch $@

.venv/mutation.stamp: .venv/test.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(C) --editable '.[all,mutation]'
	touch $@

clean:
	rm -rf .venv
