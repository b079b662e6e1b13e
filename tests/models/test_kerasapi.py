"""What importing TensorFlow, Keras 2 and QKeras loads."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, types
theirs = types.ModuleType("keras") if {imported} else None
if theirs:
    sys.modules["keras"] = theirs
import fdht_models.kerasapi
assert sys.modules.get("keras") is theirs, "what the name meant before"
loaded = {{name.partition(".")[0] for name in sys.modules}} & {{"keras", "sklearn", "matplotlib"}}
assert loaded == ({{"keras"}} if theirs else set()), loaded
print(fdht_models.kerasapi.qkeras.QDense(3).units)
"""


def test_keras_3_is_neither_loaded_nor_lost():
    """Beside QKeras it would take as long to load as the rest; a user's own stays what it was."""
    for imported in (False, True):
        command = [sys.executable, "-c", SCRIPT.format(imported=imported)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["3"]
