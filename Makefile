# One verb each; `make help` lists them. The work is in ci/ (Python) and tests/.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-demo test-brokers test-cluster test-faults test-soak bench bench-autoscaling \
  bench-autoscaling-live bench-exporter bench-fleet bench-probes bench-rate-limit bench-rendering \
  bench-sources bench-workers package picture reference lint audit up down

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/celery-on-kubernetes
# uv installs everything else. Without one on PATH, pip puts the pinned one into the cache.
UV := $(or $(shell command -v uv),$(CACHE)/uv/bin/uv)
RUN = $(UV) run --frozen --quiet
# A distribution builds it with a profile, which version managers do not: imports take a third less.
export UV_PYTHON ?= $(lastword $(sort $(wildcard /usr/bin/python3.1[1-4])))
CI = UV=$(UV) $(RUN) python -m ci
FOR_FAST := --test-servers --browser --kube-score
FAST := --dist=worksteal tests --ignore=tests/cluster --ignore=tests/demo
BROKERS := tests/runtime/brokers tests/exporter/rabbitmq
# A clone that is new need not begin anew.
export MYPY_CACHE_DIR := $(CACHE)/mypy
# Each of many processes would compile the tests and the packages of this repository.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 32

demo: $(UV) ## Make a cluster, install the demonstration, run its pipelines, show what happened
	@$(CI) demo

up: $(UV) ## Make the cluster (or find it healthy) and print how to reach it
	@$(CI) up

down: $(UV) ## Remove the cluster with all that is in it
	@$(CI) down

# The two in the middle are in one run here: tests of brokers wait while others compute.
test: lint test-demo ## Everything
	@$(CI) exec $(FOR_FAST) --brokers pytest --numprocesses=9 $(FAST)
	@$(MAKE) --no-print-directory test-cluster

test-fast: lint test-demo ## Lint, unit and chart tests
	@$(CI) exec $(FOR_FAST) pytest --numprocesses=4 $(FAST) $(BROKERS:%=--ignore=%)

test-brokers: $(UV) ## Workers on a real RabbitMQ, Redis, Valkey and an SQS server
	@$(CI) exec --test-servers --brokers pytest --numprocesses=8 --dist=worksteal $(BROKERS)

# They run a worker in their own process: it would take others' messages on memory://.
test-demo: $(UV) ## The demonstration's own tests
	@$(CI) exec --test-servers pytest --numprocesses=2 --dist=worksteal tests/demo

test-cluster: $(UV) ## The chart on a cluster: installed, worked with, killed, drained, upgraded
	@$(CI) exec --cluster pytest --numprocesses=5 --dist=loadscope --no-loadscope-reorder \
	  --durations=20 tests/cluster

test-faults: $(UV) ## Tasks under fire, on two nodes: SEED=1 TASKS=100000 FAULTS=200
	@$(CI) exec --cluster --nodes=2 python -m tests.faults --seed $(or $(SEED),1) \
	  --tasks $(or $(TASKS),100000) --faults $(or $(FAULTS),200)

test-soak: $(UV) ## Two hours of steady work, and whether anything grows: MINUTES=120
	@$(CI) exec --cluster python -m tests.soak --minutes $(or $(MINUTES),120)

bench: bench-workers bench-fleet bench-exporter bench-sources bench-probes bench-rendering bench-rate-limit bench-autoscaling ## All of the following but bench-autoscaling-live

bench-autoscaling: $(UV) ## Waits and costs of autoscalers, simulated; TRACE=file.csv replays a trace
	@$(RUN) python -m tests.benchmarks.autoscaling $(if $(TRACE),--trace "$(TRACE)")

bench-autoscaling-live: $(UV) ## Two of the workloads on the cluster, beside KEDA's rabbitmq trigger; CASE=Z for one
	@$(CI) exec --cluster python -m tests.benchmarks.autoscaling.live $(CASE)

bench-probes: $(UV) ## CPU and broker messages of a probe, beside `celery inspect ping`
	@$(CI) exec --brokers python -m tests.benchmarks.probes

bench-exporter: $(UV) ## The exporter's CPU, memory and scrapes, beside celery-exporter and the floor
	@$(CI) exec --test-servers python -m tests.benchmarks.exporter

bench-workers: $(UV) ## What workers do in a second and cost, in Celery's settings, the article's, ours
	@$(CI) exec --brokers python -m tests.benchmarks.workers

bench-sources: $(UV) ## What Celery's events cost workers, producers and brokers
	@$(CI) exec --brokers python -m tests.benchmarks.sources

bench-fleet: $(UV) ## What the exporter and its policy cost from 10 to 1,000 workers
	@$(CI) exec --brokers python -m tests.benchmarks.fleet

bench-rendering: $(UV) ## How long `helm template` takes
	@$(CI) exec python -m tests.benchmarks.rendering

bench-rate-limit: $(UV) ## How exactly twenty workers keep one rate over a minute
	@$(CI) exec --test-servers pytest tests/benchmarks/rate_limit.py

package: $(UV) ## The chart in dist/, of one commit the same bytes; SIGN="--sign …" as helm takes it
	@$(CI) package -- $(SIGN)

picture: $(UV) ## Photograph the exporter's page for README
	@$(CI) exec --browser python -m tests.exporter.page.picture docs/exporter-page.png

reference: $(UV) ## Write the charts' tables of values from the comments of values.yaml
	@$(CI) reference

audit: $(UV) ## Ask the OSV database what is known of the locked packages
	$(UV) audit --frozen --preview-features audit-command

lint: $(UV) ## Style, types, Dockerfiles, shell, charts
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy ci images/runtime/src images/demo/src images/exporter/src tests
	$(RUN) hadolint $$(git ls-files '*Dockerfile' '*Containerfile')
	$(RUN) shellcheck .ci/run $$(git ls-files '*.sh')
	@$(CI) exec sh -ec 'for base in dev staging production; do for overlay in $$base redis sqs; do \
	  helm lint --quiet charts/celery --values "values/$$base.yaml" \
	    --values "values/$$overlay.yaml"; done; done'

$(CACHE)/uv/bin/uv:
	@python3 -m venv $(CACHE)/uv >/dev/null 2>&1 || { \
	  echo "Installing python3-venv (apt)"; \
	  apt-get -qq update && apt-get -qq install --no-install-recommends python3-venv >/dev/null && \
	  python3 -m venv --clear $(CACHE)/uv; }
	@$(CACHE)/uv/bin/pip install --quiet uv==0.13.8
