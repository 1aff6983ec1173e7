# Everything a person types: make run, make test, make check, make bench. Each installs what it needs first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: run test check bench bench-learning guide lock help

help:
	@echo "make run              the demo plate in a browser; make run IMAGES=/a/folder shows your own"
	@echo "make test             all tests (ARGS='-k words' for some)"
	@echo "make check            lint, format, types, Django's checks, missing migrations"
	@echo "make bench            the benchmarks, at full size (ARGS=scale for one, ARGS=--quick)"
	@echo "make guide            draws the pictures of the help page anew"
	@echo "make bench-learning   only that of labels and learning (the first time it draws its plates)"

run: $(INSTALLED)
	@$(PY) manage.py run $(if $(IMAGES),--images "$(IMAGES)")

test: $(INSTALLED)
	@sh tests/browser/install_chromium.sh
	$(PY) -m pytest -n auto --maxprocesses=4 --dist worksteal $(ARGS)

check: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	CELLQC_HTTPS=1 $(PY) manage.py check --deploy --fail-level WARNING
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null

bench: $(INSTALLED)
	$(PY) -m benchmarks $(ARGS)

bench-learning: $(INSTALLED)
	$(PY) -m benchmarks learning

# The pictures of the help page, from a simulated plate; a change of the pages' look asks for it.
guide: $(INSTALLED)
	@sh tests/browser/install_chromium.sh
	$(PY) -m pytest -q tests/browser/guide.py

# Pin anew what pyproject.toml allows. torch keeps its plain version: a build tag exists on one machine only.
lock: $(INSTALLED)
	$(VENV)/bin/pip-compile --quiet --upgrade --extra dev --strip-extras --no-header --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --annotation-style line -o requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+[a-z0-9]*/\1/' requirements.lock

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "cellqc needs Python 3.11 or later; name one with make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) \
		|| { echo "Python cannot make a virtual environment here; on Debian install python3-venv."; exit 1; }
	@echo "Installing packages into $(VENV) (a few minutes the first time) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@
