"""Where the host's time goes while a core works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PhaseTimes:
    """Where the host's time went, in seconds of the machine's clock.

    Phases overlap the core's work where they can, so their sum may exceed the time that passed.

    Args:
        pack: copying frames into buffers.
        transfer: flushing and invalidating caches.
        compute: waiting for the core.
        unpack: copying logits out of buffers.
        frames: frames processed.
        calls: calls of the core.
        words: that their sparse frames took; of a core of dense frames 0.
    """

    pack: float = 0.0
    transfer: float = 0.0
    compute: float = 0.0
    unpack: float = 0.0
    frames: int = 0
    calls: int = 0
    words: int = 0
