# Every target does its own set-up in .venv, from a clean checkout, with Python 3.11 or newer.
#   make demo     install, then the simulated town with its plan on http://127.0.0.1:8000
#   make test     install, then every test that this machine can run
#   make install  only the virtual environment, with .venv/bin/focus-patrol
#   make check    format, lint, types and import contracts, then the tests
#   make bench    the benchmarks, each beside its peer or physical limit; tables go to out/bench
#   make lock     requirements.lock anew from pyproject.toml
# Another Python: make install PYTHON=/path/to/python3.12

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python)
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Extra arguments, as in: make test ARGS="-k dwell"
ARGS :=

.DELETE_ON_ERROR:
.PHONY: demo test install check bench lock

demo: install
	$(BIN)/focus-patrol demo $(ARGS)

test: install
	$(BIN)/python -m pytest --numprocesses auto --dist loadgroup $(ARGS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest --numprocesses auto --dist loadgroup $(ARGS)

bench: install
	$(BIN)/python -m tests.benchmark $(ARGS)

install: $(VENV)/.installed

# Locked versions with their hashes first; then the project itself, editable, which adds nothing.
$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: requirements.lock | $(BIN)/python
	@echo "Installing into $(VENV); the first time takes a minute or two."
	@$(PIP) install --no-deps --require-hashes --requirement requirements.lock
	@touch $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  if $$python -c '$(USABLE)' >/dev/null 2>&1; then exec $$python -m venv $(VENV); fi; \
	done; \
	echo "Focus Patrol needs Python 3.11 or newer with its venv module, and found none of:" \
	  "$(PYTHONS). Install it (on Debian and Ubuntu: apt-get install python3 python3-venv)," \
	  "or say where it is: make PYTHON=/path/to/python3" >&2; \
	exit 1

lock: $(VENV)/.locked
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --extra dev \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-config \
	  --upgrade --output-file requirements.lock pyproject.toml
