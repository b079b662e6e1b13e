"""What the pages show must run."""

import re
import warnings
from pathlib import Path

import pytest

from fdht_models.tensor.quantized import QuantizedNetwork

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])


def blocks(page):
    """Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_script_for_model_authors_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of QKeras and hls4ml
        for block in blocks("docs/model-author.md"):
            exec(block, names)
    assert isinstance(names["network"], QuantizedNetwork)
    assert (tmp_path / "project/firmware/parameters.h").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_of_the_open_flow_names_its_files():
    rows = re.findall(r"^\| (`[^|]*) \|", (ROOT / "docs/open-flow.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
    there = {path.name for path in (ROOT / "overlays/fdht_overlays/open").glob("*.py")}
    assert named == there - {"__init__.py"}
