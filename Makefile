# Everything sets itself up: `make patch` and `make test` are all a user types. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PATCHGEN := $(BIN)/patchgen
PYTEST := $(BIN)/python -m pytest
JUNIT := dist/junit
COVERAGE := dist/python-coverage
# An environment has absolute paths in it and is for one Python: where it was made for another place (the checkout was moved
# or copied since) or another Python, it is made anew.
PLACE := $(shell { pwd -P; $(PYTHON) -V; } 2>&1 | cksum | cut -d' ' -f1)
ELSEWHERE := $(if $(filter $(PLACE),$(shell cat $(VENV)/.place 2>/dev/null)),,elsewhere)
RIGHT_VENV = { test "$$(cat $(VENV)/.place 2>/dev/null)" = $(PLACE) \
  || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && echo $(PLACE) >$(VENV)/.place; }; }
# Decides on which kernels the tests run, builds them, and hands the decision on.
PREPARED = kernels=$$($(BIN)/python tests/prepare.py) && PATCHGEN_TEST_KERNELS="$$kernels"
# Two workers more than there are CPUs, since many tests wait for something; PARALLEL= for one process.
PARALLEL = -n $$(($$(nproc) + 2)) --dist worksteal

# The kernel to work on and where it is, whose test program and fork to use: honoured by every target.
export ASSIGNMENT BASE BASE_SRC LINUX_SRC LINUX_BASE TEST_PROGRAM FORK_PROGRAM PATCHGEN_CACHE PATCHGEN_JOBS
# The package is started hundreds of times: compiled anew each time, that takes half as long again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help patch check test test-unit test-qemu test-kernel test-fresh test-builds nightly torture mutants coverage static lint bench clean
.PHONY: host-patch host-test host-static elsewhere
.PHONY: test-coverage lock
.DELETE_ON_ERROR:

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

patch: host-patch $(VENV)/.made ## write dist/patch/*.patch, dist/patch/report.pdf, dist/patch.tar.gz
	@$(PATCHGEN) patch --or-port

check: patch ## check dist/patch.tar.gz: git am, white space, checkpatch --strict, the report
	@$(PATCHGEN) check --or-port

test: host-test $(VENV)/.made-dev ## run every test: unit, integration, and on the real kernel in QEMU
	@$(PREPARED) $(PYTEST) $(PARALLEL) --junitxml=$(JUNIT)/test.xml $(PYTEST_ARGS)

test-unit: host-patch $(VENV)/.made-dev ## run the tests that need no kernel
	@$(PYTEST) $(PARALLEL) --junitxml=$(JUNIT)/test-unit.xml -m "not kernel" $(PYTEST_ARGS)

test-qemu: host-test $(VENV)/.made ## build the kernel with the series, boot it in QEMU, hold it to each sentence of the assignment
	@$(PATCHGEN) test --or-port --junit $(JUNIT)/test-qemu.xml $(TEST_ARGS)

# A target of its own: measuring takes two thirds more processor time than the unit tests alone. The file has its whole
# path, since tests start the command in directories of their own.
test-coverage: host-test $(VENV)/.made-dev ## as test, and how much of the Python code runs; dist/python-coverage/html
	@rm -rf $(COVERAGE)
	@$(PREPARED) COVERAGE_FILE=$(CURDIR)/$(COVERAGE)/data $(PYTEST) $(PARALLEL) --junitxml=$(JUNIT)/test-coverage.xml \
	  --cov --cov-report=term --cov-report=html:$(COVERAGE)/html --cov-report=markdown:$(COVERAGE)/summary.md $(PYTEST_ARGS)

test-kernel: host-test $(VENV)/.made-dev ## of all tests those that boot a kernel
	@$(PREPARED) $(PYTEST) $(PARALLEL) --junitxml=$(JUNIT)/test-kernel.xml -m "kernel and not builds" $(PYTEST_ARGS)

test-fresh: ## try the set-up itself on a minimal system: SUITE=trixie or bookworm (as root)
	@SUITE="$(SUITE)" tests/fresh.sh

test-builds: host-test $(VENV)/.made-dev ## build each patch by itself in six ways (more than an hour; LONG=1: each on i386_defconfig too)
	@$(PYTEST) --junitxml=$(JUNIT)/test-builds.xml -m "builds$(if $(LONG),, and not long)" -p no:xdist $(PYTEST_ARGS)

nightly: host-test $(VENV)/.made-dev ## compare RANDOM_PROGRAMS=2000 random programs with the model (minutes)
	@$(PREPARED) RANDOM_PROGRAMS=$${RANDOM_PROGRAMS:-2000} $(PYTEST) $(PARALLEL) --junitxml=$(JUNIT)/nightly.xml \
	  tests/kernel/test_random_programs.py $(PYTEST_ARGS)

torture: host-test $(VENV)/.made-dev ## two minutes of torture and a million odd calls on a debug kernel; TORTURE= more options
	@$(PATCHGEN) torture --seconds 120 --calls 1000000 $(TORTURE)

mutants: host-test $(VENV)/.made-dev ## grade the series with each known mistake in it, and write the kill matrix (half an hour; MUTANTS='-k TEXT')
	@$(PATCHGEN) mutants --table docs/mutants.md $(MUTANTS)

coverage: host-test $(VENV)/.made ## lines and branches of the series that the scenarios run; dist/coverage/coverage.info
	@$(PATCHGEN) coverage --lcov dist/coverage

static: host-test host-static $(VENV)/.made ## sparse, W=1 and coccinelle: no finding that vanilla does not have
	@$(PATCHGEN) static

lint: host-patch $(VENV)/.made-dev ## ruff, mypy --strict, and which package may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: host-test $(VENV)/.made-dev ## measure speed and memory, beside the last release; grades nothing (BENCH=--grade, --build, --test)
	@$(BIN)/python tests/bench.py $(BENCH)

lock: $(VENV)/.made-dev ## write requirements-dev.txt: the newest versions that pyproject.toml allows, with their hashes
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --extra dev --no-annotate --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements-dev.txt

clean: ## remove what was made here; the cache stays (patchgen doctor says where it is)
	rm -rf dist $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

host-patch host-test host-static: host-%:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "error: $(PYTHON) is not Python 3.11 or newer; set PYTHON=" >&2; exit 3; }
	@$(PYTHON) -I -c 'import sys; sys.path.append("$(CURDIR)"); from patchgen.host import main; sys.exit(main(sys.argv[1:]))' ensure $*

# An environment is whole when its stamp is there; one that failed half-way is removed.
$(VENV)/.made: pyproject.toml $(ELSEWHERE) | host-patch
	@echo "setting up $(VENV)" >&2
	@$(RIGHT_VENV) \
	  && $(BIN)/python -m pip install -q --disable-pip-version-check -e . \
	  && touch $@ || { rm -rf $(VENV); echo "error: cannot set up $(VENV)" >&2; exit 3; }

# The locked versions, or where one of them cannot be had, with a warning, what pyproject.toml allows. A package that is not
# the one that was locked ends it.
$(VENV)/.made-dev: pyproject.toml requirements-dev.txt $(ELSEWHERE) | host-patch
	@echo "setting up $(VENV) with the test tools" >&2
	@$(RIGHT_VENV) \
	  && { $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt \
	    2>$(VENV)/locked.log || { cat $(VENV)/locked.log >&2; ! grep -q 'DO NOT MATCH THE HASHES' $(VENV)/locked.log \
	    && echo "warning: no locked versions (requirements-dev.txt); taking what pyproject.toml allows" >&2; } } \
	  && $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]' \
	  && touch $(VENV)/.made $@ || { rm -rf $(VENV); echo "error: cannot set up $(VENV)" >&2; exit 3; }
