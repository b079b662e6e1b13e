"""The notebook for a board: its cells in order, on the simulated one.

As plain Python in this process: a kernel of Jupyter would need more packages than all else of the
host, and could not have the integer reference as its core.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import fdht_host
from tests.host.builds import reference_as_core, write_build, write_video

NOTEBOOK = Path(fdht_host.__file__).parent / "notebooks" / "board.ipynb"


def cells() -> list[str]:
    found = json.loads(NOTEBOOK.read_text())
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in found["cells"]]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    # What is shipped has not been run anywhere.
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    return ["".join(cell["source"]) for cell in code]


def test_its_cells_run_on_the_simulated_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reference_as_core(monkeypatch)
    built = write_build(tmp_path / "build") / "overlay" / "sim" / "csim"
    here = tmp_path / "fdht"
    shutil.copytree(built, here / "overlay")
    shutil.rmtree(tmp_path / "build")
    shutil.copytree(NOTEBOOK.parent, here / "notebooks")
    monkeypatch.chdir(here / "notebooks")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FDHT_SOURCE", str(write_video(tmp_path / "v.mkv")))
    names: dict[str, Any] = {}
    for cell in cells():
        exec(compile(cell, "cell", "exec"), names)
    said = capsys.readouterr().out
    assert "tiny-net on sim, design " in said and "v.mkv: " in said
    assert "117 integers compared, 0 mismatches" in said
    assert " mJ +- " in said and "(modelled)" in said and "not run on hardware" in said
    assert names["directory"].is_relative_to(here / "run")


def test_its_cells_are_python_of_the_board_s_image() -> None:
    for cell in cells():
        ast.parse(cell, feature_version=(3, 10))
