"""Runs a compiled core on frames, as its driver would, and reads what the test bench saw."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import Bytes, Identity, pack_frames, unpack_results
from fdht_hls.rtl.simulation.compiling import Simulator
from fdht_models.arguments import count, seconds
from fdht_models.artifacts import read_json, write_bytes
from fdht_models.directories import REPORT
from fdht_models.errors import ConfigError, DeviceError, DeviceTimeoutError, ToolError
from fdht_models.process import run_tool
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.sparse_frames import SparseFormat, pack_sparse

#: Where the simulated memory begins; above 4 GB, so that the upper halves of addresses matter.
BASE = 0x5_1000_0000
#: Seconds that a simulation may take.
RUN_TIMEOUT = 1800.0
_ERROR_LIMIT = 1000
#: Bytes between the frames and the results, and behind these.
_GAP = 24


@dataclass(frozen=True)
class RunSettings:
    """What stands around the core.

    Args:
        latency: clocks between a request to the memory and its answer, beyond the least.
        jitter: up to so many clocks more, drawn for each burst.
        back_pressure: share of clocks in which a channel is held up, 0 to below 1.
        seed: of all that is random.
        timeout_clocks: clocks after which a call is late.
        timeout: seconds for all calls.
        interrupt: wait for the interrupt, not by looking at CTRL.
        bad_reads: addresses whose words the memory answers with an error.
        bad_writes: addresses that the memory refuses to write.
        timeline: frame of the last call of which each clock is noted.
        trace: file of waveforms (FST) to write.
        toggles: count bits of nets that change; see `Simulator.toggles`.
    """

    latency: int = 0
    jitter: int = 0
    back_pressure: float = 0.0
    seed: int = 0
    timeout_clocks: int = 10_000_000
    timeout: float = RUN_TIMEOUT
    interrupt: bool = False
    bad_reads: tuple[int, ...] = ()
    bad_writes: tuple[int, ...] = ()
    timeline: int | None = None
    trace: Path | None = None
    toggles: bool = False

    def __post_init__(self) -> None:
        for name, least in (("latency", 0), ("jitter", 0), ("seed", 0), ("timeout_clocks", 1)):
            count(getattr(self, name), name, least)
        seconds(self.timeout, "timeout")
        if not 0 <= self.back_pressure < 1:
            raise ConfigError(
                "must be at least 0 and less than 1, the share of clocks that are held up",
                field="back_pressure",
                value=self.back_pressure,
            )


@dataclass(frozen=True)
class Call:
    """A call of the core, as the driver makes it; addresses in bytes.

    Args:
        frames: address of the first frame.
        results: address of the first result.
        count: frames.
        reset: start from a zero state.
        weights: address of weights to load first; None: none.
        words: of the port that sparse frames take; None: frames are dense.
        ends: bytes from the start to each frame's end, where frames do not lie at equal distances.
        context: whose state it goes on from; what is written to the register.
    """

    frames: int
    results: int
    count: int
    reset: bool
    weights: int | None = None
    words: int | None = None
    ends: tuple[int, ...] = ()
    context: int = 0


@dataclass(frozen=True)
class CallOutcome:
    """What was seen of a call; times are clocks since the reset.

    Args:
        start: AP_START is written.
        done: the host sees that the core is idle.
        identity: the identity registers after it.
        times: int64[frames, 3]: first word read, last word read, last word of the result written;
            0 where that did not happen.
        activity: int64[frames, stages, 5]: between the last word of the frame before and that of
            this one, clocks in which a stage was busy, starved or blocked, and the first and last
            in which it was busy. Of sparse frames between the results, for their words are read
            several frames ahead.
        sizes: int64[frames]: bytes that each frame takes in memory.
        toggles: int64[1 + frames]: bits of nets that changed since the reset, until the call's
            start and until each frame's result; empty if they were not counted.
    """

    start: int
    done: int
    identity: Identity
    times: Codes
    activity: Codes
    sizes: Codes
    toggles: Codes


@dataclass(frozen=True)
class Outcome:
    """What was seen of all calls.

    Args:
        calls: in their order.
        memory: what the memory holds at the end.
        clocks: clocks simulated.
        timeline: what each stage did from the first word of the noted frame until before its
            result, a letter a clock: "b"usy, "s"tarved, bl"o"cked, "." otherwise.
        timeline_start: the first of these clocks.
        counted_bits: of nets whose changes were counted; 0 if none were.
    """

    calls: tuple[CallOutcome, ...]
    memory: Bytes
    clocks: int
    timeline: tuple[str, ...] = ()
    timeline_start: int = 0
    counted_bits: int = 0


@dataclass(frozen=True)
class Layout:
    """Where frames and results lie in the simulated memory.

    Args:
        network: gives their sizes.
        count: results.
        offset: bytes between the start of the memory and the first frame, a multiple of 8.
        form: of sparse frames; None: frames are dense.
        ends: bytes from the first frame's start to each one's end; of sparse frames.
        before: frames before the first that gives a result: 1 of raw ones.
    """

    network: QuantizedNetwork
    count: int
    offset: int = 0
    form: SparseFormat | None = None
    ends: tuple[int, ...] = ()
    before: int = 0

    @classmethod
    def of(
        cls,
        network: QuantizedNetwork,
        frames: npt.NDArray[Any],
        offset: int = 0,
        form: SparseFormat | None = None,
        before: int = 0,
    ) -> Layout:
        """Where these frames [n, inputs] lie."""
        ends = _pack(network, frames, form)[1]
        return cls(network, len(frames) - before, offset, form, ends, before)

    @property
    def frames(self) -> int:
        """Address of the first frame."""
        return BASE + self.offset

    @property
    def results(self) -> int:
        """Address of the first result; not at the start of a burst."""
        return self.frames + self.end(self.count) + _GAP

    def end(self, number: int) -> int:
        """Bytes up to the frame of so many results, from the first one on."""
        if self.form is None:
            return (number + self.before if number else 0) * self.network.frame_bytes
        return self.ends[number - 1] if number else 0

    @property
    def size(self) -> int:
        """Bytes of memory, with some behind the results that must stay as they are."""
        return self.results + self.count * self.network.result_bytes + _GAP - BASE

    def image(self, frames: npt.NDArray[Any]) -> Bytes:
        """The memory before the first call; what is not a frame is noise."""
        memory = np.random.default_rng(self.size).integers(0, 256, self.size).astype(np.uint8)
        packed, _ = _pack(self.network, frames, self.form)
        memory[self.offset : self.offset + len(packed)] = packed
        return memory

    def logits(self, memory: Bytes) -> Codes:
        """Logit codes that the memory holds: int64[count, classes]."""
        start = self.results - BASE
        return unpack_results(
            self.network, memory[start : start + self.count * self.network.result_bytes]
        )

    def check_around(self, before: Bytes, after: Bytes) -> None:
        """Checks that nothing but results was written.

        Raises:
            DeviceError: something was; says where.
        """
        changed = np.flatnonzero(before != after)
        start = self.results - BASE
        stop = start + self.count * self.network.result_bytes
        stray = changed[(changed < start) | (changed >= stop)]
        if len(stray):
            raise DeviceError(
                "the core wrote beside its results",
                field="RTL simulation",
                value=hex(BASE + int(stray[0])),
            )

    def call(self, first: int, count: int, reset: bool) -> Call:
        """The call for results `first` to `first + count - 1`; with a reset from the first on."""
        start = self.end(first)
        call = Call(
            self.frames + start, self.results + first * self.network.result_bytes, count, reset
        )
        if self.form is None and not self.before:
            return call
        if self.form is None:
            frames = range(first + 1, first + count + 1)
            return replace(call, ends=tuple(self.end(frame) - start for frame in frames))
        ends = tuple(end - start for end in self.ends[first : first + count])
        words = ends[-1] // self.form.word_bytes if ends else 0
        return replace(call, words=words, ends=ends)


def _pack(
    network: QuantizedNetwork, frames: npt.NDArray[Any], form: SparseFormat | None
) -> tuple[Bytes, tuple[int, ...]]:
    """(frames in memory, bytes from the first one's start to each one's end if they are sparse)."""
    packed = pack_frames(network, frames)
    if form is None:
        return packed, ()
    target = np.zeros(form.room(len(frames)), np.uint8)
    ends = form.word_bytes * pack_sparse(form, packed.reshape(len(frames), -1), target)
    return target[: ends[-1] if len(ends) else 0], tuple(int(end) for end in ends)


def run_calls(
    simulator: Simulator,
    network: QuantizedNetwork,
    memory: Bytes,
    calls: Sequence[Call],
    settings: RunSettings,
) -> Outcome:
    """Runs calls one after the other on one memory.

    Raises:
        DeviceError: the core broke a rule of AXI or of its registers; says which and when.
        DeviceTimeoutError: a call did not end in time.
        ToolError: the program fails, or takes too long.
    """
    if settings.trace is not None and not simulator.traces:
        raise ConfigError("was not compiled to write waveforms", field="simulator")
    if settings.toggles and not simulator.toggles:
        raise ConfigError("was not compiled to count bits that change", field="simulator")
    with tempfile.TemporaryDirectory(prefix="fdht-rtl-") as name:
        directory = Path(name)
        (directory / "memory.bin").write_bytes(memory.tobytes())
        (directory / "plan.txt").write_text(_plan(network, calls, settings, directory))
        code, said = run_tool(
            "RTL simulation",
            [str(simulator.program.resolve()), "plan.txt"],
            directory,
            settings.timeout,
        )
        if settings.trace is not None:
            _keep(directory / "trace.fst", settings.trace)
        if code or not (directory / REPORT).is_file():
            raise ToolError(
                f"failed: {said.strip()[-_ERROR_LIMIT:] or 'no message'}",
                field="RTL simulation",
                value=code,
            )
        report = read_json(directory / REPORT)
        written = np.fromfile(directory / "output.bin", np.uint8)
    _refuse(report)
    return Outcome(
        tuple(
            _call(entry, len(simulator.stages), _ends(network, call))
            for entry, call in zip(report["calls"], calls, strict=True)
        ),
        written,
        report["clock"],
        tuple(report["timeline"]),
        report["timeline_start"],
        report["counted_bits"],
    )


def simulate_stream(
    simulator: Simulator,
    network: QuantizedNetwork,
    frames: npt.NDArray[Any],
    pieces: Sequence[slice],
    settings: RunSettings,
    offset: int = 0,
    form: SparseFormat | None = None,
    before: int = 0,
) -> tuple[Codes, Outcome]:
    """Runs a stream of frames, a call a piece; the first starts from a zero state.

    Args:
        simulator: the compiled core.
        network: what it computes.
        frames: codes [frames, inputs].
        pieces: consecutive parts of the results.
        settings: what stands around the core.
        offset: bytes of the first frame behind a 4 KB boundary, a multiple of 8.
        form: of sparse frames, for a core that reads such; None: frames are dense.
        before: frames before the first that gives a result: 1 of raw ones.

    Returns:
        (logit codes int64[frames - before, classes], what was seen).
    """
    layout = Layout.of(network, frames, offset, form, before)
    image = layout.image(frames)
    calls = [layout.call(one.start, one.stop - one.start, one.start == 0) for one in pieces]
    outcome = run_calls(simulator, network, image, calls, settings)
    layout.check_around(image, outcome.memory)
    return layout.logits(outcome.memory), outcome


def _keep(written: Path, target: Path) -> None:
    """Waveforms, also those of a run that ended badly, which need them most."""
    if written.is_file():
        write_bytes(target, written.read_bytes())


def _plan(
    network: QuantizedNetwork, calls: Sequence[Call], settings: RunSettings, directory: Path
) -> str:
    lines: list[tuple[str, object]] = [
        ("latency", settings.latency),
        ("jitter", settings.jitter),
        ("back_pressure", round(1000 * settings.back_pressure)),
        ("seed", settings.seed),
        ("base", BASE),
        ("memory", "memory.bin"),
        ("output", "output.bin"),
        ("report", REPORT),
        ("result_bytes", network.result_bytes),
        ("timeout", settings.timeout_clocks),
        ("interrupt", int(settings.interrupt)),
        ("toggles", int(settings.toggles)),
        ("timeline", -1 if settings.timeline is None else settings.timeline),
        *(("bad_read", address) for address in settings.bad_reads),
        *(("bad_write", address) for address in settings.bad_writes),
        *(
            (
                "call",
                f"{call.frames} {call.results} {call.count} {int(call.reset)} "
                f"{int(call.weights is not None)} {call.weights or 0} "
                f"{int(call.words is not None)} {call.words or 0} {call.context} "
                + " ".join(map(str, _ends(network, call))),
            )
            for call in calls
        ),
    ]
    if settings.trace is not None:
        # Written here and then moved, since a path may hold spaces.
        lines.append(("trace", "trace.fst"))
    return "".join(f"{key} {value}\n" for key, value in lines)


def _ends(network: QuantizedNetwork, call: Call) -> tuple[int, ...]:
    """Bytes from the first frame's start to each one's end."""
    if call.ends:
        return call.ends
    return tuple(network.frame_bytes * (at + 1) for at in range(call.count))


def _refuse(report: dict[str, Any]) -> None:
    if report["outcome"] == "done":
        return
    call = len(report["calls"]) - 1
    where = f"call {call}, clock {report['clock']}"
    if report["outcome"] == "late":
        raise DeviceTimeoutError(
            f"{report['message']} within the clocks allowed ({where})",
            field="RTL simulation",
            remedy="raise the time-out, or look at the waveforms: fdht cosim --trace",
        )
    raise DeviceError(f"{report['message']} ({where})", field="RTL simulation")


def _call(entry: dict[str, Any], stages: int, ends: tuple[int, ...]) -> CallOutcome:
    registers = entry["registers"]
    return CallOutcome(
        entry["start"],
        entry["done"],
        Identity(**registers),
        np.array(entry["frames"], np.int64).reshape(-1, 3),
        np.array(entry["activity"], np.int64).reshape(-1, stages, 5),
        np.diff(np.array([0, *ends], np.int64)),
        np.array(entry["toggles"], np.int64),
    )
