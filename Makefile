# The two commands of the README are `make demo` and `make test`; each sets up what it needs in .venv.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))
OLD_ENOUGH := import sys; sys.exit(sys.version_info >= (3, 13))
OLDEST := build/oldest
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test endurance oldest lint types docs drawing news packaging clean

help:
	@echo "make demo       a gateway with a small platform behind it, and curl lines to try (Ctrl-C ends it)"
	@echo "make test       every test, and the branch coverage"
	@echo "make endurance  what has to hold for long and under load, in full length (some minutes)"
	@echo "make oldest     every test, with the oldest versions that setup.py allows"
	@echo "make lint       ruff"
	@echo "make types      mypy, strict"
	@echo "make docs       the documentation, in docs/_build"
	@echo "make drawing    the drawing in docs/architecture.rst, of docs/request.dot (Graphviz: apt-get install graphviz)"
	@echo "make news       what the changelog of the next release would say"
	@echo "make packaging  the wheel, installed as users would, starts in another folder"
	@echo "make clean      remove what these have made"

demo: $(VENV)/runtime
	@$(BIN)/twistd -n --pidfile= nnogw --demo

test: $(VENV)/test
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.run

endurance: $(VENV)/test
	@PATH="$(CURDIR)/$(BIN):$$PATH" NNOGW_ENDURANCE=long $(BIN)/python -m twisted.trial tests.endurance tests.lifecycle.test_generation

oldest: $(VENV)/python
	@$(BIN)/python -c '$(OLD_ENOUGH)' || { echo "the oldest versions have no wheels for a Python newer than 3.12" >&2; exit 1; }
	@rm -rf $(OLDEST)
	@$(BIN)/python -m venv $(OLDEST)
	@echo "Installing the oldest versions into $(OLDEST) ..."
	@$(OLDEST)/bin/python -m pip install -qq --disable-pip-version-check -r requirements/oldest.txt --editable '.[test]'
	@PATH="$(CURDIR)/$(OLDEST)/bin:$$PATH" $(OLDEST)/bin/python -m tests.run

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/lint
	$(BIN)/mypy

docs: $(VENV)/docs
	$(BIN)/sphinx-build -q -W -n -b html docs docs/_build

drawing:
	dot -Tsvg docs/request.dot -o docs/request.svg

news: $(VENV)/news
	$(BIN)/towncrier build --draft --version next

packaging: $(VENV)/test
	@rm -rf build/packaging
	$(BIN)/python -m build --outdir build/packaging . >/dev/null
	$(BIN)/python -m venv build/packaging/venv
	build/packaging/venv/bin/python -m pip install -qq --disable-pip-version-check build/packaging/*.whl
	cd build/packaging && venv/bin/python -m pip check && venv/bin/twistd nnogw --help && venv/bin/twistd nnogw --version

clean:
	rm -rf $(VENV) build dist nnogw.egg-info docs/_build .coverage* _trial_temp* .mypy_cache .ruff_cache .hypothesis

# A stamp for each set of packages that is installed; setup.py decides what is in a set.

$(VENV)/python:
	@test -n "$(PYTHON)" || { echo "nnogw needs Python 3.10 or newer, and there is none in PATH; with PYTHON=... make takes another" >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "nnogw needs Python 3.10 or newer, and $(PYTHON) is not" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) has no venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/runtime: $(VENV)/python setup.py
	@echo "Installing nnogw into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/test $(VENV)/lint $(VENV)/docs $(VENV)/news: $(VENV)/runtime
	@echo "Installing what '$(@F)' needs into $(VENV) ..."
	@$(PIP) --editable '.[$(@F)]'
	@touch $@
