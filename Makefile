# What there is to do; each target works in a fresh clone with Go installed.
#
#   make test    vet and all tests; first installs a PostgreSQL server where there is none
#                (Debian), unless MORANGO_TEST_POSTGRES has the URL of one
#   make lint    golangci-lint, built on first use
#   make bench   Go benchmarks, then syncs measured from end to end beside the floor; BENCH=push,pull
#                N=10000 ENGINE=sqlite choose, then without the former; BENCH_LARGE=1 adds 1,000,000 rows
#   make fuzz    every fuzz target for FUZZTIME
#   make simulate  2,000 random histories of many peers and many faults, in about a quarter of an
#                hour on two cores; SEEDS, FROM (0: the clock) and NEW=1h for new ones after these
#   make crash   kills at every commit, and power cuts at every write, on real files and PostgreSQL;
#                takes hours, POINTS=20 of each kind some minutes; SEED for others
#   make demo    two schools sync
#   make dist    release binaries in dist/, without cgo

.POSIX:
.PHONY: test lint bench fuzz simulate crash demo dist clean

GO = go
VERSION = $$(git describe --tags --always --dirty 2>/dev/null || echo development)
FUZZTIME = 30s
SEEDS = 2000
FROM = 1
NEW = 0s
POINTS = 1000000
SEED = 1
BENCH =
N =
ENGINE =
RUNS = 1
PLATFORMS = linux/amd64 linux/arm64 linux/arm windows/amd64 darwin/amd64 darwin/arm64
GOLANGCI = v2.15.0

# The race detector needs a C compiler; the Go tool turns cgo off where there is none. It
# watches our code and not the SQLite engine, which is C turned into Go and would take most
# of the time. Databases of tests lie in memory where there is room: each of their many
# commits reaches the disk otherwise.
test:
	.ci/setup
	$(GO) vet ./...
	@race="-race -gcflags=modernc.org/...=-race=false"; \
	[ "$$($(GO) env CGO_ENABLED)" = 1 ] || { race=; echo "no C compiler: testing without the race detector"; }; \
	room=$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }'); \
	if [ "$${room:-0}" -gt 4000000 ]; then export GOTMPDIR="$${TMPDIR:-/tmp}" TMPDIR=/dev/shm; fi; \
	$(GO) test -json -vet=off -timeout 15m $$race ./... | $(GO) run ./internal/testreport

lint: .bin/golangci-lint-$(GOLANGCI)
	.bin/golangci-lint-$(GOLANGCI) run ./...

.bin/golangci-lint-$(GOLANGCI):
	GOBIN="$$PWD/.bin" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv .bin/golangci-lint $@

bench:
	.ci/setup
	@[ -n "$(BENCH)$(N)$(ENGINE)" ] || $(GO) test -run '^$$' -bench . -benchmem ./... | grep -v '^?'
	CGO_ENABLED=0 $(GO) run ./internal/bench -jobs "$(BENCH)" -n "$(N)" -engines "$(ENGINE)" -runs $(RUNS)

# One target at a time, as the Go tool wants it.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r pkg; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | cut -c6-); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$pkg" || exit 1; \
		done; \
	done

simulate:
	$(GO) test ./internal/simtest -count=1 -v -timeout 24h -run TestSimulate -seeds $(SEEDS) -from $(FROM) -new $(NEW)

crash:
	@room=$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }'); \
	if [ "$${room:-0}" -gt 1000000 ]; then export GOTMPDIR="$${TMPDIR:-/tmp}" TMPDIR=/dev/shm; fi; \
	$(GO) test ./internal/crashtest -count=1 -v -timeout 24h -points $(POINTS) -seed $(SEED)

demo:
	$(GO) run ./cmd/morango demo

dist:
	@mkdir -p dist && rm -f dist/*
	@version=$(VERSION); for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/} suffix=; [ $$os != windows ] || suffix=.exe; \
		file=dist/morango-$$version-$$os-$$arch$$suffix; echo $$file; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -o $$file \
			-ldflags "-s -w -X github.com/morango-go/morango.version=$$version" ./cmd/morango || exit 1; \
	done
	@cd dist && sha256sum morango-* > SHA256SUMS

clean:
	rm -rf dist .bin
