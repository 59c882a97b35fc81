# `make` lists what there is. `make demo` and `make test` are all a newcomer needs.

ACCEPTED := 3.13 3.12 3.11
# The newest accepted Python that is there and can make a virtual environment.
PYTHON ?= $(or $(shell for version in $(ACCEPTED); do python$$version -c 'import ensurepip, venv' 2>/dev/null && \
  command -v python$$version && break; done),$(error none of Python $(ACCEPTED) with venv is here: PYTHON=.../bin/python))
VENV := .venv
BIN := $(VENV)/bin
SERVE ?= 1
PORT ?= 8000
ISA = $(if $(shell grep -sm1 -w avx512f /proc/cpuinfo),avx2) native
INSTALL = PYTHON=$(BIN)/python TORCH=$(TORCH) LOCKED=$(LOCKED) sh install-requirements.sh
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  $(if $(UPGRADE),--upgrade) --custom-compile-command "make lock   (hashes of PyPI's files, of every platform; \
  the CPU-only build of PyTorch has others: install-requirements.sh)"

.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-fast lint format client lock bench resilience messages

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p; s/^##( .*)/\t\1/p' Makefile | awk -F '\t' '{ printf "make %-10s %s\n", $$1, $$2 }' | sed 's/^make  /      /'

setup: $(VENV)/.dev  ## .venv with everything in it
##   TORCH=cpu  the small CPU-only build of PyTorch
##   LOCKED=1   exactly the versions of the lock files, checked by their hashes

demo: $(VENV)/.demo  ## real images, a trained detector, a running system
##   SERVE=0    the same, then exit
##   PORT=8080  at another port
	$(BIN)/python manage.py demo --port $(PORT) $(if $(filter 0,$(SERVE)),--exit)

run: $(VENV)/.product  ## web server, workers and broker until Ctrl-C
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py run --port $(PORT)

test: $(VENV)/.dev  ## the whole suite, on SQLite and on PostgreSQL
	@failed=0; for database in sqlite postgresql; do \
	  $(BIN)/python -m pytest -n 3 --database $$database || failed=1; \
	done; exit $$failed

test-fast: $(VENV)/.dev  ## what needs no database, running system, browser or training
	$(BIN)/python -m pytest -n 2 -m "not slow and not stack and not database"

resilience: $(VENV)/.dev  ## kills of real processes while images are sent, a table of what was lost
##   OPTIONS="--only web --times 1" a part of it; docs/resilience.md has the other commands
	$(BIN)/python -m tests.resilience faults $(OPTIONS)

lint: $(VENV)/.dev  ## format, lint, types, templates, missing migrations; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/djlint --check templates
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.dev  ## formats code and templates, mends what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --quiet --reformat templates

client: $(VENV)/.dev  ## writes the types of clients/python from the schema of the API
	$(BIN)/python manage.py generate_client

messages: $(VENV)/.dev  ## brings new sentences into the catalogues and compiles them (needs gettext)
	$(BIN)/python manage.py makemessages --locale de --no-location --no-obsolete --ignore '.venv/*' --ignore 'var/*' --ignore 'tests/*'
	$(BIN)/python manage.py compilemessages --locale de --ignore '.venv/*'

lock: $(VENV)/.dev  ## writes the lock files again; versions stay unless a requirement forbids them
##   UPGRADE=1  takes the newest versions
	@$(LOCK) requirements-dev.txt --output-file requirements-dev.lock
	@for name in requirements requirements-demo requirements-accelerators requirements-opentelemetry requirements-edge; do \
	  $(LOCK) --constraint requirements-dev.lock $$name.txt --output-file $$name.lock || exit 1; \
	done

bench: $(VENV)/.dev  ## how fast it is here; with AVX-512, also as if there were only AVX2
##   PEER_PYTHON=.../bin/python           compares with anomalib
##   OPTIONS="--detectors padim --no-fit" a few minutes for one detector
	for isa in $(ISA); do \
	  echo "--isa $$isa"; \
	  $(BIN)/python manage.py benchmark speed --isa $$isa $(if $(PEER_PYTHON),--peer-python $(PEER_PYTHON)) $(OPTIONS) \
	    || exit; \
	done

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.product: requirements.txt | $(BIN)/python
	$(INSTALL) requirements
	touch $@

$(VENV)/.demo: requirements-demo.txt $(VENV)/.product
	$(INSTALL) requirements-demo
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-accelerators.txt requirements-opentelemetry.txt requirements-edge.txt $(VENV)/.demo
	$(INSTALL) requirements-dev
	touch $@
