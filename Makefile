# make demo and make test do their own set-up; nothing else has to be installed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Further pip options, e.g. an index with a CPU build of torch (see README).
PIP_EXTRA ?=
# Bytecode is made when a module is first imported, not of all packages here; set-up imports the
# largest ones, which the processes of the tests would else compile at the same time.
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_EXTRA)
export PIP_EXTRA
export LANGSMITH_TRACING := false
# Without it every process of the tests compiles what it imports anew: torch alone takes ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup models demo test test-all test-changed lint typecheck wheel dev clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "patlm needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing patlm and what it needs into $(VENV): some minutes, once"
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -W ignore -c 'import lancedb, langgraph.graph, sentence_transformers, trl.trainer.dpo_trainer'
	touch $@

# The model of the tests, which does nothing where it is installed: some 100 MB of download once.
models: setup
	$(BIN)/patlm models install smollm2-135m > /dev/null

# The best model for this machine; make demo MODEL=smollm2-135m takes seconds and writes nonsense.
MODEL ?=
demo: setup
	$(BIN)/patlm demo $(if $(MODEL),--model $(MODEL))

# Three processes of one thread each for two cores: tests of servers and processes often wait.
WORKERS ?= 3
PYTEST  := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

test: models
	$(PYTEST)

# With the slow tests, all of them or those below some folders: make test-all TESTS=tests/training
test-all: models
	$(PYTEST) -m '' $(TESTS)

# The slow tests of packages that changed since the commit BASE.
test-changed: models
	$(BIN)/python tools/changed_tests.py $(BASE) | \
		xargs -r sh -c '$(PYTEST) -m slow "$$@" || [ $$? = 5 ]' slow  # 5: no slow test there

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tools/house.py
	$(BIN)/vulture

# Types are checked against an installed copy: mypy does not follow editable installs.
typecheck: setup
	rm -rf build
	$(PIP) --no-deps --target build/installed .
	cd build/installed && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		-p patlm.stores -p patlm.models -p patlm.nodes -p patlm.graph -p patlm.evaluation -p patlm.training \
		-p patlm.bench -p patlm.cli

# A wheel, installed in a clean environment and tried from another folder.
wheel: setup
	.ci/wheel

dev: models
	$(BIN)/langgraph dev

clean:
	rm -rf $(VENV) build dist *.egg-info .langgraph_api .mypy_cache .pytest_cache .ruff_cache
