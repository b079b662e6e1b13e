"""What a network has to beat, and whether it does; and whether it suits live streams.

For `metrics.json`, the console and the report. Needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.baseline import (
    MEAN_FEATURE,
    MEAN_FRAME,
    MEAN_PICTURE,
    SINGLE_FRAME,
    BaselineTable,
)
from fdht_models.data.significance import CONFIDENCE, compare_paired
from fdht_models.metrics import BaselineRow
from fdht_models.preprocessing import Preprocessing, Sampling
from fdht_models.preprocessing.protocols import (
    CONSECUTIVE,
    GENERATED,
    RANDOM_STRIDE,
    SIX,
    STRIDE,
    UNIFORM,
    WINDOW,
)

#: Keys of metrics.json's `accuracy` for rows that it had before it had the whole table.
_EARLIER = {SINGLE_FRAME: "single_frame"} | dict.fromkeys(
    (MEAN_PICTURE, MEAN_FRAME, MEAN_FEATURE), "mean_frame"
)
_WIDTH = 30
#: Protocols that suit, by the kind of input.
_SUITABLE = {
    "picture": (CONSECUTIVE, STRIDE, RANDOM_STRIDE),
    "values": (CONSECUTIVE, STRIDE, RANDOM_STRIDE),
    "sound": (WINDOW,),
    "spikes": (),
}
_WHY_NOT = {
    UNIFORM: "spreads its frames over the whole clip, and a stream has no end",
    SIX: "takes frames at random distances, and a stream has one distance",
}
_CUT = "takes clips that somebody has cut at labels, and a stream has none"


def scores_of(
    table: BaselineTable, predictions: NDArray[np.int64], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """The table, and the network held against its best row, as part of metrics.json's `accuracy`.

    Args:
        table: of classifiers of the same test clips.
        predictions: the quantised network's classes, [clips].
        labels: what is right, [clips].
    """
    right = predictions == labels
    tests = {row.name: compare_paired(right, row.predictions == labels) for row in table.rows}
    # Of equally accurate ones that from which the network differs least surely.
    best = max(table.rows, key=lambda row: (row.accuracy, tests[row.name].p_value))
    found = tests[best.name]
    names = [entry.name for entry in fields(BaselineRow)]
    earlier: dict[str, Any] = {}
    for row in table.rows:  # the mean feature comes after the mean picture, and stays
        if key := _EARLIER.get(row.name):
            earlier |= {key: row.accuracy, f"{key}_name": row.classifier}
    return {
        **earlier,
        "best_baseline": best.name,
        "baselines": [{name: getattr(row, name) for name in names} for row in table.rows],
        "left_out": dict(table.left_out),
        "comparison": {
            "baseline": best.name,
            "better": found.first_is_better,
            "difference": found.difference,
            "interval": list(found.interval),
            "confidence": CONFIDENCE,
            "p_value": found.p_value,
            "network_only": found.first_only,
            "baseline_only": found.second_only,
            "clips": found.clips,
        },
    }


def accuracy_lines(accuracy: Mapping[str, Any]) -> list[str]:
    """Accuracies for people, one a line; what was not measured is left out."""
    networks = {"quantized": "quantised network", "float": "its float twin"}
    lines = [
        _line(text, accuracy[key], "measured")
        for key, text in networks.items()
        if accuracy.get(key) is not None
    ]
    rows = accuracy.get("baselines") or _earlier_rows(accuracy)
    # What is hardest to beat stands next to the network.
    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        how = f" ({row['classifier']})" if row["classifier"] else ""
        lines.append(_line(row["name"], row["accuracy"], row["kind"] + how))
    for name, reason in (accuracy.get("left_out") or {}).items():
        lines.append(f"{name:<{_WIDTH}}{'':7}  left out: {reason}")
    if accuracy.get("single_frame_failure"):
        lines.append(f"without a comparison: {accuracy['single_frame_failure']}")
    if accuracy.get("comparison"):
        lines.append(verdict(accuracy["comparison"]))
    return lines


def verdict(comparison: Mapping[str, Any]) -> str:
    """Says plainly whether the network beats the best classifier without a memory."""
    low, high = (100 * bound for bound in comparison["interval"])
    figures = (
        f"difference {100 * comparison['difference']:.1f} points, "
        f"{comparison['confidence']:.0%} interval {low:.1f} to {high:.1f}, "
        f"{comparison['clips']:,} test clips"
    )
    if comparison["better"]:
        return f"better than the best baseline, {comparison['baseline']}: {figures}"
    return f"NOT better than {comparison['baseline']}, which needs no memory: {figures}"


def _line(text: str, share: float, how: str) -> str:
    return f"{text:<{_WIDTH}}{share:7.1%}  {how}"


def _earlier_rows(accuracy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a result that has no table."""
    texts = {
        "single_frame": "best single-frame classifier",
        "mean_frame": "classifier of the mean frame",
        "chance": "chance",
    }
    how = {"chance": "always the test clips' largest class"}
    return [
        {
            "name": text,
            "accuracy": accuracy[key],
            "kind": "counted" if key == "chance" else "measured",
            "classifier": how.get(key) or accuracy.get(f"{key}_name"),
        }
        for key, text in texts.items()
        if accuracy.get(key) is not None
    ]


def stream_statement(preprocessing: Preprocessing) -> dict[str, Any] | None:
    """What `metrics.json` says under `streams`; None for clips that belong to no files.

    Args:
        preprocessing: of the network, with the time step of its training clips.

    Returns:
        {"suits", "protocol", "time_step": seconds or None, "suitable": protocols that would suit,
        "statement": all of it in a line for people}.
    """
    sampling = preprocessing.sampling
    if sampling.protocol == GENERATED:
        return None
    suitable = _SUITABLE[preprocessing.kind]
    return {
        "suits": sampling.suits_streams,
        "protocol": sampling.protocol,
        "time_step": sampling.time_step,
        "suitable": list(suitable),
        "statement": _statement(sampling, suitable),
    }


def _statement(sampling: Sampling, suitable: tuple[str, ...]) -> str:
    step = "of a length that the files do not state"
    if sampling.time_step is not None:
        step = f"of {sampling.time_step:.3g} s"
    if sampling.suits_streams:
        drawn = " on the average" if sampling.protocol == RANDOM_STRIDE else ""
        return f"live streams: suited (protocol {sampling.protocol}, steps {step}{drawn})"
    why = _WHY_NOT.get(sampling.protocol, _CUT)
    remedy = f"; protocols that suit: {', '.join(suitable)}" if suitable else ""
    return f"live streams: not suited (steps {step}): protocol {sampling.protocol} {why}{remedy}"
