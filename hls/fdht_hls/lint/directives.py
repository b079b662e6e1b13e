"""Rules on pragmas: names, places, variables, numbers, and partitions that divide."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from fdht_hls.lint.frontend import canonical, is_stream
from fdht_hls.lint.pragmas import FUNCTION, Grammar, Pragma
from fdht_hls.lint.program import Flaw, Function, Placed, Program

#: The parts of an array that hls4ml's projects ask the tool to allow.
MAXIMUM_PARTS = 4096
_ARRAYS = {"CONSTANTARRAY", "INCOMPLETEARRAY"}


def check(program: Program) -> Iterator[Flaw]:
    """All rules of this module."""
    for pragma in program.misplaced():
        yield _place(pragma, "stands outside of functions")
    yield from _broken(program)
    for function in program.functions.values():
        for placed in function.placed:
            for fault in placed.pragma.faults:
                yield Flaw("pragma-name", placed.pragma, fault, "see the user guide's HLS Pragmas")
            if (grammar := placed.pragma.grammar) is not None:
                yield from _placed(grammar, placed)
                yield from _numbers(grammar, placed)
                yield from _variables(program.top, function, placed)
        yield from _contradictions(function)


def _broken(program: Program) -> Iterator[Flaw]:
    """What clang refuses: in a pragma its variable or number, elsewhere the code."""
    lines = {(str(pragma.file), pragma.line): pragma for pragma in program.pragmas.values()}
    for file, line, message in program.broken():
        pragma = lines.get((file, line))
        if pragma is None:
            yield Flaw("compile", (file, line), message, "write C++ that compiles")
            continue
        variables = [
            name
            for option in (pragma.grammar.variables if pragma.grammar else ())
            for name in pragma.names(option)
        ]
        named = any(f"'{name}'" in message for name in variables)
        rule = "pragma-variable" if named else "pragma-factor"
        yield Flaw(rule, pragma, message, "name a variable" if named else "use a constant")


def _place(pragma: Pragma, message: str) -> Flaw:
    places = sorted(pragma.grammar.places if pragma.grammar else [FUNCTION])
    remedy = f"put it within the braces of a {' or '.join(places)}"
    return Flaw("pragma-place", pragma, message, remedy)


def _placed(grammar: Grammar, placed: Placed) -> Iterator[Flaw]:
    if placed.place is None:
        yield _place(placed.pragma, "is the whole body of what stands before it")
    elif placed.place not in grammar.places:
        yield _place(placed.pragma, f"stands within the braces of a {placed.place}")


def _contradictions(function: Function) -> Iterator[Flaw]:
    """DATAFLOW and PIPELINE of the same body exclude each other, and each is given once."""
    seen: dict[tuple[int, str], Placed] = {}
    for placed in function.placed:
        name = placed.pragma.name
        if name not in {"DATAFLOW", "PIPELINE", "UNROLL"} or placed.scope is None:
            continue
        others = {"DATAFLOW": ["PIPELINE", "UNROLL"]}.get(name, ["DATAFLOW"])
        for other in [name, *others]:
            if (id(placed.scope), other) in seen:
                yield Flaw(
                    "pragma-place",
                    placed.pragma,
                    f"has the same body as {other} of line "
                    f"{seen[id(placed.scope), other].pragma.line}",
                    "keep one of them",
                )
        seen[id(placed.scope), name] = placed


def _numbers(grammar: Grammar, placed: Placed) -> Iterator[Flaw]:
    pragma = placed.pragma
    # What clang has refused has no value, see `_broken`.
    for option, value in placed.values.items():
        shown, least = f"{option}={pragma.options[option]}", grammar.numbers[option]
        if value is None:
            yield Flaw(
                "pragma-factor",
                pragma,
                f"{shown} is not a constant",
                "use a constant of the configuration",
            )
        elif value < least:
            yield Flaw("pragma-factor", pragma, f"{shown} is {value}", f"use {least} or more")
    lower, upper = placed.values.get("min"), placed.values.get("max")
    if lower is not None and upper is not None and lower > upper:
        yield Flaw("pragma-factor", pragma, f"min={lower} is beyond max={upper}", "exchange them")


def _variables(top: Function, function: Function, placed: Placed) -> Iterator[Flaw]:
    pragma = placed.pragma
    if pragma.name == "INTERFACE":
        yield from _ports(top, function, placed)
        return
    for option, declared in placed.variables.items():
        for name, variable in zip(pragma.names(option), declared, strict=False):
            if variable is None:
                yield Flaw("pragma-variable", pragma, f"{name} is no variable", "name a variable")
                continue
            yield from _kind(placed, name, variable.type)
            if pragma.name in {"ARRAY_PARTITION", "ARRAY_RESHAPE"}:
                yield from _partition(placed, name, variable.type)


def _ports(top: Function, function: Function, placed: Placed) -> Iterator[Flaw]:
    pragma = placed.pragma
    if function is not top:
        yield _place(pragma, f"stands in {function.name}, not in the top function")
        return
    parameters = {parameter.spelling for parameter in function.parameters} | {"return"}
    for name in pragma.names("port"):
        if name not in parameters:
            yield Flaw(
                "pragma-variable", pragma, f"{name} is no argument of the top", "name an argument"
            )


def _kind(placed: Placed, name: str, kind: Any) -> Iterator[Flaw]:
    """Is a variable of a kind that the pragma is for?"""
    pragma = placed.pragma
    whole = kind.get_canonical()
    array = whole.kind.name in _ARRAYS
    # A structure with an array in it, such as hls4ml's nnet::array, serves as well.
    within = any(field.type.get_canonical().kind.name in _ARRAYS for field in whole.get_fields())
    fits, what = {
        "ARRAY_PARTITION": (array or within, "an array"),
        "ARRAY_RESHAPE": (array or within, "an array"),
        "BIND_STORAGE": (array or within or is_stream(kind), "an array"),
        "STREAM": (array or is_stream(kind), "a stream or an array"),
    }.get(pragma.name, (True, ""))
    if not fits:
        message = f"{name} of type {canonical(kind)} is not {what}"
        yield Flaw("pragma-variable", pragma, message, "name another variable")


def dimensions(kind: Any) -> list[int] | None:
    """Sizes of an array, outermost first; None where one is not known."""
    sizes = []
    kind = kind.get_canonical()
    while kind.kind.name in _ARRAYS:
        if kind.kind.name == "INCOMPLETEARRAY":
            return None
        sizes.append(int(kind.element_count))
        kind = kind.element_type.get_canonical()
    return sizes


def _partition(placed: Placed, name: str, kind: Any) -> Iterator[Flaw]:
    pragma = placed.pragma
    sizes = dimensions(kind)
    if sizes == [] or pragma.has("off"):
        return
    if sizes is None:
        yield Flaw(
            "partition", pragma, f"the size of {name} is not known", "declare it with its size"
        )
        return
    dim = placed.values.get("dim", 1 if "dim" not in pragma.options else None)
    if dim is None or dim < 0:
        return  # not a constant: see `_numbers`
    if dim > len(sizes):
        yield Flaw(
            "partition",
            pragma,
            f"{name} has no dimension {dim}, for it is {' x '.join(map(str, sizes))}",
            f"use dim=1 to {len(sizes)}, or 0 for all",
        )
        return
    chosen = sizes if dim == 0 else [sizes[dim - 1]]
    yield from _parts(placed, name, chosen)


def _parts(placed: Placed, name: str, chosen: list[int]) -> Iterator[Flaw]:
    """Factor against sizes of the chosen dimensions, and the number of parts."""
    pragma, factor = placed.pragma, placed.values.get("factor")
    cut = pragma.has("cyclic") or pragma.has("block")
    if cut and "factor" not in pragma.options:
        yield Flaw("pragma-name", pragma, "cyclic and block need a factor", "state factor=..")
        return
    for size in chosen:
        if cut and factor is not None and factor > 0 and size % factor:
            yield Flaw(
                "partition",
                pragma,
                f"factor {factor} does not divide the {size} elements of {name}",
                "use a factor that divides",
            )
    parts = factor if cut else math.prod(chosen)
    if parts is not None and parts > MAXIMUM_PARTS and pragma.name == "ARRAY_PARTITION":
        yield Flaw(
            "partition",
            pragma,
            f"{name} falls into {parts} parts",
            f"use cyclic or block with a factor of {MAXIMUM_PARTS} or less",
        )
