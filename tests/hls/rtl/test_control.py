"""The control port in Amaranth's own simulator: `ap_ctrl_hs` as Vitis HLS documents it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from fdht_hls.registers import (
    AP_DONE,
    AP_IDLE,
    AP_READY,
    AP_START,
    ARGUMENT_REGISTERS,
    AUTO_RESTART,
    BY_NAME,
    IDENTITY_REGISTERS,
    REGISTERS,
    WINDOW,
    present,
)
from fdht_hls.rtl.control import COUNTER, FAULTS, Control
from fdht_models.tensor.sparse_frames import CORE_FRAMES

IDENTITY = {
    "abi_version": 2,
    "design_id_low": 0x89AB_CDEF,
    "design_id_high": 0x0123_4567,
    "frame_bytes": 57_600,
    "result_bytes": 48,
}
#: What a core with loadable weights shows besides.
WEIGHTS_ID = 0x0F1E_2D3C_4B5A_6978
LOADING = {
    "weights_layout": 0x1357_9BDF,
    "weights_id_low": WEIGHTS_ID & 0xFFFF_FFFF,
    "weights_id_high": WEIGHTS_ID >> 32,
}
CTRL, GIER, IER, ISR = (BY_NAME[name].offset for name in ("CTRL", "GIER", "IP_IER", "IP_ISR"))
#: Clocks in which the slave must answer.
PATIENCE = 20


class Host:
    """Does accesses on the bus, and calls on the other side."""

    def __init__(self, context: Any, part: Control) -> None:
        self.context, self.part, self.bus = context, part, part.bus

    async def _accept(self, valid: Any, ready: Any) -> None:
        self.context.set(valid, 1)
        for _ in range(PATIENCE):
            accepted = self.context.get(ready)
            await self.context.tick()
            if accepted:
                self.context.set(valid, 0)
                return
        raise AssertionError("not accepted")

    async def _answer(self, valid: Any, ready: Any, wait: int, payload: Any) -> int:
        """Takes an answer after `wait` clocks; it must stay until then."""
        for _ in range(PATIENCE):
            if self.context.get(valid):
                break
            await self.context.tick()
        else:
            raise AssertionError("no answer")
        seen = self.context.get(payload)
        for _ in range(wait):
            await self.context.tick()
            assert self.context.get(valid), "the answer did not wait"
            assert self.context.get(payload) == seen
        self.context.set(ready, 1)
        await self.context.tick()
        self.context.set(ready, 0)
        assert not self.context.get(valid), "the answer came twice"
        return int(seen)

    async def write(
        self, offset: int, value: int, strobes: int = 15, order: str = "AW", wait: int = 0
    ) -> None:
        """Address then data ("AW"), or data then address ("WA")."""
        bus = self.bus
        self.context.set(bus.AWADDR, offset)
        self.context.set(bus.WDATA, value)
        self.context.set(bus.WSTRB, strobes)
        for channel in order:
            if channel == "A":
                await self._accept(bus.AWVALID, bus.AWREADY)
            else:
                await self._accept(bus.WVALID, bus.WREADY)
        assert await self._answer(bus.BVALID, bus.BREADY, wait, bus.BRESP) == 0

    async def read(self, offset: int, wait: int = 0) -> int:
        bus = self.bus
        self.context.set(bus.ARADDR, offset)
        await self._accept(bus.ARVALID, bus.ARREADY)
        assert self.context.get(bus.RRESP) == 0
        return await self._answer(bus.RVALID, bus.RREADY, wait, bus.RDATA)

    async def end(self, frames: int) -> None:
        """The running call ends."""
        self.context.set(getattr(self.part, COUNTER), frames)
        self.context.set(self.part.done, 1)
        await self.context.tick()
        self.context.set(self.part.done, 0)
        self.context.set(self.part.running, 0)

    def begin(self) -> None:
        """The call that was asked for runs from here on."""
        assert self.context.get(self.part.start)
        self.context.set(self.part.running, 1)


Scenario = Callable[[Host], Awaitable[None]]


def run(
    scenario: Scenario, *, loading: bool = False, frames: str = "dense", contexts: int = 1
) -> None:
    kind = {"weights_layout": LOADING["weights_layout"]} if loading else {}
    if frames != "dense":
        kind["core_frames"] = CORE_FRAMES.index(frames)
    kind["contexts"] = contexts
    part = Control({**IDENTITY, **kind}, loading=loading, frames=frames, contexts=contexts)
    simulator = Simulator(part)
    simulator.add_clock(1e-8)
    ended = []

    async def bench(context: Any) -> None:
        await scenario(Host(context, part))
        ended.append(True)

    simulator.add_testbench(bench)
    simulator.run()
    assert ended


def test_a_call_from_start_to_done():
    async def scenario(host: Host) -> None:
        assert await host.read(CTRL) == AP_IDLE
        await host.write(CTRL, AP_START)
        assert await host.read(CTRL) == AP_START
        host.begin()
        assert await host.read(CTRL) == AP_START
        await host.end(5)
        assert await host.read(CTRL) == AP_DONE | AP_IDLE | AP_READY
        assert await host.read(CTRL) == AP_IDLE  # the others cleared on read
        assert not host.context.get(host.part.start)

    run(scenario)


def test_auto_restart_keeps_start():
    async def scenario(host: Host) -> None:
        await host.write(CTRL, AP_START | AUTO_RESTART)
        host.begin()
        await host.end(1)
        assert host.context.get(host.part.start)
        assert await host.read(CTRL) == AUTO_RESTART | AP_START | AP_DONE | AP_READY
        host.begin()
        await host.write(CTRL, 0)  # ends with the call that runs
        await host.end(1)
        assert await host.read(CTRL) == AP_DONE | AP_IDLE | AP_READY

    run(scenario)


def test_an_end_in_the_clock_of_a_read_is_not_lost():
    async def scenario(host: Host) -> None:
        await host.write(CTRL, AP_START)
        host.begin()
        host.context.set(host.bus.ARADDR, CTRL)
        host.context.set(host.bus.ARVALID, 1)
        await host.end(1)  # in the same clock
        host.context.set(host.bus.ARVALID, 0)
        assert await host._answer(host.bus.RVALID, host.bus.RREADY, 0, host.bus.RDATA) == AP_START
        assert await host.read(CTRL) == AP_DONE | AP_IDLE | AP_READY

    run(scenario)


@pytest.mark.parametrize(
    ("loading", "frames", "contexts"),
    [(False, "dense", 1), (True, "dense", 4), (True, "sparse", 1), (False, "raw", 1)],
)
@pytest.mark.parametrize("order", ["AW", "WA"])
@pytest.mark.parametrize("wait", [0, 3])
def test_arguments_read_back(order: str, wait: int, loading: bool, frames: str, contexts: int):
    async def scenario(host: Host) -> None:
        values = {}
        arguments = present(ARGUMENT_REGISTERS, loadable=loading, frames=frames, contexts=contexts)
        for number, register in enumerate(arguments):
            value = 0xFEDC_BA98_7654_3210 >> 4 * number & (1 << register.width) - 1
            values[register.name] = value
            for word in range(register.width // 32):
                part = value >> 32 * word & 0xFFFF_FFFF
                await host.write(register.offset + 4 * word, part, order=order, wait=wait)
                assert await host.read(register.offset + 4 * word, wait) == part
        for name, value in values.items():
            assert host.context.get(getattr(host.part, name)) == value

    run(scenario, loading=loading, frames=frames, contexts=contexts)


def test_byte_strobes():
    async def scenario(host: Host) -> None:
        offset = BY_NAME["results"].offset
        await host.write(offset, 0x1111_1111)
        await host.write(offset, 0xAABB_CCDD, strobes=0b0101)
        assert await host.read(offset) == 0x11BB_11DD
        await host.write(CTRL, AP_START, strobes=0b1110)  # the bit is in the lowest byte
        assert await host.read(CTRL) == AP_IDLE
        await host.write(GIER, 1, strobes=0b1110)
        assert await host.read(GIER) == 0

    run(scenario)


@pytest.mark.parametrize(
    ("loading", "frames", "contexts"),
    [(False, "dense", 1), (True, "dense", 8), (False, "sparse", 2), (True, "raw", 1)],
)
def test_identity_shows_after_a_call_and_frames_add_up(loading: bool, frames: str, contexts: int):
    wanted = {**IDENTITY, **(LOADING if loading else dict.fromkeys(LOADING, 0))}
    wanted["core_frames"] = CORE_FRAMES.index(frames)
    wanted["contexts"] = contexts if contexts > 1 else 0
    sparse = frames == "sparse"

    async def scenario(host: Host) -> None:
        if loading:
            host.context.set(host.part.weights_id, WEIGHTS_ID)
        offsets = {register.name: register.offset for register in IDENTITY_REGISTERS}
        for offset in offsets.values():
            assert await host.read(offset) == 0
        for done, total in ((0, 0), (7, 7), (0xFFFF_FFFF, 6)):
            await host.write(CTRL, AP_START)
            host.begin()
            if sparse:  # as the reader tells them until the next call begins
                host.context.set(host.part.frame_faults, done % 32)
            await host.end(done)
            if sparse:
                host.context.set(host.part.frame_faults, 0)
            found = {name: await host.read(offset) for name, offset in offsets.items()}
            faults = done % 32 if sparse else 0
            assert found == {**wanted, COUNTER: total, FAULTS: faults}

    run(scenario, loading=loading, frames=frames, contexts=contexts)


def test_interrupts():
    async def scenario(host: Host) -> None:
        async def call() -> None:
            await host.write(CTRL, AP_START)
            host.begin()
            await host.end(1)
            await host.context.tick()

        await call()
        assert await host.read(ISR) == 0  # nothing is enabled
        await host.write(IER, 0b01)
        await call()
        assert await host.read(ISR) == 0b01
        assert not host.context.get(host.part.interrupt)  # not enabled globally
        await host.write(GIER, 1)
        assert host.context.get(host.part.interrupt)
        await host.write(ISR, 0b01)
        await host.context.tick()
        assert not host.context.get(host.part.interrupt)
        assert await host.read(ISR) == 0
        await host.write(ISR, 0b10)  # toggles on
        await host.context.tick()
        assert host.context.get(host.part.interrupt)
        await host.write(IER, 0b11)
        await call()
        assert await host.read(ISR) == 0b11
        assert await host.read(IER) == 0b11
        assert await host.read(GIER) == 1

    run(scenario)


def test_no_register_reads_as_zero_and_ignores_writes():
    known = {
        register.offset + 4 * word
        for register in present(REGISTERS, loadable=False)
        for word in range(register.width // 32)
    }

    async def scenario(host: Host) -> None:
        await host.write(CTRL, AP_START)
        host.begin()
        await host.end(3)
        holes = [offset for offset in range(0, 0x100, 4) if offset not in known]
        for offset in [*holes, 0x110, WINDOW - 4]:  # 0x110: a copy of `frames` if bits are ignored
            await host.write(offset, 0xFFFF_FFFF)
            assert await host.read(offset) == 0
        for register in IDENTITY_REGISTERS:  # read-only
            before = await host.read(register.offset)
            await host.write(register.offset, ~before & 0xFFFF_FFFF)
            assert await host.read(register.offset) == before

    run(scenario)
