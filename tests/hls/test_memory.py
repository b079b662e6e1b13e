"""fdht_memory.h: fibres of every length out of memory words; no byte lost, none read beyond."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.csimulation import Build
from tests.hls.memory_library import compiled

#: (fibres of a frame, bytes of a fibre): shorter than a word, longer, and with every remainder.
SHAPES = [(5, 1), (7, 3), (1, 7), (4, 8), *((6, length) for length in range(9, 17)), (3, 23)]
FRAMES = 3

_SOURCE = """
#include "fdht_memory.h"
#include "nnet_utils/nnet_types.h"
#define CUT(NUMBER, FIBRES, LENGTH) case NUMBER: {{ \\
    typedef fdht::carried<nnet::array<BYTE, LENGTH>>::type fibre_t; \\
    static const unsigned words_in_frame = (FIBRES * LENGTH + 7) / 8; \\
    for (unsigned frame = 0; frame < frames; frame++) {{ \\
        hls::stream<fdht::word_t> words("words"); \\
        hls::stream<fibre_t> fibres("fibres"); \\
        fdht::read_frame<words_in_frame>(memory, frame, words); \\
        fdht::cut_fibres<FIBRES>(words, fibres); \\
        if (!words.empty()) return 1; \\
        for (unsigned fibre = 0; fibre < FIBRES; fibre++) {{ \\
            if (fibres.empty()) return 2; \\
            const fibre_t found = fibres.read(); \\
            for (unsigned i = 0; i < LENGTH; i++) *out++ = (int)fdht::code(found[i]); \\
        }} \\
        if (!fibres.empty()) return 3; \\
    }} \\
    break; }}
extern "C" int cut(int shape, const uint64_t *in, int32_t *out, unsigned frames, unsigned count) {{
    fdht::word_t *memory = new fdht::word_t[count];
    for (unsigned i = 0; i < count; i++) memory[i] = in[i];
    switch (shape) {{ {cases} }}
    delete[] memory;
    return 0;
}}
"""
Cut = Callable[[int, np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def cutter(ap_types: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Build, str], Cut]:
    """Compiles the gearbox of every shape, for signed or unsigned bytes."""
    directory = tmp_path_factory.mktemp("memory")

    @cache
    def build(kind: Build, byte: str) -> Cut:
        name = f"{kind}_{byte}"
        cases = " ".join(f"CUT({at}, {count}, {size})" for at, (count, size) in enumerate(SHAPES))
        library = compiled(
            directory, name, _SOURCE.format(cases=cases), kind, f"ap_{byte}<8,8>", ap_types
        )

        def cut(shape: int, memory: np.ndarray) -> np.ndarray:
            fibres, length = SHAPES[shape]
            out = np.full((FRAMES, fibres, length), 1 << 20, np.int32)
            pointers = (ctypes.c_void_p(memory.ctypes.data), ctypes.c_void_p(out.ctypes.data))
            assert library.cut(shape, *pointers, FRAMES, memory.size // 8) == 0
            return out

        return cut

    return build


@pytest.mark.parametrize("byte", ["ufixed", "fixed"])
@pytest.mark.parametrize("build", ["native", "exact"])
def test_fibres_of_every_length_are_cut_out_of_words(cutter, build, byte):
    cut, generator = cutter(build, byte), np.random.default_rng(7)
    for shape, (fibres, length) in enumerate(SHAPES):
        # Padding behind a frame is noise too: none of it may show.
        words = -(-fibres * length // 8)
        memory = generator.integers(0, 256, (FRAMES, 8 * words)).astype(np.uint8)
        wanted = memory[:, : fibres * length].reshape(FRAMES, fibres, length)
        wanted = wanted.view(np.int8) if byte == "fixed" else wanted
        np.testing.assert_array_equal(cut(shape, memory), wanted, str((fibres, length)))
