"""The lowest versions that `pyproject.toml` allows, and the host's tests with them.

    python .ci/lowest.py requirements > FILE     for pip, in an environment of its own
    python .ci/lowest.py test                    in that environment

What the command line and a board install - `dependencies` and the extra `board` - takes its lower
bound as its version. The tools of the tests are those of the extra `dev`, in versions that this
Python has: what `constraints.txt` pins may ask for a newer one than a board's. Tests that need more
are named here, with the reason; whatever else does not run fails the command.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What runs the tests, of the extra `dev`.
TOOLS = ("hypothesis", "pytest", "pytest-timeout", "scikit-video")
#: Of PYNQ's images (their requirements.txt for Ubuntu 22.04): pynqmetadata 0.1.2 needs these, and
#: does not say so.
IMAGE = ("pydantic==1.9.1", "ipython==8.10.0")
#: Directories of tests whose code needs no TensorFlow and no hls4ml.
TESTED = ("tests/host", "tests/overlays")
#: Of these, what needs the extra `train`, `hls` or `rtl`.
LEFT_OUT = (
    "tests/host/test_raw_calls.py",
    "tests/host/test_sparse_board.py",
    "tests/host/test_dead_zone.py::test_a_video_and_the_test_set_are_the_same_frames",
    "tests/host/test_packing_times.py::test_a_dead_zone_leaves_zeros",
    "tests/host/test_packing_times.py::test_the_command_prints_json",
    # Reading in threads once waited for a thread that was gone, with PyAV 16.0 and Python 3.10; it
    # is not known why, and nothing but its benchmark reads so.
    "tests/host/test_ahead.py",
    "tests/host/test_decoding_ahead.py",
    "tests/host/test_host_times.py",
    "tests/host/test_overlapped_run.py",
    "tests/overlays/open",
    "tests/overlays/test_build_command.py",
    "tests/overlays/test_hwh.py",
    "tests/overlays/plan/test_plan.py::test_the_core_in_rtl_takes_the_place_of_vitis",
    "tests/overlays/plan/test_plan.py::"
    "test_the_core_in_rtl_takes_the_frames_that_were_converted_for",
    "tests/overlays/plan/test_collecting.py::"
    "test_clocks_of_our_verilog_are_those_of_its_simulation",
)
#: Reasons for which a test may be skipped: what it needs is in no extra that is installed here.
MAY_BE_SKIPPED = (
    "tclsh",
    "asyncssh",
    "pyserial",
    "amaranth",
    "pynq 4",
    "pynqmetadata ships no",
    "pynq 3.0 asks XRT",
    "before Python 3.11 the library itself",
)
#: Fewer tests than these have not run by mistake.
LEAST = 650

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?(?P<bounds>[^;]*)(;(?P<marker>.*))?"
)


def requirements(project: dict[str, object]) -> list[str]:
    """Lines for pip.

    Raises:
        SystemExit: a package has no lower bound.
    """
    extras = project["optional-dependencies"]
    lines = [lowest(text) for text in (*project["dependencies"], *extras["board"])]
    tools = {_REQUIREMENT.fullmatch(text)["name"].lower(): text for text in extras["dev"]}
    return [*lines, *IMAGE, *(tools[name] for name in TOOLS)]


def lowest(requirement: str) -> str:
    """A requirement at its lower bound: "numpy>=1.24,<2.3" -> "numpy==1.24"."""
    found = _REQUIREMENT.fullmatch(requirement)
    bound = found and re.search(r"[>=]=\s*([^,\s]+)", found["bounds"])
    if not found or not bound:
        raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound; say >= and try it")
    marker = f" ;{found['marker']}" if found["marker"] else ""
    return f"{found['name']}=={bound[1]}{marker}"


class Counted:
    """A plug-in of pytest that counts what ran, and looks at what did not."""

    def __init__(self) -> None:
        self.passed = 0
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: object) -> None:
        """A test that ran, or did not."""
        if report.passed and report.when == "call":
            self.passed += 1
        elif report.skipped:
            self.skipped.append(f"{report.nodeid}: {report.longrepr[2]}")

    def pytest_collectreport(self, report: object) -> None:
        """A file that was read, or skipped whole."""
        if report.skipped:
            self.skipped.append(f"{report.nodeid}: {report.longrepr[2]}")


def test(options: Sequence[str]) -> int:
    """Runs the tests; returns an exit code."""
    import pytest

    counted = Counted()
    chosen = ["-q", "-m", "not slow", *TESTED]
    for place in LEFT_OUT:
        chosen += ["--deselect" if "::" in place else "--ignore", place]
    code = int(pytest.main([*chosen, *options], plugins=[counted]))
    unexpected = [
        text for text in counted.skipped if not any(word in text for word in MAY_BE_SKIPPED)
    ]
    for text in unexpected:
        print(f"skipped, and nobody said that it may be: {text}")
    print(f"lowest versions: {counted.passed} tests passed; at least {LEAST} must")
    return code or int(bool(unexpected) or counted.passed < LEAST)


def main(arguments: Sequence[str]) -> int:
    """See the top of this file."""
    if arguments[:1] == ["test"]:
        return test(arguments[1:])
    if arguments != ["requirements"]:
        raise SystemExit(__doc__)
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print("\n".join(requirements(project)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
