# Every target builds the environment that it needs. Prerequisites: Python 3.11 or newer, make and git.
#
#   make demo      run the flights example          make check      format, lint, types, import contracts
#   make test      run the tests                    make docs       build the site, warnings are errors
#   make test-all  test each installed Python       make bench      print the benchmark ratios
#   make test-kubernetes                            run the tests that need a Kubernetes control plane, which it builds and starts
#   make control-plane        build that control plane into a cache folder
#   make torture   kill runs at hundreds of moments, and let system calls of writes fail (FULL=1: each of them)
#   make bench-check                                fail if a ratio is worse than its bound in benchmarks/bounds.json
#   make growth    measure costs by size, up to ten million events, and draw them (an hour)
#   make dist      build all distributions          make changelog  assemble changes/ (VERSION=x.y.z)
#   make ui        build the page of rivers ui, with npm
#   make pictures  make the pictures of README and docs from the flights example
#   make gallery   write the page of error messages
#   make clean     remove what the targets built

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

# pinned: the versions in constraints.txt; newest: the latest releases; lowest: the lower bounds of every pyproject.toml
DEPENDENCIES ?= pinned
INSTALL := $(PIP) install --no-build-isolation -c constraints.txt
ifeq ($(DEPENDENCIES),newest)
INSTALL := $(PIP) install --no-build-isolation --upgrade
else ifeq ($(DEPENDENCIES),lowest)
INSTALL := $(BIN)/python -m uv pip install -q --no-build-isolation --resolution lowest-direct
endif

# The other distributions of this checkout.
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard rivers_*/pyproject.toml plugins/*/pyproject.toml))
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))
SOURCES := rivers $(wildcard rivers_*/src/rivers_*) $(wildcard plugins/*/src/rivers_*)

.DEFAULT_GOAL := help
.PHONY: help demo growth ui pictures gallery test torture control-plane test-kubernetes test-all check check-page check-pyright check-mypy check-imports format docs bench bench-check dist changelog constraints clean

help:
	@sed -n 's/^#  *\(make .*\)/  \1/p' Makefile

demo: $(VENV)/.demo ui
	@$(BIN)/python docs/examples/flights/run.py

test: $(VENV)/.test tests/node/node_modules/.installed ui
	@# a native thread of a store or table library may crash a worker; only a test that crashed is run again;
	@# two workers per CPU, since tests with servers and other processes wait about half of their time; on a busy
	@# machine, these take minutes
	$(BIN)/python -m pytest -q --timeout 300 -n $$($(BIN)/python -c 'import os; print(2 * (os.cpu_count() or 1))') --reruns 1 --only-rerun "worker .* crashed" $(if $(ARGS),$(ARGS),--cov)

# Kill coordinators and writers at random moments, and writes and runs at a tenth of their system calls, which also fail and
# pause; FULL=1 takes all of them.
torture: $(VENV)/.test
	TORTURE=$(if $(FULL),full,tenth) $(BIN)/python -m pytest -q --timeout 3600 -n $$($(BIN)/python -c 'import os; print(os.cpu_count() or 1)') $(if $(ARGS),$(ARGS),tests/test_executors/test_killed_coordinator.py tests/robustness)

# The control plane is built into a cache folder unless it is there, started, and ended after the tests; see tests/cluster.
control-plane:
	@$(PYTHON) tests/cluster/control_plane.py build

test-kubernetes: $(VENV)/.test
	$(BIN)/python tests/cluster/control_plane.py run $(BIN)/python -m pytest -q -n 4 $(if $(ARGS),$(ARGS),tests/test_kubernetes)

# Each Python has a separate environment; versions that are not installed are skipped.
test-all:
	@for version in 3.11 3.12 3.13; do \
		python=$$(command -v python$$version); \
		"$$python" -c "" 2>/dev/null || python=$$(PYENV_VERSION=$$(pyenv latest -q $$version 2>/dev/null) pyenv which python 2>/dev/null); \
		if test -n "$$python"; then \
			$(MAKE) test PYTHON="$$python" VENV=.venvs/python$$version ARGS="$(ARGS)" || exit 1; \
		else echo "python$$version not installed; skipped"; fi; done

# The Azure emulator. Without npm, its tests are skipped; with CI=true they fail.
tests/node/node_modules/.installed: tests/node/package-lock.json
	@if command -v npm > /dev/null; then \
		npm ci --prefix tests/node --ignore-scripts --no-audit --no-fund --silent && touch $@ \
		|| echo "Could not install azurite; the tests against Azure will be skipped"; \
	else echo "npm not found; the tests against Azure will be skipped"; fi

# The page of `rivers ui`. Without npm, the tests that need it are skipped; with CI=true they fail.
FRONTEND := plugins/rivers_ui/frontend
PAGE := plugins/rivers_ui/src/rivers_ui/static/app.js
ui: $(PAGE)
$(FRONTEND)/node_modules/.installed: $(FRONTEND)/package-lock.json
	@if command -v npm > /dev/null; then \
		npm ci --prefix $(FRONTEND) --ignore-scripts --no-audit --no-fund --silent && touch $@ \
		|| echo "Could not install the packages of the page; its tests will be skipped"; \
	else echo "npm not found; the page of rivers ui is not built, and its tests will be skipped"; fi
$(PAGE): $(FRONTEND)/node_modules/.installed $(wildcard $(FRONTEND)/src/* $(FRONTEND)/src/*/* $(FRONTEND)/*.json $(FRONTEND)/build.mjs)
	@test ! -e $< || npm run --prefix $(FRONTEND) --silent build

check: $(VENV)/.check check-page
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(BIN)/python -m tests.test_docs.write_blocks $(BLOCKS)
	@$(MAKE) --no-print-directory -j 2 check-pyright check-mypy check-imports

# The Python blocks of README and docs, which mypy and pyright check with the sources.
BLOCKS := build/blocks

# Text reaches the page through text nodes only; the page never builds HTML.
check-page: $(FRONTEND)/node_modules/.installed
	@! grep -rnE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(' $(FRONTEND)/src
	@test ! -e $< || npm run --prefix $(FRONTEND) --silent check

# The slow checks, at the same time: pyright takes a minute, mostly for libraries without types.
check-pyright:
	$(BIN)/pyright
check-mypy:
	$(BIN)/mypy $(SOURCES) docs/examples/flights/flights docs/examples/rivers_duckdb/src/rivers_duckdb docs/examples/rivers_zstd/src/rivers_zstd docs/examples/flights/run.py tests/typing $(BLOCKS)
check-imports:
	$(BIN)/lint-imports

format: $(VENV)/.check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The site is in site/index.html"

# The messages that users see for many faults, which a test compares with the page.
gallery: $(VENV)/.test
	$(BIN)/python -m tests.robustness.error_gallery

pictures: $(VENV)/.test ui
	$(BIN)/python docs/pictures/make.py

# Both run every script; bench-check fails at the end if a ratio exceeds its bound in benchmarks/bounds.json by more than
# a fifth. RIVERS_BENCH_RECORD=1 stores the measured ratios as bounds.
bench: $(VENV)/.test .venvs/hamilton/.installed .venvs/published/.installed
	@for script in $(wildcard benchmarks/*.py); do echo "== $$script"; $(BIN)/python $$script; done; true

bench-check: $(VENV)/.test .venvs/hamilton/.installed .venvs/published/.installed
	@failed=; for script in $(wildcard benchmarks/*.py); do \
		echo "== $$script"; $(BIN)/python $$script || failed="$$failed $$script"; done; \
	test -z "$$failed" || { echo "Slower than their bounds:$$failed"; exit 1; }

growth: $(VENV)/.growth
	$(BIN)/python benchmarks/growth.py --full --plot

# Wheels and source archives of every distribution in dist/.
dist: $(VENV)/.base
	@rm -rf dist
	@for folder in . $(MEMBERS); do (cd $$folder && $(CURDIR)/$(BIN)/python -m hatchling build -d $(CURDIR)/dist) || exit 1; done

changelog: $(VENV)/.check
	@test -n "$(VERSION)" || { echo "VERSION is not set. Use make changelog VERSION=x.y.z"; exit 1; }
	$(BIN)/towncrier build --yes --version $(VERSION)

# Pin the versions of the current environment; run it after an upgrade that passes every target.
constraints: $(VENV)/.test $(VENV)/.check $(VENV)/.docs $(VENV)/.growth
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' > constraints.txt

clean:
	rm -rf $(VENV) .venvs build tests/node/node_modules $(FRONTEND)/node_modules $(dir $(PAGE)) site dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

# One environment for all targets. Each stamp stands for a dependency group that one pip call installs, and is
# rebuilt when a pyproject.toml or a pin changes. hatchling is installed first, because --no-build-isolation
# builds the editable installs in this environment, which is much faster than one build environment each.
$(VENV)/.base: constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer not found. Use make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@echo "Preparing $(VENV) with $$($(PYTHON) -V); this takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade -c constraints.txt pip setuptools hatchling editables $(if $(filter lowest,$(DEPENDENCIES)),uv)
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.check $(VENV)/.docs $(VENV)/.growth: $(VENV)/.%: $(VENV)/.base $(PROJECTS)
	@$(INSTALL) --group $* $(addprefix -e ./,$(MEMBERS)) -e .
	@touch $@

# Peers are installed in separate environments, so that they do not constrain our dependencies.
.venvs/hamilton/.installed: $(VENV)/.base
	@test -x .venvs/hamilton/bin/python || $(BIN)/python -m venv .venvs/hamilton
	@.venvs/hamilton/bin/python -m pip -qq --disable-pip-version-check install sf-hamilton==1.90.0
	@touch $@

.venvs/published/.installed: $(VENV)/.base
	@test -x .venvs/published/bin/python || $(BIN)/python -m venv .venvs/published
	@.venvs/published/bin/python -m pip -qq --disable-pip-version-check install rivers==0.6.2 obstore
	@touch $@
