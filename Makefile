# `make` lists what can be done. Everything installs itself first, into .venv and the user's cache folder, never into
# the system.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

SCALE ?= 60
COUNT ?= 20
FUZZ ?= 10000
RUNTIME ?= auto
ARGS ?=
ANY = setup drill scenarios test unit check findings worth ablation controls mutation blind-spots table torture fuzz bench \
  healthy lock clean help
.PHONY: $(ANY)

help:  ## list the targets
	@echo "make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1	\2/p' Makefile | expand -t 14

setup:  ## install packages into .venv and servers into the cache folder (under a second when done before)
	@scripts/set-up

# Nothing but runs/ is written into the source tree.
PYTEST_RUN = PYTHONDONTWRITEBYTECODE=1 .venv/bin/pytest -p no:cacheprovider
drill: setup  ## set-up, sandbox, the outage and a calm day, report (SCALE=60: one second stands for one runbook minute; RUNTIME=compose)
	@$(PYTEST_RUN) scenarios/test_llm_outage.py scenarios/test_quiet_when_healthy.py --time-scale $(SCALE) --runtime $(RUNTIME) $(ARGS)

scenarios: setup  ## all scenarios: every root cause and every alert
	@$(PYTEST_RUN) scenarios/ --time-scale $(SCALE) --runtime $(RUNTIME) $(ARGS)

# Whole runs are measurements, so they come one after the other; all else shares the machine.
test: setup  ## all tests, those with real servers included
	@.venv/bin/pytest -n 4 --dist worksteal -m "not alone" $(ARGS)
	@.venv/bin/pytest -m "alone and not table" $(ARGS)

table: setup  ## every scenario under every sabotage and every control; hours (ARGS='-k "no_claim_is_vacuous"')
	@.venv/bin/pytest tests/whole/test_every_scenario.py tests/whole/test_corrected_runbook.py $(ARGS)

findings: setup  ## write docs/runbook-findings.md from the latest run of each scenario (after `make scenarios`)
	@.venv/bin/gameday runbook findings --output docs/runbook-findings.md

worth: setup  ## run each incident without each of its steps, as far as that is not recorded; an hour (after `make scenarios`)
	@.venv/bin/gameday runbook worth --runs runs

ablation: setup  ## what each step against an LLM outage is good for: docs/ablation.md; five minutes
	@.venv/bin/gameday ablate llm_outage --output docs/ablation.md

controls: setup  ## each claim of each scenario under each control: docs/controls.md; an hour, and it goes on where it was
	@.venv/bin/gameday run --all --control each --missing --time-scale $(SCALE) $(ARGS) >/dev/null; \
	  .venv/bin/python -m harness.controls docs/controls.md

unit: setup  ## the tests without servers; at most a minute
	@.venv/bin/pytest -m "not integration and not sabotage" $(ARGS)

check: setup  ## lint, format and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

torture: setup  ## kill the harness at COUNT=20 random instants; nothing of it may be left (ARGS='--runtime compose')
	@.venv/bin/python -m tests.torture --count $(COUNT) $(ARGS)

fuzz: setup  ## send the admin API FUZZ=10000 generated requests; each must be answered as described, and change all workers
	@GAMEDAY_FUZZ=$(FUZZ) .venv/bin/pytest tests/fixtures/test_admin_fuzz.py $(ARGS)

bench: setup  ## measure again what docs/measurements.md says (ARGS=--real-time: at scale 1 too)
	@.venv/bin/python -m tests.bench $(ARGS)

healthy: COUNT = 100
healthy: setup  ## run the healthy stack COUNT=100 times, and say in docs/measurements.md how often it was called sick
	@.venv/bin/python -m tests.healthy --count $(COUNT)

mutation: setup  ## write docs/mutation.md: which wrong alert rules the latest runs notice (after `make scenarios`)
	@.venv/bin/python -m harness.mutate docs/mutation.md

blind-spots: setup  ## write docs/blind-spots.md anew: what the deployed alerts can't see
	@.venv/bin/python -m harness.blind_spots docs/blind-spots.md

lock: setup  ## resolve requirements.lock anew from pyproject.toml
	@printf 'hatchling\neditables\nuv\n' | .venv/bin/uv pip compile pyproject.toml - --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --quiet --upgrade --output-file requirements.lock

clean:  ## remove .venv and what tools left; keeps runs/ and the cache folder, which other clones share
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	@find . -path ./runs -prune -o -name __pycache__ -type d -exec rm -rf {} +
