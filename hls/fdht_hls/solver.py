"""da4ml in a process of its own, which can be ended: its compiled code hears no signal.

A kernel goes there and the sums that da4ml found come back. The process is started at the first
kernel and serves all that follow, for numba needs seconds to load da4ml. It may hold so much memory
and work for so long on a kernel; and it ends with its parent.
"""

from __future__ import annotations

import atexit
import resource
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fdht_models.errors import ToolError
from fdht_models.interruption import interrupts_held_back
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.workers import ONE_THREAD, WorkerProcess, answer_pipe, module_command, orders, say

#: Seconds for a kernel. The largest takes some ten; the first one ever, a minute or two of numba's.
MOST_SECONDS = 600.0
#: Bytes of data that the process may hold: numba and da4ml take 1 GB, the largest kernel 0.5 GB.
MOST_BYTES = 3 << 30
#: Adders of the longest way through a graph, beyond the fewest possible.
_EXTRA_DEPTH = 2
_ENDING_SECONDS = 2.0
_CONSTANTS = "use constant weights"


@dataclass(frozen=True)
class Operation:
    """A step of a part: an input (code -1), or first + second << shift (0), or first - .. (1)."""

    code: int
    first: int
    second: int
    shift: int


@dataclass(frozen=True)
class Part:
    """One of da4ml's graphs over fixed-point numbers; see `fdht_hls.adders` for what we make of it.

    Args:
        operations: its steps.
        input_shifts: of each input.
        outputs: which step each output is; below 0: zero.
        output_shifts: of each output.
        negative: is the output minus that?
    """

    operations: tuple[Operation, ...]
    input_shifts: tuple[int, ...]
    outputs: tuple[int, ...]
    output_shifts: tuple[int, ...]
    negative: tuple[bool, ...]


@dataclass(frozen=True)
class Solution:
    """Graphs in a row, and the bits of all their adders."""

    solutions: tuple[Part, ...]
    cost: float


def solve(kernel: Codes, source: FixedPoint) -> Solution:
    """What da4ml finds for a kernel.

    Args:
        kernel: codes [inputs, outputs], not all zero.
        source: format of the inputs.

    Raises:
        ToolError: da4ml cannot be imported, takes too long or too much memory, or fails.
    """
    order = {"kernel": kernel.tolist(), "low": source.minimum, "high": source.maximum}
    with _LOCK:
        done = False
        try:
            message = _asked(order)
            done = True
        finally:
            if not done:  # interrupted, too late or dead: what it works on, nobody waits for
                end()
    if "solution" in message:
        return _solution(message["solution"])
    raise _error(message)


def begin() -> None:
    """Starts the process, which loads da4ml at once; does nothing if there is one.

    Raises:
        ToolError: it cannot be started.
    """
    if _Running.worker is None:
        # An interruption between the start and the assignment would leave it to itself.
        with interrupts_held_back():
            _Running.worker = WorkerProcess(module_command(__name__), ONE_THREAD, own_session=True)


def end() -> None:
    """Ends the process, if there is one, whatever it does."""
    worker, _Running.worker = _Running.worker, None
    if worker is not None:
        worker.terminate()
        worker.close(_ENDING_SECONDS)


class _Running:
    """The process that serves this one."""

    worker: WorkerProcess | None = None


_LOCK = threading.Lock()
atexit.register(end)


def _asked(order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an order.

    Raises:
        ToolError: none came in time, or the process has ended.
    """
    begin()
    worker, until = _Running.worker, time.monotonic() + MOST_SECONDS
    assert worker is not None
    try:
        worker.send({**order, "seconds": MOST_SECONDS, "bytes": MOST_BYTES})
        while worker.answers_within(until - time.monotonic()):
            messages = worker.receive()
            if messages:
                return messages[0]
    except (OSError, EOFError) as error:
        raise ToolError(
            f"ended ({worker.last_words()}); its limit is {MOST_BYTES >> 30} GB of memory",
            field="da4ml",
            remedy=_CONSTANTS,
        ) from error
    raise ToolError(f"found no adders within {MOST_SECONDS:g} s", field="da4ml", remedy=_CONSTANTS)


def _error(message: Mapping[str, Any]) -> ToolError:
    kind, said = message["error"], message["said"]
    if kind == "missing":
        return ToolError(
            f"is needed for adders ({said})",
            field="da4ml",
            remedy=f"pip install 'fdht[hls]', or {_CONSTANTS}",
        )
    if kind == "memory":
        limit = f"needs more than {message['bytes'] / (1 << 30):.3g} GB of memory"
        return ToolError(limit, field="da4ml", remedy=_CONSTANTS)
    return ToolError(f"failed ({said})", field="da4ml", remedy=_CONSTANTS)


def _solution(message: Mapping[str, Any]) -> Solution:
    parts = tuple(
        Part(
            tuple(Operation(*step) for step in part["operations"]),
            *(tuple(part[key]) for key in ("input_shifts", "outputs", "output_shifts", "negative")),
        )
        for part in message["parts"]
    )
    return Solution(parts, message["cost"])


# The process's side -----------------------------------------------------------------------------


def main() -> None:
    """Serves orders until there are no more."""
    with answer_pipe() as pipe:
        with suppress(Exception):  # an order will be told of it
            import da4ml.cmvm  # noqa: F401
        for order in orders():
            _limit(order["seconds"], order["bytes"])
            with suppress(BrokenPipeError):  # the parent has gone
                say(pipe, _answer(order))


def _limit(seconds: float, memory: int) -> None:
    """Limits memory; and processor time from now on, lest it outlive a parent that was killed."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, most))
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    soft = until if most == resource.RLIM_INFINITY else min(until, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"solution": _solved(order)}
    except ImportError as error:
        return {"error": "missing", "said": str(error)}
    except MemoryError as error:
        return {"error": "memory", "said": str(error), "bytes": order["bytes"]}
    except Exception as error:  # compiled code raises what it likes
        return {"error": "failed", "said": f"{type(error).__name__}: {error}"}


def _solved(order: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np
    from da4ml.cmvm import solve as solver
    from da4ml.cmvm.types import QInterval

    kernel = np.array(order["kernel"], np.float32)
    bounds = [QInterval(float(order["low"]), float(order["high"]), 1.0)] * len(kernel)
    # What numba warns of while it compiles da4ml concerns no user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = solver(kernel, qintervals=bounds, hard_dc=_EXTRA_DEPTH, adder_size=1, carry_size=-1)
    return {
        "cost": float(found.cost),
        "parts": [
            {
                "operations": [
                    [int(op.opcode), int(op.id0), int(op.id1), int(op.data)] for op in part.ops
                ],
                "input_shifts": [int(shift) for shift in part.inp_shifts],
                "outputs": [int(place) for place in part.out_idxs],
                "output_shifts": [int(shift) for shift in part.out_shifts],
                "negative": [bool(one) for one in part.out_negs],
            }
            for part in found.solutions
        ],
    }


if __name__ == "__main__":
    main()
