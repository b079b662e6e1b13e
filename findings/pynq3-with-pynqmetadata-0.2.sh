#!/usr/bin/env bash
# pynq 3.1.2 asks for any pynqmetadata, and pip gives it 0.2.0. With that it cannot list the memories
# of its own base overlays: pynqmetadata keys an address map by port and block since 0.2, and pynq 3's
# view looks ports up in it. Whatever block RAM the processor sees is a KeyError. With 0.1.9 it works.
# Exits with 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3.11}

"$python" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install pynq==3.1.2 pynqmetadata==0.2.0 pynqutils==0.1.3 numpy==1.26.4 pycparser==2.23 'setuptools<81'

# The base overlay's hand-off file is in the source distribution.
pip download --no-deps --no-binary pynq --dest "$work" pynq==3.1.2
tar xzf "$work/pynq-3.1.2.tar.gz" -C "$work" pynq-3.1.2/boards/Pynq-Z2/base/base.hwh

cat > "$work/memories.py" <<'PYTHON'
import sys, warnings
warnings.simplefilter("ignore")
from importlib.metadata import version
from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
from pynqmetadata.frontends import Metadata

print("pynq", version("pynq"), "pynqmetadata", version("pynqmetadata"), end=": ")
try:
    print("memories", sorted(RuntimeMetadataParser(Metadata(input=sys.argv[1])).mem_dict))
except KeyError as error:
    print("KeyError", error)
PYTHON
read_it() { "$work/venv/bin/python" "$work/memories.py" "$work/pynq-3.1.2/boards/Pynq-Z2/base/base.hwh"; }

new=$(read_it)
echo "$new"
pip install pynqmetadata==0.1.9
old=$(read_it)
echo "$old"
[[ $new == *"KeyError"*"S_AXI[port]"* && $old == *"memories"* ]]
