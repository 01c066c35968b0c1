# Every target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
KAFKA_VERSION := 4.1.1
KAFKA_JARS := build/kafka-$(KAFKA_VERSION)
PURE := tests/models tests/policies tests/rollout_file tests/simulate

.PHONY: demo test verify lint bench wheel-test kafka clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    play a canary release on real flights, no infrastructure needed"
	@echo "make test    all tests (starts its own Kafka when Java and Maven are there)"
	@echo "make lint    format, lint and type checks"
	@echo "make bench   throughput and latency beside a bare confluent-kafka loop and plain Faust"
	@echo "make verify  every promise at full size; writes docs/evidence/"

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# A machine without Java or Maven still runs every test that needs no broker.
kafka:
	@if [ -e $(KAFKA_JARS)/.ready ]; then :; \
	elif command -v java >/dev/null && command -v mvn >/dev/null; then \
	  mvn --quiet --batch-mode -f tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(KAFKA_JARS) && touch $(KAFKA_JARS)/.ready; \
	else echo "no Java or Maven: tests that need a real Kafka will be skipped"; fi

demo: .venv/.ready
	$(BIN)/coalmine demo $(ARGS)

# What is pure arithmetic runs on both cores; what waits for brokers and processes has the machine to itself.
test: .venv/.ready kafka
ifdef ARGS
	$(BIN)/python -m pytest -q $(ARGS)
else
	$(BIN)/python -m pytest -q -n 2 --doctest-modules policies $(PURE)
	$(BIN)/python -m pytest -q $(addprefix --ignore=,$(PURE))
endif

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright

bench: .venv/.ready kafka
	$(BIN)/python -m bench $(ARGS)

verify: .venv/.ready kafka
	$(BIN)/python -m bench.verify $(ARGS)

wheel-test: .venv/.ready
	$(BIN)/python -m tests.packaging

clean:
	rm -rf .venv build dist
