"""What tests want to know of programs that were started."""

from __future__ import annotations

import time
from pathlib import Path


def process_ended(pid: int) -> bool:
    """Has the process ended within some seconds (or is it a zombie that nobody reaped)?"""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
