"""Rules on the language: what no circuit can be made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from fdht_hls.lint.frontend import Node, canonical, is_stream
from fdht_hls.lint.program import Call, Flaw, Function, Program, source_nodes

_HEAP = {
    *("malloc", "calloc", "realloc", "free", "alloca", "aligned_alloc", "posix_memalign"),
    *("operator new", "operator new[]", "operator delete", "operator delete[]"),
}
#: Containers of the standard library, which allocate.
_CONTAINER = re.compile(
    r"\bstd::(__cxx11::)?(basic_string|vector|deque|list|forward_list|map|multimap|set|multiset|"
    r"unordered_\w+|queue|priority_queue|stack|function|unique_ptr|shared_ptr)<"
)
#: Functions without a body that Vitis HLS knows (UG1399, System Calls; Variable Loop Bounds).
_KNOWN = {"memcpy", "memset", "__assert_fail", "__builtin_expect", "__builtin_unreachable"}
_FLOATS = {"FLOAT", "DOUBLE", "LONGDOUBLE", "HALF", "FLOAT128", "IBM128", "BFLOAT16"}
#: Expressions that make such a number of others.
_FLOAT_MAKERS = {
    *("FLOATING_LITERAL", "CSTYLE_CAST_EXPR", "CXX_STATIC_CAST_EXPR", "CXX_FUNCTIONAL_CAST_EXPR"),
}
_CONSTRUCTS = {
    "CXX_THROW_EXPR": "an exception",
    "CXX_TRY_STMT": "an exception handler",
    "CXX_TYPEID_EXPR": "a type at run time",
    "CXX_DYNAMIC_CAST_EXPR": "a cast at run time",
    "GOTO_STMT": "a goto",
    "INDIRECT_GOTO_STMT": "a computed goto",
    "ASM_STMT": "assembly",
}
_VARIABLES = {"VAR_DECL", "PARM_DECL"}


def check(program: Program) -> Iterator[Flaw]:
    """All rules of this module."""
    yield from _recursion(program)
    for function in program.functions.values():
        for call in function.calls:
            yield from _called(program, call)
        # Arguments of streams' constructors are names for messages.
        for node in source_nodes(function.tree, partial(_names_a_stream, program)):
            yield from _node(node)


def _names_a_stream(program: Program, node: Node) -> bool:
    target = node.cursor.referenced if node.kind == "CALL_EXPR" else None
    if target is None or target.kind.name != "CONSTRUCTOR" or not program.is_primitive(target):
        return False
    return bool(target.spelling.startswith("stream"))


def _recursion(program: Program) -> Iterator[Flaw]:
    """Calls that close a circle."""
    done: set[int] = set()
    path: list[Function] = []

    def visit(function: Function) -> Iterator[Flaw]:
        path.append(function)
        for call in function.calls:
            target = call.function
            if target is None or id(target) in done:
                continue
            if target in path:
                circle = [*(f.name for f in path[path.index(target) :]), target.name]
                yield Flaw("recursion", call.node, " -> ".join(circle), "use a loop or a template")
            else:
                yield from visit(target)
        path.pop()
        done.add(id(function))

    yield from visit(program.top)


def _called(program: Program, call: Call) -> Iterator[Flaw]:
    target, name = call.target, call.target.spelling if call.target is not None else ""
    if target is None:
        return
    if target.kind.name in {*_VARIABLES, "FIELD_DECL"}:
        if _points_to_function(target.type):
            yield Flaw("pointer", call.node, f"{name} is a pointer to a function", "call by name")
        return
    if target.is_virtual_method():
        yield Flaw("virtual-call", call.node, f"{name} is virtual", "use a template for the choice")
    if call.function is not None or program.is_primitive(target) or _of_a_stream(program, call):
        return
    if name in _HEAP:
        yield _heap(call.node, name)
    elif not _harmless(target):
        yield Flaw(
            "system-call",
            call.node,
            f"{name} has no body that could be synthesised",
            "keep it outside of the core, or within #ifndef __SYNTHESIS__",
        )


def _of_a_stream(program: Program, call: Call) -> bool:
    """Is it an argument of a stream's constructor?"""
    return any(_names_a_stream(program, node) for node in call.node.ancestors())


def _harmless(target: Any) -> bool:
    """Is it known to the tool, or a function of a header with its body there?

    Constructors and operators that the compiler makes have no body either.
    """
    if target.spelling in _KNOWN or target.kind.name not in {"FUNCTION_DECL", "CXX_METHOD"}:
        return True
    return target.get_definition() is not None or target.is_default_method()


def _heap(node: Node, what: str) -> Flaw:
    return Flaw("heap", node, f"{what} allocates memory", "declare an array of a constant size")


def _node(node: Node) -> Iterator[Flaw]:
    kind, cursor = node.kind, node.cursor
    if kind in {"CXX_NEW_EXPR", "CXX_DELETE_EXPR"}:
        yield _heap(node, "new" if kind == "CXX_NEW_EXPR" else "delete")
    if kind in _CONSTRUCTS:
        yield Flaw("construct", node, f"{_CONSTRUCTS[kind]} cannot be synthesised", "leave it out")
    named = kind.endswith(("_EXPR", "_DECL")) and cursor.spelling
    if (named or kind in _FLOAT_MAKERS) and _is_float(cursor.type):
        subject = cursor.spelling or f"a value of type {cursor.type.spelling}"
        yield Flaw(
            "floating-point", node, f"{subject} is a floating-point number", "use ap_fixed or codes"
        )
    if kind in _VARIABLES:
        yield from _variable(node)
    if kind in {"CXX_REINTERPRET_CAST_EXPR", "CSTYLE_CAST_EXPR"} and node.children:
        yield from _cast(node)


def _variable(node: Node) -> Iterator[Flaw]:
    kind, name = node.cursor.type, node.cursor.spelling
    spelling = canonical(kind)
    if _CONTAINER.search(spelling) and "hls::" not in spelling:
        yield _heap(node, f"{name} of type {spelling.split('<')[0]}")
    if _is_nested_pointer(kind):
        yield Flaw("pointer", node, f"{name} is a pointer to pointers", "use an array and an index")
    copied = is_stream(kind) and "&" not in kind.get_canonical().spelling
    if copied and (node.kind == "PARM_DECL" or _is_copied(node)):
        yield Flaw("stream-reference", node, f"stream {name} is a copy", "pass it by reference (&)")


def _is_copied(node: Node) -> bool:
    """Is a stream made from another one?"""
    return any(
        below.kind == "DECL_REF_EXPR" and is_stream(below.cursor.type) for below in node.walk()
    )


def _cast(node: Node) -> Iterator[Flaw]:
    source = node.children[-1].cursor.type.get_canonical()
    target = node.cursor.type.get_canonical()
    if "POINTER" not in {source.kind.name} & {target.kind.name}:
        return
    ends = [canonical(kind.get_pointee()) for kind in (source, target)]
    if ends[0] != ends[1]:
        yield Flaw(
            "pointer",
            node,
            f"a pointer to {ends[0]} is cast to one to {ends[1]}",
            "copy the bits with range() or a union of codes",
        )


def _is_float(kind: Any) -> bool:
    kind = kind.get_canonical()
    while kind.kind.name in {"CONSTANTARRAY", "INCOMPLETEARRAY", "VECTOR"}:
        kind = kind.element_type.get_canonical()
    if kind.kind.name in {"POINTER", "LVALUEREFERENCE", "RVALUEREFERENCE"}:
        kind = kind.get_pointee().get_canonical()
    return kind.kind.name in _FLOATS


def _is_nested_pointer(kind: Any) -> bool:
    kind = kind.get_canonical()
    if kind.kind.name in {"CONSTANTARRAY", "INCOMPLETEARRAY"}:
        inner = kind.element_type.get_canonical()
    elif kind.kind.name == "POINTER":
        inner = kind.get_pointee().get_canonical()
    else:
        return False
    return inner.kind.name == "POINTER" or _is_nested_pointer(inner)


def _points_to_function(kind: Any) -> bool:
    kind = kind.get_canonical()
    if kind.kind.name in {"POINTER", "LVALUEREFERENCE"}:
        kind = kind.get_pointee().get_canonical()
    return kind.kind.name in {"FUNCTIONPROTO", "FUNCTIONNOPROTO", "POINTER"}
