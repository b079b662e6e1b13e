"""Rules on pragmas: names, places, variables, numbers and partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_hls.lint.pragmas import PRAGMAS, lift
from tests.hls.lint.samples import Sample, check_pair, core

LOOP = "for (int i = 0; i < 8; i++) {{\n{}\nresults[0] = kept[i];\n}}"
KEPT = "word_t kept[8] = {};\n"


def pragma(rule: str, label: str, bad: str, good: str, *, loop: bool = False) -> Sample:
    """A pair that differs in one pragma, at the start of the body or of a loop in it."""
    texts = []
    for text, mark in ((bad, " // !"), (good, "")):
        line = f"#pragma HLS {text}{mark}" if text else ""
        texts.append(KEPT + (LOOP.format(line) if loop else line + "\n" + LOOP.format("")))
    return Sample(label, rule, *texts)


SAMPLES = [
    # Names.
    pragma("pragma-name", "unknown", "PIPELINED", "PIPELINE", loop=True),
    pragma("pragma-name", "unknown option", "PIPELINE ii_is=1", "PIPELINE ii=1", loop=True),
    pragma("pragma-name", "unknown flag", "UNROLL fully", "UNROLL", loop=True),
    pragma(
        "pragma-name",
        "given twice",
        "ARRAY_PARTITION variable=kept dim=1 dim=1",
        "ARRAY_PARTITION variable=kept dim=1",
    ),
    pragma(
        "pragma-name",
        "contradiction",
        "ARRAY_PARTITION variable=kept cyclic block factor=2",
        "ARRAY_PARTITION variable=kept block factor=2",
    ),
    pragma("pragma-name", "without variable", "ARRAY_PARTITION dim=1", ""),
    pragma(
        "pragma-name",
        "cyclic without factor",
        "ARRAY_PARTITION variable=kept cyclic",
        "ARRAY_PARTITION variable=kept type=cyclic factor=2",
    ),
    pragma("pragma-name", "empty option", "UNROLL factor=", "UNROLL factor=2", loop=True),
    pragma(
        "pragma-name",
        "ignored by the tool",
        "RESOURCE variable=kept core=RAM_2P_BRAM",
        "BIND_STORAGE variable=kept type=ram_2p impl=bram",
    ),
    # Places.
    Sample(
        "outside of functions",
        "pragma-place",
        before="static int kept[4];",
        bad_before="#pragma HLS ARRAY_PARTITION variable=kept complete // !",
    ),
    Sample(
        "loop pragma of a function",
        "pragma-place",
        KEPT + "#pragma HLS UNROLL // !\n" + LOOP.format(""),
        KEPT + LOOP.format("#pragma HLS UNROLL"),
    ),
    Sample(
        "without braces",
        "pragma-place",
        "for (int i = 0; i < 4; i++)\n#pragma HLS PIPELINE II=1 // !\nresults[0] = 0;",
        "for (int i = 0; i < 4; i++) {\n#pragma HLS PIPELINE II=1\nresults[0] = 0;\n}",
    ),
    Sample(
        "inline of a block",
        "pragma-place",
        "if (count) {\n#pragma HLS INLINE // !\nresults[0] = 0;\n}",
        "#pragma HLS INLINE off\nif (count) {\nresults[0] = 0;\n}",
    ),
    Sample(
        "interface of another function",
        "pragma-place",
        "results[0] = one(1);",
        "results[0] = one(1);",
        bad_before="static int one(int v) {\n"
        "#pragma HLS INTERFACE s_axilite port=v // !\nreturn v; }",
        good_before="static int one(int v) {\n#pragma HLS INLINE\nreturn v; }",
    ),
    Sample(
        "pipeline twice",
        "pragma-place",
        KEPT + LOOP.format("#pragma HLS PIPELINE\n#pragma HLS PIPELINE II=2 // !"),
        KEPT + LOOP.format("#pragma HLS PIPELINE II=2"),
    ),
    # Variables.
    pragma(
        "pragma-variable",
        "not there",
        "ARRAY_PARTITION variable=lost complete",
        "ARRAY_PARTITION variable=kept complete",
    ),
    pragma(
        "pragma-variable",
        "no array",
        "ARRAY_PARTITION variable=count complete",
        "ARRAY_PARTITION variable=kept complete",
    ),
    pragma("pragma-variable", "no stream", "STREAM variable=count depth=4", ""),
    pragma("pragma-variable", "a number", "STABLE variable=3", "STABLE variable=kept"),
    Sample(
        "declared later",
        "pragma-variable",
        "#pragma HLS ARRAY_PARTITION variable=late complete // !\nword_t late[4];",
        "word_t late[4];\n#pragma HLS ARRAY_PARTITION variable=late complete",
    ),
    Sample(
        "no argument",
        "pragma-variable",
        KEPT + "#pragma HLS INTERFACE ap_memory port=kept // !",
        KEPT,
    ),
    # Numbers.
    pragma("pragma-factor", "at run time", "PIPELINE II=count", "PIPELINE II=8 / 4", loop=True),
    pragma("pragma-factor", "zero", "UNROLL factor=0", "UNROLL factor=2", loop=True),
    pragma("pragma-factor", "negative", "PIPELINE II=3-4", "PIPELINE II=4-3", loop=True),
    pragma("pragma-factor", "unknown name", "PIPELINE II=RATE", "PIPELINE II=1", loop=True),
    pragma(
        "pragma-factor",
        "minimum beyond maximum",
        "LOOP_TRIPCOUNT min=9 max=8",
        "LOOP_TRIPCOUNT min=8 max=8",
        loop=True,
    ),
    Sample(
        "not constant in one instantiation",
        "pragma-factor",
        "run<wrong>(results);",
        "run<right>(results);",
        before="struct right { static const int rate = 2; };\nstruct wrong { static int rate; };\n"
        "template <class C> void run(word_t *out) {\nfor (int i = 0; i < 4; i++) {\n"
        "#pragma HLS PIPELINE II=C::rate // !\nout[i] = i; }\n}",
    ),
    # Partitions.
    pragma(
        "partition",
        "does not divide",
        "ARRAY_PARTITION variable=kept cyclic factor=3",
        "ARRAY_PARTITION variable=kept cyclic factor=4",
    ),
    pragma(
        "partition",
        "reshape does not divide",
        "ARRAY_RESHAPE variable=kept block factor=5 dim=1",
        "ARRAY_RESHAPE variable=kept block factor=2 dim=1",
    ),
    pragma(
        "partition",
        "no such dimension",
        "ARRAY_PARTITION variable=kept complete dim=2",
        "ARRAY_PARTITION variable=kept complete dim=1",
    ),
    Sample(
        "too many parts",
        "partition",
        "static int large[64][65];\n"
        "#pragma HLS ARRAY_PARTITION variable=large complete dim=0 // !\nresults[0] = large[0][0];",
        "static int large[64][65];\n"
        "#pragma HLS ARRAY_PARTITION variable=large complete dim=2\nresults[0] = large[0][0];",
    ),
    Sample(
        "of unknown size",
        "partition",
        "results[0] = first(frames);",
        "results[0] = first(frames);",
        bad_before="static word_t first(const word_t values[]) {\n"
        "#pragma HLS ARRAY_PARTITION variable=values complete // !\nreturn values[0]; }",
        good_before="static word_t first(const word_t values[4]) {\n"
        "#pragma HLS ARRAY_PARTITION variable=values complete\nreturn values[0]; }",
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_pragma_and_its_twin(sample, tmp_path):
    bad = core(sample.before + "\n" + sample.bad_before, sample.bad)
    good = core(sample.before + "\n" + sample.good_before, sample.good)
    check_pair(tmp_path, bad, good, sample.rule)


def test_lines_stay_where_they_are():
    text = "int a;\n  #pragma HLS UNROLL factor=2 \\\n   skip_exit_check\nint b;\n"
    lifted, (found,) = lift(Path("x.h"), text, 7)
    assert lifted.count("\n") == text.count("\n")
    assert lifted.split("\n")[3] == "int b;"
    assert (found.number, found.line, found.name) == (7, 2, "UNROLL")
    assert found.options == {"factor": "2"} and found.flags == ("skip_exit_check",)
    assert "fdht_pragma_7_factor = (long long)(2)" in lifted


@pytest.mark.parametrize(
    ("text", "options", "flags"),
    [
        ("PIPELINE II = N * 2 rewind", {"II": "N * 2"}, ("rewind",)),
        (
            "ARRAY_PARTITION variable = a , b block factor=C::f / 2 dim=1",
            {"variable": "a,b", "factor": "C::f / 2", "dim": "1"},
            ("block",),
        ),
        (
            "interface m_axi port=p offset=slave depth=F::n == 2 ? 3 : 4",
            {"port": "p", "offset": "slave", "depth": "F::n == 2 ? 3 : 4"},
            ("m_axi",),
        ),
        ("DEPENDENCE variable=x inter distance=3 false", {"variable": "x", "distance": "3"}, None),
    ],
)
def test_what_is_read(text, options, flags):
    _, (found,) = lift(Path("x.h"), f"#pragma HLS {text}", 0)
    assert found.options == options and not found.faults
    assert flags is None or found.flags == flags


def test_other_pragmas_stay():
    text = "#pragma once\n#pragma GCC diagnostic push\n// #pragma HLS UNROLL\n"
    assert lift(Path("x.h"), text, 0) == (text, [])


def test_requirements_are_options():
    for name, grammar in PRAGMAS.items():
        needed = {word for option in grammar.required for word in option.split("|")}
        assert needed <= grammar.options(), name
