# The few verbs. `make demo` and `make test` are all a newcomer needs.
#
#   make setup            .venv with everything in it
#   make setup TORCH=cpu  the same with the small CPU-only build of PyTorch
#   make demo             real images, a trained detector, a running system (SERVE=0: the same, then exit)
#   make run              web server, workers and broker until Ctrl-C
#   make test             the whole suite, on SQLite and on PostgreSQL
#   make lint             formatting, lint, types
#   make client          the types of clients/python from the API, after a change to its serializers
#   make bench            how fast it is here; PEER_PYTHON=.../bin/python compares with anomalib

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
SERVE ?= 1
PORT ?= 8000
TORCH ?= default
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: setup demo run test lint client bench

setup: $(VENV)/.dev

$(VENV)/.product: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(TORCH),cpu)
	$(PIP) install --quiet --index-url $(TORCH_CPU_INDEX) $$(sed -nE 's/^((torch|torchvision)==[^ ]+).*/\1/p' requirements.txt)
endif
	$(PIP) install --quiet -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.product
	$(PIP) install --quiet -r requirements-dev.txt
	touch $@

demo: $(VENV)/.product
	$(BIN)/python manage.py demo --port $(PORT) $(if $(filter 0,$(SERVE)),--exit)

run: $(VENV)/.product
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py run --port $(PORT)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -n 2 --database postgresql

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/djlint --check templates
	$(BIN)/python manage.py makemigrations --check --dry-run

client: $(VENV)/.product
	$(BIN)/python manage.py generate_client

bench: $(VENV)/.dev
	$(BIN)/python manage.py benchmark speed $(if $(PEER_PYTHON),--peer-python $(PEER_PYTHON))
