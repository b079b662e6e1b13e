"""A small core in C++ that keeps the C simulation's ABI, and overlays made with it.

Its logits are running sums, so that they depend on every frame since the last reset, on the order
of the frames and on each value's position.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.boards import get_board
from fdht_host.accelerator import Accelerator
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import OverlayDirectory
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_overlays.golden import GoldenVectors, golden_frames
from fdht_overlays.manifest import CycleCount, InputLayout, ResultLayout
from fdht_overlays.simulated_overlay import SimulatedDesign, write_simulated_overlay

DESIGN_ID = 0x0123_4567_89AB_CDEF
INPUTS, FRAME_BYTES, CLASSES, RESULT_BYTES = 20, 24, 3, 16
CYCLES = 1000

SOURCE = r"""
#include <cstdint>
#include <cstring>
#ifndef OFFSET
#define OFFSET 0
#endif
#ifndef CONTEXTS
#define CONTEXTS 1
#endif
namespace {
int64_t states[CONTEXTS][CLASSES];
uint32_t frames_done, context;
}
#if CONTEXTS > 1
extern "C" uint32_t fdht_csim_contexts() { return CONTEXTS; }
extern "C" void fdht_csim_choose_context(uint32_t chosen) {
#ifndef ONE_STATE
    context = chosen % CONTEXTS;
#endif
}
#endif
inline uint32_t& shared() { static uint32_t value; return value; }
extern "C" int fdht_csim_run(const uint64_t* frames, uint64_t* results, uint32_t frame_count,
                             uint32_t reset_state, uint32_t identity[12]) {
    int64_t (&sums)[CLASSES] = states[context];
#ifdef FAIL
    if (frame_count) return 7;
#endif
    if (reset_state) std::memset(sums, 0, sizeof sums);
    for (uint32_t frame = 0; frame < frame_count; ++frame) {
        const uint8_t* values = reinterpret_cast<const uint8_t*>(frames) + frame * FRAME_BYTES;
        int32_t* logits = reinterpret_cast<int32_t*>(
            reinterpret_cast<uint8_t*>(results) + frame * RESULT_BYTES);
        for (int k = 0; k < CLASSES; ++k) {
            sums[k] /= 2;
            for (int i = 0; i < FRAME_BYTES; ++i) sums[k] += values[i] * ((7 * i + 3 * k) % 11 - 4);
            logits[k] = int32_t(sums[k]) + OFFSET;
        }
        ++frames_done;
#ifdef SHARED
        ++shared();  // of all such libraries of a process
#endif
    }
    identity[0] = 2;
    identity[1] = uint32_t(DESIGN_ID);
    identity[2] = uint32_t(DESIGN_ID >> 32);
    identity[3] = FRAME_BYTES;
    identity[4] = RESULT_BYTES;
    identity[11] = CONTEXTS > 1 ? CONTEXTS : 0;
#ifdef SHARED
    identity[5] = shared();
#else
    identity[5] = frames_done;
#endif
    return 0;
}
"""


@functools.cache
def compile_toy(*options: str) -> Path:
    """Compiles the core; the file lives as long as the process."""
    directory = Path(_scratch().name) / str(abs(hash(options)))
    directory.mkdir()
    (directory / "core.cpp").write_text(SOURCE)
    library = directory / "csim.so"
    constants = {
        "CLASSES": CLASSES,
        "FRAME_BYTES": FRAME_BYTES,
        "RESULT_BYTES": RESULT_BYTES,
        "DESIGN_ID": f"{DESIGN_ID}ull",
    }
    subprocess.run(
        [
            "g++",
            "-O1",
            "-shared",
            "-fPIC",
            *(f"-D{name}={value}" for name, value in constants.items()),
            *options,
            "-o",
            str(library),
            str(directory / "core.cpp"),
        ],
        check=True,
        timeout=120,
    )
    return library


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fdht-toy-")


def expected_logits(frames: np.ndarray) -> np.ndarray:
    """The toy core in NumPy, from a zero state: uint8[n, 20] -> int64[n, 3]."""
    i, k = np.arange(INPUTS)[:, None], np.arange(CLASSES)[None]
    weights = (7 * i + 3 * k) % 11 - 4
    sums = np.zeros(CLASSES, np.int64)
    logits = []
    for frame in frames.astype(np.int64):
        # C++ divides towards zero.
        sums = np.sign(sums) * (np.abs(sums) // 2) + frame @ weights
        logits.append(sums)
    return np.array(logits, np.int64).reshape(-1, CLASSES)


def random_frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, INPUTS)).astype(np.uint8)


def toy_design(name: str = "toy-core", library: Path | None = None, **changes: Any):
    layout = InputLayout(INPUTS, FixedPoint(8, 8, False), FRAME_BYTES, None, (INPUTS,))
    frames = golden_frames(layout)
    fields: dict[str, Any] = {
        "experiment": name,
        "design_id": DESIGN_ID,
        "input": layout,
        "results": ResultLayout(("a", "b", "c"), FixedPoint(24, 8, True), RESULT_BYTES),
        "cycles_per_frame": CycleCount(CYCLES, "estimated"),
        "golden": GoldenVectors(frames, expected_logits(frames)),
        "files": {"csim.so": library or compile_toy("-fno-gnu-unique")},
    }
    return SimulatedDesign(**{**fields, **changes})


def write_toy_overlay(directory: Path, **changes: Any) -> Path:
    write_simulated_overlay(
        toy_design(**changes), OverlayDirectory(directory), get_board("sim"), {}
    )
    return directory


def open_toy(directory: Path, **options: Any) -> Accelerator:
    return Accelerator.open(write_toy_overlay(directory), device=SimulatedDevice(), **options)
