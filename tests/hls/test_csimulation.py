"""The C simulation as a core with memory: pieces, reset, identity, copies; and how it fails."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fdht_hls import csimulation
from fdht_hls.csimulation import (
    CSimulation,
    Identity,
    compile_library,
    compiler,
    compiling,
    pack_frames,
    unpack_results,
)
from fdht_hls.equality import corner_frames
from fdht_hls.registers import ABI_VERSION, IDENTITY_REGISTERS
from fdht_models.errors import ArtifactError, ConversionError, DeviceError, ToolError
from tests.hls.conftest import Converted, simulate
from tests.hls.networks import streams_of
from tests.models.strategies import build_network
from tests.programs import process_ended

NOTHING = np.zeros(0, np.uint8)


@pytest.fixture
def simulation(small: Converted) -> Iterator[CSimulation]:
    core = CSimulation(small.library("native"))
    yield core
    core.close()


def ask(simulation: CSimulation) -> Identity:
    return simulation.run(NOTHING, NOTHING, 0, False)


# State ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[0, 60], [0, 1, 60], [0, 7, 8, 30, 59, 60], [*range(61)]])
def test_pieces_are_as_one(small, simulation, cuts):
    stream = small.streams[0]
    parts = [
        simulate(simulation, small.network, stream[start:stop], start == 0)
        for start, stop in pairwise(cuts)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), small.logits[0])


def test_a_new_core_starts_from_zero(small, simulation):
    found = simulate(simulation, small.network, small.streams[0], False)
    np.testing.assert_array_equal(found, small.logits[0])


def test_the_state_lives_until_it_is_reset(small, simulation):
    frames = small.streams[0, :5]
    first = simulate(simulation, small.network, frames, True)
    going_on = simulate(simulation, small.network, frames, False)
    again = simulate(simulation, small.network, frames, True)
    np.testing.assert_array_equal(again, first)
    assert (going_on != first).any()


def test_a_reset_is_of_the_first_frame_of_a_call_only(small, simulation):
    simulate(simulation, small.network, small.streams[1], False)
    found = simulate(simulation, small.network, small.streams[0], True)
    np.testing.assert_array_equal(found, small.logits[0])


def test_a_call_without_frames_keeps_the_state_even_with_reset(small, simulation):
    stream = small.streams[0]
    simulate(simulation, small.network, stream[:20], True)
    simulation.run(NOTHING, NOTHING, 0, False)
    simulation.run(NOTHING, NOTHING, 0, True)
    found = simulate(simulation, small.network, stream[20:], False)
    np.testing.assert_array_equal(found, small.logits[0, 20:])


def test_two_cores_of_one_library_have_a_state_each(small, simulation):
    other = CSimulation(small.library("native"))
    found: dict[CSimulation, list[np.ndarray]] = {simulation: [], other: []}
    for start in range(0, 60, 4):
        piece = slice(start, start + 4)
        for position, core in enumerate(found):
            codes = small.streams[position, piece]
            found[core].append(simulate(core, small.network, codes, False))
    for position, parts in enumerate(found.values()):
        np.testing.assert_array_equal(np.concatenate(parts), small.logits[position])
    assert ask(simulation).frames_done == ask(other).frames_done == 60
    other.close()


# Identity ---------------------------------------------------------------------------------------


def test_the_identity_is_that_of_the_network(small, simulation):
    network = small.network
    identity = ask(simulation)
    assert Identity._fields == tuple(register.name for register in IDENTITY_REGISTERS)
    assert identity == Identity(
        ABI_VERSION, network.design_id & 0xFFFFFFFF, network.design_id >> 32, 64, 16, 0
    )
    assert (network.frame_bytes, network.result_bytes) == (64, 16)


def test_the_identity_is_that_of_every_network(converted):
    project = converted("words")
    network = project.network
    core = CSimulation(project.library("exact"))
    assert ask(core) == Identity(
        ABI_VERSION, network.design_id & 0xFFFFFFFF, network.design_id >> 32, 192, 16, 0
    )
    core.close()


def test_frames_done_counts_since_the_start(small, simulation):
    counts = []
    for frames in (0, 3, 0, 7, 1):
        codes = pack_frames(small.network, small.streams[0, :frames])
        results = np.zeros(frames * 16, np.uint8)
        counts.append(simulation.run(codes, results, frames, reset=True).frames_done)
    assert counts == [0, 3, 3, 10, 11]


# Memory -----------------------------------------------------------------------------------------


def test_what_lies_between_frames_does_not_matter(small, simulation):
    memory = pack_frames(small.network, small.streams[0]).reshape(60, 64)
    assert not memory[:, 60:].any()
    memory[:, 60:] = 0xA5
    results = np.full(60 * 16, 0xEE, np.uint8)
    simulation.run(memory.ravel(), results, 60, True)
    np.testing.assert_array_equal(unpack_results(small.network, results), small.logits[0])


def test_results_are_int32_and_padded_with_zero(small, simulation):
    results = np.full(61 * 16, 0xEE, np.uint8)
    simulation.run(pack_frames(small.network, small.streams[0]), results, 60, True)
    words = results.view("<i4").reshape(61, 4)
    np.testing.assert_array_equal(words[:60, :3], small.logits[0])
    np.testing.assert_array_equal(words[:60, 3], 0)
    assert (results[60 * 16 :] == 0xEE).all(), "nothing behind the last result is touched"
    assert small.logits.min() < 0 < small.logits.max()


@pytest.mark.parametrize("signed", [False, True])
def test_frames_are_packed_as_bytes_in_whole_words(signed):
    network = build_network(signed_input=signed)
    frames = corner_frames(network, 20)
    packed = pack_frames(network, frames)
    assert packed.dtype == np.uint8 and packed.shape == (20 * 64,)
    np.testing.assert_array_equal(packed.reshape(20, 64)[:, :60].view(frames.dtype), frames)
    assert not packed.reshape(20, 64)[:, 60:].any()


# Copies that would share their state --------------------------------------------------------------


def test_a_core_compiled_without_the_flag_keeps_its_states_apart(small, tmp_path):
    """The state is no STB_GNU_UNIQUE symbol, of which a process has one for all copies."""
    library = tmp_path / "unique.so"
    flags = [flag for flag in csimulation._FLAGS if flag != "-fno-gnu-unique"]
    assert len(flags) == len(csimulation._FLAGS) - 1
    subprocess.run(
        [
            *(compiler(), *flags, "-DFDHT_NATIVE_INTEGERS"),
            *("-Ifirmware/ap_types", "-Ifirmware", "-I."),
            *(*csimulation._SOURCES, "-o", str(library)),
        ],
        cwd=small.project,
        check=True,
        timeout=300,
    )
    first, second = CSimulation(library), CSimulation(library)
    simulate(first, small.network, small.streams[0, :30], False)
    found = simulate(second, small.network, small.streams[1], False)
    np.testing.assert_array_equal(found, small.logits[1])
    found = simulate(first, small.network, small.streams[0, 30:], False)
    np.testing.assert_array_equal(found, small.logits[0, 30:])
    first.close()
    second.close()


_COUNTER = """
#include <cstdint>
template <class T> T &done() { static T count = 0; return count; }
extern "C" int fdht_csim_run(const uint64_t *, uint64_t *, uint32_t frame_count, uint32_t,
                             uint32_t identity[6]) {
    identity[5] = done<uint32_t>() += frame_count;
    return FAILURE;
}
"""


def toy(directory: Path, *flags: str) -> Path:
    """A core that counts its frames in a static variable of a template, and fails if told to."""
    (directory / "toy.cpp").write_text(_COUNTER)
    library = directory / "toy.so"
    subprocess.run(
        [compiler(), "-shared", "-fPIC", *flags, "toy.cpp", "-o", library.name],
        cwd=directory,
        check=True,
        timeout=60,
    )
    return library


def test_a_library_that_shares_its_state_is_refused(tmp_path):
    library = toy(tmp_path, "-DFAILURE=0")
    first = CSimulation(library)
    assert first.run(NOTHING, NOTHING, 5, False).frames_done == 5
    with pytest.raises(DeviceError, match=r"toy\.so: shares its state .* -fno-gnu-unique"):
        CSimulation(library)
    first.close()


def test_the_same_library_with_the_flag_is_accepted(tmp_path):
    library = toy(tmp_path, "-DFAILURE=0", "-fno-gnu-unique")
    first = CSimulation(library)
    assert first.run(NOTHING, NOTHING, 5, False).frames_done == 5
    second = CSimulation(library)
    assert second.run(NOTHING, NOTHING, 2, False).frames_done == 2
    first.close()
    second.close()


# Failures -----------------------------------------------------------------------------------------


def test_a_failure_of_the_core_is_an_error(tmp_path):
    library = toy(tmp_path, "-DFAILURE=frame_count?7:0", "-fno-gnu-unique")
    core = CSimulation(library)
    with pytest.raises(DeviceError, match="C simulation = 7: failed"):
        core.run(NOTHING, NOTHING, 1, False)
    core.close()


def test_a_closed_simulation_says_so(small):
    core = CSimulation(small.library("native"))
    core.close()
    core.close()
    with pytest.raises(DeviceError, match="C simulation: is closed"):
        simulate(core, small.network, small.streams[0, :1], True)


def test_a_library_that_was_reopened_starts_anew(small):
    for _ in range(3):
        core = CSimulation(small.library("native"))
        assert ask(core).frames_done == 0
        found = simulate(core, small.network, small.streams[0, :9], False)
        np.testing.assert_array_equal(found, small.logits[0, :9])
        core.close()


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "start only", "all but the end"])
def test_a_damaged_library_is_refused(small, tmp_path, damage):
    library = tmp_path / "csim.so"
    if damage != "missing":
        data = small.library("native").read_bytes()
        kept = {"empty": b"", "text": b"not a library\n", "start only": data[:3000]}
        kept["all but the end"] = data[:-1]
        library.write_bytes(kept[damage])
    with pytest.raises(
        ArtifactError, match=r"csim\.so: cannot be used .* run fdht convert on this"
    ):
        CSimulation(library)


def test_a_library_without_the_entry_point_is_refused(tmp_path):
    (tmp_path / "other.c").write_text("int other(void) { return 0; }\n")
    subprocess.run(
        [compiler(), "-shared", "-fPIC", "-xc", "other.c", "-o", "other.so"],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    with pytest.raises(ArtifactError, match="fdht_csim_run"):
        CSimulation(tmp_path / "other.so")


def test_no_copy_is_left_behind(small, monkeypatch, tmp_path):
    monkeypatch.setattr(csimulation.tempfile, "tempdir", str(tmp_path))
    core = CSimulation(small.library("native"))
    with pytest.raises(ArtifactError):
        CSimulation(tmp_path / "missing.so")
    assert list(tmp_path.iterdir()) == []
    found = simulate(core, small.network, small.streams[0], True)
    np.testing.assert_array_equal(found, small.logits[0])
    core.close()


# The compiler -------------------------------------------------------------------------------------


def test_a_missing_compiler_is_named(small, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"g\+\+: is not installed; install it"):
        compile_library(small.project, tmp_path / "csim.so", "native")
    assert list(tmp_path.iterdir()) == []


def test_the_line_that_decides_is_shown(small, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(small.project, project)
    (project / "fdht_csim.cpp").write_text("// fine\nint broken() { return undeclared_name; }\n")
    (project / "firmware" / "fdht_lstm.cpp").write_text("// fine\n")
    with pytest.raises(ToolError) as caught:
        compile_library(project, tmp_path / "csim.so", "native")
    message = str(caught.value)
    assert "failed: fdht_csim.cpp:2:" in message and "undeclared_name" in message
    assert "\n" not in message
    assert not (tmp_path / "csim.so").exists()


def test_a_compiler_that_does_not_end_is_stopped(small, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "g++"
    program.parent.mkdir()
    # Like g++, it leaves the work to a process of its own.
    child = tmp_path / "child"
    program.write_text(f"#!/bin/sh\n/bin/sleep 600 &\necho $! > {child}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(csimulation, "COMPILE_TIMEOUT", 2)
    with pytest.raises(ToolError, match=r"g\+\+: did not finish within 2 s; free the machine"):
        compile_library(small.project, tmp_path / "csim.so", "native")
    assert process_ended(int(child.read_text()))


#: Each build leaves the work to a child, as g++ does; the exact one ends as it is told.
HANGING = """#!/bin/sh
for last; do :; done
echo half > "$last"
case "$*" in *NATIVE*) build=native;; *) build=exact;; esac
/bin/sleep 600 &
echo $! > {children}/$build
[ $build = exact ] && [ -n "{message}" ] && {{ echo "{message}"; exit 1; }}
wait
"""


@pytest.fixture
def two_builds(tmp_path, monkeypatch):
    """Makes a g++ that hangs, or whose exact build fails with a message once both have begun."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "children").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def make(message: str = "") -> dict[Path, str]:
        program = tmp_path / "bin" / "g++"
        program.write_text(HANGING.format(children=tmp_path / "children", message=message))
        program.chmod(0o755)
        return {tmp_path / "csim_exact.so": "exact", tmp_path / "csim.so": "native"}

    yield make
    assert not list(tmp_path.glob("*.so")), "no half of a library"
    for child in (tmp_path / "children").iterdir():
        assert process_ended(int(child.read_text()))


def both_run(directory: Path) -> bool:
    """Have both compilers written the number of their child?"""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        written = [path.read_text().strip() for path in (directory / "children").iterdir()]
        if len(written) == 2 and all(written):
            return True
        time.sleep(0.02)
    return False


def test_both_builds_run_at_once_and_end_where_one_fails(small, two_builds, tmp_path):
    libraries = two_builds("core.cpp:3: error: no such type")
    started = time.monotonic()
    with (
        pytest.raises(ToolError, match=r"failed: core\.cpp:3: error: no such type"),
        compiling(small.project, libraries),
    ):
        assert both_run(tmp_path)
    assert time.monotonic() - started < csimulation.COMPILE_TIMEOUT / 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, ConversionError("is refused", field="lint")])
def test_both_builds_end_with_what_runs_beside_them(small, two_builds, tmp_path, error):
    with (
        pytest.raises(error if isinstance(error, type) else type(error)),
        compiling(small.project, two_builds()),
    ):
        assert both_run(tmp_path)
        raise error


def test_builds_that_hang_are_stopped(small, two_builds, monkeypatch):
    monkeypatch.setattr(csimulation, "COMPILE_TIMEOUT", 2)
    with (
        pytest.raises(ToolError, match=r"g\+\+: (did not finish within 2 s|was stopped)"),
        compiling(small.project, two_builds()),
    ):
        pass


def test_streams_of_tests_differ(small):
    """What the tests above rest on."""
    network = small.network
    assert (streams_of(network, 1, 9, 0) != streams_of(network, 1, 9, 1)).any()
    assert (small.logits[0] != small.logits[1]).any()
