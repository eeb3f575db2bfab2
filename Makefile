# `make run` and `make test` are all that a fresh clone needs; `make help` lists the rest.
# Both do their set-up once: the stamps in .venv say what was done, and are older than a newer pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Tests start Python some hundred times, and it should not compile the same each time.
unexport PYTHONDONTWRITEBYTECODE

# Tests wait more than they compute, so that they go on beside each other in more processes than there are
# processors; the tests of a file stay together. PYTEST_ARGS=-n0 runs them one after another in one.
PYTEST := $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

# What runs beside each other prints one after the other; make 3.81 of macOS cannot.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

# A folder that was copied or moved takes its .venv along, whose scripts still point to the old place.
ifeq ($(shell grep -lF "$(CURDIR)/$(VENV)" $(BIN)/activate 2>/dev/null),)
STALE := stale
endif

.PHONY: help run setup setup-test tools test test-long conformance calibrate fuzz robustness soak bench bench-quick perf-guard lint types bytecode unit e2e format clean stale
.DEFAULT_GOAL := help

help:  ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s  %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: setup  ## serve examples/chat on http://localhost:3000, again at each change
	@exec $(BIN)/longwave dev examples/chat

setup: $(VENV)/.setup-run  ## make .venv with Longwave in it

setup-test: $(VENV)/.setup-test  ## setup, and what the tests need from Python's package index

tools:  ## the programs that tests need: installed by apt-get as root, else named
	@scripts/setup.sh tools

test: setup-test tools  ## check everything: style, types, all tests
	@$(MAKE) --no-print-directory --jobs=2 $(SYNC) lint types bytecode
	@$(PYTEST) $(PYTEST_ARGS)

test-long: export LONGWAVE_TEST_LENGTH := full
test-long: test  ## the same, each test at its full length

conformance: setup-test  ## every case of the conformance tables; writes docs/results/conformance.md
	@$(BIN)/python -m tests.conformance

calibrate: setup-test tools  ## the same tables on other people's servers, whose misses are known
	@$(BIN)/python -m tests.conformance.calibrate

fuzz: $(VENV)/.setup-fuzz  ## each fuzzing harness for FUZZ_SECONDS=60; HARNESS="http1 ws" for some
	@$(BIN)/python -m fuzz --seconds $(or $(FUZZ_SECONDS),60) $(HARNESS)

robustness: setup-test  ## load, slow and hostile clients, beside uvicorn; writes docs/topics/robustness.md
	@$(BIN)/python -m bench.robustness

soak: setup-test  ## everything at once for SOAK_SECONDS=600; writes docs/results/soak.md and its picture
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || $(BIN)/python -m pip install -q -e '.[bench]' || true
	@$(BIN)/python -m bench.soak

perf-guard: setup-test  ## count what a message costs; fails past bench/guard/bounds.json
	@$(BIN)/python -m bench.guard

bench: $(VENV)/.setup-bench  ## Longwave beside its peers, all rows; BENCH="ROW ... --rounds 5" for some
	@$(BIN)/python -m bench $(BENCH)

bench-quick: $(VENV)/.setup-bench  ## the main rows, in about two minutes when the peers are installed
	@$(BIN)/python -m bench --quick

lint: setup-test  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup-test  ## mypy --strict
	@$(BIN)/mypy

# Or each process of pytest would compile all tests for itself. What cannot be collected is told by pytest later.
bytecode: setup-test
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true

unit: setup-test  ## the quick tests
	@$(PYTEST) --ignore=tests/e2e $(PYTEST_ARGS)

e2e: setup-test tools  ## the tests with real servers and a real browser
	@$(PYTEST) tests/e2e $(PYTEST_ARGS)

format: setup-test  ## let ruff write the format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove .venv and everything that was built
	rm -rf $(VENV) .fuzz .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.setup-run: pyproject.toml $(STALE)
	@PYTHON="$(PYTHON)" scripts/setup.sh run

$(VENV)/.setup-test: $(VENV)/.setup-run
	@PYTHON="$(PYTHON)" scripts/setup.sh test

$(VENV)/.setup-bench: $(VENV)/.setup-run
	@$(BIN)/python -m pip install -q -e '.[bench]'
	@touch $@

$(VENV)/.setup-fuzz: $(VENV)/.setup-test
	@$(BIN)/python -m pip install -q -e '.[fuzz]'
	@touch $@
