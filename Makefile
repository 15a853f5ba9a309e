# The verbs that a person types. Each does its own set-up and is quick the second time; logic lives in the code.
# CONNS is the number of connections that tune, serve, load and million work for.
CONNS ?= 1000000
PORT ?= 8080
ADMIN_PORT ?= 8081
ARGS ?=

MEGAGATE := node dist/src/cli.js
SOURCES := $(shell find src load sysctl test -name '*.ts' 2>/dev/null) tsconfig.json package.json

.DEFAULT_GOAL := help
.PHONY: help node-check setup build tune untune serve load million plan test fuzz check format docs bench bench-publish clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  CONNS=$(CONNS) PORT=$(PORT) ADMIN_PORT=$(ADMIN_PORT) ARGS='…' change what they do; node dist/src/cli.js --help lists all options"

# One plain sentence instead of a stack trace where Node is missing, of a version that the WebSocket engine has no binary for,
# or newer than the system's glibc allows. src/platform.ts says the same, from the same table of package.json, at each start.
node-check:
	@command -v node >/dev/null 2>&1 || { echo "Megagate needs Node 20, 22 or 24, and there is no node on this machine: install one of them first (22 and 24 need glibc 2.38: Debian 13, Ubuntu 24.04)."; exit 2; }
	@node -e 'var t=require("./package.json").config.glibcOfNode,v=process.versions.node,m=v.split(".")[0],g=process.report.getReport().header.glibcVersionRuntime||"0",n=function(x){return x.split(".")[0]*1000+(+x.split(".")[1]||0)},w=!t[m]?"Megagate needs Node "+Object.keys(t).join(", ").replace(/, (\d+)$$/," or $$1")+" (its WebSocket engine is a binary for each of them); this is Node "+v+".":n(g)<n(t[m])?"Megagate on Node "+m+" needs glibc "+t[m]+" or newer; this is "+(g==="0"?"another C library":"glibc "+g)+": install Node 20, or use Debian 13, Ubuntu 24.04 or newer.":"";if(w){console.error(w);process.exit(2)}'

node_modules/.installed: package.json package-lock.json | node-check
	npm ci --no-audit --no-fund
	@touch $@

dist/.built: node_modules/.installed $(SOURCES)
	npm run --silent build
	@touch $@

setup: node_modules/.installed ## install what the project needs (other targets do it by themselves)
build: dist/.built ## compile into dist/

tune: dist/.built ## raise kernel limits for CONNS connections, showing before and after
	$(MEGAGATE) tune --connections $(CONNS) --ports $(PORT),$(ADMIN_PORT) --allow-lowering $(ARGS)

untune: dist/.built ## put every kernel limit back as it was
	$(MEGAGATE) untune $(ARGS)

# With --dev the gateway chooses its own small size, unless CONNS was given.
SERVE_CONNS = $(if $(and $(findstring --dev,$(ARGS)),$(filter file,$(origin CONNS))),,--connections $(CONNS))
serve: dist/.built ## run the gateway until Ctrl-C; ARGS=--dev is a small one with an example page
	@exec $(MEGAGATE) serve $(SERVE_CONNS) --port $(PORT) --admin-port $(ADMIN_PORT) $(ARGS)

load: dist/.built ## open CONNS sockets against a running gateway, push to all, write the evidence
	@exec $(MEGAGATE) load --connections $(CONNS) --target ws://127.0.0.1:$(PORT)/ws --admin-url http://127.0.0.1:$(ADMIN_PORT) $(ARGS)

million: dist/.built ## tune, serve, load CONNS, evidence, orderly stop; exit 0 only if everything held
	$(MEGAGATE) tune --connections $(CONNS) --ports $(PORT),$(ADMIN_PORT) --allow-lowering
	@exec $(MEGAGATE) million --connections $(CONNS) --port $(PORT) --admin-port $(ADMIN_PORT) $(ARGS)

plan: dist/.built ## how big the machine must be for CONNS connections
	@$(MEGAGATE) plan --connections $(CONNS) $(ARGS)

test: dist/.built ## the tests that a change usually needs; FILE=test/unit/flow.test.ts, or a folder, for some of them
	@node dist/test/run.js $(FILE)

fuzz: dist/.built ## attack a live gateway with damaged bytes for a minute; FUZZ_SEED=… repeats a run, FUZZ_PACE sets attacks a second
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} node --enable-source-maps --test $$(find dist/test/fuzz -name '*.test.js')

check: dist/.built ## what CI runs: format, lint, types, dead code, import direction, spelling, and all tests at full depth
	npm run --silent format:check
	npm run --silent lint
	npm run --silent types
	npm run --silent dead
	npm run --silent imports
	npm run --silent spelling
	npm run --silent test:all

format: node_modules/.installed ## rewrite files in the project's format
	npm run --silent format

docs: dist/.built ## rewrite what derives from tables in code: parts of all READMEs, and sysctl/99-megagate.conf
	@UPDATE=1 node --test dist/test/rules/drift.test.js dist/test/rules/sysctl-file.test.js dist/test/rules/ramp-curve.test.js >dist/docs.log || { cat dist/docs.log; exit 1; }
	@echo "READMEs and sysctl/99-megagate.conf are what the tables say"

bench: dist/.built ## publish throughput, by autocannon
	node dist/test/bench/publish.js $(ARGS)

bench-publish: bench

clean: ## remove what was built and installed
	rm -rf dist node_modules
