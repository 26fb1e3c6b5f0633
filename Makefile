# `make demo` and `make test` set up everything they need in .venv.
#   TORCH_INDEX=URL  take torch from another index, such as PyTorch's own of CPU builds
#   PYTHON=python3.12  the interpreter for .venv
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
ZOO := $(BIN)/zoo
DEMO := runs/demo
DEMO_DATA := demo-data
# A test process a core, eight at most: each needs about 1 GiB. PYTEST_XDIST_AUTO_NUM_WORKERS=1 has one.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo article results series readme conformance models corpus test test-slow check lint proto clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

# Every variant on the synthetic data set, then sizes and speeds, then the report.
demo: $(VENV)/.installed
	@$(BIN)/python benchmarks/demo_time.py --estimate
	$(ZOO) data demo $(DEMO_DATA)
	$(ZOO) study demo --data $(DEMO_DATA) --output $(DEMO) --jobs 2
	$(ZOO) bench $(DEMO) --precisions fp32 int8 --batch-sizes 1 16 --runs 100
	$(ZOO) report $(DEMO) --conditions shift

# The article's own settings in full, on photographs: make article ROOT=folder-of-the-images (a GPU helps).
article: $(VENV)/.installed
	$(if $(ROOT),,$(error make article ROOT=DIR, the folder of the list files or of class folders))
	$(ZOO) study article --data $(ROOT) --output runs/article
	$(ZOO) bench runs/article --precisions fp32 fp16 int8
	$(ZOO) report runs/article

# The pages' figures and examples: anew (some minutes, with nothing else running), or filled in from eval/results.
results: $(VENV)/.installed
	$(ZOO) bench --untrained baseline fc bn --batch-sizes 1 16 --precisions fp32 fp16 int8 \
	  --against opencv,torch,torch-compile \
	  --json eval/results/untrained.json
	$(BIN)/python benchmarks/examples.py
	$(BIN)/python benchmarks/results.py

readme: $(VENV)/.installed
	$(BIN)/python benchmarks/results.py

# Every study of the series, trained on photographs and judged: hours, which it says first, and it goes on where it was
# stopped. make series DATA=GroceryStoreDataset [STUDIES="depth width"]
series: $(VENV)/.installed
	$(if $(DATA),,$(error make series DATA=DIR, the folder of the list files or of class folders))
	$(BIN)/python benchmarks/series.py --data $(DATA) $(STUDIES)
	$(BIN)/python benchmarks/results.py

# How far each recorded number of Caffe and its forks is from ours: docs/conformance.md.
conformance: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python tests/conformance.py

# The trained models beside the checkout: a table of what each recording and each engine says of them.
models: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python tests/models_table.py

# Every net of the corpus beside the checkout, read, built and run, of which make test-slow takes every eighth.
corpus: $(VENV)/.dev
	CORPUS_EVERY=1 $(BIN)/python -m pytest tests/test_corpus_runs.py

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev
	$(PYTEST) -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks

check: lint test

proto: $(VENV)/.dev
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. prototxt/caffe.proto

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
