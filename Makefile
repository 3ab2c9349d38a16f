# Everything a person or a CI job does with this repository. `make` prints the list.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CONFIG ?= becket.toml
# For example BENCH=--full, which also measures with five million stored events.
BENCH ?=
CRASH_CYCLES ?= 200
CLUSTER_ROUNDS ?= 30
FAILOVERS ?= 10
FUZZ_SECONDS ?= 60
PROFILE ?= dev

.PHONY: help setup dashboard run test check audit bench crash failover fuzz vectors fmt docs clean

help: ## print this list
	@echo "usage: make TARGET"
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing (Debian packages, npm, pip in .venv) and say what it does
	@scripts/setup.sh

dashboard: ## build the dashboard into dashboard/dist (needs Node; cargo build embeds it)
	@scripts/dashboard.sh

run: setup ## build and start the gateway (PROFILE=release for an optimised build)
	@scripts/dashboard.sh
	cargo build --profile $(PROFILE) --package becket
	@if [ -f "$(CONFIG)" ]; then set -- --config "$(CONFIG)"; else set --; fi; \
	exec target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/becket serve "$$@"

test: setup ## run every test: unit, conformance, real SDKs, crash, disk full, restart, TLS
	@scripts/test.sh

check: ## formatting, lints with warnings as errors, and the repository's own rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features becket-fuzz/targets -- -D warnings
	cargo xtask tidy

audit: ## licences, sources, duplicate versions; advisories where their database can be reached
	@scripts/audit.sh

bench: setup ## measure throughput, latency, memory and start-up beside a bare server
	cargo build --release --package becket --package becket-bench
	cargo build --release --package becket-filter --package becket-store --package becket-transform --examples
	target/release/becket-bench run $(BENCH)

crash: setup ## kill -9 under load CRASH_CYCLES (200) times, nodes and servers CLUSTER_ROUNDS (30) times
	BECKET_CRASH_CYCLES=$(CRASH_CYCLES) cargo test --package becket --test crash -- --nocapture
	BECKET_CLUSTER_ROUNDS=$(CLUSTER_ROUNDS) cargo test --package becket --test cluster_crash -- \
		--nocapture --test-threads 1

failover: setup ## FAILOVERS (10) dead primaries under load: by hand, with Patroni, asynchronous
	@BECKET_FAILOVERS=$(FAILOVERS) scripts/failover.sh

fuzz: ## run every fuzz target for FUZZ_SECONDS (60) each
	@scripts/fuzz.sh $(FUZZ_SECONDS)

vectors: ## make the signature vectors anew with the providers' own SDKs
	@scripts/vectors.sh

fmt: ## format all code
	cargo fmt --all

docs: ## build the library documentation, warnings as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

clean: ## remove what was built and installed here (not the data folder)
	rm -rf target fuzz/target .venv .venv-schemathesis clients/node/node_modules \
		clients/vectors/node_modules clients/vectors/.venv clients/browser/node_modules \
		dashboard/node_modules dashboard/dist dashboard/src/api/generated
