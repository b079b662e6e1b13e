"""Rules on the language, each with a sample that breaks it and a twin that does not."""

from __future__ import annotations

import pytest

from tests.hls.lint.samples import Sample, check_pair, core

SAMPLES = [
    # What must not be there at all.
    Sample(
        "new",
        "heap",
        "word_t *kept = new word_t[4]; // !\nresults[0] = kept[0];",
        "word_t kept[4];\nresults[0] = kept[0];",
    ),
    Sample(
        "delete",
        "heap",
        "word_t *kept = 0;\ndelete kept; // !",
        "word_t *kept = 0;\nresults[0] = !kept;",
    ),
    Sample(
        "malloc in a template",
        "heap",
        "results[0] = keep<3>(1);",
        "results[0] = keep<3>(1);",
        bad_before='extern "C" void *malloc(unsigned long);\n'
        "template <int N> word_t keep(word_t v) {\n    return malloc(N) ? v : 0; // !\n}",
        good_before="template <int N> word_t keep(word_t v) {\n    return v + N;\n}",
    ),
    Sample(
        "container",
        "heap",
        "std::vector<int> v; // !\nresults[0] = v.n;",
        "plain::vector<int> v;\nresults[0] = v.n;",
        before="namespace std { template <class T> struct vector { T n; }; }\n"
        "namespace plain { template <class T> struct vector { T n; }; }",
    ),
    Sample(
        "float",
        "floating-point",
        "float f = 1; // !\nresults[0] = word_t(f); // !",
        "int f = 1;\nresults[0] = word_t(f);",
    ),
    Sample(
        "array of doubles",
        "floating-point",
        "static const double table[2] = {}; // !\nresults[0] = word_t(table[0]); // !",
        "static const long table[2] = {};\nresults[0] = word_t(table[0]);",
    ),
    Sample(
        "literal behind a template",
        "floating-point",
        "results[0] = scaled<4>(frames[0]);",
        "results[0] = scaled<4>(frames[0]);",
        bad_before="template <int N> word_t scaled(word_t v) {\n    return v * (N * 0.5); // !\n}",
        good_before="template <int N> word_t scaled(word_t v) {\n    return v * N / 2;\n}",
    ),
    Sample(
        "through a base class",
        "virtual-call",
        "One one;\nconst Base &base = one;\nresults[0] = base.value(); // !",
        "One one;\nresults[0] = one.own();",
        before="struct Base { virtual int value() const { return 0; } };\n"
        "struct One : Base { int value() const { return 1; } int own() const { return 1; } };",
    ),
    Sample(
        "printf",
        "system-call",
        'printf("%d", 1); // !',
        '#ifndef __SYNTHESIS__\nprintf("%d", 1);\n#endif',
        before='extern "C" int printf(const char *, ...);',
    ),
    Sample(
        "throw",
        "construct",
        "if (count) throw 1; // !",
        "if (count) results[0] = 1;",
    ),
    Sample(
        "goto",
        "construct",
        "again:\nif (results == 0) goto again; // !",
        "if (results == 0) return;",
    ),
    # Recursion.
    Sample(
        "itself",
        "recursion",
        "results[0] = depth(3);",
        "results[0] = depth<3>::value();",
        bad_before="static int depth(int n) {\n    return n ? depth(n - 1) : 0; // !\n}",
        good_before="template <int N> struct depth { static int value() { return 1 + depth<N - 1>::"
        "value(); } };\ntemplate <> struct depth<0> { static int value() { return 0; } };",
    ),
    Sample(
        "through another",
        "recursion",
        "results[0] = odd(count);",
        "results[0] = odd(count);",
        bad_before="static int odd(int n);\nstatic int even(int n) { return n ? odd(n - 1) : 1; }"
        " // !\nstatic int odd(int n) { return n ? even(n - 1) : 0; }",
        good_before="static int even(int n) { return !(n & 1); }\n"
        "static int odd(int n) { return !even(n); }",
    ),
    # Pointers.
    Sample(
        "to a function",
        "pointer",
        "int (*chosen)(int) = count ? one : two;\nresults[0] = chosen(1); // !",
        "results[0] = count ? one(1) : two(1);",
        before="static int one(int v) { return v; }\nstatic int two(int v) { return -v; }",
    ),
    Sample(
        "to pointers",
        "pointer",
        "const word_t *rows[2] = {frames, frames + 1}; // !\nresults[0] = *rows[0];",
        "const unsigned rows[2] = {0, 1};\nresults[0] = frames[rows[0]];",
    ),
    Sample(
        "cast",
        "pointer",
        "word_t w = 1;\nresults[0] = *reinterpret_cast<unsigned char *>(&w); // !",
        "word_t w = 1;\nresults[0] = *reinterpret_cast<word_t *>(&w) & 255;",
    ),
    # Streams.
    Sample(
        "by value",
        "stream-reference",
        "hls::stream<int> s;\n#pragma HLS STREAM variable=s depth=2\ns.write(1);\n"
        "results[0] = take(s);",
        "hls::stream<int> s;\n#pragma HLS STREAM variable=s depth=2\ns.write(1);\n"
        "results[0] = take(s);",
        bad_before="static int take(hls::stream<int> s) { // !\n    return s.read();\n}",
        good_before="static int take(hls::stream<int> &s) {\n    return s.read();\n}",
    ),
    Sample(
        "of default size",
        "stream-depth",
        'hls::stream<int> s("s"); // !\ns.write(1);\nresults[0] = s.read();',
        'hls::stream<int> s("s");\n#pragma HLS STREAM variable=s depth=4\ns.write(1);\n'
        "results[0] = s.read();",
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_rule_and_its_twin(sample, tmp_path):
    bad = core(sample.before + "\n" + sample.bad_before, sample.bad)
    good = core(sample.before + "\n" + sample.good_before, sample.good)
    check_pair(tmp_path, bad, good, sample.rule)


def test_what_the_top_does_not_reach_is_not_looked_at(tmp_path):
    unused = (
        "template <int N> int unused() { while (true) {} return N; }\nfloat idle() { return 1; }"
    )
    check_pair(tmp_path, core("", "float f; // !"), core(unused, ""), "floating-point")


def test_a_branch_that_a_constant_rules_out_is_not_looked_at(tmp_path):
    before = "template <bool SLOW> int chosen(unsigned n) {\n    if (SLOW) {\n"
    before += "        while (n) n /= 2; // !\n    }\n    return n;\n}"
    bad = core(before, "results[0] = chosen<true>(count);")
    good = core(before, "results[0] = chosen<false>(count);")
    check_pair(tmp_path, bad, good, "loop-bound")


def test_code_that_does_not_compile_is_a_finding(tmp_path):
    check_pair(
        tmp_path,
        core("", "results[0] = nothing; // !"),
        core("", "results[0] = 0;"),
        "compile",
    )


def test_every_instantiation_counts(tmp_path):
    """The same template, once with a divisor and once without."""
    before = """template <int N> void fill(word_t *out) {
    word_t kept[N];
    #pragma HLS ARRAY_PARTITION variable=kept cyclic factor=4 // !
    for (int i = 0; i < N; i++) kept[i] = i;
    out[0] = kept[0];
}"""
    bad = core(before, "fill<8>(results);\nfill<10>(results);")
    good = core(before, "fill<8>(results);\nfill<12>(results);")
    check_pair(tmp_path, bad, good, "partition")
