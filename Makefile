# Everything a newcomer or CI types. Each target makes the environment first, with uv where it
# exists and with venv and pip where it does not; versions come from uv.lock either way.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
JOBS   ?= 2

.PHONY: help env demo test check format bench chaos screenshots docs lock clean

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

env: $(STAMP) ## make the environment in .venv

$(STAMP): pyproject.toml uv.lock .ci/requirements.txt
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --frozen --quiet; \
	else \
		test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	fi
	@touch $@

demo: $(STAMP) ## broker, two workers, a load and the console; without a terminal, an event dump
	@$(BIN)/tq demo

test: check ## all that CI does: format, lint, types, import contracts, every test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

check: $(STAMP) ## the quick part: format, lint, types, import contracts
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy core/tq tqconsole tests/typing
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the code to the project's format
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

bench: $(STAMP) ## the speed figures, beside Celery in the same run (minutes)
	$(BIN)/python core/benchmarks/run.py

chaos: $(STAMP) ## kill, cut, freeze and restart things for minutes; nothing may be lost
	$(BIN)/python -m pytest -m chaos tests/chaos

screenshots: $(STAMP) ## redraw screenshots/ from a live cluster
	$(BIN)/python -m tqconsole.demo.screenshots screenshots

docs: $(STAMP) ## rewrite core/docs/compatibility.md from the code of tq and of Celery
	$(BIN)/python -m tools.compatibility

lock: ## refresh the pinned versions (needs uv)
	uv lock
	uv export --frozen --quiet --no-hashes --no-emit-project --no-header --no-annotate -o .ci/requirements.txt

clean: ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
