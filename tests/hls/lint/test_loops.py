"""The rule on loops."""

from __future__ import annotations

import pytest

from tests.hls.lint.samples import Sample, check_pair, core

WORK = "results[0] = frames[0]"
SAMPLES = [
    Sample(
        "while",
        "loop-bound",
        f"unsigned n = count;\nwhile (n) {{ n >>= 1; {WORK}; }} // !",
        f"for (unsigned n = 0; n < 32; n++) {{ {WORK}; }}",
    ),
    Sample(
        "do",
        "loop-bound",
        f"unsigned n = count;\ndo {{ n >>= 1; {WORK}; }} while (n); // !",
        f"do {{ {WORK}; }} while (0);",
    ),
    Sample(
        "for ever",
        "loop-bound",
        f"for (;;) {{ {WORK}; }} // !",
        f"for (int i = 0; i < 2; i++) {{ {WORK}; }}",
    ),
    Sample(
        "without a step",
        "loop-bound",
        f"for (unsigned i = 0; i < 4;) {{ {WORK}; i++; }} // !",
        f"for (unsigned i = 0; i < 4; i++) {{ {WORK}; }}",
    ),
    Sample(
        "away from the bound",
        "loop-bound",
        f"for (int i = 0; i < 4; i--) {{ {WORK}; }} // !",
        f"for (int i = 4; i > 0; i--) {{ {WORK}; }}",
    ),
    Sample(
        "past an unequal bound",
        "loop-bound",
        f"for (int i = 0; i != 5; i += 2) {{ {WORK}; }} // !",
        f"for (int i = 0; i != 6; i += 2) {{ {WORK}; }}",
    ),
    Sample(
        "bound of run time",
        "loop-bound",
        f"for (unsigned i = 0; i < count; i++) {{ {WORK}; }} // !",
        f"for (unsigned i = 0; i < count; i++) {{\n#pragma HLS LOOP_TRIPCOUNT max=8\n{WORK}; }}",
    ),
    Sample(
        "bound of run time unrolled",
        "loop-bound",
        "for (unsigned i = 0; i < count; i++) { // !\n#pragma HLS LOOP_TRIPCOUNT max=8\n"
        f"#pragma HLS UNROLL\n{WORK}; }}",
        f"for (unsigned i = 0; i < 8; i++) {{\n#pragma HLS UNROLL\nif (i < count) {WORK}; }}",
    ),
    Sample(
        "bound of run time in a pipeline",
        "loop-bound",
        "for (unsigned o = 0; o < 4; o++) {\n#pragma HLS PIPELINE II=1\n"
        "for (unsigned i = 0; i < count; i++) { // !\n#pragma HLS LOOP_TRIPCOUNT max=8\n"
        f"{WORK}; }} }}",
        "for (unsigned o = 0; o < 4; o++) {\nfor (unsigned i = 0; i < count; i++) {\n"
        f"#pragma HLS PIPELINE II=1\n#pragma HLS LOOP_TRIPCOUNT max=8\n{WORK}; }} }}",
    ),
    Sample(
        "step of run time",
        "loop-bound",
        f"for (unsigned i = 0; i < 8; i += count) {{ {WORK}; }} // !",
        f"for (unsigned i = 0; i < 8; i += sizeof(word_t)) {{ {WORK}; }}",
    ),
    Sample(
        "start of run time",
        "loop-bound",
        f"for (unsigned i = count; i < 8; i++) {{ {WORK}; }} // !",
        f"for (unsigned i = 1 << 2; i < 8; i++) {{ {WORK}; }}",
    ),
    Sample(
        "counter changed inside",
        "loop-bound",
        f"for (unsigned i = 0; i < 8; i++) {{\n{WORK};\ni += 1; // !\n}}",
        f"for (unsigned i = 0; i < 8; i += 2) {{\n{WORK};\n}}",
    ),
    Sample(
        "counter of a class",
        "loop-bound",
        f"for (ap_uint<8> i = 0; i < count; i++) {{ {WORK}; }} // !",
        f"for (ap_uint<8> i = 0; i < 8; i++) {{ {WORK}; }}",
    ),
    Sample(
        "bound of a template",
        "loop-bound",
        "repeat<wrong>(results);",
        "repeat<right>(results);",
        before="struct right { static const unsigned turns = 3; };\n"
        "struct wrong { static unsigned turns; };\n"
        "template <class C> void repeat(word_t *out) {\n"
        "    for (unsigned i = 0; i < C::turns; i++) out[i] = i; // !\n}",
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_loop_and_its_twin(sample, tmp_path):
    check_pair(
        tmp_path, core(sample.before, sample.bad), core(sample.before, sample.good), sample.rule
    )
