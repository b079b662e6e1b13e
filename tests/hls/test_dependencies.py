"""What a conversion depends on: another version of it converts anew, and of nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import fdht_hls
from fdht_hls import conversion as stage
from fdht_hls.dependencies import sources_digest, sources_of
from fdht_models.tensor.cells.kinds import KINDS

PACKAGE = Path(fdht_hls.__file__).parent
FILES = {
    "__init__.py": "",
    "stage.py": "import numpy\nfrom made.a import one\n\ndef work():\n    import made.far.b\n",
    "a.py": "from . import near\nfrom made import direct\nTEMPLATE = 't.j2'\nTABLE = 'a.toml'\n",
    "a.toml": "one = 1\n",
    "near.py": "from .far import c as other\n",
    "direct.py": "import made.stage\n",  # a circle
    "far/__init__.py": "",
    "far/b.py": "b = 1\n",
    "far/c.py": "c = 1\n",
    "templates/t.j2": "{% include 'inner.j2' %}",
    "templates/inner.j2": "text",
    "include/kernel.h": "int x;",
}
OTHERS = {
    "bench.py": "from made import stage\nTEMPLATE = 'bench.j2'\n",
    "far/d.py": "d = 1\n",
    "far/d.toml": "d = 1\n",
    "templates/bench.j2": "text",
    "include/notes.txt": "text",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in {**FILES, **OTHERS}.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "made"


def test_imports_templates_and_kernels_are_followed(package):
    found = sources_of("made.stage", package)
    assert {str(path.relative_to(package)) for path in found} == set(FILES)


@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_the_digest_is_of_these_files_only(package, name):
    before = sources_digest("made.stage", package)
    path = package / name
    path.write_text(path.read_text() + "\n")
    assert (sources_digest("made.stage", package) != before) is (name in FILES)


def found_for_conversion() -> set[str]:
    return {str(path.relative_to(PACKAGE)) for path in sources_of("fdht_hls.conversion", PACKAGE)}


def test_what_a_conversion_depends_on():
    found = found_for_conversion()
    modules = (
        *("conversion", "writer", "cpp_text", "nodes", "parsing", "plugin", "backend"),
        *("shapes", "schedule", "weights", "adders", "registers"),
        *("conversion_model", "solver", "csimulation", "equality", "estimate/hls", "lint/program"),
        *("engine/lower", "engine/contractions", "tuner/board_plan"),
    )
    assert found >= {f"{name}.py" for name in modules}
    assert "lint/pragmas.toml" in found
    assert found >= {f"include/{path.name}" for path in (PACKAGE / "include").iterdir()}
    others = ("benchmarks", "rtl", "vitis", "templates/fdht_rtl")
    assert [name for name in found if name.startswith(others)] == []


def test_other_sources_and_other_cells_convert_anew(monkeypatch: pytest.MonkeyPatch):
    before = stage.source_digest()
    assert before == stage.source_digest()
    changed = {**KINDS, "gru": replace(KINDS["gru"], gates=KINDS["gru"].gates[::-1])}
    monkeypatch.setattr(stage, "KINDS", changed)
    with_other_cells = stage.source_digest()
    monkeypatch.setattr(stage, "sources_digest", lambda *_: "others")
    assert len({before, with_other_cells, stage.source_digest()}) == 3


_LOADED = """
import json, sys
from pathlib import Path
import jinja2
import fdht_hls.conversion, fdht_hls.conversion_model
import hls4ml
from fdht_hls import cpp_text
from fdht_hls.conversion import convert_project
from tests.hls.networks import CLASSIFIERS

rendered = set()
get_template = jinja2.Environment.get_template
def note(environment, name, *others, **more):
    rendered.add(name)
    return get_template(environment, name, *others, **more)
jinja2.Environment.get_template = note
small = CLASSIFIERS["bytes"]
convert_project(small.keras(), small.network, Path(sys.argv[1]), {})
print(json.dumps([sorted(n for n in sys.modules if n.startswith("fdht_hls")), sorted(rendered)]))
"""


def test_nothing_that_a_conversion_loads_is_missing(tmp_path):
    """A module or a template that is reached in another way than by imports and names."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, str(tmp_path / "project")],
        cwd=PACKAGE.parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules, templates = json.loads(done.stdout.splitlines()[-1])
    found = found_for_conversion()
    files = {name.removeprefix("fdht_hls").removeprefix(".").replace(".", "/") for name in modules}
    paths = {
        f"{name}.py" if (PACKAGE / f"{name}.py").is_file() else f"{name}/__init__.py".lstrip("/")
        for name in files
    }
    assert "writer.py" in paths and "estimate/__init__.py" in paths
    assert paths <= found
    assert {f"templates/{name}" for name in templates} <= found
    assert "fdht_lstm.cpp.j2" in templates
