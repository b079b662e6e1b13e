"""The rules of the lint, what each is for and where it is written down, and what a finding is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_UG = "Vitis HLS User Guide (UG1399)"
#: The front end of Vitis HLS is published; its diagnostics say what it ignores or refuses.
_FRONT_END = "diagnostics of the published front end (Xilinx/hls-llvm-project, DiagnosticHLSKinds)"


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        id: name by which findings and tests call it.
        demands: what code must be like, in one sentence.
        source: where that is written down.
    """

    id: str
    demands: str
    source: str


#: All rules by id.
RULES = {
    rule.id: rule
    for rule in (
        Rule(
            "compile",
            "Clang compiles the core as a synthesis tool sees it, with __SYNTHESIS__ defined.",
            f"{_UG}, System Calls: the macro __SYNTHESIS__",
        ),
        Rule(
            "heap",
            "No memory is allocated at run time.",
            f"{_UG}, Unsupported C/C++ Constructs: Dynamic Memory Usage",
        ),
        Rule(
            "recursion",
            "No function calls itself, directly or through others; templates may unfold.",
            f"{_UG}, Unsupported C/C++ Constructs: Recursive Functions",
        ),
        Rule(
            "loop-bound",
            "Every loop counts from a constant to a constant in constant steps; a bound known at "
            "run time needs LOOP_TRIPCOUNT, and must not be unrolled.",
            f"{_UG}, Loops: Variable Loop Bounds",
        ),
        Rule(
            "floating-point",
            "No value is a floating-point number: results would not be the reference's integers.",
            f"the exactness rule of this project; {_UG}, Data Types: Floats and Doubles",
        ),
        Rule(
            "virtual-call",
            "No virtual function is called.",
            f"{_UG}, Unsupported C/C++ Constructs: Recursive Functions (caution)",
        ),
        Rule(
            "system-call",
            "Every function that is called has a body; nothing asks the operating system.",
            f"{_UG}, Unsupported C/C++ Constructs: System Calls",
        ),
        Rule(
            "pointer",
            "No pointer to a function, no pointer to a pointer, no cast between kinds of pointers.",
            f"{_UG}, Unsupported C/C++ Constructs: Pointer Limitations",
        ),
        Rule(
            "construct",
            "No exception, no goto, no assembly, no type information at run time.",
            f"{_UG}, Unsupported C/C++ Constructs",
        ),
        Rule(
            "stream-reference",
            "Streams are passed by reference and never copied.",
            f"{_UG}, HLS Stream Library: Stream Naming, Passing Streams by Reference",
        ),
        Rule(
            "stream-depth",
            "A stream outside of DATAFLOW states its depth: nobody reads it while it fills.",
            "messages XFORM 203-733 and HLS 200-805 (a stream of default size in a non-dataflow "
            f"region may deadlock); {_UG}, pragma HLS stream",
        ),
        Rule(
            "pragma-name",
            "Every HLS pragma and each of its options exists, is given once, and none is missing.",
            f"{_UG}, HLS Pragmas; {_FRONT_END}",
        ),
        Rule(
            "pragma-place",
            "A pragma stands within the braces of the function or loop that it is for.",
            f"{_UG}, HLS Pragmas; {_FRONT_END}",
        ),
        Rule(
            "pragma-variable",
            "The variable of a pragma exists there and is of a kind that the pragma is for.",
            f"{_UG}, HLS Pragmas; {_FRONT_END}",
        ),
        Rule(
            "pragma-factor",
            "A number in a pragma is a constant of the compiler's, and within its range.",
            f"{_UG}, Using Constants with Pragmas",
        ),
        Rule(
            "partition",
            "A dimension that is partitioned exists, the factor divides its size, and there are "
            "at most 4,096 parts.",
            f"{_UG}, pragma HLS array_partition; message XFORM 203-103 (4,096 parts is what "
            "hls4ml asks the tool to allow)",
        ),
        Rule(
            "port",
            "Each argument of the top function has a port: mode, registers that do not overlap, "
            "one control bundle, bursts of at most 16 words.",
            f"{_UG}, Defining Interfaces; AXI3 of the Zynq-7000 for the length of bursts",
        ),
        Rule(
            "port-direction",
            "An input is never written and an output never read.",
            f"{_UG}, Canonical Body: no inout argument among successive calls",
        ),
        Rule(
            "dataflow-form",
            "A DATAFLOW region is declarations and calls of void functions with plain arguments; "
            "as a loop it is all that its function holds.",
            f"{_UG}, Canonical Forms; WYSIWYG Coding Style",
        ),
        Rule(
            "dataflow-channel",
            "Each channel of a DATAFLOW region has one producer and, behind it, one consumer; "
            "a memory port belongs to one process.",
            f"{_UG}, Limitations of Control-Driven Task-Level Parallelism: "
            "Single-producer-consumer Violations; message HLS 200-779",
        ),
        Rule(
            "dataflow-bypass",
            "No channel passes by a process that lies on another way between its two ends.",
            f"{_UG}, Limitations of Control-Driven Task-Level Parallelism: Bypassing Tasks",
        ),
    )
}


@dataclass(frozen=True, order=True)
class Finding:
    """What a synthesis tool would refuse, ignore or build differently.

    Args:
        rule: id of the rule that is broken.
        file: path of the source, relative to the project where it lies within.
        line: line number, from 1.
        message: what is wrong.
        remedy: what to do about it.
    """

    rule: str
    file: str
    line: int
    message: str
    remedy: str

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"no such rule: {self.rule}")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}; {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
