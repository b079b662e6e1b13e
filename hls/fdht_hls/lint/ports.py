"""Rules on the ports of the top function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fdht_hls.lint.access import READ, WRITE, Accesses
from fdht_hls.lint.frontend import ADDRESSES, is_stream
from fdht_hls.lint.pragmas import INTERFACE_MODES, Pragma
from fdht_hls.lint.program import Flaw, Function, Placed, Program

#: Words in a burst that the AXI3 ports of a Zynq-7000 take.
MAXIMUM_BURST = 16
#: Where a control bundle's own registers end, and the bytes between two registers.
_FIRST_OFFSET, _WORD = 0x10, 4


def check(program: Program) -> Iterator[Flaw]:
    """All rules of this module."""
    placed = program.top.pragmas("INTERFACE")
    for parameter in program.top.parameters:
        yield from _argument(parameter, placed)
        yield from _direction(program.top, parameter)
    for each in placed:
        yield from _port(each)
    yield from _registers(program.top, placed)


def mode_of(pragma: Pragma) -> str | None:
    """The mode of an INTERFACE pragma."""
    if "mode" in pragma.options:
        return pragma.options["mode"].lower()
    return next((flag for flag in pragma.flags if flag in INTERFACE_MODES), None)


def _argument(parameter: Any, placed: list[Placed]) -> Iterator[Flaw]:
    """Does an argument have the ports that it needs?"""
    name = parameter.spelling
    own = [each.pragma for each in placed if name in each.pragma.names("port")]
    modes = [mode_of(pragma) for pragma in own]
    kind = parameter.type.get_canonical().kind.name
    if not own:
        yield Flaw("port", parameter, f"argument {name} has no port", "add #pragma HLS INTERFACE")
    elif is_stream(parameter.type) and modes != ["axis"]:
        yield Flaw("port", own[0], f"{name} is a stream", "use the mode axis")
    elif "m_axi" in modes and kind not in ADDRESSES:
        yield Flaw("port", own[0], f"{name} is not a pointer", "use the mode s_axilite")
    for pragma, mode in zip(own, modes, strict=True):
        slave = mode == "m_axi" and pragma.options.get("offset", "slave") == "slave"
        if slave and "s_axilite" not in modes:
            yield Flaw(
                "port",
                pragma,
                f"the address of {name} has no register",
                "add an s_axilite port of the same name",
            )
    for mode in {mode for mode in modes if modes.count(mode) > 1}:
        yield Flaw("port", own[-1], f"{name} has two ports of the mode {mode}", "keep one")


def _direction(top: Function, parameter: Any) -> Iterator[Flaw]:
    kind = parameter.type.get_canonical()
    if kind.kind.name not in {*ADDRESSES, "LVALUEREFERENCE"}:
        return
    found = Accesses().of(top, parameter)
    if found == {READ, WRITE}:
        yield Flaw(
            "port-direction",
            parameter,
            f"{parameter.spelling} is both read and written",
            "keep what is written in a variable of the core",
        )
    inner = kind.get_pointee() if kind.kind.name == "POINTER" else kind
    if found == {READ} and kind.kind.name == "POINTER" and not inner.is_const_qualified():
        yield Flaw(
            "port-direction",
            parameter,
            f"{parameter.spelling} is an output by its type, and is read",
            "declare what it points to as const",
        )


def _port(placed: Placed) -> Iterator[Flaw]:
    pragma, mode = placed.pragma, mode_of(placed.pragma)
    if mode is None or mode not in INTERFACE_MODES:
        yield Flaw("port", pragma, "has no mode", "state m_axi, s_axilite or axis")
    for option in ("max_read_burst_length", "max_write_burst_length"):
        length = placed.values.get(option)
        if length is not None and length > MAXIMUM_BURST:
            yield Flaw(
                "port", pragma, f"{option}={length} is beyond AXI3", f"use {MAXIMUM_BURST} or less"
            )
    if mode == "m_axi" and "depth" not in pragma.options:
        yield Flaw("port", pragma, "has no depth, which cosimulation needs", "state depth=..")


def _registers(top: Function, placed: list[Placed]) -> Iterator[Flaw]:
    """One control bundle, whose registers do not overlap."""
    control = [each.pragma for each in placed if mode_of(each.pragma) == "s_axilite"]
    bundles = {pragma.options.get("bundle", "") for pragma in control}
    if len(bundles) > 1:
        yield Flaw(
            "port",
            control[-1],
            f"there are {len(bundles)} control bundles ({', '.join(sorted(bundles))})",
            "use one",
        )
    if control and not any("return" in pragma.names("port") for pragma in control):
        yield Flaw("port", control[-1], "nothing starts the core", "add s_axilite port=return")
    parameters = {parameter.spelling: parameter for parameter in top.parameters}
    taken: dict[int, str] = {}
    for pragma in control:
        for name in pragma.names("port"):
            if "offset" in pragma.options and name in parameters:
                yield from _register(pragma, parameters[name], placed, taken)


def _register(
    pragma: Pragma, parameter: Any, placed: list[Placed], taken: dict[int, str]
) -> Iterator[Flaw]:
    name, text = parameter.spelling, pragma.options["offset"]
    try:
        offset = int(text, 0)
    except ValueError:
        yield Flaw("port", pragma, f"offset={text} is not a number", "use a number of bytes")
        return
    if offset % _WORD or offset < _FIRST_OFFSET:
        yield Flaw(
            "port",
            pragma,
            f"offset={text} is not a free word",
            f"use a multiple of {_WORD} from {_FIRST_OFFSET:#x}",
        )
    memory = any(
        mode_of(each.pragma) == "m_axi" and name in each.pragma.names("port") for each in placed
    )
    for place in range(offset, offset + _bytes(parameter, memory), _WORD):
        if place in taken:
            yield Flaw(
                "port",
                pragma,
                f"the register of {name} at {place:#x} is one of {taken[place]}",
                "move it",
            )
            return
        taken[place] = name


def _bytes(parameter: Any, memory: bool) -> int:
    """What a register takes: an address two words, an output its words and one that says valid."""
    if memory:
        return 2 * _WORD
    kind = parameter.type.get_canonical()
    output = kind.kind.name in {*ADDRESSES, "LVALUEREFERENCE"}
    size = max(int((kind.get_pointee() if output else kind).get_size()), 1)
    return (-(-size // _WORD) + output) * _WORD
