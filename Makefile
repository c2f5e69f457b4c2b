# Every command of the README. Needs Python 3.11 to 3.13 and a C++17 compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Set to install torch from elsewhere, such as https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)

export KEDRO_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run test lint bench viz ui parity clean setup

run: $(VENV)/.installed  ## set up, then the main job on the embedded default
	$(BIN)/kedro run

setup: $(VENV)/.installed

test: lint cpp-test  ## set up, then everything that CI checks
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files 'csrc/*.cc' 'csrc/*.h' 'csrc/*.inl')
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: cpp-test
cpp-test: $(VENV)/.installed-dev  ## the C++ tests, plain and under sanitizers
	$(call cpp_tests,build/cpp,)
	$(call cpp_tests,build/cpp-address,address$(comma)undefined)
	$(call cpp_tests,build/cpp-thread,thread)

comma := ,
define cpp_tests
	$(BIN)/cmake -S . -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DGECKO_TESTS=ON -DGECKO_PYTHON=OFF -DGECKO_SANITIZE=$(2)
	$(BIN)/cmake --build $(1)
	$(BIN)/ctest --test-dir $(1) --output-on-failure
endef

bench: $(VENV)/.installed-dev  ## every benchmark, quick; JSON below build/benchmarks
	mkdir -p build/benchmarks
	for file in benchmarks/*.py; do \
	  $(BIN)/python $$file --quick --out build/benchmarks/$$(basename $$file .py).json || exit 1; \
	done

parity: $(VENV)/.installed  ## a known model's scores beside its published ones
	$(BIN)/kedro run --pipeline parity

viz: $(VENV)/.installed
	$(BIN)/kedro viz run

ui: $(VENV)/.installed
	$(BIN)/mlflow server --backend-store-uri sqlite:///$(CURDIR)/mlflow.db --artifacts-destination $(CURDIR)/mlartifacts --host 127.0.0.1 --port 5000 --workers 1

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "This needs Python 3.11 to 3.13, but $(PYTHON) is " + sys.version.split()[0] + ": try make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	$(PIP) install --quiet torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install --quiet -c constraints.txt -e '.[tracking,viz]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt -e '.[tracking,viz,dev]'
	touch $@

clean:  ## everything that was built or made, the environment and the data's layers too
	rm -rf $(VENV) build data/0* mlflow.db mlartifacts
