# Heapwire: what a person or CI calls. `make help` lists the targets.

SWIFT ?= swift
CONFIGURATION ?= release
PACKAGES := zlib1g-dev libssl-dev libsnappy-dev liblz4-dev libzstd-dev curl openssl

.DEFAULT_GOAL := help
.PHONY: help deps run test test-allocations test-cgroupv2 bench-agent lint build clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

deps: ## install what the build needs (through apt, when root)
	@scripts/deps $(PACKAGES)

build: deps ## release binaries in .build/release
	$(SWIFT) build -c release

run: deps ## build, start aggregator and agent on loopback, show this machine's busiest cgroups
	@scripts/run

test: deps ## all tests (debug build)
	@scripts/test

test-allocations: deps ## the agent allocates nothing per step (a gate; builds it dynamically)
	@scripts/test-allocations

test-cgroupv2: deps ## the agent on a real cgroup v2 kernel, in QEMU (two minutes)
	$(SWIFT) build -c release --product heapwire-agent
	@scripts/test-cgroupv2

bench-agent: deps ## the agent's cost beside a C floor, 220 containers (root)
	$(SWIFT) build -c release --product heapwire-agent
	$(SWIFT) build -c release --product heapwire-aggregator
	@python3 Benchmarks/Agent/bench.py .build/release

lint: ## style of every Swift file
	$(SWIFT) format lint -s -r Package.swift Sources Tests Benchmarks

clean: ## remove build results
	rm -rf .build .build-*
