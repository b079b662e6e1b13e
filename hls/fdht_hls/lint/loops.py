"""The rule on loops: from a constant to a constant in constant steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fdht_hls.lint.frontend import (
    LOOPS,
    Node,
    bare,
    declaration_of,
    names,
    operator_of,
    value_of,
)
from fdht_hls.lint.program import Flaw, Function, Placed, Program

_COMPARISONS = {"<", "<=", ">", ">=", "!="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_STEPS = {"p++": 1, "++p": 1, "p--": -1, "--p": -1}
_RULE = "loop-bound"


@dataclass(frozen=True)
class Counting:
    """How a `for` counts; None for what is not a constant.

    Args:
        counter: its declaration.
        start: first value.
        comparison: of the counter with the bound.
        bound: what it is compared with.
        bound_node: the expression of the bound.
        step: what a turn adds.
    """

    counter: Any
    start: int | None
    comparison: str
    bound: int | None
    bound_node: Node
    step: int | None

    @property
    def ends(self) -> bool:
        """Does it reach its bound, as far as constants tell?"""
        if self.step == 0:
            return False
        if self.start is None or self.bound is None or self.step is None:
            return True
        distance = self.bound - self.start
        if self.comparison == "!=":
            return distance * self.step >= 0 and distance % self.step == 0
        upwards = self.comparison in {"<", "<="}
        inside = distance > 0 if upwards else distance < 0
        return not inside or (self.step > 0) == upwards


def check(program: Program) -> Iterator[Flaw]:
    """The rule of this module."""
    for function in program.functions.values():
        for node in function.nodes():
            if node.kind in LOOPS:
                yield from _loop(function, node)


def _loop(function: Function, loop: Node) -> Iterator[Flaw]:
    if loop.kind in {"WHILE_STMT", "DO_STMT"}:
        # do { .. } while (0) turns once.
        if loop.kind == "WHILE_STMT" or value_of(loop.children[-1].cursor) != 0:
            yield Flaw(
                _RULE, loop, "nobody can tell how often it turns", "use a for loop and a condition"
            )
        return
    if loop.kind == "CXX_FOR_RANGE_STMT":
        ranges = [c.cursor.type.get_canonical().kind.name for c in loop.children]
        if "CONSTANTARRAY" not in ranges:
            yield Flaw(
                _RULE, loop, "it runs over something other than an array", "count with an index"
            )
        return
    counting = counting_of(loop)
    if counting is None:
        yield Flaw(
            _RULE,
            loop,
            "it has no counter that is compared with a bound and stepped in its header",
            "write for (unsigned i = 0; i < BOUND; i++)",
        )
        return
    yield from _counted(function, loop, counting)


def _counted(function: Function, loop: Node, counting: Counting) -> Iterator[Flaw]:
    if counting.step is None or counting.start is None:
        what = "step" if counting.step is None else "start"
        yield Flaw(_RULE, loop, f"its {what} is not a constant", "use a constant")
    if not counting.ends:
        yield Flaw(_RULE, loop, "it counts away from its bound", "turn its step round")
    if (changed := _changed(loop, counting.counter)) is not None:
        yield Flaw(
            _RULE,
            changed,
            f"the counter {counting.counter.spelling} changes within the loop",
            "change it in the header only",
        )
    if counting.bound is not None:
        return
    if (region := _unrolled_by(function, loop)) is not None:
        yield Flaw(
            _RULE,
            loop,
            f"its bound is not a constant, and {region.pragma.name} of line "
            f"{region.pragma.line} unrolls it",
            "use a constant bound and an if",
        )
    elif not any(placed.owner is loop for placed in function.pragmas("LOOP_TRIPCOUNT")):
        yield Flaw(
            _RULE,
            loop,
            "its bound is not a constant",
            "use a constant, or state #pragma HLS LOOP_TRIPCOUNT max=..",
        )


def counting_of(loop: Node) -> Counting | None:
    """How a `for` counts; None if its header is of another form."""
    if len(loop.children) != 4:
        return None
    start, condition, step, _ = loop.children
    condition, step = bare(condition), bare(step)
    comparison = operator_of(condition)
    sides = operands(condition)
    if comparison not in _COMPARISONS or len(sides) != 2:
        return None
    stepped = operands(step)
    counter = declaration_of(stepped[0]) if stepped else None
    if counter is None:
        return None
    if names(sides[0], counter):
        bound = sides[1]
    elif names(sides[1], counter):
        bound, comparison = sides[0], _MIRRORED[comparison]
    else:
        return None
    return Counting(
        counter, _start(start, counter), comparison, _constant(bound), bound, _step(step)
    )


def operands(node: Node) -> list[Node]:
    """Of an operator, whether built in or of a class."""
    if node.kind != "CALL_EXPR":
        return node.children
    name = f"operator{operator_of(node).replace('p', '')}"
    return [child for child in node.children if not _is_operator_name(child, name)]


def _is_operator_name(node: Node, name: str) -> bool:
    """Is it the name of the operator that a call expression spells between its operands?"""
    while node.kind == "UNEXPOSED_EXPR" and len(node.children) == 1:
        node = node.children[0]
    return bool(node.cursor.spelling == name) and node.kind in {"DECL_REF_EXPR", "UNEXPOSED_EXPR"}


def _constant(node: Node) -> int | None:
    """The value of an expression, through conversions of classes."""
    value = value_of(node.cursor)
    while value is None and len(node.children) == 1:
        node = node.children[0]
        value = value_of(node.cursor)
    return value


def _start(node: Node, counter: Any) -> int | None:
    for below in node.walk():
        if below.kind == "VAR_DECL" and below.cursor == counter and below.children:
            return _constant(below.children[-1])
        if operator_of(below) == "=" and names(below.children[0], counter):
            return _constant(below.children[-1])
    return None


def _step(node: Node) -> int | None:
    symbol = operator_of(node)
    if symbol in _STEPS:
        return _STEPS[symbol]
    if symbol in {"+=", "-="}:
        amount = _constant(operands(node)[-1])
        return amount if amount is None or symbol == "+=" else -amount
    return None


def _changed(loop: Node, counter: Any) -> Node | None:
    """Where the body of a loop changes its counter."""
    for node in loop.children[-1].walk():
        symbol = operator_of(node)
        writes = symbol in _STEPS or (symbol.endswith("=") and symbol not in {*_COMPARISONS, "=="})
        if writes and node.children and names(operands(node)[0], counter):
            return node
    return None


def _unrolled_by(function: Function, loop: Node) -> Placed | None:
    """The pragma that unrolls a loop: its own, or PIPELINE around it."""
    for placed in function.pragmas("UNROLL"):
        if placed.owner is loop and not placed.pragma.has("off"):
            return placed
    around = list(loop.ancestors())
    for placed in function.pragmas("PIPELINE"):
        if placed.owner in around and not placed.pragma.has("off"):
            return placed
    return None
