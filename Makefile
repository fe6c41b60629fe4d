# Shardway's tasks. `make help` lists them; CI calls the same ones.

GO      ?= go
TAGS    := gms_pure_go,grpcnotrace

LINT_VERSION := v2.15.0
LINT         := .bin/golangci-lint-$(LINT_VERSION)

FUZZ_TIME  ?= 10s
BENCH_TIME ?= 4
SERVER     ?= mariadb
SHARDS     ?= 2
REPLICAS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help run build test test-unit test-e2e soak-causal soak-cancel soak-switchover soak-failover soak-sql soak-memory soak-tx soak-rebalance soak-pace test-tools lint fuzz cover bench bench-copy clients cluster cluster-down compose-test k8s-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## try Shardway over embedded servers: needs Go alone; Ctrl-C ends it
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -o bin/shardway-demo ./cmd/shardway-demo
	@exec bin/shardway-demo

build: ## bin/shardway, bin/shardctl, bin/shardway-demo
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -o bin/ ./cmd/...

test: test-tools ## install what the tests need where it is missing, then run every test
	@test/all

test-unit: ## the tests that need no servers
	$(GO) test -tags $(TAGS) -race -shuffle=on -skip '^TestServers$$' $$($(GO) list -tags $(TAGS) ./... | grep -v -e /test/e2e -e /test/cluster -e /test/compose)

test-e2e: ## the tests on real servers; RUN=regexp chooses some
	$(GO) test -tags $(TAGS) -count=1 -timeout 25m -v -run '$(or $(RUN),.)' ./test/e2e

soak-causal: ## a million reads that must see what their sessions wrote and saw, on each kind of server; READS=n for another number
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_CAUSAL_READS=$(or $(READS),1000000) $(GO) test -tags $(TAGS) -count=1 -timeout 90m -v -run TestN21CausalReads ./test/e2e

soak-cancel: ## 50,000 clients cancelled at every moment while others check their rows, on each kind of server; TIMES=n
	$(GO) build -tags $(TAGS) -race -o bin/shardway-race ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway-race SHARDWAY_CANCELS=$(or $(TIMES),50000) $(GO) test -tags $(TAGS) -count=1 -timeout 90m -v -run TestB6CancelledClients ./test/e2e

clients: ## real client programs side by side with a plain server; writes docs/compatibility.md
	@test/install clients
	$(GO) test -tags $(TAGS) -count=1 -timeout 25m -v ./test/clients -update

soak-switchover: ## 100 switchovers under 64 clients of three proxies, on each kind of server; TIMES=n, CLIENTS=n
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_SWITCHOVERS=$(or $(TIMES),100) SHARDWAY_CLIENTS=$(or $(CLIENTS),64) $(GO) test -tags $(TAGS) -count=1 -timeout 90m -v -run '^TestSwitchovers$$' ./test/e2e

soak-failover: ## 50 primaries killed under 16 clients of three proxies, with semi-sync, on each kind of server; TIMES=n, CLIENTS=n
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_FAILOVERS=$(or $(TIMES),50) SHARDWAY_CLIENTS=$(or $(CLIENTS),16) $(GO) test -tags $(TAGS) -count=1 -timeout 120m -v -run '^TestFailovers$$' ./test/e2e

soak-sql: ## random statements side by side with one server that has all rows, on each kind of server, for hours; STATEMENTS=n, SEED=n
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_STATEMENTS=$(or $(STATEMENTS),500000) SHARDWAY_SEED=$(or $(SEED),1) $(GO) test -tags $(TAGS) -count=1 -timeout 24h -v -run '^TestRandomStatements$$' ./test/e2e

soak-memory: ## the memory that ordering four shards' rows takes, of a million rows each; ROWS=n
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_ROWS=$(or $(ROWS),1000000) $(GO) test -tags $(TAGS) -count=1 -timeout 60m -v -run '^TestMergeMemory$$' ./test/e2e

soak-tx: ## transfers and lists over four shards under thousands of faults, on each kind of server; FAULTS=n for another number
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_FAULTS=$(or $(FAULTS),2500) $(GO) test -tags $(TAGS) -count=1 -timeout 120m -v -run '^TestAtomic$$' ./test/e2e

soak-rebalance: ## 20 rebalances and 25 times kill -9 in the middle of one, under 32 clients of three proxies, on each kind of server; TIMES=n, KILLS=n, CLIENTS=n
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_REBALANCES=$(or $(TIMES),20) SHARDWAY_KILLS=$(or $(KILLS),25) SHARDWAY_CLIENTS=$(or $(CLIENTS),32) $(GO) test -tags $(TAGS) -count=1 -timeout 180m -v -run '^TestRebalance(s|Killed)$$' ./test/e2e

soak-pace: ## what 12 clients of three proxies notice while 50,000 of 100,000 rows are copied and removed, on each kind of server; ROWS=n, CLIENTS=n, SHARE="25 100"
	$(GO) build -tags $(TAGS) -o bin/shardway ./cmd/shardway
	SHARDWAY_BINARY=$(CURDIR)/bin/shardway SHARDWAY_ROWS=$(or $(ROWS),100000) SHARDWAY_CLIENTS=$(or $(CLIENTS),12) SHARDWAY_SHARE="$(or $(SHARE),25)" $(GO) test -tags $(TAGS) -count=1 -timeout 90m -v -run '^TestRebalancePace$$' ./test/e2e

test-tools: ## install the servers and clients that the tests use
	@test/install test

lint: $(LINT) ## formatting, vet and golangci-lint
	$(LINT) fmt --diff
	$(LINT) run ./...

$(LINT):
	@mkdir -p .bin
	GOBIN=$(CURDIR)/.bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv .bin/golangci-lint $@

fuzz: ## every fuzz target for FUZZ_TIME each
	@test/fuzz $(FUZZ_TIME)

cover: ## coverage of the tests that need no servers, in cover.out
	$(GO) test -tags $(TAGS) -coverpkg=./... -coverprofile=cover.out -skip '^TestServers$$' $$($(GO) list -tags $(TAGS) ./... | grep -v -e /test/e2e -e /test/cluster -e /test/compose)
	@$(GO) tool cover -func=cover.out | tail -1

bench: ## Shardway beside HAProxy over the same MariaDB; BENCH_TIME seconds a run
	@test/install bench
	$(GO) run ./test/bench -time $(BENCH_TIME)

bench-copy: test-tools ## rows copied from one server to another, beside mysqldump piped into the client, on each kind of server; ROWS=n
	$(GO) run ./test/bench/copy -rows $(or $(ROWS),500000)

cluster: ## a local cluster of real servers in .cluster/: SERVER=mariadb|mysql SHARDS=2 REPLICAS=2
	@$(GO) run ./test/cluster/cmd -dir .cluster -server $(SERVER) -shards $(SHARDS) -replicas $(REPLICAS) up

cluster-down: ## end that cluster
	@$(GO) run ./test/cluster/cmd -dir .cluster down

compose-test: ## the image in front of docker/compose.yaml's MySQL containers: MYSQL_IMAGE=mysql:8.4
	@test/compose-test

k8s-check: ## decode docker/kubernetes strictly and check what its objects say of each other
	@cd docker/kubernetes/check && $(GO) test -count=1 ./...
