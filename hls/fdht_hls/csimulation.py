"""The C simulation: the core's C++ compiled by g++, and called from Python.

Two builds of the same source: `exact` uses the arbitrary-precision types that Vitis HLS uses, so
that a sum wider than its stated width would wrap; `native` uses the processor's integers, also in
its streams, and is some hundred times faster. Their results are equal because no sum exceeds its
width. `batch` runs many clips on all processors.
"""

from __future__ import annotations

import _ctypes
import ctypes
import shutil
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fdht_hls.registers import IDENTITY_REGISTERS
from fdht_models.directories import LIBRARY
from fdht_models.errors import ArtifactError, DeviceError, ToolError
from fdht_models.process import run_tool
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import LOGIT_BYTES, QuantizedNetwork

Bytes = npt.NDArray[np.uint8]
Build = Literal["exact", "native"]

#: Seconds that g++ may take; a full-size model takes about 10.
COMPILE_TIMEOUT = 600
#: By the kind of frames that a core reads.
_ENTRIES = {
    "dense": "fdht_csim_run",
    "sparse": "fdht_csim_run_sparse",
    "raw": "fdht_csim_run_raw",
}
_WEIGHT_WORDS, _LOAD_ENTRY = "fdht_csim_weight_words", "fdht_csim_load_weights"
_CONTEXTS, _CHOOSE_ENTRY = "fdht_csim_contexts", "fdht_csim_choose_context"
_OBSERVE_ENTRY, _OBSERVED_ENTRY = "fdht_csim_observe", "fdht_csim_observed"
#: Both sources as one translation unit: the headers, a second of work, are read once.
_SOURCES = ("-include", "firmware/fdht_lstm.cpp", "fdht_csim.cpp")
#: `-fno-gnu-unique`: without it, static variables of templates would be shared by all copies of the
#: library in a process, and a copy that has such could never be unloaded.
_FLAGS = ("-std=c++14", "-fPIC", "-shared", "-fno-gnu-unique", "-w")
#: Of each build. The exact one runs a few hundred frames in its life, for which more optimisation
#: would take longer than it saves. A native library is for processors like the one that it is
#: built on. The products of a beat are to become vector instructions, which g++ misses if it
#: unrolls their loops first.
_BUILD_FLAGS: dict[Build, tuple[str, ...]] = {
    "exact": ("-O1",),
    "native": (
        *("-O3", "-march=native", "-fno-loop-unroll-and-jam"),
        *("--param=max-completely-peel-times=7", "-DFDHT_NATIVE_INTEGERS"),
    ),
}


class Identity(NamedTuple):
    """What the core writes into its identity registers, in their order; 32 bits each.

    A core without loadable weights lacks those of weights, one of dense frames those of frames, and
    one with a single context the last; they then read 0.
    """

    abi_version: int
    design_id_low: int
    design_id_high: int
    frame_bytes: int
    result_bytes: int
    frames_done: int
    weights_layout: int = 0
    weights_id_low: int = 0
    weights_id_high: int = 0
    frame_faults: int = 0
    core_frames: int = 0
    contexts: int = 0


def compiler() -> str:
    """Path of g++.

    Raises:
        ToolError: it is not installed.
    """
    found = shutil.which("g++")
    if found is None:
        raise ToolError(
            "is not installed", field="g++", remedy="install it, e.g. apt-get install g++"
        )
    return found


def compile_library(
    project: Path, library: Path, build: Build, stop: threading.Event | None = None
) -> None:
    """Compiles the core of an HLS project into a shared library.

    Args:
        project: the directory that hls4ml and our writer wrote.
        library: file to write.
        build: which integers to use.
        stop: ends the compiler early, once it is set.

    Raises:
        ToolError: g++ is missing, fails, takes too long or is stopped; the first error line is
            shown. No library is left then.
    """
    command = [
        *(compiler(), *_FLAGS, *_BUILD_FLAGS[build]),
        *("-Ifirmware/ap_types", "-Ifirmware", "-I."),
        *(*_SOURCES, "-o", str(library.resolve())),
    ]
    # With its children: g++ leaves the work to a process of its own, which would go on without it.
    done = False
    try:
        code, said = run_tool(
            "g++", command, project, COMPILE_TIMEOUT, remedy="free the machine", stop=stop
        )
        done = code == 0
    finally:
        if not done:
            library.unlink(missing_ok=True)
    if code:
        decisive = next((line for line in said.splitlines() if "error" in line), "no message")
        raise ToolError(f"failed: {decisive}", field="g++", value=str(project))


@contextmanager
def compiling(project: Path, libraries: Mapping[Path, Build]) -> Iterator[None]:
    """Compiles libraries side by side, and beside what is done in the block.

    The end of the block waits for all. Where the block or a compiler fails, nothing goes on.

    Args:
        project: see `compile_library`.
        libraries: which build each file to write is of.

    Raises:
        ToolError: as `compile_library`, of the one that failed first.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(len(libraries)) as pool:
        try:
            jobs = [
                pool.submit(compile_library, project, library, build, stop)
                for library, build in libraries.items()
            ]
            yield
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            stop.set()
            raise


class CSimulation:
    """The core compiled to a shared library, in a copy of its own.

    The library keeps its LSTM state in static variables, and loading one file twice gives one
    set of them: each simulation therefore loads a private copy.

    Args:
        library: what `compile_library` wrote.

    Raises:
        ArtifactError: it cannot be loaded, or lacks the entry point.
        DeviceError: copies of it share their state.
    """

    def __init__(self, library: Path) -> None:
        self._library: ctypes.CDLL | None = None
        try:
            with tempfile.TemporaryDirectory(prefix="fdht-csim-") as directory:
                copy = Path(directory) / LIBRARY
                shutil.copyfile(library, copy)
                _refuse_truncated(copy)
                # The file may go as soon as it is loaded: the mapping keeps it.
                self._library = ctypes.CDLL(str(copy))
            kinds = [kind for kind, name in _ENTRIES.items() if hasattr(self._library, name)]
            self._name = _ENTRIES[kinds[0] if kinds else "dense"]
            self._function: Any = getattr(self._library, self._name)
            #: Does it read sparse frames?
            self.sparse = self._name == _ENTRIES["sparse"]
            #: Frames that a sequence begins with before the first that gives a result.
            self.frames_before = int(self._name == _ENTRIES["raw"])
        except (OSError, AttributeError) as error:
            self.close()
            raise ArtifactError(
                f"cannot be used as a C simulation ({error})",
                field=str(library),
                remedy="run fdht convert on this machine",
            ) from error
        pointer = np.ctypeslib.ndpointer(np.uint8, flags="C_CONTIGUOUS")
        word = ctypes.c_uint32
        identity = word * len(IDENTITY_REGISTERS)
        self._call_type = [pointer, pointer, word, word]
        words_type = [word] if self.sparse else []
        self._function.argtypes = [*self._call_type, *words_type, ctypes.POINTER(identity)]
        self._function.restype = ctypes.c_int
        self._identity_type = identity
        words = getattr(self._library, _WEIGHT_WORDS, None)
        #: 64-bit words of weights that the core can load; 0 if it holds them for good.
        self.weight_words = int(words()) if words else 0
        contexts = getattr(self._library, _CONTEXTS, None)
        #: States that it keeps.
        self.contexts = int(contexts()) if contexts else 1
        nothing = np.zeros(8, np.uint8)
        if self.run(nothing, nothing, 0, False).frames_done:
            self.close()
            raise DeviceError(
                "shares its state with a copy that is loaded already",
                field=str(library),
                remedy="compile it with -fno-gnu-unique",
            )

    def run(
        self,
        frames: Bytes,
        results: Bytes,
        count: int,
        reset: bool,
        words: int = 0,
        context: int = 0,
    ) -> Identity:
        """Processes `count` frames as the core would; 0 only tells the identity.

        Args:
            frames: uint8[count * frame_bytes], as in memory; of a core that reads sparse frames
                `words` words of 8 bytes; of raw ones, where a sequence begins with `reset`, one
                frame more. See `fdht_hls.packing`.
            results: uint8[count * result_bytes], to be written.
            count: frames.
            reset: start from a zero state.
            words: that sparse frames take.
            context: what the register holds: whose state the frames go on from, where there are
                several.

        Raises:
            DeviceError: the simulation reports a failure, or is closed.
        """
        if self._library is None:
            raise DeviceError("is closed", field="C simulation")
        if self.contexts > 1:
            self._entry(_CHOOSE_ENTRY)(ctypes.c_uint32(context))
        identity = self._identity_type()
        called = (frames, results, count, int(reset), *([words] if self.sparse else []))
        code = self._function(*called, ctypes.byref(identity))
        if code:
            raise DeviceError("failed", field="C simulation", value=code)
        return Identity(*identity)

    def run_observed(
        self,
        frames: Bytes,
        results: Bytes,
        count: int,
        reset: bool,
        values: int,
        words: int = 0,
        context: int = 0,
    ) -> Codes:
        """Processes frames as `run` does, and returns what went on inside.

        Args:
            frames: see `run`.
            results: see `run`.
            count: see `run`.
            reset: see `run`.
            values: that each frame gives; see `fdht_hls.observation`.
            words: see `run`.
            context: see `run`.

        Returns:
            int64[count, values]: what processes handed on and the cell kept, as it came.

        Raises:
            ArtifactError: the library was made by another version.
            DeviceError: it is closed, reports a failure, or gives another number of values.
        """
        observe, observed = self._entry(_OBSERVE_ENTRY), self._entry(_OBSERVED_ENTRY)
        observe.argtypes, observe.restype = [ctypes.c_void_p, ctypes.c_uint64], None
        observed.restype = ctypes.c_uint64
        seen = np.empty((count, values), np.int64)
        observe(seen.ctypes.data, seen.size)
        try:
            self.run(frames, results, count, reset, words, context)
            found = observed()
        finally:
            observe(None, 0)
        if found != seen.size:
            raise DeviceError(
                f"gives {found} values inside {count} frames",
                field="C simulation",
                value=seen.size,
                remedy="run fdht convert again",
            )
        return seen

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """Loads weights; the next frame starts from a zero state.

        Args:
            words: uint64[weight_words], what `fdht_hls.weights.pack_weights` gives.

        Raises:
            DeviceError: the core takes no weights, or as many words; or the simulation is closed.
        """
        function = self._entry(_LOAD_ENTRY)
        if not self.weight_words or words.size != self.weight_words:
            raise DeviceError(
                f"the core takes {self.weight_words} words of weights",
                field="C simulation",
                value=words.size,
                remedy="pack them for this core",
            )
        function.argtypes = [np.ctypeslib.ndpointer(np.uint64, flags="C_CONTIGUOUS")]
        function(words)

    def run_clips(
        self,
        frames: Bytes,
        results: Bytes,
        clips: int,
        frames_a_clip: int,
        ends: Codes | None = None,
    ) -> None:
        """Processes clips of equal length one after the other, each from a state of zero.

        Args:
            frames: uint8[clips * frames_a_clip * frame_bytes], or sparse frames; see `run`. Of raw
                frames one more a clip.
            results: uint8[clips * frames_a_clip * result_bytes], to be written.
            clips: how many there are.
            frames_a_clip: results of each.
            ends: int64[clips]: words from the start of `frames` to each clip's end; a core that
                reads sparse frames needs them.

        Raises:
            ArtifactError: the library has no such entry point.
            DeviceError: the simulation reports a failure, or is closed.
        """
        function = self._entry(f"{self._name}_clips")
        places = np.ctypeslib.ndpointer(np.int64, flags="C_CONTIGUOUS")
        function.argtypes = [*self._call_type, *([places] if self.sparse else [])]
        function.restype = ctypes.c_int
        called = (frames, results, clips, frames_a_clip, *([ends] if self.sparse else []))
        if code := function(*called):
            raise DeviceError("failed", field="C simulation", value=code)

    def _entry(self, name: str) -> Any:
        """An entry point that libraries of other versions may lack."""
        if self._library is None:
            raise DeviceError("is closed", field="C simulation")
        found = getattr(self._library, name, None)
        if found is None:
            raise ArtifactError(
                f"has no {name}", field="C simulation", remedy="run fdht convert again"
            )
        return found

    def close(self) -> None:
        """Unloads the library."""
        library, self._library = self._library, None
        if library is not None:
            _ctypes.dlclose(library._handle)


def copies_of(library: Path, count: int) -> list[CSimulation]:
    """So many simulations of one library; where one cannot be loaded, none is left.

    Raises:
        As `CSimulation`.
    """
    with ExitStack() as loaded:
        copies = [loaded.enter_context(closing(CSimulation(library))) for _ in range(count)]
        loaded.pop_all()
    return copies


def _refuse_truncated(library: Path) -> None:
    """Raises OSError for an ELF file that ends before its section table, which linkers write last.

    The loader maps whatever the headers promise, and touching what is not there kills the process.
    """
    data = library.read_bytes()
    if len(data) < 64 or data[:5] != b"\x7fELF\x02":  # the loader refuses all but 64-bit ELF files
        return
    start, size, count = (
        *struct.unpack_from("<Q", data, 0x28),
        *struct.unpack_from("<HH", data, 0x3A),
    )
    if start + size * count > len(data):
        raise OSError("it is truncated")


def pack_frames(network: QuantizedNetwork, frames: npt.NDArray[Any]) -> Bytes:
    """Frames as they lie in memory: uint8[frames * frame_bytes], each padded to whole words."""
    if network.frame_bytes == network.inputs:
        return np.ascontiguousarray(frames).view(np.uint8).ravel()
    packed = np.zeros((len(frames), network.frame_bytes), np.uint8)
    packed[:, : network.inputs] = frames.view(np.uint8)
    return packed.ravel()


def unpack_results(network: QuantizedNetwork, results: Bytes) -> Codes:
    """Logit codes from memory: int64[frames, classes]."""
    words = results.view(np.int32).reshape(-1, network.result_bytes // LOGIT_BYTES)
    return words[:, : len(network.classes)].astype(np.int64)
