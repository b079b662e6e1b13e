"""The C++: clean under all warnings and sanitizers, and a test bench that can fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.backend import INCLUDE
from fdht_hls.equality import corner_frames, reference_logits
from tests.hls.conftest import Converted

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
#: Loops have labels, which only a synthesis tool reads, and pragmas of its own.
ALLOWED = ("-Wno-unknown-pragmas", "-Wno-unused-label")
WARNINGS = ("-std=c++14", "-Wall", "-Wextra", "-Werror", *ALLOWED, "-fsyntax-only")


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )


def test_there_is_a_compiler():
    assert "g++" in COMPILERS


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_header_stands_alone_and_is_clean(compiler, ap_types, tmp_path):
    sources = []
    for header in sorted(INCLUDE.glob("*.h")):
        source = tmp_path / f"{header.stem}.cpp"
        source.write_text(f'#include "{header.name}"\n#include "{header.name}"\n')
        sources.append(source.name)
    assert len(sources) == 11
    found = run(
        [compiler, *WARNINGS, f"-I{INCLUDE}", "-isystem", str(ap_types), *sources], tmp_path
    )
    assert not found.stderr and not found.returncode, found.stderr


@pytest.fixture
def ours(small: Converted, tmp_path: Path) -> Path:
    """The generated core and our headers alone, so that all others can be system headers."""
    (tmp_path / "firmware").mkdir()
    for name in ("fdht_csim.cpp", "fdht_testbench.cpp", "firmware/fdht_lstm.h"):
        shutil.copyfile(small.project / name, tmp_path / name)
    shutil.copyfile(small.project / "firmware/fdht_lstm.cpp", tmp_path / "fdht_lstm.cpp")
    shutil.copytree(INCLUDE, tmp_path / "nnet_utils")
    return tmp_path


@pytest.mark.parametrize("build", [[], ["-DFDHT_NATIVE_INTEGERS"]], ids=["exact", "native"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_generated_core_is_clean(small, ours, compiler, build):
    """With all templates instantiated; hls4ml's headers are not ours to mend."""
    system = [small.project / "firmware", small.project / "firmware" / "ap_types"]
    includes = [f"-I{ours}", *(flag for path in system for flag in ("-isystem", str(path)))]
    # Ours first: their guards keep the copies in the system directory out.
    first = [
        flag for path in INCLUDE.glob("*.h") for flag in ("-include", f"nnet_utils/{path.name}")
    ]
    sources = ["fdht_lstm.cpp", "fdht_csim.cpp", "fdht_testbench.cpp"]
    command = [compiler, *WARNINGS, *build, *first, *includes]
    found = run([*command, *sources], ours)
    assert not found.stderr and not found.returncode, found.stderr
    if build:
        return
    kernel = ours / "nnet_utils" / "fdht_cell.h"
    kernel.write_text(kernel.read_text().replace("unsigned step = 0;", "int step = 0;"))
    found = run([*command, "fdht_lstm.cpp"], ours)
    assert found.returncode != 0 and "-Werror=sign-compare" in found.stderr, (
        "the check sees nothing"
    )


# The test bench -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(small: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fdht_testbench.cpp as a program that checks itself for undefined behaviour."""
    program = tmp_path_factory.mktemp("bench") / "bench"
    found = run(
        [
            *("g++", "-std=c++14", "-O0", "-w", "-DFDHT_NATIVE_INTEGERS"),
            *("-fsanitize=undefined,address", "-Ifirmware/ap_types", "-Ifirmware", "-I."),
            *("fdht_testbench.cpp", "firmware/fdht_lstm.cpp", "-o", str(program)),
        ],
        small.project,
    )
    assert found.returncode == 0, found.stderr
    return program


def test_the_golden_vectors_are_the_reference_s(small):
    network = small.network
    frames = corner_frames(network, 10)
    words = {
        name: [
            int(line, 16)
            for line in (small.project / "tb_data" / f"{name}.hex").read_text().split()
        ]
        for name in ("frames", "results")
    }
    memory = np.array(words["frames"], "<u8").view(np.uint8).reshape(10, 64)
    np.testing.assert_array_equal(memory[:, :60], frames)
    results = np.array(words["results"], "<u8").view("<i4").reshape(10, 4)
    np.testing.assert_array_equal(results[:, :3], reference_logits(network, frames[None])[0])
    assert (results < 0).any()


def test_the_bench_passes_without_undefined_behaviour_of_ours(small, bench):
    found = run([str(bench)], small.project)
    said = "10 frames in calls of 4 and 6, 0 words differ of 20\n"
    assert (found.returncode, found.stdout) == (0, said)
    reports = [line for line in found.stderr.splitlines() if "runtime error" in line]
    # ap_private.h shifts negative values to the left, which g++ defines; it is not ours.
    assert [line for line in reports if "ap_types/" not in line] == []
    assert "AddressSanitizer" not in found.stderr


@pytest.mark.parametrize("word", [0, 1, 19])
@pytest.mark.parametrize("digit", [0, 15])
def test_the_bench_fails_if_one_digit_of_a_result_differs(small, bench, tmp_path, word, digit):
    data = tmp_path / "tb_data"
    shutil.copytree(small.project / "tb_data", data)
    lines = (data / "results.hex").read_text().splitlines()
    old = lines[word]
    lines[word] = old[:digit] + f"{int(old[digit], 16) ^ 1:x}" + old[digit + 1 :]
    (data / "results.hex").write_text("\n".join(lines) + "\n")
    found = run([str(bench), str(data)], small.project)
    said = "10 frames in calls of 4 and 6, 1 words differ of 20\n"
    assert (found.returncode, found.stdout) == (1, said)


@pytest.mark.parametrize(
    ("frames", "results", "message"),
    [
        (None, "", "cannot open"),
        ("", None, "cannot open"),
        ("", "", "0 words of frames do not fit 0 words of results"),
        ("0\n" * 16, "0\n" * 3, "16 words of frames do not fit 3 words of results"),
    ],
)
def test_the_bench_refuses_vectors_that_do_not_fit(
    small, bench, tmp_path, frames, results, message
):
    for name, text in (("frames", frames), ("results", results)):
        if text is not None:
            (tmp_path / f"{name}.hex").write_text(text)
    found = run([str(bench), str(tmp_path)], small.project)
    assert found.returncode == 2 and message in found.stdout
