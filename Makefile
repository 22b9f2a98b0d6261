# `make setup`, `make run` and `make test` install what they need first: see scripts/setup.sh.
# Everything else is plain cargo; its environment stands in .cargo/config.toml.
.DEFAULT_GOAL := help
.PHONY: help setup run web test lint soak fuzz scores compare deb try-deb deny
# The steps of a target come one after the other under `make -j` too: cargo has the cores.
.NOTPARALLEL:

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install what the build and the tests need
	@scripts/setup.sh test

run: ## Build in release and start the server on http://localhost:8080 (ARGS="--listen 0.0.0.0:8080 --open")
	@scripts/setup.sh build
	@scripts/wasm.sh offer
	cargo build --release --locked -p foldback-server
	@exec target/release/foldback serve --config config/conference.toml $(ARGS)

web: ## Build the page from web/src into web/dist, which the server embeds
	@scripts/setup.sh web
	@scripts/web.sh build

test: setup lint ## Format, lints, documentation and every test
	scripts/wasm.sh build
	cargo test --doc --workspace --locked
	cargo nextest run --workspace --locked $(if $(CI),--profile ci)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/web.sh lint
	scripts/web.sh verify
	.deps/tools/bin/cargo-deny --workspace check licenses bans sources

SOAK_MINUTES ?= 240

soak: setup ## Four simulated hours of conference with clocks that run apart (SOAK_MINUTES=240)
	FOLDBACK_SOAK_MINUTES=$(SOAK_MINUTES) cargo test -p foldback-tests --locked --test soak -- --nocapture

FUZZ_SECONDS ?= 600

fuzz: ## Fuzz what networks and browsers may send, FUZZ_SECONDS=600 for each target
	@scripts/setup.sh build
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

scores: ## Score the chains on the developers' audio set, beside the bare libraries
	@scripts/scores.sh

COMPARE_SECONDS ?= 20
COMPARE_ROOMS ?= 40/3 12/12

compare: ## The same load on Debian's Janus AudioBridge and on foldback (COMPARE_ROOMS="40/3 12/12")
	@scripts/setup.sh compare
	@COMPARE_SECONDS=$(COMPARE_SECONDS) scripts/compare.sh $(COMPARE_ROOMS)

deb: ## A Debian package in target/debian: docs/packages.md
	@scripts/deb.sh

try-deb: ## Install that package into a fresh system, join from Chromium, purge it (as root; SUITE=trixie)
	@scripts/setup.sh test
	@scripts/setup.sh try-deb
	@scripts/try-deb.sh $(SUITE)

deny: ## What deny.toml says of dependencies; a part of make test
	@scripts/setup.sh deny
	.deps/tools/bin/cargo-deny --workspace check licenses bans sources
