# `make demo` runs the whole way on a simulated cohort; `make test` proves that it works. Each makes its environment.
#
#   VENV=DIR        where the environment lies (.venv)
#   PY=python3.x    what it is made with (the first of python3.11, python3.12, python3 that is 3.11 or newer)

VENV ?= .venv
BIN := $(VENV)/bin

FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell for p in $(or $(PY),python3.11 python3.12 python3); do $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

# The stamp is named after the dependencies (the constraints, and pyproject.toml up to its first tool) and holds the
# checkout that the environment runs, so an environment can be handed from one clone to the next.
HASH := $(shell sed '/^\[tool/,$$d' pyproject.toml | cat - constraints.txt | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.fusion-$(HASH)
MADE := $(and $(wildcard $(STAMP)),$(wildcard $(BIN)/$(notdir $(or $(PY),python))))

.DEFAULT_GOAL := help
.PHONY: help demo test setup lint bench images docs clean hash

help:
	@echo 'make demo | test | setup | lint | bench | images | docs | clean    [VENV=.venv] [PY=python3.11]'

demo: setup
	$(BIN)/python scripts/train.py

test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# How fast: each script prints its own table and writes its JSON to runs/bench/; the last one sums them up. The studies
# of quality in benchmarks/ take hours, or finished runs: the first lines of each say how to call it.
SPEED := $(wildcard $(addprefix benchmarks/,$(addsuffix .py,evaluation reading step many_models overhead scale gpu)))

bench: setup
	@mkdir -p runs/bench
	$(foreach script,$(SPEED),$(BIN)/python $(script) out=runs/bench/$(basename $(notdir $(script))).json &&) true
	$(BIN)/python benchmarks/table.py from=runs/bench figure=runs/bench/bench.png

# The pictures of the guides, docs/img/monitor_*.png and trial_*.png, from nothing: a small run, one patient explained,
# pages photographed by Chromium (with chromedriver on the PATH), figures of a simulated cohort. Minutes.
IMAGES := runs/images
SIMULATED := data/strong_240_seed0

images: setup
	test -f $(IMAGES)/metrics.json || $(BIN)/python scripts/train.py experiment=demo_fast members=3 hydra.run.dir=$(IMAGES)
	$(BIN)/python scripts/explain.py run=$(IMAGES) patient=P-0004
	$(BIN)/python tests/report/monitor/screenshots.py $(IMAGES)/report/monitor.html docs/img
	test -d $(SIMULATED) || $(BIN)/fusion-simulate out=$(SIMULATED) preset=strong patients=240 seed=0
	$(BIN)/fusion-figures data.path=$(SIMULATED) out=docs/img prefix=trial_ 'formats=[png]' captions=false \
	    'only=[cohort_flow,waterfall,spider,swimmer,ctdna_kinetics,oncoprint,forest_os]'

docs: setup
	$(PIP_INSTALL) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

ifeq ($(MADE),)
setup:
	@test -n '$(PYTHON)' || { echo 'No Python 3.11 or newer with its venv module was found. Name one: make setup PY=/path/to/python3.11 (Debian, Ubuntu: apt-get install python3-venv)' >&2; exit 1; }
	@echo 'Making the environment in $(VENV): some minutes, about 2 GB with the CPU build of torch'
	$(PYTHON) -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),$(if $(wildcard $(BIN)/$(notdir $(PYTHON))),,--clear)) '$(VENV)'
	$(PIP_INSTALL) --editable '.[dev]'
	@rm -f $(VENV)/.fusion-* && echo '$(CURDIR)' > $(STAMP)
else ifneq ($(shell cat $(STAMP)),$(CURDIR))
setup:
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@echo '$(CURDIR)' > $(STAMP)
else
setup: ;
endif

hash:
	@echo $(HASH)

# Leaves the environment, the cohorts in data/ and the runs alone.
clean:
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests scripts benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
