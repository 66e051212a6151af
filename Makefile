# Working on the template. Needs Python 3.10 to 3.13, make and git, and writes to this folder only.
#
#   make demo     render the template with its defaults and train the first model
#   make test     the tests: they render projects and train in them; some minutes
#   make test-all those that take longer as well: they install projects from nothing
#   make kills    hundreds of kills and power cuts in a rendered project: some minutes
#   make bench    how fast it trains, beside what else one would pick; on an idle machine
#   make screenshots  the pictures of TensorBoard in docs/images/; needs Chromium
#   make lint     ruff, on the template and on the project as it stands in it
#   make clean    remove what the others made
#
# PYTHON=python3.12 make test    takes another Python; run `make clean` before.

PYTHON ?= python3
python := .venv/bin/python
project := {{cookiecutter.project_slug}}

.PHONY: demo test test-all kills bench screenshots lint clean

demo: .venv/ready
	rm -rf build/demo
	$(python) tests/render.py build/demo
	cd build/demo/* && ../../../$(python) main.py

test: .venv/ready
	$(python) -m pytest -m "not slow and not campaign"

test-all: .venv/ready
	$(python) -m pytest -rs

kills: .venv/ready
	rm -rf build/kills
	$(python) tests/render.py build/kills project_slug=project
	cd build/kills/project && ../../../$(python) -m pytest -m campaign
	$(python) -m pytest -m campaign

bench: build/peers/ready
	build/peers/bin/python benchmarks/run.py
	build/peers/bin/python benchmarks/networks.py
	build/peers/bin/python benchmarks/operations.py
	build/peers/bin/python benchmarks/costs.py
	build/peers/bin/python benchmarks/growth.py
	build/peers/bin/python benchmarks/search_scale.py
	build/peers/bin/python benchmarks/search_costs.py
	build/peers/bin/python benchmarks/streaming.py
	build/peers/bin/python benchmarks/scaling.py
	build/peers/bin/python benchmarks/compare.py
	build/peers/bin/python benchmarks/search_peers.py

# CHROMIUM=... names another browser; with MNIST_MIRROR the digits are real.
screenshots: .venv/ready
	rm -rf build/screenshots
	$(python) tests/render.py build/screenshots project_slug=project
	$(python) docs/screenshots.py build/screenshots/project

# The peers' frameworks have an environment of their own.
build/peers/ready: benchmarks/requirements.txt
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/python -m pip install --quiet -r benchmarks/requirements.txt
	touch $@

# Without a cache: it would lie in the project's folder and be copied into what users render.
lint: .venv/ready
	$(python) -m ruff check --no-cache .
	$(python) -m ruff format --check --no-cache .

# The projects' dependencies are declared in the project's own pyproject.toml only: install a render.
.venv/ready: pyproject.toml $(project)/pyproject.toml
	$(PYTHON) -m venv --clear .venv
	@echo "Installing what the template and its projects need; it takes some minutes."
	$(python) -m pip install --quiet --editable .
	rm -rf build/defaults
	$(python) tests/render.py build/defaults project_slug=defaults >/dev/null
	$(python) -m pip install --quiet "build/defaults/defaults[dev,ray]"
	touch $@

clean:
	rm -rf .venv build *.egg-info .hypothesis .pytest_cache .ruff_cache tests/__pycache__
