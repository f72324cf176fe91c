# What developers and .ci/run call. `make test-short` needs Go alone; `make test` fetches the rest by itself.

GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.PHONY: help build demo test test-short drills bench deps lint

help: ## says what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# The profile is of API calls: `go run ./bench -only cached -profile ../deploy/cloakroom.pgo` in e2e. It makes them
# some percent cheaper, and the build two minutes longer, which is why `go build` does not find it by itself.
build: ## a static binary in bin/
	CGO_ENABLED=0 go build -trimpath -pgo deploy/cloakroom.pgo -ldflags '$(LDFLAGS)' -o bin/cloakroom ./cmd/cloakroom

demo: ## OP, API, applications and gateway on loopback
	go run ./cmd/cloakroom demo

# The end-to-end tests build the binary by themselves, which the test cache does not see: hence -count=1.
test: deps ## everything: both modules, with real browsers, Redis and OPs
	go test -race ./...
	cd e2e && go test -race -count=1 -v ./...

test-short: ## what Go alone can test
	go vet -tags short ./...
	go test -tags short ./...

# One at a time: each wants the machine for itself, and its figures are for session/README.md.
drills: ## what sessions survive, with figures: replicas and Redis killed under load, a soak, 10 GiB each way (about 15 minutes)
	cd e2e && go test -tags drills -count=1 -timeout 30m -v -run '^TestDrill' .

# On two processors, which everybody in it shares. For comparisons while working: `go run ./bench -help` in e2e.
bench: ## what the proxy costs, beside others; the table goes into proxy/README.md (about 12 minutes)
	@e2e/deps.sh bench
	cd e2e && taskset -c 0,1 go run ./bench -write ../proxy/README.md

deps: ## installs what the tests need beyond Go
	@e2e/deps.sh

lint: ## go vet, gofumpt, staticcheck
	@go vet ./...
	@cd e2e && go vet ./... && go vet -tags drills ./...
	@unformatted=$$(go run $(GOFUMPT) -l .) && if [ -n "$$unformatted" ]; then \
		echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; fi
	@go run $(STATICCHECK) ./...
	@cd e2e && go run $(STATICCHECK) -tags drills ./...
