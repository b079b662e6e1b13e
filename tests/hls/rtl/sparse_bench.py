"""Sparse frames between a memory and what takes their items; and a reader of them in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from fdht_hls.rtl.bus import BOUNDARY, MAX_BURST
from fdht_hls.rtl.sparse_reader import SparseReader
from fdht_models.tensor.sparse_frames import FrameFault, SparseFormat, pack_sparse
from tests.hls.rtl.simulation import gaps

#: Clocks without any movement after which a call counts as stuck.
PATIENCE = 400

#: A word's number and the word; none where a frame ends behind words that are zero.
Item = tuple[int, int] | None


@dataclass(frozen=True)
class Read:
    """What is to be read of a call's words.

    Args:
        frames: items of each frame that was begun.
        fault: what is wrong.
        failed: number of the frame that cannot be read as it is.
    """

    frames: list[list[Item]]
    fault: int = 0
    failed: int | None = None


def read_frames(form: SparseFormat, words: Sequence[int], count: int) -> Read:
    """Reads a call's words, one after the other, by the format's description."""
    rest, frames = list(words), []
    for number in range(count):
        items, fault = _read_frame(form, rest)
        if items:
            frames.append(items)
        if fault:
            return Read(frames, fault, number)
    return Read(frames, FrameFault.LONG if rest else FrameFault(0))


def _read_frame(form: SparseFormat, rest: list[int]) -> tuple[list[Item], FrameFault]:
    """Takes a frame from the front of `rest`."""
    if not rest:
        return [], FrameFault.SHORT
    header = rest.pop(0)
    left, kind = header & 0xFFFF_FFFF, header >> 32 & 0xFFFF_FFFF
    sparse = kind == 1 and form.blocks <= left <= form.blocks + form.frame_words
    if not sparse and not (kind == 2 and left == form.frame_words):
        return [], FrameFault.HEADER
    if left > len(rest):
        return [], FrameFault.SHORT
    items: list[Item] = []
    for block in range(form.blocks):
        first = block * form.block_words
        numbers = list(range(first, min(first + form.block_words, form.frame_words)))
        if sparse:
            bitmap, left = rest.pop(0), left - 1
            if bitmap >> len(numbers):
                return _broken(items), FrameFault.BEHIND
            numbers = [number for number in numbers if bitmap >> number - first & 1]
            # Words promised, or further bitmaps, and none left; or some left, and nothing promised.
            if bool(left) != bool(numbers or block + 1 < form.blocks):
                return _broken(items), FrameFault.COUNT
        for place, number in enumerate(numbers):
            items.append((number, rest.pop(0)))
            left -= 1
            if bool(left) != (place + 1 < len(numbers) or block + 1 < form.blocks):
                return items, FrameFault.COUNT
    if not items or (sparse and not numbers):
        items.append(None)
    return items, FrameFault(0)


def _broken(items: list[Item]) -> list[Item]:
    """A frame that was begun is completed; another does not come at all."""
    return [*items, None] if items else []


def pack(form: SparseFormat, frames: np.ndarray) -> list[int]:
    """The words of frames [n, frame bytes]."""
    target = np.zeros(form.room(len(frames)), np.uint8)
    ends = pack_sparse(form, frames, target)
    return words_of(target[: int(ends[-1]) * form.word_bytes] if len(ends) else target, form)


def words_of(values: np.ndarray, form: SparseFormat) -> list[int]:
    rows = values.reshape(-1, form.word_bytes)
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


@dataclass
class Seen:
    """What a call did.

    Args:
        items: of each frame.
        first: whether each item came as one of the first frame.
        asked: addresses of words that were asked for.
        clocks: from the first item to the last; 0 if none came.
        faults, failed: at its end; `failed` None if none did.
    """

    items: list[list[Item]] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    clocks: int = 0
    faults: int = 0
    failed: int | None = None
    entered: int = 0


@dataclass(frozen=True)
class Call:
    """A call: words at an address; `errors` are numbers of words that come with an error.

    `stop` is the number of items behind which the reader is told to stop.
    """

    words: Sequence[int]
    count: int
    address: int = 0x7_0000_0F60
    errors: tuple[int, ...] = ()
    stop: int | None = None


class Bench:
    """A memory in front of a reader, and something behind it."""

    def __init__(
        self, form: SparseFormat, seed: int | None = None, latency: int = 0, pressure: float = 0.4
    ) -> None:
        self.form, self.latency = form, latency
        self.part = SparseReader(form, False)
        self.pause = gaps(seed, pressure)

    def run(self, *calls: Call) -> list[Seen]:
        found: list[Seen] = []

        async def bench(ctx: Any) -> None:
            found.extend([await self._call(ctx, call) for call in calls])

        simulator = Simulator(self.part)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        assert len(found) == len(calls)
        return found

    async def _call(self, ctx: Any, call: Call) -> Seen:
        part, bus, size = self.part, self.part.bus, self.form.word_bytes
        seen, frame, moments = Seen(), [], []
        bursts: list[list[int]] = []  # [due, word, words]
        offered, clock, quiet = False, 0, 0
        assert ctx.get(part.idle)
        ctx.set(part.address, call.address)
        ctx.set(part.count, call.count)
        ctx.set(part.call_words, len(call.words))
        ctx.set(part.stop, 0)
        ctx.set(part.start, 1)
        await ctx.tick()
        ctx.set(part.start, 0)
        assert not ctx.get(part.idle)
        while not ctx.get(part.idle):
            ctx.set(bus.ARREADY, not self.pause())
            offered = offered or (bool(bursts) and bursts[0][0] <= clock and not self.pause())
            word = bursts[0][1] if offered else 0
            ctx.set(bus.RVALID, offered)
            ctx.set(bus.RDATA, call.words[word] if offered else (1 << 8 * size) - 1)
            ctx.set(bus.RRESP, 2 if not offered or word in call.errors else 0)
            ready = not self.pause()
            ctx.set(part.words.ready, ready)
            moved = quiet = quiet + 1
            if ctx.get(bus.ARVALID) and ctx.get(bus.ARREADY):
                bursts.append(self._burst(ctx, call, seen, clock))
                moved = 0
            if offered:
                assert ctx.get(bus.RREADY)
                bursts[0][1:] = bursts[0][1] + 1, bursts[0][2] - 1
                bursts = bursts if bursts[0][2] else bursts[1:]
                offered, moved = False, 0
            if ctx.get(part.words.valid) and ready:
                item = ctx.get(part.words.payload)
                seen.entered += ctx.get(part.entered)
                assert bool(frame) != bool(ctx.get(part.entered))
                seen.first.append(bool(ctx.get(part.first)))
                moments.append(clock)
                assert item.present or item.last
                word = ctx.get(Value.cast(part.words.payload.word))
                frame.append((int(item.number), word) if item.present else None)
                if item.last:
                    seen.items.append(frame)
                    frame = []
                moved = 0
            quiet = moved
            assert quiet < PATIENCE, f"stuck after {seen}"
            if call.stop is not None and len(moments) >= call.stop:
                ctx.set(part.stop, 1)
            await ctx.tick()
            clock += 1
        assert not bursts and not frame
        seen.clocks = moments[-1] - moments[0] + 1 if moments else 0
        seen.faults = ctx.get(part.faults)
        seen.failed = ctx.get(part.failed_frame) if ctx.get(part.failed) else None
        return seen

    def _burst(self, ctx: Any, call: Call, seen: Seen, clock: int) -> list[int]:
        """Checks a request; returns (when it may be answered, its first word, its words)."""
        bus, size = self.part.bus, self.form.word_bytes
        address, length = ctx.get(bus.ARADDR), ctx.get(bus.ARLEN) + 1
        assert length <= MAX_BURST
        assert address % size == 0
        assert address // BOUNDARY == (address + size * length - 1) // BOUNDARY
        first = (address - call.address) // size
        seen.asked += range(first, first + length)
        assert first >= 0 and first + length <= len(call.words), "asks for what is not of the call"
        return [clock + 1 + self.latency, first, length]
