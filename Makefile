# Every target sets up what it needs; nothing has to be installed by hand but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRITON := .venv-triton
PEERS := .venv-peers
# Where pip finds torch. PyPI's Linux wheel of torch brings CUDA libraries; for the CPU build set
# PIP_EXTRA_INDEX_URL to PyTorch's CPU index.
TORCH := torch==2.13.0

.DEFAULT_GOAL := help
# How long `make soak` loads the server.
SECONDS ?= 600

# What builds images: the first of these that works here. A docker without its engine does not.
BUILDER ?= $(shell (docker info >/dev/null 2>&1 && echo docker) || command -v buildah || command -v podman)
IMAGES := predictor predictor-gpu optimize loadtest demo
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' predictor/__init__.py)

.PHONY: help install demo demo-ui test test-unit bench-serving bench-evaluation bench-journey bench-engine bench-pruning \
	journey-table pruning-table guide bench-gpu soak triton-server peers local tables check-avx2 \
	image image-check lint format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## Make the virtual environment in .venv

# Installed from the stated pins under the constraints of a set that was tested together.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "make: needs Python 3.11 to 3.13 with venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--group dev --editable '.[cpu,optimize,loadtest,demo]'
	@$(BIN)/python -m pip check
	@touch $@

demo: install  ## The whole path: optimize, serve, ask and load-test the embedded checkpoint
	$(BIN)/python -m demo.walkthrough

demo-ui: install  ## The embedded models side by side in a browser: prints the page's address
	$(BIN)/python -m demo.local

# Two at a time: many wait for a server or run on one core. A file's tests share what they start.
test: install  ## All tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-unit: install  ## The tests that start no server
	$(BIN)/python -m pytest -m "not integration"

bench-serving: install  ## What serving costs, against bounds; a quarter of an hour
	$(BIN)/python -m benchmarks.serving

bench-journey: install  ## What the journey brings on BERT-large's shapes; a quarter of an hour
	$(BIN)/python -m benchmarks.journey

bench-engine: install  ## Our engine beside OpenVINO on a CPU; a quarter of an hour: [DATASET=a SQuAD file] [TRAIN_DATA=another]
	$(BIN)/python -m benchmarks.engine --output docs/benchmarks/engine.md \
		$(if $(DATASET),--dataset $(DATASET)) $(if $(TRAIN_DATA),--train-data $(TRAIN_DATA))

bench-pruning: install  ## Whether the table that prunes by latency tells the truth; some minutes
	$(BIN)/python -m benchmarks.pruning.latency_table

bench-evaluation: install  ## What evaluation takes beside its session; on DATASET=a SQuAD file
	$(BIN)/python -m benchmarks.evaluation $(if $(DATASET),--dataset $(DATASET))

journey-table: install  ## What each step changes, on DATASET=a SQuAD file [TRAIN_DATA=another]
	$(BIN)/python -m benchmarks.journey.readme_table --dataset $(DATASET) $(if $(TRAIN_DATA),--train-data $(TRAIN_DATA))

pruning-table: install  ## F1 and latency by density, on DATASET=a SQuAD file [STUDY=a folder]
	$(BIN)/python -m benchmarks.pruning.table --dataset $(DATASET) $(if $(STUDY),--study $(STUDY))

guide: install  ## Run docs/guide.md and put the outputs in it
	$(BIN)/python -m demo.guide

soak: install  ## Twice the load the server can take, for SECONDS=600
	$(BIN)/python -m benchmarks.soak --seconds $(SECONDS)

triton-server: install $(TRITON)/.installed  ## A Triton server for a CPU in .venv-triton: 370 MB to fetch
	$(BIN)/python -m benchmarks.triton.server

# NumPy 1, which the server's Python backend needs, has no wheels for a later Python.
$(TRITON)/.installed: benchmarks/triton/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] > (3, 12))' \
		|| { echo "make: the Triton server needs Python 3.11 or 3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(TRITON)
	$(TRITON)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --requirement $<
	@touch $@

# MLServer's packages have no wheels for a later Python than 3.12; `make -k peers` makes the others.
peers: $(patsubst benchmarks/peers/%.txt,$(PEERS)/%/.installed,$(wildcard benchmarks/peers/*.txt))  ## Other servers to compare with, in .venv-peers: 7 GB

$(PEERS)/%/.installed: benchmarks/peers/%.txt
	@$(PYTHON) -c 'import sys; sys.exit("$*" == "mlserver" and sys.version_info[:2] > (3, 12))' \
		|| { echo "make: MLServer needs Python 3.11 or 3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --constraint $< $(TORCH)
	$(PEERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --requirement $<
	@touch $@

local: install  ## Serve all deployments and peers here and compare them: [ARGS=options of loadtest local]
	$(BIN)/python -m loadtest local $(ARGS)

tables: install  ## The guide's tables, measured here: [MODEL=a folder] [BASELINE=another] [SHAPES=bert-large]
	$(BIN)/python -m benchmarks.tables $(if $(MODEL),--model $(MODEL)) \
		$(if $(BASELINE),--baseline $(BASELINE)) $(if $(SHAPES),--shapes $(SHAPES)) $(ARGS)

check-avx2: install  ## Compare answers here and without AVX-512, in valgrind: [MODEL=a folder] [ARGS=options]
	$(BIN)/python -m benchmarks.instructions $(if $(MODEL),--model-dir $(MODEL)) $(ARGS)

bench-gpu: install  ## Check and measure the session on a GPU; results in build/bench-gpu
	$(BIN)/python -m benchmarks.gpu --output build/bench-gpu

image:  ## Build an image: TARGET=predictor, predictor-gpu, optimize, loadtest or demo; BUILD_ARGS=…
	@test -n "$(filter $(TARGET),$(IMAGES))" || { echo "make: TARGET is one of: $(IMAGES)" >&2; exit 1; }
	@test -n "$(BUILDER)" || { echo "make: images need docker, buildah or podman" >&2; exit 1; }
	$(BUILDER) build --target $(TARGET) --tag spanserve/$(TARGET):$(VERSION) $(BUILD_ARGS) .

image-check: install  ## Build the images on a bootstrapped Debian and rehearse a cluster; as root
	$(BIN)/python -m tests.images.check

lint: install  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what was built; keep the virtual environment
	rm -rf build
