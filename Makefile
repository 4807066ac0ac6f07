# Two commands do everything on a fresh machine with Python 3.11: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check install lock docs bench soak audit clean

run: install  ## simulate a lens, fit it with the chain of searches, print the row and the report's path
	@test -d example/lens || $(BIN)/fitcore simulate example/lens --seed 1
	$(BIN)/fitcore run example/lens --store example/results

test: check
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Python 3.11 is needed: install it, or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

lock:  ## make the lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra handover --extra dask --extra ray --extra kubernetes --extra parquet --group dev --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 --quiet --output-file requirements.lock

docs: install  ## build/docs/index.html: the pages, their figures made anew and the notebook run
	FITCORE_DOCS_NOTEBOOKS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs build/docs

bench: install  ## timings and accuracies, kept in benchmarks/*.json
	$(BIN)/python -m benchmarks.searches
	$(BIN)/python -m benchmarks.evidences
	$(BIN)/python -m benchmarks.seeded
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.samples
	$(BIN)/python -m benchmarks.lens_likelihood
	$(BIN)/python -m benchmarks.basins
	$(BIN)/python -m benchmarks.proposals
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python -m benchmarks.prefect_overhead

soak: install  ## the slow tests: kills at random instants, coverage of claimed errors, more real lenses
	$(BIN)/pytest -m slow tests

audit:  ## ask a database of advisories about every pinned dependency (needs a package index that serves advisories; see SECURITY.md)
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip --progress-spinner off

clean:
	rm -rf $(VENV) example build *.egg-info
