"""Small cores for the lint, on stand-ins for the arbitrary-precision types that parse at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fdht_hls.lint import Finding, lint_project

_INT = """#pragma once
template <int W> struct ap_uint {
    unsigned long long bits;
    ap_uint() {}
    ap_uint(unsigned long long value) : bits(value) {}
    operator unsigned long long() const { return bits; }
    ap_uint &operator+=(const ap_uint &other);
    ap_uint operator++(int);
};
template <int W> struct ap_int {
    long long bits;
    ap_int() {}
    ap_int(long long value) : bits(value) {}
    operator long long() const { return bits; }
};
"""
_STREAM = """#pragma once
namespace hls {
template <class T> struct stream {
    stream() {}
    stream(const char *name) {}
    T read();
    void write(const T &value);
    bool empty();
};
}
"""
_PORTS = """
    #pragma HLS INTERFACE m_axi port=frames offset=slave bundle=gmem depth=16
    #pragma HLS INTERFACE m_axi port=results offset=slave bundle=gmem depth=16
    #pragma HLS INTERFACE s_axilite port=frames bundle=control offset=0x10
    #pragma HLS INTERFACE s_axilite port=results bundle=control offset=0x1c
    #pragma HLS INTERFACE s_axilite port=count bundle=control offset=0x28
    #pragma HLS INTERFACE s_axilite port=return bundle=control
"""
#: A line of a sample where the finding is expected.
MARK = "// !"


@dataclass(frozen=True)
class Sample:
    """A core that breaks a rule, and one that differs in that point only.

    Args:
        label: of the case.
        rule: id of the rule.
        bad: what stands in the top function; the line in question ends with `MARK`.
        good: the same where the rule holds.
        before: what stands before the top function, in both.
        bad_before: the same, in the bad one only.
        good_before: the same, in the good one only.
    """

    label: str
    rule: str
    bad: str = ""
    good: str = ""
    before: str = ""
    bad_before: str = ""
    good_before: str = ""

    def __str__(self) -> str:
        return f"{self.rule}-{self.label.replace(' ', '-')}"


def core(before: str, body: str, ports: str = _PORTS) -> str:
    """The source of a core."""
    return f"""#include "ap_int.h"
#include "hls_stream.h"
typedef unsigned long long word_t;
{before}
extern "C" void fdht_lstm(const word_t *frames, word_t *results, unsigned count) {{{ports}
{body}
}}
"""


def whole(arguments: str, body: str) -> str:
    """A core with arguments of its own."""
    return f"""#include "ap_int.h"
#include "hls_stream.h"
typedef unsigned long long word_t;
extern "C" void fdht_lstm({arguments}) {{
{body}
}}
"""


def write(directory: Path, source: str) -> Path:
    """A project with the source of a core."""
    types = directory / "firmware" / "ap_types"
    types.mkdir(parents=True, exist_ok=True)
    (types / "ap_int.h").write_text(_INT)
    (types / "ap_fixed.h").write_text('#pragma once\n#include "ap_int.h"\n')
    (types / "hls_stream.h").write_text(_STREAM)
    (directory / "firmware" / "fdht_lstm.cpp").write_text(source)
    return directory


def lint(directory: Path, source: str) -> list[Finding]:
    """Findings in the source of a core."""
    return lint_project(write(directory, source))


def marked(source: str) -> list[int]:
    """Numbers of the lines that are marked."""
    return [number for number, line in enumerate(source.splitlines(), 1) if MARK in line]


def check_pair(directory: Path, bad: str, good: str, rule: str) -> None:
    """The bad one breaks exactly this rule, at the marked lines; the good one breaks none."""
    found = lint(directory, bad)
    assert {finding.rule for finding in found} == {rule}, found
    assert sorted({finding.line for finding in found}) == marked(bad), found
    assert all(finding.file == "firmware/fdht_lstm.cpp" for finding in found)
    assert all(finding.remedy for finding in found)
    assert lint(directory, good) == []
