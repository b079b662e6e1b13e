"""Rules on DATAFLOW regions."""

from __future__ import annotations

import pytest

from tests.hls.lint.samples import check_pair, core, lint

TASKS = """static void load(const word_t *from, hls::stream<int> &to) { to.write(from[0]); }
static void load_next(const word_t *from, unsigned at, hls::stream<int> &to) { to.write(from[at]); }
static void work(hls::stream<int> &from, hls::stream<int> &to) { to.write(from.read() + 1); }
static void store(hls::stream<int> &from, word_t *to) { to[0] = from.read(); }
static void both(hls::stream<int> &one, hls::stream<int> &two, hls::stream<int> &to) {
    to.write(one.read() + two.read()); }
static void split(hls::stream<int> &from, hls::stream<int> &one, hls::stream<int> &two) {
    const int v = from.read(); one.write(v); two.write(v); }
static int counted(hls::stream<int> &from, word_t *to) { to[0] = from.read(); return 1; }
static void pass(const int from[4], int to[4]) {
    for (int i = 0; i < 4; i++) { to[i] = from[i]; } }
static void fill(int to[4]) { for (int i = 0; i < 4; i++) { to[i] = i; } }
static void drain(const int from[4], word_t *to) { to[0] = from[0]; }
"""

#: rule, what stands in the region, and what should.
REGIONS = {
    "two consumers": (
        "dataflow-channel",
        "hls::stream<int> a, b, c; // !\nload(frames, a);\nwork(a, b);\nwork(a, c);\n"
        "hls::stream<int> d;\nboth(b, c, d);\nstore(d, results);",
        "hls::stream<int> a, b, c;\nload(frames, a);\nsplit(a, b, c);\n"
        "hls::stream<int> d;\nboth(b, c, d);\nstore(d, results);",
    ),
    "two producers": (
        "dataflow-channel",
        "hls::stream<int> a;\nhls::stream<int> b; // !\nsplit2(frames, a, b);\nwork(a, b);\n"
        "store(b, results);",
        "hls::stream<int> a;\nhls::stream<int> b;\nload(frames, a);\nwork(a, b);\n"
        "store(b, results);",
    ),
    "read before written": (
        "dataflow-channel",
        "hls::stream<int> a; // !\nstore(a, results);\nload(frames, a);",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
    "feedback": (
        "dataflow-channel",
        "hls::stream<int> a, c;\nhls::stream<int> b; // !\nload(frames, a);\nboth(a, b, c);\n"
        "split_store(c, b, results);",
        "hls::stream<int> a, c;\nload(frames, a);\nwork(a, c);\nstore(c, results);",
    ),
    "to itself": (
        "dataflow-channel",
        "hls::stream<int> a, b;\nhls::stream<int> c; // !\nload(frames, a);\n"
        "both_and_back(a, c, b);\nstore(b, results);",
        "hls::stream<int> a, b;\nload(frames, a);\nwork(a, b);\nstore(b, results);",
    ),
    "nobody reads": (
        "dataflow-channel",
        "hls::stream<int> a; // !\nload(frames, a);",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
    "nobody writes": (
        "dataflow-channel",
        "hls::stream<int> a; // !\nstore(a, results);",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
    "array with two consumers": (
        "dataflow-channel",
        "int a[4]; // !\nint b[4];\nfill(a);\npass(a, b);\ndrain2(a, b, results);",
        "int a[4];\nint b[4];\nfill(a);\npass(a, b);\ndrain(b, results);",
    ),
    "port of two processes": (
        "dataflow-channel",
        "hls::stream<int> a, b, c;\nload(frames, a);\nload(frames, b); // !\nboth(a, b, c);\n"
        "store(c, results);",
        "hls::stream<int> a, b, c, d;\nload(frames, d);\nsplit(d, a, b);\nboth(a, b, c);\n"
        "store(c, results);",
    ),
    "bypass": (
        "dataflow-bypass",
        "hls::stream<int> a, b, d, e;\nhls::stream<int> c; // !\nload(frames, a);\n"
        "split(a, b, c);\nwork(b, d);\nboth(d, c, e);\nstore(e, results);",
        "hls::stream<int> a, b, c, d, e, f;\nload(frames, a);\nsplit(a, b, c);\nwork(b, d);\n"
        "work(c, f);\nboth(d, f, e);\nstore(e, results);",
    ),
    "condition": (
        "dataflow-form",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);\nif (count) {} // !",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
    "assignment": (
        "dataflow-form",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);\ncount = 0; // !",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
    "first value": (
        "dataflow-form",
        "unsigned at = count; // !\nhls::stream<int> a;\nload_next(frames, at, a);\n"
        "store(a, results);",
        "hls::stream<int> a;\nload_next(frames, count, a);\nstore(a, results);",
    ),
    "static variable": (
        "dataflow-form",
        "static int a[4]; // !\nfill(a);\ndrain(a, results);",
        "int a[4];\nfill(a);\ndrain(a, results);",
    ),
    "expression": (
        "dataflow-form",
        "hls::stream<int> a;\nload_next(frames, count + 1, a); // !\nstore(a, results);",
        "hls::stream<int> a;\nload_next(frames, count, a);\nstore(a, results);",
    ),
    "result": (
        "dataflow-form",
        "hls::stream<int> a;\nload(frames, a);\ncounted(a, results); // !",
        "hls::stream<int> a;\nload(frames, a);\nstore(a, results);",
    ),
}
MORE_TASKS = """
static void split2(const word_t *from, hls::stream<int> &one, hls::stream<int> &two) {
    one.write(from[0]); two.write(from[0]); }
static void split_store(hls::stream<int> &from, hls::stream<int> &back, word_t *to) {
    const int v = from.read(); back.write(v); to[0] = v; }
static void both_and_back(hls::stream<int> &from, hls::stream<int> &back, hls::stream<int> &to) {
    back.write(from.read()); to.write(back.read()); }
static void drain2(const int one[4], const int two[4], word_t *to) { to[0] = one[0] + two[0]; }
"""


def region(body: str) -> str:
    return core(
        TASKS + MORE_TASKS + "static void run(const word_t *frames, word_t *results, "
        f"unsigned count) {{\n#pragma HLS DATAFLOW\n{body}\n}}",
        "run(frames, results, count);",
    )


@pytest.mark.parametrize("label", REGIONS)
def test_a_region_and_its_twin(label, tmp_path):
    rule, bad, good = REGIONS[label]
    check_pair(tmp_path, region(bad), region(good), rule)


HEADERS = {
    "counter of a class": "for (ap_uint<32> i = 0; i < count; i++)",
    "outer counter": "for (i = 0; i < count; i++)",
    "negative start": "for (int i = -1; i < 4; i++)",
    "other comparison": "for (unsigned i = 0; i != count; i++)",
    "bound that is no argument": "for (unsigned i = 0; i < total; i++)",
    "downwards": "for (unsigned i = 4; i > 0; i--)",
}


def loop(header: str, before: str = "", after: str = "", mark: str = "") -> str:
    return core(
        f"""{TASKS}
static unsigned i, total;
static void run(const word_t *frames, word_t *results, unsigned count) {{
{before}
    {header} {{{mark}
        #pragma HLS LOOP_TRIPCOUNT max=8
        #pragma HLS DATAFLOW
        hls::stream<int> a, b;
        load_next(frames, i, a);
        work(a, b);
        store(b, results);
    }}
{after}
}}""",
        "run(frames, results, count);",
    )


GOOD = "for (unsigned i = 0; i < count; i++)"


@pytest.mark.parametrize("label", HEADERS)
def test_the_form_of_a_loop(label, tmp_path):
    check_pair(tmp_path, loop(HEADERS[label], mark=" // !"), loop(GOOD), "dataflow-form")


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_loop_is_alone(place, tmp_path):
    bad = loop(GOOD, **{place: "results[0] = 1; // !"})
    check_pair(tmp_path, bad, loop(GOOD), "dataflow-form")


def test_a_region_is_not_a_pipeline(tmp_path):
    bad = loop(GOOD).replace(
        "#pragma HLS DATAFLOW", "#pragma HLS DATAFLOW\n#pragma HLS PIPELINE II=1 // !"
    )
    check_pair(tmp_path, bad, loop(GOOD), "pragma-place")


def test_a_static_process_may_keep_state(tmp_path):
    """State within a process is what a cell's is."""
    keep = "static void work(hls::stream<int> &from, hls::stream<int> &to) { static int kept = 0;"
    text = loop(GOOD).replace(
        "static void work(hls::stream<int> &from, hls::stream<int> &to) {", keep
    )
    assert lint(tmp_path, text) == []
