# Everything a person or a CI runs. Nothing here needs more than python3 (3.10+) and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Label Studio pins a great deal, so it lives in a virtual environment of its own. moto, the S3
# server of the tests, shares it: both need the same boto3.
LS_VENV    := .venv-label-studio
LS_VERSION := 1.23.2
CHROMIUM   := $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# A person sees pip's progress bars; a log gets its errors alone.
PIP_INSTALL := -m pip install $(shell test -t 2 || echo -qq)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check bench docs golden pins screenshots clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready $(LS_VENV)/.ready ## Make .venv and .venv-label-studio; quick when nothing changed

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "remask needs Python 3.10 or newer; name one: make setup PYTHON=python3.11" >&2; exit 1; }
	@echo "Installing remask, torch and the tools into $(VENV) (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(BIN)/python $(PIP_INSTALL) -e ".[all]" --group dev -c constraints.txt
	@touch $@

$(LS_VENV)/.ready: Makefile
	@echo "Installing Label Studio $(LS_VERSION) into $(LS_VENV) (some minutes the first time)"
	@test -x $(LS_VENV)/bin/python || $(PYTHON) -m venv $(LS_VENV)
	@$(LS_VENV)/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(LS_VENV)/bin/python $(PIP_INSTALL) label-studio==$(LS_VERSION) \
		'moto[s3]>=5.2' 'flask>=3.0' 'flask-cors>=6'
	@touch $@

demo: setup ## Label Studio with the backend on real photos; ARGS=--check tries it and stops
	@$(BIN)/remask demo $(ARGS)

test: setup ## All tests but those for a GPU
ifeq ($(CHROMIUM),)
	@echo "No chromium found: the browser tests will be skipped. On Debian: apt-get install chromium" >&2
endif
ifeq ($(ARGS),)
	@$(BIN)/python tools/run_tests.py
else
	@$(BIN)/python -m pytest -q -m 'not gpu' $(ARGS)
endif

test-fast: $(VENV)/.ready ## Unit, property and contract tests, under a minute
	@$(BIN)/python -m pytest -q tests/unit tests/property tests/contract $(ARGS)

check: $(VENV)/.ready ## Style, types, floors and walls, docs, module length
	@failed=0; \
	for step in "ruff check" "ruff format --check" mypy lint-imports \
		"python tools/write_docs.py --check" "python tools/check_house.py"; do \
		echo "== $$step"; $(BIN)/$$step || failed=1; \
	done; \
	exit $$failed

bench: setup ## Measure codec, service and models; results in bench-results
	@$(BIN)/remask bench $(or $(ARGS),all)

docs: $(VENV)/.ready ## Write the generated pages anew
	@$(BIN)/python tools/write_docs.py

golden: $(VENV)/.ready ## Write tests/golden anew; needs Shapely (tests/golden/README.md)
	@$(BIN)/python -m tools.make_golden

pins: $(VENV)/.ready ## Write constraints.txt anew from what .venv holds
	@$(BIN)/python tools/write_pins.py

screenshots: setup ## Write the pictures in docs/images anew, from the demo
	@$(BIN)/python tools/take_screenshots.py

clean: ## Remove caches, results and the demo, but not the virtual environments
	rm -rf .demo .cache build dist bench-results .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
