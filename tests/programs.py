"""What tests want to know of programs that were started."""

from __future__ import annotations

import time
from pathlib import Path


def process_lives(pid: int) -> bool:
    """A zombie does not: whoever adopted it may reap it late."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def process_ended(pid: int, seconds: float = 5.0) -> bool:
    """Has the process ended within so many seconds?"""
    end = time.monotonic() + seconds
    while process_lives(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
