"""Facts about this machine without which a time in seconds says nothing."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
#: Share of all processors that other programs may use before a measurement is called disturbed.
_BUSY = 0.1


def machine_facts() -> dict[str, Any]:
    """Processor, cores, memory and system; JSON-serialisable."""
    return {
        "processor": _processor() or platform.machine(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def cores() -> int:
    """Processors that this program may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class ProcessorTime:
    """Seconds so far: on the clock, of all programs on all processors, and of ours.

    Args:
        clock: of a clock that only goes forward.
        everybody: in which a processor was not idle, also for another virtual machine.
        ours: used by this process and by its children that have ended.
    """

    clock: float
    everybody: float
    ours: float

    @staticmethod
    def now() -> ProcessorTime:
        """As of now."""
        # user, nice, system, idle, iowait, irq, softirq, steal; guests count as user.
        ticks = [int(word) for word in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
        busy = sum(ticks) - ticks[3] - ticks[4]
        used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return ProcessorTime(
            time.monotonic(),
            busy / os.sysconf("SC_CLK_TCK"),
            sum(one.ru_utime + one.ru_stime for one in used),
        )


def disturbance(before: ProcessorTime, after: ProcessorTime) -> dict[str, Any]:
    """How many processors other programs kept busy meanwhile, and whether that is few."""
    others = (after.everybody - before.everybody) - (after.ours - before.ours)
    share = max(0.0, others / (after.clock - before.clock))
    return {"other_programs_cores": round(share, 3), "quiet": share <= _BUSY * cores()}


def _processor() -> str | None:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None  # not every architecture names it


def disturbance_lines(machine: Mapping[str, Any]) -> list[str]:
    """Says of a result's `machine` that other programs were busy, if they were."""
    if machine["quiet"]:
        return []
    busy = machine["other_programs_cores"]
    return [f"DISTURBED: other programs kept {busy:.2f} cores busy; measure again."]
