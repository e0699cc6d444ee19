# Each target makes its own environment; the README shows the plain pip lines.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test

.PHONY: demo test lint clean

demo: $(DEMO)/.ready ## the main job on the photos in dataset/nuts_labelme
	PYTHON=$(DEMO)/bin/python sh scripts/demo.sh

test: $(TEST)/.ready ## every test, on the CPU, without network
	$(TEST)/bin/python -m pytest

lint: $(TEST)/.ready ## style and types
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

$(DEMO)/.ready: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --upgrade pip
	$(DEMO)/bin/pip install --quiet --editable ".[cpu]"
	touch $@

$(TEST)/.ready: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet --upgrade pip
	$(TEST)/bin/pip install --quiet --editable ".[cpu,dev]"
	touch $@

clean:
	rm -rf $(DEMO) $(TEST) output build *.egg-info
