"""The plug-in, as users of hls4ml meet it: in interpreters of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def interpreter(*arguments: str) -> str:
    """Runs a fresh interpreter at the root of the repository and returns what it printed last."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


_REPORT = """
import json, sys
import hls4ml
from fdht_hls.backend import FdhtBackend
from fdht_hls.nodes import FdhtCell
from hls4ml.converters.keras_v2_to_hls import layer_handlers
from hls4ml.model.layers import layer_map
print(json.dumps({
    "backend": "fdht" in hls4ml.backends.get_available_backends(),
    "writer": type(hls4ml.writer.get_writer("FDHT")).__name__,
    "handler": layer_handlers["QFDHTLSTM"].__module__,
    "layers": sorted(name for name in layer_map if name.startswith("Fdht")),
    "ours": type(hls4ml.backends.get_backend("FDHT")) is FdhtBackend
    and layer_map["FdhtCell"] is FdhtCell,
    "heavy": sorted({"tensorflow", "keras", "tf_keras", "qkeras"} & set(sys.modules)),
    "finders": [type(finder).__name__ for finder in sys.meta_path],
}))
"""


@pytest.mark.parametrize(
    "first",
    [
        "import hls4ml",
        "from hls4ml.converters import convert_from_keras_model",
        "from hls4ml.backends import VitisBackend",
        "import hls4ml.model.graph",
        "import fdht_hls.plugin",
        "import fdht_hls.conversion, fdht_hls.estimate, fdht_hls.csimulation",
        "import fdht_hls.backend",
        "from fdht_hls.nodes import FdhtLstm",
        "from fdht_hls.parsing import StreamUnits",
        pytest.param("import fdht_hls.cpp_text", marks=pytest.mark.slow),
        pytest.param("import fdht_hls.parsing", marks=pytest.mark.slow),
        pytest.param("import fdht_hls.writer", marks=pytest.mark.slow),
    ],
)
def test_importing_hls4ml_is_all_it_takes(first):
    """Also as the first of whatever is imported; TensorFlow stays away."""
    report = json.loads(interpreter("-W", "error", "-c", f"{first}\n{_REPORT}"))
    finders = report.pop("finders")
    assert report == {
        "backend": True,
        "writer": "FdhtWriter",
        "handler": "fdht_hls.parsing",
        "layers": ["FdhtCell", "FdhtContraction", "FdhtHead", "FdhtLstm"],
        "ours": True,
        "heavy": [],
    }
    assert "_WhenConvertersAreThere" not in finders, "it goes when its work is done"


#: Integers compared, and whether a sample depends on those before it.
LAST, EVERY, STATEFUL = "last of a sequence", "every step of a sequence", "one stateful step"
CASES = {LAST: (20 * 3, False), EVERY: (20 * 3 * 8, False), STATEFUL: (40 * 3, True)}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([LAST, STATEFUL], id="last-and-stateful"),
        pytest.param([EVERY], id="every", marks=pytest.mark.slow),
    ],
)
def test_a_user_s_script_meets_keras_exactly(tmp_path, names):
    """hls4ml's converters, `compile` and `predict`; no tool of ours. See `user_script`."""
    found = json.loads(interpreter("-m", "tests.hls.user_script", str(tmp_path), *names))
    assert list(found) == names
    for name in names:
        compared, stateful = CASES[name]
        assert found[name]["mismatches"] == 0, name
        assert found[name]["compared"] == compared, name
        assert found[name]["state_matters"] is stateful, name
        assert found[name]["distinct"] > 40, "a dead network proves nothing"
