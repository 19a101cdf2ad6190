# koboshi. `make help` lists the targets; `make demo` and `make test` are where to begin.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSITYGW     := github.com/versity/versitygw/cmd/versitygw@v1.8.0
NFPM          := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
DYNALITE      := dynalite@4.0.0
CYCLONEDX     := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# Before there were rollouts and promote_keys: an agent as it is in AMIs that are out there (tag before-rollouts).
BEFORE        := aec6d45188f7cdf2ac184759a13d81acdd05457e
HISTORY       := $(shell git cat-file -e $(BEFORE)^{commit} 2>/dev/null && echo yes)

MAX_BINARY    := 22000000
MAX_EXPOSURE  := 25
FUZZTIME      := 20s

# What ships is a plain build; BUILD is also how the packages are made (cmd/koboshi/help/decisions/0006).
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags='-s -w'
BIN   := $(CURDIR)/.build

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build koboshi and koboshi-mock into .build
	$(BUILD) -o $(BIN)/ ./cmd/koboshi ./cmd/koboshi-mock

.PHONY: demo
demo: build ## publish, boot, promote, node ids, a rollout, refuse: the main job on a loopback AWS
	@bash cmd/koboshi-mock/demo/demo.sh $(BIN)

.PHONY: test
test: ## the tests, with the race detector
	@command -v openssl >/dev/null && command -v jq >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssl jq; }
	go test -race -timeout 20m ./...

.PHONY: fleet
fleet: ## 1,000 and 10,000 launches at once, and 1,000 terminations, in simulation: what they cost and how they end
	go test -tags fleet -count=1 -timeout 10m -v -run '^TestFleets' ./cmd/koboshi

.PHONY: model
model: ## every run of a few claimants of node ids, and of a prune with promotions beside it, and schedules of many (LONG=1 for ten million states, 100,000 schedules)
	LONG=$(LONG) go test -tags model -count=1 -timeout 60m -v -run '^TestModel' ./agent/lease/... ./agent/nodeid ./artifacts/prune

# A test that waits for minutes, beside the others.
WAITS := ^TestE2ENodeIDsOnALaptop$$

.PHONY: e2e
e2e: build $(BIN)/versitygw $(BIN)/dynalite $(BIN)/shippers $(BIN)/otelcol $(BIN)/erofs-utils $(if $(HISTORY),$(BIN)/koboshi-before) ## the tests that need a real S3 or DynamoDB server, the AWS CLI, a browser, root or minutes
	@test -n "$(HISTORY)" || echo "no commit $(BEFORE) here: what an older agent makes of new documents was not tested"
	@run() { PATH="$(BIN):$(BIN)/erofs-utils:$$PATH" go test -tags e2e$(if $(HISTORY),$(comma)before) -count=1 -timeout 30m "$$@"; }; \
	run -run '$(WAITS)' ./cmd/koboshi & waits=$$!; \
	run -run '^Test(E2E|CLI|Gateway)' -skip '$(WAITS)' ./agent/awstest ./agent/doctor ./agent/flush ./agent/lease ./agent/mounts ./artifacts/bucket/s3 ./artifacts/publish ./cmd/koboshi; code=$$?; \
	wait $$waits && exit $$code

$(BIN)/koboshi-before:
	rm -rf $@.src && mkdir -p $@.src
	git archive $(BEFORE) | tar -x -C $@.src
	cd $@.src && $(BUILD) -o $@ ./cmd/koboshi
	rm -rf $@.src

$(BIN)/versitygw:
	GOBIN=$(BIN) go install $(VERSITYGW)

$(BIN)/dynalite:
	mkdir -p $@.new
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $@.new $(DYNALITE)
	mv $@.new $@

# mkfs.erofs that knows zstd, which Debian 12 has not: first in a PATH.
$(BIN)/erofs-utils: artifacts/publish/testdata/erofs-utils.sh
	mkdir -p $(BIN) && sh $< $@

# Log shippers: see agent/flush.
$(BIN)/shippers: agent/flush/testdata/shippers.sh
	mkdir -p $(BIN) && sh $< $@

$(BIN)/otelcol: agent/flush/testdata/otelcol.sh
	mkdir -p $(BIN) && sh $< $@

# The generator is cmd/koboshi itself, built with a tag: the binary that ships is not larger for it.
.PHONY: man
man: ## manual pages into .build/man, checked where there is mandoc
	go test -tags man -run '^TestMan' ./cmd/koboshi
	rm -rf $(BIN)/man
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) TZ=UTC go run -tags man ./cmd/koboshi $(BIN)/man
	@if command -v mandoc >/dev/null; then mandoc -T lint -W error $(BIN)/man/*.1; else echo "no mandoc here: the pages were not checked"; fi

# Packages: deb and rpm for amd64 and arm64.

.PHONY: package
package: export BUILD := $(BUILD)
package: $(BIN)/nfpm $(BIN)/cyclonedx-gomod ## deb, rpm, SBOM and checksums into .build/packages
	sh systemd/packaging/package.sh $(BIN)/packages $(BIN)/nfpm $(BIN)/cyclonedx-gomod

.PHONY: package-check
package-check: export BUILD := $(BUILD)
package-check: package ## build the packages twice and compare every byte
	sh systemd/packaging/reproduce.sh $(BIN)/packages $(BIN)/nfpm $(BIN)/cyclonedx-gomod

.PHONY: examples
examples: ## check the Packer template and the Terraform example, as far as that goes offline
	packer fmt -check systemd/packaging/packer
	packer validate -syntax-only systemd/packaging/packer/web.pkr.hcl
	@if command -v terraform >/dev/null; then terraform fmt -check systemd/packaging/terraform; else echo "no terraform here: its example was not checked"; fi

$(BIN)/nfpm:
	GOBIN=$(BIN) go install $(NFPM)

# The SBOM names the hash of the tool that made it: the tool has to be the same bytes everywhere.
$(BIN)/cyclonedx-gomod:
	GOFLAGS=-trimpath GOBIN=$(BIN) go install $(CYCLONEDX)

.PHONY: boottest
boottest: $(BIN)/packages/SHA256SUMS ## boot containers with systemd and cloud-init (root; RUN=Reboot for one scenario, VM=1 for a power cut)
	sh systemd/boottest/rootfs.sh $(BIN)/boottest/bookworm $(if $(VM),vm)
	CGO_ENABLED=0 go test -tags boottest$(if $(VM),$(comma)vm) -count=1 -parallel 3 -timeout 20m -v -run '$(RUN)' \
		./systemd/boottest -args -rootfs $(BIN)/boottest/bookworm -packages $(BIN)/packages

$(BIN)/packages/SHA256SUMS:
	$(MAKE) package

.PHONY: apps
apps: ## the recipes of koboshi help apps, with their real runtimes (root; RUN=gunicorn for those of that name)
	sh systemd/boottest/rootfs.sh $(BIN)/boottest/bookworm
	sh systemd/boottest/runtimes.sh $(BIN)/boottest/bookworm $(BIN)/boottest/runtimes
	CGO_ENABLED=0 go test -tags boottest,apps -count=1 -parallel 3 -timeout 20m -v -run '^TestApps$$$(if $(RUN),/$(RUN))' \
		./systemd/boottest -args -rootfs $(BIN)/boottest/bookworm -runtimes $(BIN)/boottest/runtimes

comma := ,

.PHONY: lint
lint: ## gofmt, go vet and golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go vet -tags e2e,before,boottest,vm,bench,fleet,apps,model ./...
	go vet -tags man ./cmd/koboshi
	go run $(GOLANGCI_LINT) run --build-tags e2e,before,boottest,vm,bench,fleet,apps,model ./...

.PHONY: vuln
vuln: ## known vulnerabilities in what is used (needs vuln.go.dev)
	go run $(GOVULNCHECK) ./...

.PHONY: units
units: ## check the unit files as systemd itself does
	@sh systemd/check-units.sh $(MAX_EXPOSURE)

# Only a binary with symbols can say whose code it has: it is built for this table and not kept.
.PHONY: size
size: build ## hold the binary under its limit, and show what each large dependency adds to it
	@set -e; size=$$(stat -c %s $(BIN)/koboshi); symbols=$$(mktemp); trap 'rm -f "$$symbols"' EXIT; \
		CGO_ENABLED=0 go build -trimpath -o "$$symbols" ./cmd/koboshi; \
		printf '%11s %11s  %s\n' 'all bytes' code package; \
		go tool nm -size "$$symbols" | awk -v SIZE="$$size" -f systemd/packaging/size.awk | sort -rn; \
		echo "koboshi: $$size bytes, at most $(MAX_BINARY)"; test $$size -le $(MAX_BINARY)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	@sh .ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## measure koboshi against what it replaces (root; BENCH=images for images alone, BENCH=short for a minute)
	PATH="$(BIN)/erofs-utils:$$PATH" go test -tags bench -count=1 -timeout 60m -v -run '^TestBench$$' ./artifacts/bench

.PHONY: bench-parts
bench-parts: ## benchmarks of the parts, for benchstat (see artifacts/bench)
	@go test -run '^$$' -bench . -benchmem -count 6 ./artifacts/...

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
