#!/bin/sh
# Makes the project's environment: what the lock pins, then the three members from the checkout.
#
# usage: sh tools/setup.sh VENV      $PYTHON: the Python to use where uv is not on PATH
set -eu
venv=$1

if command -v uv >/dev/null 2>&1; then
  [ -x "$venv/bin/python" ] || uv venv -q --python '>=3.11' "$venv"
  install() { uv pip install -q --python "$venv/bin/python" --no-deps "$@"; }
else
  command -v "${PYTHON:=python3}" >/dev/null 2>&1 || { echo "setup: needs Python 3.11 or newer, or uv" >&2; exit 1; }
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "setup: $PYTHON is $("$PYTHON" --version); Weir needs 3.11 or newer: make PYTHON=python3.12 setup" >&2; exit 1; }
  [ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
  install() { "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps "$@"; }
fi

echo "setup: installing into $venv"
install --require-hashes -r requirements/dev.txt
# This one has no wheel: it is built with the setuptools that the lock has just brought.
install --require-hashes --no-build-isolation -r requirements/demo.txt
install --no-build-isolation -e sdk -e server -e workers
