# The doors to everything that is built, checked and measured here. `make` alone lists them.
#
# PROFILE=release builds what is shipped. CARGO_TARGET_DIR is respected.

PROFILE ?= dev
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help setup build agent check test e2e guest fuzz cross full torture bench run clean

help: ## what can be made
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install the Debian packages that everything below needs (as root or by sudo)
	packaging/tools/setup.sh run test cross

build: agent ## the `machine` program and the agent beside it
	cargo build --locked --workspace --exclude machine-agent --profile $(PROFILE)

agent:
	packaging/tools/build-agent.sh $(PROFILE)

check: ## format, lints, unit and snapshot tests: no guest, no network
	cargo fmt --all --check
	tests/check-scripts
	tests/check-lints
	packaging/tools/linted cargo test --locked --workspace --no-run
	packaging/tools/linted cargo test --locked --workspace --test e2e --no-run
	packaging/tools/linted cargo test --locked --workspace

test: check e2e ## check, then end to end on a real guest

e2e: build
	tests/run-e2e

guest: ## what end-to-end tests run on and with: guest images, clients, programs; kept in the build cache
	machine-images/debian/build --print-path
	tests/stub-guest/build
	tests/components/fetch
	tests/components/vhost-device-vsock

# The readers of what a peer or another program wrote; `make torture` has all targets.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= hello mux control events machine_toml connections

fuzz: ## what reads strangers' bytes, fuzzed for FUZZ_SECONDS (60) each, two at a time
	tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

cross: ## lints, links and Wine tests for Windows and macOS
	python3 packaging/cross/check.py

full: check build ## all end-to-end tests, also the long ones, and cross with every architecture
	tests/run-e2e --include-ignored
	python3 packaging/cross/check.py --full
	packaging/tools/build-agent.sh $(PROFILE) aarch64

torture: build ## property tests with many cases, fuzzing, and each process of a machine killed in each phase
	PROPTEST_CASES=20000 cargo test --locked --workspace --exclude machine-images -- laws model prop
	# All targets, an hour together.
	tests/fuzz/run 280
	tests/run-e2e --ignored deaths::

bench: ## the figures, of a release build
	$(MAKE) build PROFILE=release
	benches/run

run: ## try it: install, build, start a guest in a place of its own
	packaging/tools/setup.sh run
	$(MAKE) build
	packaging/run

clean: ## remove what was built here; the build cache stays
	cargo clean
