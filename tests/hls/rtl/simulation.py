"""Amaranth's simulator for streams: feeds words, collects words, with gaps at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from fdht_hls.engine import lower
from fdht_hls.rtl.engine import Engine
from fdht_hls.rtl.places import frame_item
from fdht_hls.schedule import Schedule
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Clocks without a word after which a simulation counts as stuck.
PATIENCE = 5000

Pause = Callable[[], bool]


class StalledError(AssertionError):
    """No word came."""


@dataclass
class Taken:
    """Words that left a component, and the clock in which each did."""

    words: list[int] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)


def words_of(values: np.ndarray, width: int, count: int) -> list[int]:
    """Codes as words of `count` values of `width` bits each, the first lowest."""
    mask = (1 << width) - 1
    return [
        sum((int(code) & mask) << (width * place) for place, code in enumerate(row))
        for row in np.asarray(values).reshape(-1, count)
    ]


def values_of(words: Iterable[int], layout: Any) -> np.ndarray:
    """Words of an ArrayLayout as codes: [words, values]."""
    width, signed = layout.elem_shape.width, layout.elem_shape.signed
    mask, half = (1 << width) - 1, 1 << (width - 1)
    rows = [[(word >> (width * at)) & mask for at in range(layout.length)] for word in words]
    codes = np.array(rows, np.int64).reshape(-1, layout.length)
    return np.where(codes >= half, codes - (1 << width), codes) if signed else codes


def frame_words(network: QuantizedNetwork, frames: np.ndarray) -> list[int]:
    """Frames as they lie in memory: each starts at a word."""
    padded = np.zeros((len(frames), network.frame_bytes), np.int64)
    padded[:, : network.inputs] = frames
    return words_of(padded, 8, WORD_BYTES)


def frame_items(network: QuantizedNetwork, frames: np.ndarray, word_bytes: int) -> list[int]:
    """Frames as a reader of sparse ones hands them on: their words that are not zero, numbered.

    A frame's end is a mark of its own, or comes with its last word, in turns.
    """
    count = network.frame_bytes // word_bytes
    layout = frame_item(network.input_format.signed, word_bytes, count)
    padded = np.zeros((len(frames), network.frame_bytes), np.int64)
    padded[:, : network.inputs] = frames
    items = []
    for number, frame in enumerate(padded):
        rows = frame.reshape(count, word_bytes)
        places = np.flatnonzero(rows.any(axis=1))
        beside = bool(number % 2) or not len(places)
        marks = [(0, 0, 0, 1)] if beside else []
        for place, word in zip(places, words_of(rows[places], 8, word_bytes), strict=True):
            marks.insert(-1 if beside else len(marks), (word, int(place), 1, 0))
        if not beside:
            marks[-1] = (*marks[-1][:3], 1)
        shifts = [layout[name].offset for name in ("word", "number", "present", "last")]
        items += [
            sum(value << shift for value, shift in zip(mark, shifts, strict=True)) for mark in marks
        ]
    return items


def gaps(seed: int | None, probability: float = 0.5) -> Pause:
    """Says whether to pause in a clock: at random, or never if there is no seed."""
    if seed is None:
        return lambda: False
    generator = np.random.default_rng(seed)
    return lambda: bool(generator.random() < probability)


async def feed(ctx: Any, port: Any, words: Iterable[int], pause: Pause) -> None:
    """Sends words; one that is offered stays until it is taken."""
    for word in words:
        while pause():
            await ctx.tick()
        ctx.set(Value.cast(port.payload), word)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)


async def collect(ctx: Any, port: Any, count: int, pause: Pause, taken: Taken) -> None:
    """Takes `count` words.

    Raises:
        StalledError: none came for `PATIENCE` clocks.
    """
    clock = waited = 0
    while len(taken.words) < count:
        ready = not pause()
        ctx.set(port.ready, ready)
        _, _, valid, word = await ctx.tick().sample(port.valid, Value.cast(port.payload))
        clock, waited = clock + 1, waited + 1
        if waited > PATIENCE:
            raise StalledError(f"no word for {PATIENCE} clocks, after {len(taken.words)}")
        if valid and ready:
            taken.words.append(word)
            taken.clocks.append(clock)
            waited = 0
    ctx.set(port.ready, 0)


def run_stream(
    design: Any,
    words: Sequence[int],
    count: int,
    seeds: tuple[int | None, int | None] = (None, None),
    result: str = "result",
    others: Sequence[Callable[[Any], Any]] = (),
    source: str = "words",
) -> Taken:
    """What a component makes of words.

    Args:
        design: has a stream in.
        words: what it gets.
        count: words to take.
        seeds: of the gaps in which nothing is offered and nothing is taken.
        result: name of its stream out.
        others: further processes, which run beside.
        source: name of its stream in.
    """
    taken = Taken()

    async def give(ctx: Any) -> None:
        await feed(ctx, getattr(design, source), words, gaps(seeds[0]))

    async def sink(ctx: Any) -> None:
        await collect(ctx, getattr(design, result), count, gaps(seeds[1]), taken)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    for process in (give, *others):
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(sink)
    simulator.run()
    return taken


def engine_logits(
    network: QuantizedNetwork,
    frames: np.ndarray,
    schedule: Schedule | None = None,
    seeds: tuple[int | None, int | None] = (None, None),
    others: Sequence[Callable[[Any, Any], Any]] = (),
) -> np.ndarray:
    """Logits of consecutive frames from the engine in RTL: [frames, classes].

    Args:
        network: what it computes.
        frames: codes, [frames, inputs].
        schedule: how parallel; the default one if there is none.
        seeds: of gaps, see `run_stream`.
        others: further processes; each gets the engine and its context.
    """
    engine = Engine(lower(network, schedule))
    beside = [partial(process, engine) for process in others]
    if schedule and schedule.sparse:
        words = frame_items(network, frames, engine.plan.port.word_bytes)
    else:
        words = frame_words(network, frames)
    taken = run_stream(engine, words, len(frames), seeds, "logits", beside)
    return values_of(taken.words, engine.logits.payload.shape())


def assert_equal_to_reference(
    network: QuantizedNetwork,
    frames: np.ndarray,
    schedule: Schedule | None = None,
    seeds: tuple[int | None, int | None] = (None, None),
) -> None:
    """The engine in RTL and the integer reference give the same logits, frame by frame."""
    wanted = ReferenceModel(network).run(frames)
    np.testing.assert_array_equal(engine_logits(network, frames, schedule, seeds), wanted)
