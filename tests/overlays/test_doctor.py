"""The doctor looks at packages that are there but do not work together."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fdht_models import versions
from fdht_models.versions import foreign_package
from fdht_overlays import doctor


def part(name: str) -> dict[str, object]:
    return next(part for part in doctor.examine() if part["name"] == name)


def finding(name: str, of: str) -> dict[str, object]:
    return next(one for one in part(name)["findings"] if one["name"] == of)


@pytest.mark.parametrize(
    ("pynq", "metadata", "said"),
    [
        ("3.0.1", "0.1.9", None),
        ("3.1.2", "0.1.9", None),
        ("4.0.0", "0.2.0", None),
        ("3.1.2", "0.2.0", "cannot read overlays that have block RAM with pynqmetadata 0.2.0"),
        ("3.0.1", "0.10.0", "cannot read overlays"),
        ("4.0.0", "0.1.9", "needs a newer pynqmetadata than 0.1.9"),
        ("3.1.2", None, "has no pynqmetadata"),
    ],
)
def test_pynq_and_pynqmetadata_fit(
    monkeypatch: pytest.MonkeyPatch, pynq: str, metadata: str | None, said: str | None
):
    installed = {"pynq": pynq, "pynqmetadata": metadata, "av": "18", "matplotlib": "3.9"}
    monkeypatch.setattr(doctor, "package_version", installed.get)
    found = finding("run", "pynq")
    assert part("run")["ready"] is (said is None)
    if said is None:
        assert found["problem"] is None
    else:
        assert said in found["problem"] and "pynqmetadata" in found["remedy"]
        (line,) = [line for line in doctor.lines([part("run")]) if said in line]
        assert f"pynq {pynq} {said}" in line and "pip install" in line


def install(site: Path, name: str, version: str, package: str) -> None:
    """What pip leaves of a wheel that holds one package of one file."""
    place = site / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (place / "RECORD").write_text(f"{package}/__init__.py,,\n{place.name}/METADATA,,\n")
    (site / package).mkdir(exist_ok=True)
    (site / package / "__init__.py").write_text("")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def test_a_package_of_two_distributions_is_told(site: Path):
    install(site, "mine", "1.0", "shared_name")
    assert foreign_package("shared_name", "mine") is None
    install(site, "HGQ9", "2.0", "shared_name")
    problem, remedy = foreign_package("shared_name", "mine")
    assert problem == "is overwritten by HGQ9, with files of the same names"
    assert remedy == "pip uninstall HGQ9 mine, then pip install fdht[train]"


def test_a_directory_in_the_way_of_a_distribution_is_told(site: Path):
    install(site / "site", "mine", "1.0", "other_name")
    sys.path.append(str(site / "site"))
    try:
        assert foreign_package("other_name", "mine") is None
        (site / "other_name").mkdir()
        (site / "other_name" / "__init__.py").write_text("")
        importlib.invalidate_caches()
        problem, _ = foreign_package("other_name", "mine")
        assert problem.startswith(f"is found at {site / 'other_name'}")
    finally:
        sys.path.remove(str(site / "site"))


def test_nothing_is_told_of_what_is_not_there():
    assert foreign_package("no_such_package_at_all", "mine") is None


def test_the_doctor_and_training_refuse_the_qkeras_of_another(tmp_path: Path):
    """As one line, and before TensorFlow is loaded."""
    install(tmp_path, "QKeras", "0.9.0", "qkeras")
    install(tmp_path, "HGQ2", "0.1.0", "qkeras")
    script = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from fdht_overlays import doctor\n"
        "train = next(part for part in doctor.examine() if part['name'] == 'train')\n"
        "found = next(one for one in train['findings'] if one['name'] == 'qkeras')\n"
        "try:\n"
        "    import fdht_models.kerasapi\n"
        "except Exception as error:\n"
        "    said = f'{type(error).__name__}: {error}'\n"
        "print(json.dumps([train['ready'], found['problem'], said, 'tensorflow' in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    ready, problem, said, loaded = json.loads(done.stdout.splitlines()[-1])
    assert ready is False and problem == "is overwritten by HGQ2, with files of the same names"
    assert said == f"ToolError: qkeras: {problem}; " + (
        "pip uninstall HGQ2 QKeras, then pip install fdht[train]"
    )
    assert loaded is False


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11 the library itself overlooks some"
)
def test_who_brings_a_module_is_what_the_standard_library_says(site: Path) -> None:
    install(site, "mine", "1.0", "shared_name")
    install(site, "theirs", "2.0", "shared_name")
    (site / "theirs-2.0.dist-info" / "top_level.txt").write_text("shared_name\nother\n")
    install(site, "alike", "1.0", "shared_names")
    known = importlib.metadata.packages_distributions()
    assert sorted(known["shared_name"]) == ["mine", "theirs"]
    for module in ("shared_name", "other", "shared_names", "numpy", "pytest", "yaml", "nobody"):
        assert versions._distributions_of(module) == set(known.get(module, ())), module
