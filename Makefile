# Every chore of the project; a person and CI call the same.
PYTHON ?= python3
BIN    := .venv/bin
UV     := $(BIN)/uv
# A uv that was configured for another environment must not leak into this one.
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV

# What --kafka, --s3 and --spark start is not part of the runtime.
RUNTIME := .venv/.runtime $(if $(filter --kafka --s3,$(ARGS)),.venv/.extras) $(if $(filter --spark,$(ARGS)),.venv/.spark)

.PHONY: help setup extras spark demo up test check fuzz bench clean
help:   ## list the chores
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

demo: $(RUNTIME)  ## run the whole pipeline on one machine and print the eight answers
	@$(BIN)/pinpipe demo $(ARGS)

up: $(RUNTIME)  ## start every room of the pipeline and keep it running
	@$(BIN)/pinpipe up $(ARGS)

extras: .venv/.extras  ## add the optional parts: Kafka, an S3 server, AWS's logins

spark: .venv/.spark  ## add Spark, with Delta and a Java

setup: .venv/.dev  ## make the environment (.venv) from uv.lock, with the developers' tools

test: .venv/.dev  ## run every test in two processes, with branch coverage
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest --numprocesses 2 --dist loadfile $(ARGS)
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report

check: .venv/.dev  ## lint, types and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fuzz: .venv/.dev  ## send the gateway more than 10,000 requests made up from its own description
	@API_EXAMPLES=$${API_EXAMPLES:-200} $(BIN)/python -m pytest tests/services/test_gateway_contract.py $(ARGS)

bench: .venv/.dev  ## measure the hot paths beside their limits
	@$(BIN)/python -m bench $(ARGS)

clean:  ## remove the environment and everything a run made
	rm -rf .venv pinpipe-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv \
	  || { echo "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@echo "making .venv from uv.lock ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13,<1"

.venv/.runtime: $(UV) pyproject.toml uv.lock
	@$(UV) sync --quiet --frozen --inexact --no-dev --compile-bytecode
	@touch $@

.venv/.extras: $(UV) pyproject.toml uv.lock
	@echo "adding Kafka's client and Java, SeaweedFS and boto3 to .venv ..."
	@$(UV) sync --quiet --frozen --inexact --no-dev --extra kafka --extra kafka-server --extra aws --extra s3-server --compile-bytecode
	@touch $@ .venv/.runtime

.venv/.spark: $(UV) pyproject.toml uv.lock
	@echo "adding Spark, Delta and Java to .venv ..."
	@$(UV) sync --quiet --frozen --inexact --no-dev --extra spark --compile-bytecode
	@touch $@ .venv/.runtime

.venv/.dev: $(UV) pyproject.toml uv.lock
	@$(UV) sync --quiet --frozen --inexact --compile-bytecode
	@touch $@ .venv/.runtime .venv/.extras .venv/.spark
