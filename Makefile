# Two commands do everything: `make demo` and `make test`. Both set up first; a second call costs
# nothing. Commands themselves are in the program `fdht`; this file only forwards to it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup oracles demo bench test test-all check clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,hls,rtl,board,dev]'
	touch $@

# Not part of set-up, for PyTorch is large; without it the tests against tednet are skipped.
oracles: $(VENV)/.oracles

$(VENV)/.oracles: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,hls,rtl,board,dev,oracles]'
	touch $@

bench: setup
	$(BIN)/fdht bench train

demo: setup
	$(BIN)/fdht demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A process a core, but no more than memory has room for: TensorFlow takes some 2 GB in each.
PYTEST := $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile

test: check
	$(PYTEST) -m 'not slow'

test-all: check
	$(PYTEST)

clean:
	rm -rf build
