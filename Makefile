# `make demo` and `make test` do all set-up from a bare clone; only python3 (3.11 or newer) must be there.
# Another interpreter: make test PYTHON=python3.11.  pip's own settings (PIP_* variables, pip.conf) are respected.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check
TORCH  := $(shell sed -n 's/^\(torch==.*\)/\1/p' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean install docs fpga-tools

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: $(STAMP) ## the whole pipeline on real S&P 500 candles, ending in a verdict and an HTML report
	@$(BIN)/tradenas demo; code=$$?; \
	if [ $$code -eq 3 ]; then echo "(exit code 3 of tradenas: no edge was shown; for a demo that is a fine ending)"; \
	else exit $$code; fi

test: $(STAMP) ## all tests but the slow, network and gpu ones, and the examples in the docstrings
	@$(BIN)/python -m pytest -q -m "not slow and not network and not gpu"

check: $(STAMP) ## formatting, lint, types, layers, and the rules of the house
	@scripts/check

bench: $(STAMP) ## every speed figure as a ratio, one table, under 10 minutes; the other benchmarks stand in benchmarks/README.md
	@$(BIN)/python benchmarks/bench.py --json benchmarks/speed.json
	@$(BIN)/python -m pytest -q benchmarks/test_hot.py -m bench --benchmark-enable

docs: $(STAMP) ## write docs/study.md again from the docstrings
	@$(BIN)/python scripts/study_docs.py --write

install: $(STAMP) ## only the set-up

fpga-tools: ## Debian's packages for simulating, synthesising, placing and routing exported Verilog
	@packages=; for pair in verilator:verilator g++:g++ yosys:yosys nextpnr-ice40:nextpnr-ice40; do \
	  command -v "$${pair%%:*}" >/dev/null || packages="$$packages $${pair##*:}"; done; \
	if [ -z "$$packages" ]; then echo "verilator, g++, yosys and nextpnr-ice40 are there"; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages; \
	else echo "missing:$$packages. As root on Debian or Ubuntu: apt-get install$$packages" >&2; exit 1; fi

lock: $(STAMP) ## write constraints.txt again from what is installed
	@{ sed -n '/^#/p' constraints.txt; $(PIP) freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' | grep -v '^#'; } > .lock.tmp
	@mv .lock.tmp constraints.txt

clean: ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone: a CPU build that pip already has must not be replaced by one that brings CUDA.
# The build tool is installed into the environment, so that it is pinned like everything else.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "tradenas needs Python 3.11 or newer; $(PYTHON) is missing or older. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks venv or ensurepip; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned dependencies into $(VENV) (some minutes the first time)"
	@$(PIP) install --quiet --quiet --constraint constraints.txt "$(TORCH)"
	@$(PIP) install --quiet --quiet --constraint constraints.txt hatchling editables
	@$(PIP) install --quiet --quiet --constraint constraints.txt --no-build-isolation --editable ".[all,dev]"
	@touch $@
