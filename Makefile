# One menu for everything; CI runs `make test`, then `make check`.
VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
PROTO := outrider_protos/v1/outrider.proto outrider_protos/v1/drafts.proto

.PHONY: help install demo demo-learning demo-release demo-models test test-long bench fmt lint types proto check clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

install: $(VENV)/stamp  ## create .venv with everything

# torch is pinned here: a looser range may bring several GB of CUDA packages to a machine without a
# GPU. llama.cpp is built without the machine's own instruction set (its AMX code crashes on
# quantised weights), and without pip's cache, which would return a wheel built otherwise.
$(VENV)/stamp: pyproject.toml
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q "torch==2.13.0"
	CMAKE_ARGS="-DGGML_NATIVE=OFF" $(PY) -m pip install -q --no-cache-dir "llama-cpp-python==0.3.36"
	$(PY) -m pip install -q -e ".[edge,cloud,training,dev]"
	touch $@

demo: install  ## run the whole thing on held-out tasks: four modes, one answer in colours
	$(BIN)/outrider demo

demo-learning: install  ## watch a draft learn while it is used (about five minutes on two cores)
	mkdir -p build
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/outrider-train demo --plot build/demo-learning.png

demo-release: install  ## watch a release come to stay, and a sabotaged one go (about five minutes)
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/outrider-train demo-release

demo-models: install  ## train the demo pair again from nothing (90 minutes on two cores)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/outrider-train demo-models

# One thread each: float sums differ by a rounding with the number of threads. Two processes: every
# test has ports and folders of its own.
test: install  ## run the tests (T=path runs some)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal $(T)

test-long: install  ## run the tests that take minutes each
	OMP_NUM_THREADS=1 $(PY) -m pytest -m long $(T)

bench: install  ## the quick set of measurements; see bench/README.md for the long ones
	$(PY) -m bench.speed --quick

fmt: install  ## format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install  ## style, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: install  ## strict mypy, tests and benches too
	$(BIN)/mypy

proto: install  ## regenerate the stubs of the wire
	cd protos && PATH="$(CURDIR)/$(BIN):$$PATH" $(CURDIR)/$(PY) -m grpc_tools.protoc -I. \
		--python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. $(PROTO)

check: lint types proto  ## format, lint, types, contracts, stubs up to date
	git diff --exit-code -- protos

clean:  ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
