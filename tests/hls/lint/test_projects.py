"""Generated projects: synthesizable, without warnings, and without undefined behaviour."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fdht_hls.conversion import convert_project
from fdht_hls.lint import lint_project
from tests.hls.conftest import Converted
from tests.hls.lint.builds import run_stream, sanitized, warnings
from tests.hls.networks import CLASSIFIERS, Classifier
from tests.models.format_cases import SHAPES

STANDARDS = ("c++14", "c++17")
BUILDS = ("native", "exact")
#: In the header of all arithmetic; each is switched on by a variable of the environment.
_DEFECTS = """unsigned table_index(const code_T &code) {
    static const char *wanted = std::getenv("FDHT_MUTATION");
    if (wanted && !std::strcmp(wanted, "read")) {
        return 1u << W; // one beyond the table
    }
    if (wanted && !std::strcmp(wanted, "overflow")) {
        static int sum = 2147483000;
        sum += 500; // twice is too much
        return unsigned(sum) & ((1u << W) - 1);
    }
"""


@pytest.fixture(scope="module")
def project(small: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project in a directory that a test may change."""
    copy = tmp_path_factory.mktemp("lint") / "project"
    shutil.copytree(small.project, copy)
    return copy


def patch(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_the_core_is_synthesizable(small):
    assert lint_project(small.project) == []


def test_faults_in_the_kernels_are_found(small, tmp_path):
    """In what templates make of the real kernels, through all that they include."""
    copy = tmp_path / "project"
    shutil.copytree(small.project, copy)
    kernels = copy / "firmware" / "nnet_utils"
    patch(
        kernels / "fdht_integer.h",
        "unsigned table_index(const code_T &code) {\n",
        "unsigned table_index(const code_T &code) {\n    const float scale = 1;\n",
    )
    patch(
        kernels / "fdht_recurrence.h",
        'hls::stream<hidden_word_t> fibres("hidden_fibres");\n',
        'hls::stream<hidden_word_t> fibres("hidden_fibres");\n'
        "    hidden_word_t odd[CONFIG_T::units];\n"
        "    #pragma HLS ARRAY_PARTITION variable=odd cyclic factor=CONFIG_T::units - 1\n",
    )
    found = {(finding.rule, Path(finding.file).name) for finding in lint_project(copy)}
    assert found >= {("floating-point", "fdht_integer.h"), ("partition", "fdht_recurrence.h")}


def test_clang_has_no_warning(small):
    assert warnings(small.project, "libclang", "c++14", "native") == []


def test_warnings_would_be_seen(project):
    patch(
        project / "fdht_csim.cpp",
        "    ap_uint<32> found[",
        "    int unused;\n    ap_uint<32> found[",
    )
    for compiler in ("libclang", "g++"):
        found = warnings(project, compiler, "c++14", "native", ["fdht_csim.cpp"])
        assert len(found) == 1
        assert "fdht_csim.cpp" in found[0] and "unused" in found[0]


@pytest.fixture(scope="module")
def switched(small: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C simulation with sanitizers, and with defects that are switched off."""
    directory = tmp_path_factory.mktemp("sanitized")
    copy = directory / "project"
    shutil.copytree(small.project, copy)
    header = copy / "firmware" / "nnet_utils" / "fdht_integer.h"
    include = "#include <cstdint>"
    patch(header, include, f"{include}\n#include <cstdlib>\n#include <cstring>")
    patch(header, "unsigned table_index(const code_T &code) {\n", _DEFECTS)
    sanitized(copy, directory / "program", "native")
    return directory / "program"


def run_all(program: Path, project: Converted, directory: Path) -> None:
    """Streams of noise and corner cases: equal, and nothing to report."""
    for frames, logits in zip(project.streams, project.logits, strict=True):
        code, shown, reports = run_stream(program, project.network, frames, logits, directory)
        assert reports == [] and code == 0, shown
        assert shown.startswith(f"{len(frames)} frames, 0 words differ")


def test_the_suite_s_streams_are_equal_and_defined(small, switched, tmp_path):
    run_all(switched, small, tmp_path)


@pytest.mark.parametrize(
    ("defect", "report"),
    [("read", "out of bounds"), ("overflow", "signed integer overflow")],
)
def test_planted_defects_are_caught(small, switched, monkeypatch, tmp_path, defect, report):
    monkeypatch.setenv("FDHT_MUTATION", defect)
    frames, logits = small.streams[0], small.logits[0]
    code, shown, reports = run_stream(switched, small.network, frames, logits, tmp_path)
    assert code not in (0, 2) and shown == ""
    assert any(report in line or "global-buffer-overflow" in line for line in reports), reports


def test_a_word_too_many_is_caught(small, switched, tmp_path):
    """The memory of a call ends where its frames do."""
    half = str(small.network.frame_bytes // 16)
    for name in ("frames", "results"):
        (tmp_path / f"{name}.hex").write_text("0\n" * 40)
    done = subprocess.run(
        [
            str(switched),
            *(str(tmp_path / f"{name}.hex") for name in ("frames", "results")),
            half,
            "2",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 2) and "heap-buffer-overflow" in done.stderr


def check_all(project: Converted, directory: Path) -> None:
    """Everything of this module, for one project."""
    assert lint_project(project.project) == []
    for standard, build in zip(STANDARDS, BUILDS, strict=True):
        for compiler in ("g++", "libclang"):
            assert warnings(project.project, compiler, standard, build) == []
    for build in BUILDS:
        sanitized(project.project, directory / build, build)
        run_all(directory / build, project, directory)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier(name, converted, tmp_path):
    check_all(converted(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("label", SHAPES)
def test_every_format(label, tmp_path):
    classifier = Classifier(label, SHAPES[label], generic=True)
    project = Converted(classifier, tmp_path)
    convert_project(classifier.keras(), project.network, project.project, {})
    check_all(project, tmp_path)
