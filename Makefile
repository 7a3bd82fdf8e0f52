# Two commands matter: `make up` and `make test`. Both install what they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: up test check chaos demo bench bench-smoke format clean clean-data

up: $(INSTALLED)
	@exec $(BIN)/taskflow up

# ARGS are pytest's: `make test ARGS="tests/api -x"`.
test: $(INSTALLED)
	$(BIN)/pytest $(ARGS)

# The fast loop: under a minute, no servers.
check: $(INSTALLED)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit

# Everything broken on purpose: ten minutes. SEED 0 is any, and it says which.
ROUNDS := 20
SEED := 0
chaos: $(INSTALLED)
	$(BIN)/pytest -q -s tests/chaos --chaos-pace full --chaos-rounds $(ROUNDS) --chaos-seed $(SEED) -o faulthandler_timeout=0

demo: $(INSTALLED)
	@$(BIN)/taskflow demo

# Beside the peers, in turns: half an hour. What came of it stands in benchmarks/README.md.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

bench-smoke: $(INSTALLED)
	$(BIN)/python -m benchmarks --smoke

format: $(INSTALLED)
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

# What was built; data, secrets and logs stay.
clean:
	rm -rf $(VENV) build dist src/*.egg-info .hypothesis .mypy_cache .ruff_cache .taskflow/cache

# The data of `make up` with its secrets: what they sealed is gone for good.
clean-data:
	rm -rf .taskflow

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local,dev]'
	touch $@
