"""Who reads and who writes a variable: streams, arrays and what pointers lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fdht_hls.lint.frontend import ADDRESSES, Node, is_stream, operator_of
from fdht_hls.lint.program import Call, Function, source_nodes

READ, WRITE = "read", "write"
_BOTH = frozenset({READ, WRITE})
_STREAM_READS = {"read", "read_nb", "try_read", "empty", "operator>>", "size"}
_STREAM_WRITES = {"write", "write_nb", "try_write", "full", "operator<<"}
#: Operators that change their first operand.
_CHANGES = {
    *("=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="),
    *("p++", "++p", "p--", "--p"),
}
#: Expressions that are part of what they surround.
_TRANSPARENT = {
    *("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR", "CXX_STATIC_CAST_EXPR"),
    *("CXX_FUNCTIONAL_CAST_EXPR", "CXX_CONST_CAST_EXPR"),
}


class Accesses:
    """Answers, and remembers, what a function does with its variables and arguments."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], frozenset[str]] = {}

    def of(self, function: Function, variable: Any) -> frozenset[str]:
        """What a function, and all that it calls, does with a variable."""
        key = (id(function), f"{variable.location.offset}:{variable.spelling}")
        if key not in self._known:
            self._known[key] = frozenset()  # for circles, which another rule reports
            found: set[str] = set()
            for alias in _aliases(function, variable):
                for node in uses(function.tree, alias):
                    found |= self.at(function, node)
            self._known[key] = frozenset(found)
        return self._known[key]

    def at(self, function: Function, use: Node) -> frozenset[str]:
        """What is done at one place where a variable is named."""
        node, pointer = use, _is_address(use)
        while (parent := node.parent) is not None:
            if parent.kind in _TRANSPARENT:
                pass
            elif _is_element(parent, node):
                pointer = _is_address(parent)
            elif parent.kind == "MEMBER_REF_EXPR":
                return self._member(function, parent)
            elif parent.kind == "CALL_EXPR":
                return self._argument(function, parent, node)
            elif operator_of(parent) in {"+", "-"} and pointer:
                pass
            elif operator_of(parent) == "&":
                pointer = True
            elif pointer or _is_reference(parent):
                return frozenset()  # an address only; aliases are followed on their own
            else:
                return _operand(parent, node)
            node = parent
        return frozenset()

    def _member(self, function: Function, member: Node) -> frozenset[str]:
        """A method call, or a field."""
        parent = member.parent
        if parent is None or parent.kind != "CALL_EXPR" or parent.children[0] is not member:
            return self.at(function, member) if parent is not None else frozenset()
        method, name = parent.cursor.referenced, str(member.cursor.spelling)
        if is_stream(member.children[0].cursor.type):
            if name in _STREAM_READS:
                return frozenset({READ})
            return frozenset({WRITE}) if name in _STREAM_WRITES else frozenset()
        if method is not None and not method.is_const_method():
            return _BOTH
        return frozenset({READ})

    def _argument(self, function: Function, call: Node, argument: Node) -> frozenset[str]:
        """An operand of a class's operator, or an argument of a call."""
        symbol = operator_of(call)
        if call.cursor.spelling in {"operator>>", "operator<<"} and is_stream(argument.cursor.type):
            return frozenset({READ} if call.cursor.spelling == "operator>>" else {WRITE})
        if symbol in _CHANGES:
            return _operand(call, argument)
        known = next((found for found in function.calls if found.node is call), None)
        if known is None or known.function is None:
            return self._elsewhere(call, argument)
        position = position_of(known, argument)
        if position is None or position >= len(known.function.parameters):
            return frozenset({READ})
        parameter = known.function.parameters[position]
        by_value = "&" not in parameter.type.get_canonical().spelling
        if by_value and parameter.type.get_canonical().kind.name not in ADDRESSES:
            return frozenset({READ})
        return self.of(known.function, parameter)

    def _elsewhere(self, call: Node, argument: Node) -> frozenset[str]:
        """A call of what has no body here: by its parameter's type."""
        target = call.cursor.referenced
        parameters = list(target.get_arguments()) if target is not None else []
        before = len(call.children) - len(parameters)
        position = call.children.index(argument) - before
        if not 0 <= position < len(parameters):
            return frozenset({READ})
        kind = parameters[position].type.get_canonical()
        if kind.kind.name in {"POINTER", "LVALUEREFERENCE"}:
            return frozenset({READ}) if kind.get_pointee().is_const_qualified() else _BOTH
        return frozenset({READ})


def uses(tree: Node, variable: Any) -> Iterator[Node]:
    """Where a variable is named."""
    for node in source_nodes(tree):
        referenced = node.cursor.referenced if node.kind == "DECL_REF_EXPR" else None
        if referenced is not None and referenced == variable:
            yield node


def position_of(call: Call, argument: Node) -> int | None:
    """The place of an expression among the arguments of a call."""
    for position, cursor in enumerate(call.node.cursor.get_arguments()):
        if cursor == argument.cursor:
            return position
    return None


def _aliases(function: Function, variable: Any) -> list[Any]:
    """A variable, and the pointers and references that are made from it."""
    found = [variable]
    for node in function.tree.walk():
        if node.kind != "VAR_DECL" or not (_is_address(node) or _is_reference(node)):
            continue
        named = [use for alias in found for use in uses(node, alias)]
        if any(_is_reference(node) or _stays_address(use, node) for use in named):
            found.append(node.cursor)
    return found


def _stays_address(use: Node, declaration: Node) -> bool:
    """Is an address kept in the declaration, rather than an element read?"""
    node = use
    address = _is_address(use)
    while node.parent is not None and node.parent is not declaration:
        node = node.parent
        if operator_of(node) == "&":
            address = True
        elif node.kind == "ARRAY_SUBSCRIPT_EXPR" or operator_of(node) == "*":
            address = _is_address(node)
    return address


def _is_address(node: Node) -> bool:
    return node.cursor.type.get_canonical().kind.name in ADDRESSES


def _is_reference(node: Node) -> bool:
    """Does it declare another name of a variable?"""
    kind = node.cursor.type.get_canonical().kind.name
    return node.kind == "VAR_DECL" and kind == "LVALUEREFERENCE"


def _is_element(parent: Node, node: Node) -> bool:
    """Is the parent an element of what the node says?"""
    subscript = parent.kind == "CALL_EXPR" and parent.cursor.spelling == "operator[]"
    if subscript or parent.kind == "ARRAY_SUBSCRIPT_EXPR":
        return parent.children[0] is node
    return operator_of(parent) == "*" and len(parent.children) == 1


def _operand(parent: Node, node: Node) -> frozenset[str]:
    """What an operator does with an operand."""
    symbol = operator_of(parent)
    if symbol in _CHANGES and parent.children[0] is node:
        return frozenset({WRITE}) if symbol == "=" else _BOTH
    return frozenset({READ})
