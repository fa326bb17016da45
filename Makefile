# Everything a developer types. On a fresh Debian machine `make demo` and `make test` install what is missing, as root
# or with sudo. Quick builds share one set of artifacts: every target uses the same selection and features.

SHELL := /bin/sh
export PATH := $(HOME)/.cargo/bin:$(PATH)

QUICK := --workspace --features failpoints --locked
TARGET := $(or $(CARGO_TARGET_DIR),target)
DUCKDB := $(or $(DUCKDB_LIB_DIR),$(CURDIR)/.deps/duckdb)
PAGES := --out docs/plugins --readme README.md --readme README.zh-CN.md
KILLS ?= 2000
SEEDS ?= 2000
FIRST_SEED ?= 1
FIGURES ?=

.PHONY: help setup build release demo test test-components torture simulate mutants bench bench-quick docs docs-check fmt fmt-check clippy deny

help:
	@sed -n 's/^## //p' Makefile

## make demo            build, then see the product work in under a minute, without a server
## make test            every test: unit, property, conformance, system, documentation
## make test-components the WebAssembly host alone; part of make test
## make build           the quick build of both, as bin/aqueduct
## make release         the optimised build, as bin/aqueduct
## make bench           the figures of benches/README.md, from a release build; FIGURES='chain startup' for some of them
## make bench-quick     the same from the quick build
## make torture KILLS=n kill -9 the daemon under load, n times between files and n times between servers (2000)
## make simulate SEEDS=n FIRST_SEED=m  the epoch protocol and the capture of changes, the world failing as each seed says (2000 from 1)
## make mutants         planted protocol bugs: does the suite catch every one?
## make docs            renew docs/plugins and the plugin tables
## make fmt clippy deny format; lints as errors; licences, sources, advisories
## make setup           install what is missing and nothing else

setup:
	@scripts/setup.sh

build: setup
	cargo build $(QUICK)
	@scripts/place.sh $(TARGET)/debug/aqueduct $(DUCKDB)

release: setup
	cargo build --release --locked
	@scripts/place.sh $(TARGET)/release/aqueduct $(DUCKDB)

demo: build
	bin/aqueduct demo

test:
	@scripts/setup.sh test
	@scripts/timed.sh "make test" cargo test $(QUICK) --no-fail-fast
	@$(MAKE) --no-print-directory test-components

# A selection of its own: in the quick one the runtime's features would have everything built anew. It shares the target
# folder, and of the dependencies those that nobody asks for more of.
test-components: setup
	@scripts/timed.sh "make test-components" cargo test --package aqueduct-wasm --features wasm --locked

torture:
	@scripts/setup.sh test
	AQUEDUCT_KILLS=$(KILLS) AQUEDUCT_CDC_KILLS=$(KILLS) scripts/timed.sh "make torture" cargo test $(QUICK) --package aqueduct --test system -- crash_recovery cdc_torture --nocapture

simulate: setup
	AQUEDUCT_SEEDS=$(SEEDS) AQUEDUCT_FIRST_SEED=$(FIRST_SEED) cargo test $(QUICK) --lib --no-fail-fast -- simulation --nocapture

mutants: setup
	scripts/mutants.sh

bench: setup
	LD_LIBRARY_PATH=$(DUCKDB) cargo bench $(QUICK) --bench figures -- $(FIGURES)

bench-quick: setup
	LD_LIBRARY_PATH=$(DUCKDB) cargo bench $(QUICK) --profile dev --bench figures -- $(FIGURES)

docs: build
	bin/aqueduct plugins docs $(PAGES)

docs-check: build
	bin/aqueduct plugins docs $(PAGES) --check

fmt: setup
	cargo fmt --all

fmt-check: setup
	cargo fmt --all --check

clippy: setup
	cargo clippy $(QUICK) --all-targets -- --deny warnings

deny: setup
	scripts/deny.sh
