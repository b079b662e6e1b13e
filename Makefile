# Two commands do everything: `make demo` and `make test`. Both set up first; a second call costs
# nothing. Commands themselves are in the program `fdht`; this file only forwards to it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup oracles pynq4 lowest demo bench test test-all check clean

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

# A second pynq, to read our hand-off files with; without it those tests are skipped.
pynq4: .venv-pynq4/.ready

.venv-pynq4/.ready:
	$(PYTHON) -m venv .venv-pynq4
	.venv-pynq4/bin/python -m pip install --quiet --disable-pip-version-check pynq==4.0.0 pynqmetadata==0.2.0 pynqutils==0.1.3 numpy==1.26.4
	touch $@

# The lowest versions of what a board has, in an environment of their own, and the host's tests. With
# the Python of PYNQ's images: for a later one there are no wheels of their numpy and matplotlib.
LOWEST := .venv-lowest
# Where pyenv has one, but does not use it, its own is taken.
BOARD_PYTHON ?= $(shell for one in python3.10 "$$(pyenv prefix 3.10 2>/dev/null)/bin/python"; do \
	"$$one" -c '' 2>/dev/null && echo "$$one" && break; done)

ifeq ($(BOARD_PYTHON),)
lowest:
	@echo 'NOT TESTED: the lowest versions need Python 3.10; install it, or name it with BOARD_PYTHON=' >&2
else
lowest: $(LOWEST)/.ready
	PYTHONPATH=.:models:hls:overlays:host $(LOWEST)/bin/python .ci/lowest.py test -p no:cacheprovider
endif

$(LOWEST)/.ready: pyproject.toml .ci/lowest.py
	$(BOARD_PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) .ci/lowest.py requirements > $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary av,numpy,matplotlib --requirement $(LOWEST)/requirements.txt
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
