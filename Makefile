# Two commands do everything: `make ppo` runs the main job, `make test` checks the project.
# Each sets up what it needs and does nothing twice. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WHEEL_VENV := $(VENV)-wheel
ARGS ?=

.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

ppo: $(READY) ## collect, fine-tune, train with PPO and evaluate, on a CPU (ARGS="--help" for options)
	$(BIN)/python -m mlagent_train.ppo $(ARGS)

test: check docs pytest wheel ## everything that must hold before a commit

setup: $(READY) ## make the virtual environment with all that runs on a CPU

check: $(READY) ## lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

# Some tests kill processes or start clusters; what fails once on a busy machine is run once more
# and reported as rerun.
pytest: $(READY) ## the tests (ARGS="-k name" for some)
	$(BIN)/python -m pytest -n auto --dist loadgroup --reruns 1 --reruns-delay 5 -raR $(ARGS)

docs: $(READY) ## build the documentation into site/, refusing broken links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

wheel: $(READY) ## build the wheel and try it where only the gym is installed
	rm -rf build dist *.egg-info
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --clear $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/pip install --quiet --upgrade pip
	$(WHEEL_VENV)/bin/pip install --quiet dist/*.whl pytest pytest-timeout pytest-xdist hypothesis
	cd tests && ../$(WHEEL_VENV)/bin/python -m pytest -m smoke -c ../pyproject.toml --rootdir . gym contract

format: $(READY) ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built, and the virtual environments
	rm -rf build dist *.egg-info $(VENV) $(WHEEL_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch goes first, so that no other package pulls in a build for another machine.
$(READY): pyproject.toml setup.cfg requirements/cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint requirements/cpu.txt torch
	$(BIN)/pip install --quiet --constraint requirements/cpu.txt --editable '.[train-cpu]' --group dev
	$(BIN)/pip install --quiet --no-deps --constraint requirements/cpu.txt openrlhf
	touch $@

.PHONY: help ppo test setup check pytest docs wheel format clean
