"""What the pages show must run."""

import re
import warnings
from pathlib import Path

import pytest

from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.sparse_frames import FrameFault

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
PACKAGES = {path.name: path for path in ROOT.glob("*/fdht_*")} | {"fdht": ROOT / "fdht"}
#: Files that pages name and that are not in the repository, and why.
ELSEWHERE = {
    "bbaexport.py": "of nextpnr",
    "firmware/fdht_lstm.cpp": "written into a project by a conversion",
    "firmware/parameters.h": "likewise",
    "models/fdht_models/layers/<kind>.py": "what the author of a cell adds",
    "skimage/data/_fetchers.py": "of scikit-image",
}


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


def test_the_frame_that_is_shown_is_packed_so():
    names = {}
    for block in blocks("docs/sparse.md"):
        exec(block, names)
    shown = re.findall(
        r"^\| \d+ \| `((?:[0-9a-f]{2} ?){8})` \|", (ROOT / "docs/sparse.md").read_text(), re.M
    )
    assert len(shown) == 4
    assert names["lines"] == shown


def test_the_faults_that_are_listed_are_those_of_the_core():
    rows = re.findall(r"^\| (\d) \| `([A-Z]+)` \|", (ROOT / "docs/sparse.md").read_text(), re.M)
    assert {name: 1 << int(bit) for bit, name in rows} == {
        fault.name: fault.value for fault in FrameFault
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def quoted(page):
    """What a page has between backticks, outside blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def files_named(page):
    """Source files and templates that a page names, by path or by name."""
    pattern = re.compile(r"[\w./<>*-]+\.(?:py|h|j2|cpp)(?![\w.])")
    return {name for text in quoted(page) for name in pattern.findall(text)}


@pytest.fixture(scope="module")
def sources():
    folders = ("fdht", "models", "hls", "overlays", "host", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    return [path.relative_to(ROOT) for path in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page, sources):
    missing = {name for name in files_named(page) if not any(path.match(name) for path in sources)}
    assert missing <= set(ELSEWHERE)


def test_what_is_elsewhere_is_named_and_is_not_here(sources):
    assert set(ELSEWHERE) <= set.union(*(files_named(page) for page in PAGES))
    assert not [name for name in ELSEWHERE if any(path.match(name) for path in sources)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_that_a_page_names_are_there(page):
    for text in quoted(page):
        for name in re.findall(r"\bfdht(?:_[a-z]+)?(?:\.\w+)+(?![\w.])", text):
            if not re.search(r"\.(?:h|j2|cpp)$", name):
                assert is_there(name), name


def is_there(name):
    """Whether a dotted name is a module's, or that of something that a module has."""
    package, *parts = name.split(".")
    place = PACKAGES[package]
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / "__init__.py"
    if parts and (place / f"{parts[0]}.py").is_file():
        module = place / f"{parts.pop(0)}.py"
    return module.is_file() and all(re.search(rf"\b{part}\b", module.read_text()) for part in parts)


def test_the_page_of_the_rtl_names_its_modules():
    tables = re.findall(
        r"^\| File .*\n(?:\|.*\n)+", (ROOT / "docs/rtl.md").read_text(), re.MULTILINE
    )
    assert len(tables) == 2
    named = {name for table in tables for name in re.findall(r"`(\w+\.py)`", table)}
    there = {path.name for path in (ROOT / "hls/fdht_hls/rtl").glob("*.py")}
    # The other files of the room have chapters of their own, or serve commands.
    others = {"__init__.py", "engine.py", "gantt.py", "experiments.py"}
    others |= {"cosim.py", "cosim_contexts.py"}
    assert named == there - others - {"yosys_count.py"}


def test_the_page_of_the_open_flow_names_its_files():
    rows = re.findall(r"^\| (`[^|]*) \|", (ROOT / "docs/open-flow.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
    there = {path.name for path in (ROOT / "overlays/fdht_overlays/open").glob("*.py")}
    assert named == there - {"__init__.py"}
