"""Projects of cores that skip zeros: lint and compilers accept them, and their registers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fdht_hls.csimulation import CSimulation
from fdht_hls.lint import lint_project
from fdht_hls.registers import ARGUMENT_REGISTERS, BY_NAME, IDENTITY_REGISTERS, present
from fdht_models.tensor.sparse_frames import CORE_FRAMES
from tests.hls.conftest import SkippingCore
from tests.hls.lint.builds import stated_registers, warnings

#: Registers that a core has beside those of one of dense frames.
ADDED = {"sparse": {"call_words", "frame_faults", "core_frames"}, "raw": {"core_frames"}}


@pytest.fixture(scope="module", params=ADDED)
def core(request: pytest.FixtureRequest, skipping) -> SkippingCore:
    return skipping(request.param)


def test_the_core_is_synthesizable(core):
    assert lint_project(core.project) == []


@pytest.mark.slow
def test_compilers_have_no_warning(core):
    assert warnings(core.project, "libclang", "c++14", "native") == []
    assert warnings(core.project, "g++", "c++17", "exact") == []


def test_the_registers_are_those_of_its_frames(core):
    frames, text = core.plan.frames, (core.project / "firmware" / "fdht_lstm.cpp").read_text()
    every = ARGUMENT_REGISTERS + IDENTITY_REGISTERS
    wanted, dense = present(every, frames=frames), present(every)
    assert stated_registers(core.project) == {one.name: one.offset for one in wanted}
    assert {one.name for one in wanted} - {one.name for one in dense} == ADDED[frames]
    arguments = re.search(r"void fdht_lstm\(([^)]*)\)", text)
    assert arguments is not None
    names = [argument.split("*")[-1].split()[-1] for argument in arguments[1].split(",")]
    assert names == [register.name for register in wanted]


def test_it_says_which_frames_it_takes(core, small):
    nothing = np.zeros(0, np.uint8)
    for one, frames in ((core, core.plan.frames), (small, "dense")):
        simulation = CSimulation(one.library("native"))
        found = simulation.run(nothing, nothing, 0, False)
        assert CORE_FRAMES[found.core_frames] == frames
        simulation.close()


def test_no_two_registers_share_a_place():
    words = [offset for register in BY_NAME.values() for offset in register.words]
    assert len({*words}) == len(words)
    # Vitis HLS gives what a core writes a word of control behind it.
    controls = [register.offset + 4 for register in IDENTITY_REGISTERS]
    assert not {*controls} & {*words}
