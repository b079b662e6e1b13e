"""The kernels that read memory, compiled with a function of a test's own around them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import hls4ml

from fdht_hls.backend import INCLUDE
from fdht_hls.csimulation import Build, compiler


def compiled(
    directory: Path, name: str, source: str, build: Build, byte: str, ap_types: Path, *flags: str
) -> ctypes.CDLL:
    """Writes and compiles a source, and loads it; `BYTE` in it is the type of a value."""
    vivado = Path(hls4ml.__file__).parent / "templates" / "vivado"
    (directory / f"{name}.cpp").write_text(source)
    define = ["-DFDHT_NATIVE_INTEGERS"] if build == "native" else []
    done = subprocess.run(
        [
            *(compiler(), "-std=c++14", *flags, "-w", "-fPIC", "-shared", f"-I{INCLUDE}"),
            *(f"-I{ap_types}", f"-I{vivado}", f"-DBYTE={byte}", *define),
            *(f"{name}.cpp", "-o", f"{name}.so"),
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    return ctypes.CDLL(str(directory / f"{name}.so"))
