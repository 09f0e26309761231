# Works from a clean clone: `make run`, `make test`. No target requires another to be made first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# FAISS build: cpu, or gpu on Linux with CUDA; they exclude each other.
FAISS ?= cpu
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test setup lint types layers bench slow namespaces clean up job down

run: setup
	$(BIN)/latentprint run quick

# Two processes: one for the tests that start clusters, which mostly wait, and one for all others.
test: setup
	$(BIN)/pytest -n 2 --dist loadgroup -p no:benchmark

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml docker/constraints.txt
	@echo "latentprint: installing into $(VENV), a few minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --no-compile --progress-bar off torch -c docker/constraints.txt
	$(BIN)/pip install --no-compile --progress-bar off -e '.[$(FAISS),test,text,dp]' -c docker/constraints.txt
	@# On all cores, where pip uses one. Some packages contain templates that are not valid Python.
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	@touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

slow: setup namespaces
	$(BIN)/pytest -m slow

# Tests on several hosts emulate them with namespaces (root and iproute2); otherwise they are skipped.
namespaces:
	@if [ "$$(id -u)" = 0 ] && ! command -v ip && command -v apt-get; then \
	  apt-get update -q && apt-get install -y --no-install-recommends iproute2; fi >/dev/null

bench: setup
	$(BIN)/pytest tests/bench/bench_*.py -m "" -s

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .benchmarks

COMPOSE ?= docker compose -f docker/compose.yaml
SUITE ?= quick
SECRETS := $(addprefix docker/secrets/,ray_token postgres_password mlflow_admin_password mlflow_secret_key)

# The stack of docker/compose.yaml: WORKERS=2 WORKER_CPUS=2 WORKER_MEMORY=4g DATA=/absolute/path
up: $(SECRETS)
	$(COMPOSE) up --build --detach --wait

# A recipe's name, or /data/NAME.yaml of the folder DATA that `make up` was given.
job:
	$(COMPOSE) exec -T head ray job submit --address http://127.0.0.1:8265 -- latentprint run $(SUITE)

# Keeps the volumes: results, runs and accounts are there after the next `make up`.
down:
	$(COMPOSE) down

docker/secrets/%:
	@mkdir -p -m 0700 $(@D)
	@$(PYTHON) -c "import secrets; print(secrets.token_hex(32), end='')" > $@ && chmod 0444 $@
