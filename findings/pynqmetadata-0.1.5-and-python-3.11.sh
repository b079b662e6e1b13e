#!/usr/bin/env bash
# pip installs pynqmetadata 0.1.5 (and those before it) for Python 3.11 without a word: the package
# states no upper bound of Python. It cannot be imported there: a dataclass has an instance of
# another as a field's default, which Python 3.11 refuses. So pynq 3 of that time has no metadata.
# 0.1.9, the next that was published, can be imported.
# Exits with 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3.11}

"$python" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
try_it() {
    "$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

print("Python", *sys.version_info[:2], "pynqmetadata", version("pynqmetadata"), end=": ")
try:
    import pynqmetadata
    print("imported")
except ValueError as error:
    print("ValueError", error)
PYTHON
}

pip install pynqmetadata==0.1.5 pydantic==1.9.1
old=$(try_it)
echo "$old"
pip install pynqmetadata==0.1.9
new=$(try_it)
echo "$new"
[[ $old == *"ValueError mutable default"* && $new == *imported ]]
