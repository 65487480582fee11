# Everything a contributor runs. `make` alone prints this list.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= drover:$(VERSION)
GO      ?= go
TOOL     = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build test test-fast lint fmt generate days informer bench gate-rates gate-ideas fuzz test-image hooks cast clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the static binary, bin/drover
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/drover ./cmd/controller
	@ls -l bin/drover | awk '{printf "bin/drover: %.1f MiB\n", $$5 / 1048576}'

test: ## everything CI runs: peers, vet, all tests with the race detector
	test/peers/install
	$(GO) vet ./...
	$(GO) test -race -timeout 14m -json ./... | $(GO) run ./test/report

test-fast: ## the tests that take no peers and little time
	$(GO) test -short ./...

lint: ## golangci-lint, pinned in tools/go.mod
	$(TOOL) golangci-lint run ./...

fmt: ## gofumpt and goimports
	$(TOOL) golangci-lint fmt ./...

generate: ## what is generated from the types: the reference of targets.yaml
	$(GO) generate ./...

days: ## seeded days of faults, people and kills against the whole controller, SEEDS of them (default 200)
	DROVER_DAYS=$(or $(SEEDS),200) $(GO) test -count=1 -timeout 60m -run TestSeededDays ./test/faulttable

informer: ## the informer against the embedded Rancher under SEEDS seeded schedules (default 10000)
	DROVER_INFORMER_SEEDS=$(or $(SEEDS),10000) $(GO) test -count=1 -timeout 60m -run TestInformerEqualsAFreshRead ./internal/rancher

bench: ## the benchmarks behind docs/performance.md
	$(GO) test -run '^$$' -bench . -benchmem ./...

gate-rates: ## simulate the load balancer gate's error rates and write them into docs/gates.md (minutes)
	$(GO) test -run 'TestGateRates|TestGateHoldOut' -timeout 2h ./pkg/reconcile -rates.runs 4000 -rates.write

gate-ideas: ## play the ideas for the gate that were rejected, and write their figures into docs/gates.md (minutes)
	$(GO) run ./test/gateideas -runs 1000 -write

fuzz: ## every fuzz target in turn, FUZZTIME each (default 10s)
	test/fuzz $(FUZZTIME)

test-image: ## build the container image and run it for real (needs a Docker engine with compose)
	$(GO) test -tags image -count=1 -timeout 30m -v ./test/image -image $(IMAGE) -version $(VERSION)

hooks: ## git hooks: lint and test what changed before it is committed and pushed
	git config core.hooksPath hooks
	@echo "hooks/pre-commit and hooks/pre-push are on; git config --unset core.hooksPath turns them off"

cast: ## record the demo of the README anew: docs/demo.cast, and its picture (needs bash and npx)
	$(GO) test -tags cast -count=1 -timeout 5m -run '^TestRecordCast$$' ./cmd/controller -cast $(CURDIR)/docs/demo.cast
	npx --yes svg-term-cli@2.1.1 --in docs/demo.cast --out docs/demo.svg --window --no-cursor \
	  --at $$(sed -n 's/^.\([0-9]*\)[.]\([0-9]*\),"m","screen: finish.*/\1\2/p' docs/demo.cast)

clean: ## remove what was built
	rm -rf bin dist
