# Steelyard: `make run` starts a demonstration, `make test` runs every check.
# Works as an ordinary user. packaging/prepare makes .venv and installs into it, and does nothing when that was done.

VENV := .venv
BIN := $(VENV)/bin

# Tests start hundreds of processes, and each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test lint bench package clean

help:
	@echo "make run    install what is needed into $(VENV) and start a demonstration on 127.0.0.1"
	@echo "make test   install what the tests need (Debian packages too, where allowed), lint, run every test"
	@echo "make lint   ruff, mypy and the import contracts"
	@echo "make bench  measure, and print the tables that docs/benchmarks.md keeps"
	@echo "make package  build the Debian package for this machine's release into dist"
	@echo "make clean  remove $(VENV), caches and builds"

run:
	@packaging/prepare run $(VENV)
	@exec $(BIN)/steelyard demo

# Four files of tests at a time, on two cores: tests wait much for reloads, checks and time-outs.
WORKERS := 4

# Pytest comes last: its summary is the last line, which CI reads.
test:
	@packaging/test-tools
	@packaging/next-release-tool testssl.sh 3.2~
	@packaging/prepare dev $(VENV)
	@$(MAKE) --no-print-directory lint
	@exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint:
	@packaging/prepare dev $(VENV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench:
	@packaging/test-tools
	@packaging/prepare dev $(VENV)
	@exec $(BIN)/python -m bench $(BENCH_ARGS)

package:
	@packaging/debian/build

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests $(wildcard bench) -name __pycache__ -type d -prune -exec rm -rf {} +
