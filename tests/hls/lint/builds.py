"""Other compilers and other checks for a project: warnings, and a build with sanitizers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.backend import INCLUDE
from fdht_hls.csimulation import COMPILE_TIMEOUT, Build, pack_frames
from fdht_hls.lint.frontend import parse
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES, QuantizedNetwork

#: Loops have labels, which only a synthesis tool reads, and pragmas of its own.
_WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-label")
_INCLUDES = ("-Ifirmware/ap_types", "-Ifirmware", "-I.")
_NATIVE = "-DFDHT_NATIVE_INTEGERS"
#: Every file with C++ that is ours; hls4ml's headers are not ours to mend.
SOURCES = ("firmware/fdht_lstm.cpp", "fdht_csim.cpp", "fdht_testbench.cpp")
_OURS = {path.name for path in INCLUDE.glob("*.h")} | {Path(name).name for name in SOURCES}
_OURS |= {"fdht_lstm.h", "parameters.h", "defines.h"}
_LOCATION = re.compile(r"^(\S+?):(\d+):\d+: (?:fatal )?(warning|error): (.*)$")


def _is_ours(file: str) -> bool:
    return Path(file).name in _OURS or "weights" in Path(file).parts


def warnings(
    project: Path, compiler: str, standard: str, build: Build, sources: Sequence[str] = SOURCES
) -> list[str]:
    """Warnings and errors of a compiler in our files.

    Args:
        project: the HLS project.
        compiler: "g++", "clang++", or "libclang" for clang's front end as a library.
        standard: such as "c++14".
        build: which integers to use.
        sources: files to compile.
    """
    options = [f"-std={standard}", *_WARNINGS, *([_NATIVE] if build == "native" else [])]
    if compiler == "libclang":
        return _library_warnings(project, options, sources)
    found = subprocess.run(
        [compiler, *options, "-fsyntax-only", *_INCLUDES, *sources],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT,
        check=False,
    )
    matches = [match for line in found.stderr.splitlines() if (match := _LOCATION.match(line))]
    assert found.returncode == 0 or matches, found.stderr
    return [match[0] for match in matches if match[3] == "error" or _is_ours(match[1])]


def _library_warnings(project: Path, options: list[str], sources: Sequence[str]) -> list[str]:
    includes = [f"-I{project / name[2:]}" for name in _INCLUDES]
    found = []
    for source in sources:
        unit = parse(project / source, [*options, *includes], {})
        for diagnostic in unit.diagnostics:
            file = diagnostic.location.file
            if diagnostic.severity >= 2 and file is not None:
                text = f"{file.name}:{diagnostic.location.line}: {diagnostic.spelling}"
                found += [text] if diagnostic.severity >= 3 or _is_ours(file.name) else []
    return found


#: All that the sanitizers find ends the program, but for shifts: ap_private.h shifts negative
#: values to the left, which g++ defines. Those of ours are looked for in what the program says.
_SANITIZERS = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fsanitize-recover=shift"),
    *("-fno-omit-frame-pointer", "-g1", "-O0", "-w", "-std=c++14"),
)
_MAIN = Path(__file__).with_name("sanitized_main.cpp")
#: The same for cores that read sparse frames: calls, damaged or not.
SPARSE_MAIN = Path(__file__).with_name("sanitized_sparse.cpp")
_ENVIRONMENT = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "color=never"}


def sanitized(
    project: Path, program: Path, build: Build, main: Path = _MAIN, *, raw: bool = False
) -> None:
    """Compiles the C simulation with the sanitizers for addresses and undefined behaviour.

    Args:
        project: the HLS project.
        program: to write.
        build: which integers to use.
        main: what calls the core.
        raw: the core reads raw frames.
    """
    defined = [*([_NATIVE] if build == "native" else []), *(["-DRUN_RAW"] if raw else [])]
    done = subprocess.run(
        [
            *("g++", *_SANITIZERS, *defined, *_INCLUDES, str(main)),
            *("fdht_csim.cpp", "firmware/fdht_lstm.cpp", "-o", str(program)),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run_stream(
    program: Path, network: QuantizedNetwork, frames: Any, logits: Any, directory: Path
) -> tuple[int, str, list[str]]:
    """Runs a stream: exit code, what the program says, and what the sanitizers found of ours.

    Args:
        program: what `sanitized` compiled.
        network: the integers.
        frames: codes [frames, inputs]; of a core that reads raw frames one more than results.
        logits: what they should give, int64[results, classes].
        directory: for files.
    """
    results = np.zeros((len(logits), network.result_bytes // LOGIT_BYTES), np.int32)
    results[:, : logits.shape[1]] = logits
    words = {
        "frames": pack_frames(network, np.ascontiguousarray(frames)).view("<u8"),
        "results": results.ravel().view("<u8"),
    }
    for name, values in words.items():
        text = "".join(f"{int(value):016x}\n" for value in values)
        (directory / f"{name}.hex").write_text(text)
    sizes = [str(size // WORD_BYTES) for size in (network.frame_bytes, network.result_bytes)]
    return run_sanitized(program, [*(str(directory / f"{name}.hex") for name in words), *sizes])


def run_sanitized(program: Path, arguments: Sequence[str]) -> tuple[int, str, list[str]]:
    """Runs a program that `sanitized` compiled; see `run_stream`."""
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT,
        check=False,
        env={**os.environ, **_ENVIRONMENT},
    )
    reports = [
        line
        for line in done.stderr.splitlines()
        if ("runtime error" in line and "ap_types/" not in line) or "ERROR: AddressSan" in line
    ]
    return done.returncode, done.stdout, reports


def compiled_bench(project: Path, program: Path) -> Callable[[Path], tuple[int, str]]:
    """Compiles a project's test bench: directory of golden vectors -> exit code, what it says."""
    subprocess.run(
        [
            *("g++", "-std=c++14", "-w", *_INCLUDES),
            *("fdht_testbench.cpp", "firmware/fdht_lstm.cpp", "-o", str(program)),
        ],
        cwd=project,
        check=True,
        timeout=COMPILE_TIMEOUT,
    )

    def run(directory: Path) -> tuple[int, str]:
        done = subprocess.run(
            [program, directory], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout

    return run


def stated_registers(project: Path) -> dict[str, int]:
    """Offsets of registers, as the core's pragmas state them."""
    text = (project / "firmware" / "fdht_lstm.cpp").read_text()
    stated = re.findall(r"s_axilite port=(\w+) bundle=control offset=(0x[0-9a-f]+)", text)
    return {name: int(offset, 16) for name, offset in stated}
