# `make train`, `make test` and `make tutorials` need nothing but Python 3.11 or later with pip: they make a virtual
# environment in .venv and install what they use.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PY := $(VENV)/bin/python

.PHONY: help train test lint tutorials solutions clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

train: $(VENV)/.train  ## train on MNIST for 30 epochs; ARGS="--preset mnist-4" and the like are taken instead
	$(PY) -m ramnp.train $(or $(ARGS),--preset mnist-6-short)

test: $(VENV)/.test  ## run all tests; ARGS="-k sensor" and the like are handed on
	$(PY) -m pytest -n auto $(ARGS)

lint: $(VENV)/.test  ## check format, style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pyright

tutorials: $(VENV)/.tutorials  ## open the notebooks of the course
	$(PY) -m jupyter lab tutorials

solutions: $(VENV)/.tutorials  ## build the notebooks with solutions, into tutorials/solutions
	$(PY) tutorials/build.py --solutions

clean:  ## remove the virtual environment
	rm -rf $(VENV)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or later is needed; choose one with: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.train: $(VENV)/.python pyproject.toml
	$(PY) -m pip install --quiet -e .
	touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml
	$(PY) -m pip install --quiet -e '.[test]'
	touch $@

$(VENV)/.tutorials: $(VENV)/.python pyproject.toml
	$(PY) -m pip install --quiet -e '.[tutorials]'
	touch $@
