# Heapwire: what a person or CI calls. `make help` lists the targets.

SWIFT ?= swift
CONFIGURATION ?= release
PACKAGES := zlib1g-dev libssl-dev libsnappy-dev liblz4-dev libzstd-dev curl
# Real programs that tests start. What is not there is skipped and says so.
TEST_PACKAGES := $(PACKAGES) openssl python3 runc busybox-static iproute2 nftables util-linux
SINK_PACKAGES := $(TEST_PACKAGES) influxdb victoria-metrics prometheus graphite-carbon collectd-core \
	redis-server redis-tools kcat python3-venv
SAMPLES ?= ../shared/samples/node_1s_200s.csv.gz

.DEFAULT_GOAL := help
# Every target here is a command, not a file.
.PHONY: $(shell sed -nE 's/^([a-z0-9-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

deps: ## install what the build needs (through apt, when root)
	@scripts/deps $(PACKAGES)

build: deps ## release binaries in .build/release
	$(SWIFT) build -c release

run: deps ## build, start aggregator and agent on loopback, show this machine's busiest cgroups
	@scripts/run

test-deps:
	@scripts/deps $(TEST_PACKAGES)

test: test-deps ## all tests (debug build); TESTS="--filter …" chooses
	@scripts/test $(TESTS)

test-sinks: ## sinks against real servers, on a loopback of their own (root)
	@scripts/deps $(SINK_PACKAGES)
	@scripts/sink-servers
	$(SWIFT) build --build-tests
	unshare -n sh -c 'ip link set lo up; \
		HEAPWIRE_LONG_TESTS=1 $(SWIFT) test --skip-build --filter "SinksServer|SinksKafka|SinksService|SinksOutage|SinksElastic|DiskFull|SinkAnswer|HistoricalStore"'

test-kubernetes: test-deps ## against a real kube-apiserver, built once per machine (7 minutes, root)
	@test -x ../shared/tools/kube/build.sh || { echo "../shared/tools/kube is missing" >&2; exit 1; }
	../shared/tools/kube/build.sh
	@HEAPWIRE_CROWD=5000 scripts/test --filter KubernetesTests

test-prometheus: deps ## a real Prometheus scrapes and federates; promtool's remarks
	@scripts/deps prometheus
	$(SWIFT) build --product heapwire-agent
	$(SWIFT) build --product heapwire-aggregator
	@scripts/test-prometheus

test-schema: deps ## a running aggregator held to docs/openapi.yaml by schemathesis (pip); EXAMPLES=, SEED=
	$(SWIFT) build --product heapwire-agent
	$(SWIFT) build --product heapwire-aggregator
	@scripts/test-schema

test-allocations: deps ## the agent allocates nothing per step (a gate; builds it dynamically)
	@scripts/test-allocations

test-churn: deps ## 50,000 containers come and go: the agent's memory ends where it began (five minutes, root)
	$(SWIFT) build -c release --product heapwire-agent
	$(SWIFT) build --product heapwire-aggregator
	@scripts/test-churn

test-faults: test-deps ## each call of the agent fails in every way (three minutes)
	$(SWIFT) build --build-tests
	HEAPWIRE_ALL_FAULTS=1 $(SWIFT) test --skip-build --filter HostFaultTests

test-cgroupv2: deps ## the agent on a real cgroup v2 kernel, in QEMU (three minutes)
	$(SWIFT) build -c release --product heapwire-agent
	@scripts/test-cgroupv2

test-hpa: deps ## kubectl top, autoscalers, the Python client through a real apiserver (root; KUBE=)
	@scripts/venv kubernetes==37.0.2
	$(SWIFT) build --product heapwire-agent
	$(SWIFT) build --product heapwire-aggregator
	@scripts/test-hpa

test-crash: deps ## kill -9 of the aggregator at KILLS= (1000) random moments under a fleet
	$(SWIFT) build -c $(CONFIGURATION) --product heapwire-aggregator
	$(SWIFT) build -c $(CONFIGURATION) --product heapwire-fleet
	@BIN=$$($(SWIFT) build -c $(CONFIGURATION) --show-bin-path) scripts/test-crash $(or $(KILLS),1000)

bench-agent: deps ## the agent's cost beside a C floor, 220 containers (root)
	$(SWIFT) build -c release --product heapwire-agent
	$(SWIFT) build -c release --product heapwire-aggregator
	@python3 Benchmarks/Agent/bench.py .build/release

bench-cgroupv2: deps ## what each group of the agent's metrics costs on cgroup v2, in QEMU, in instructions (ten minutes)
	$(SWIFT) build -c release --product heapwire-agent
	@scripts/bench-cgroupv2

bench-wire: deps ## bytes and nanoseconds a sample of the codec and others; SAMPLES=FILE.csv.gz
	$(SWIFT) build -c release --product bench-wire
	@.build/release/bench-wire $(SAMPLES)

bench-sinks: deps ## points a second of every sink's encoder; last line JSON
	HEAPWIRE_BENCH_SINKS=1 $(SWIFT) build -c release --build-tests -Xswiftc -enable-testing \
		--scratch-path .build-bench
	@BENCHMARK=1 HEAPWIRE_BENCH_SINKS=1 BENCHMARK_OUTPUT=$(CURDIR)/.build-bench/sinks.json $(SWIFT) test -c release --skip-build \
		-Xswiftc -enable-testing --scratch-path .build-bench --filter SinksBenchmarks
	@cat .build-bench/sinks.json

bench-feed: deps ## what handing cycles to 0 to 3 sinks costs, and the API beside it; NODES=, SINKS=, CYCLES=
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BIN=.build/release scripts/bench-feed

bench-scale: deps ## a simulated fleet against one aggregator; NODES=, STEP=, SECONDS=, WINDOW=full
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BENCH_SECONDS=$(or $(SECONDS),$(BENCH_SECONDS),30) scripts/bench-scale

bench-table: deps ## the rows of docs/performance.md: all sizes, full windows, restarts (half an hour)
	@scripts/bench-table

bench-names: deps ## the first list of 150,000 pods: time, CPU, memory a pod; PODS=
	@scripts/bench-names

bench-restart: deps ## kill -9 under load: how long until all nodes are current; NODES=, STEP=, WINDOW=full
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BIN=.build/release scripts/bench-restart

bench-api: deps ## what answers cost while a fleet pushes (wrk); NODES=, STEP=, SECONDS=
	@scripts/deps wrk
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BENCH_SECONDS=$(or $(SECONDS),$(BENCH_SECONDS),10) python3 Benchmarks/API/bench.py .build/release

soak: deps ## does the aggregator's memory stay flat under churn; NODES=, SECONDS= (half an hour)
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BIN=.build/release scripts/soak

test-memory-limit: deps ## an aggregator in a small memory cgroup, driven to twice its limit (root)
	$(SWIFT) build -c release --product heapwire-aggregator
	$(SWIFT) build -c release --product heapwire-fleet
	@BIN=.build/release scripts/test-memory-limit

fuzz-wire: deps ## ten minutes each of coverage-guided fuzzing: the frame decoder, the session's two halves
	HEAPWIRE_FUZZ=1 $(SWIFT) build -c release --product fuzz-frame --scratch-path .build-fuzz
	HEAPWIRE_FUZZ=1 $(SWIFT) build -c release --product fuzz-session --scratch-path .build-fuzz
	mkdir -p .build-fuzz/corpus .build-fuzz/session-corpus
	cp Tests/Fuzz/Frame/corpus/* .build-fuzz/corpus/
	.build-fuzz/release/fuzz-session --write-seeds .build-fuzz/session-corpus
	cd .build-fuzz && SWIFT_BACKTRACE=enable=no release/fuzz-frame corpus -max_total_time=600
	cd .build-fuzz && SWIFT_BACKTRACE=enable=no release/fuzz-session session-corpus -max_len=2048 -max_total_time=600

fuzz-text: deps ## ten minutes of coverage-guided fuzzing of what the aggregator reads: HTTP, JSON, YAML, …
	HEAPWIRE_FUZZ=1 $(SWIFT) build -c release --product fuzz-text --scratch-path .build-fuzz
	mkdir -p .build-fuzz/text-corpus
	cp Tests/Fuzz/Text/corpus/* .build-fuzz/text-corpus/
	cd .build-fuzz && SWIFT_BACKTRACE=enable=no release/fuzz-text text-corpus -max_len=4096 -max_total_time=600

lint: ## style of every Swift file
	$(SWIFT) format lint -s -r Package.swift Sources Tests Benchmarks

clean: ## remove build results
	rm -rf .build .build-*
