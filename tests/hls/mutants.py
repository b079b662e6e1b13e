"""A C simulation with switchable defects: what a proof of equality must catch.

The project's copied headers are patched so that the variable `FDHT_MUTATION` of the environment
chooses a defect when the library is loaded; without it, the library is as it was.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from fdht_hls.csimulation import compile_library

VARIABLE = "FDHT_MUTATION"

_SWITCH = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
namespace fdht {
// Is this the defect that was asked for?
static bool mutated(const char *name, int first = 0, int second = 0) {
    const char *wanted = std::getenv("FDHT_MUTATION");
    char own[200];
    std::snprintf(own, sizeof own, "%s:%d:%d", name, first, second);
    return wanted && !std::strcmp(wanted, own);
}
// "<array>:<index>:<change>" adds to an entry of a table or of the weights.
template <class T> struct mutant {
    mutant(const char *name, T *values, int size) {
        for (int index = 0; index < size; index++) {
            values[index] += mutated(name, index, 1) - mutated(name, index, -1);
        }
    }
};
}
"""


def mutable_library(project: Path, directory: Path) -> Path:
    """Compiles a copy of a project with all defects built in and switched off."""
    copy = directory / "project"
    shutil.copytree(project, copy)
    nnet = copy / "firmware" / "nnet_utils"
    _patch(nnet / "fdht_integer.h", "#include <cstdint>", "#include <cstdint>" + _SWITCH)
    # Truncation of one stage, named by its accumulator's width and its shift.
    _patch(
        nnet / "fdht_integer.h",
        "        result_t sum = wide + half + odd;\n",
        '        static const bool truncates = mutated("truncate", W, SHIFT);\n'
        "        result_t sum = truncates ? wide : result_t(wide + half + odd);\n",
    )
    # Rounding half up instead of half to even.
    _patch(
        nnet / "fdht_integer.h",
        "        result_t odd = (wide >> DROPPED) & result_t(1);\n",
        '        static const bool up = mutated("half up", W, SHIFT);\n'
        "        result_t odd = up ? result_t(1) : result_t((wide >> DROPPED) & result_t(1));\n",
    )
    # Wrapping instead of saturation.
    _patch(
        nnet / "fdht_integer.h",
        "    if (rounded > maximum) {\n",
        '    static const bool wraps = mutated("wrap", W, SHIFT);\n'
        "    if (wraps) {\n"
        "        const int64_t range = int64_t(1) << OUT;\n"
        "        const int64_t bits = int64_t(rounded) & (range - 1);\n"
        "        return (typename integer<OUT>::type)(bits > maximum ? bits - range : bits);\n"
        "    }\n"
        "    if (rounded > maximum) {\n",
    )
    # Forget and update gate swapped.
    _patch(
        nnet / "fdht_cell.h",
        "                    const unsigned at = g * units_in_word + lane;\n",
        '                    static const bool swapped = mutated("swap gates");\n'
        "                    const unsigned gate = swapped && g < 2 ? 1 - g : g;\n"
        "                    const unsigned at = gate * units_in_word + lane;\n",
    )
    # The state is lost at the end of a call.
    _patch(
        nnet / "fdht_recurrence.h",
        "((reset_state && frame == 0) ||",
        '((reset_state && frame == 0) || mutated("lose state") ||',
    )
    for header in weight_headers(project):
        name = header.stem
        path = copy / "firmware" / "weights" / header.name
        text, count = re.subn(
            r"\nconst (.+ )(\w+(?:\[\d+\])+) = ", r"\nstatic \1\2 = ", path.read_text()
        )
        assert count == 1, header
        entry = f"std::remove_all_extents<decltype({name})>::type"
        registration = f"static fdht::mutant<{entry}> "
        registration += (
            f'{name}_mutant("{name}", ({entry} *){name}, sizeof {name} / sizeof({entry}));\n'
        )
        path.write_text(text.replace("\n#endif", f"\n{registration}\n#endif"))
    library = directory / "mutable.so"
    compile_library(copy, library, "native")
    return library


def weight_headers(project: Path) -> list[Path]:
    """Our arrays of integers: cores, bias, order of units and truth tables."""
    headers = sorted((project / "firmware" / "weights").glob("*.h"))
    return [header for header in headers if "fdht_integer.h" in header.read_text()]


def _patch(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))
