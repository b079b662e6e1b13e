"""Answers of a made-up network with the classes `left` and `right`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdht_host.answers import ClipAnswer, Reading, accuracy_of, vote
from fdht_models.tensor.fixedpoint import FixedPoint

CLASSES = ("left", "right")
LOGITS = FixedPoint(12, 6)


def answer(
    clip: str,
    label: str | None,
    *logits: tuple[int, int],
    source: str = "clips",
    start: int | None = None,
    **changes: Any,
) -> ClipAnswer:
    """A clip with a block for each pair of logits."""
    readings = [Reading(9 * k, 9, np.array(pair, np.int64)) for k, pair in enumerate(logits)]
    found: dict[str, Any] = {
        "frames_used": 10,
        "frames_there": 40,
        "protocol": "stream",
        "stride": 4,
        "time_step": 0.16,
        "damage": "",
        "compared": 18,
        "mismatches": 0,
    }
    return ClipAnswer(
        source, clip, start, label, **vars(vote(readings, CLASSES, LOGITS)), **{**found, **changes}
    )


def source_of(answers: list[ClipAnswer], name: str = "clips", kind: str = "folder") -> Any:
    """The entry of the report's `sources`."""
    return {
        "source": name,
        "kind": kind,
        "clips": len(answers),
        "inputs": 9 * len(answers),
        "seconds": 1.0,
        "compared": 18 * len(answers),
        "mismatches": 0,
        "accuracy": accuracy_of(answers, CLASSES),
        "problems": [],
        "notes": [],
    }
