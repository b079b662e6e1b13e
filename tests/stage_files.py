"""Small whole files as the stages write them, for tests that need a stage without running it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fdht_models.artifacts import MANIFEST, SEAL, read_json, seal_of, write_json

_RESOURCES = {"lut": 9000, "ff": 9900, "dsp": 90, "bram36": 9.0}


def reseal(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes an overlay's manifest as one that was so from the beginning, digests and all."""
    path = directory / MANIFEST
    manifest = read_json(path)
    change(manifest)
    if SEAL in manifest:
        manifest[SEAL] = seal_of(manifest)
    write_json(path, manifest)


def estimate(cycles: int = 500, **resources: float) -> dict[str, Any]:
    """What `estimate.json` holds, of one process."""
    taken = {**_RESOURCES, **resources}
    return {
        **summary(cycles),
        "resources": taken,
        "stages": [
            {
                "name": "read frame",
                "cycles": cycles,
                "macs": 0,
                "multipliers": 0,
                **taken,
                "parts": {"master": taken},
            }
        ],
    }


def summary(cycles: int = 500) -> dict[str, Any]:
    """What the manifest of a conversion holds of it."""
    return {
        "kind": "estimated",
        "cycles_per_frame": cycles,
        "limited_by": "read frame",
        "fill_latency_cycles": 16,
        "recurrent_latency_cycles": 9,
        "latency": {"input.C1": 12, "head": 4},
        "resources": _RESOURCES,
    }


def proof(compared: int = 10_200) -> dict[str, Any]:
    """What `equality.json` holds."""
    equal = {"compared": compared, "mismatches": 0, "first": None}
    pairs = ("keras_reference", "reference_csim_exact", "reference_csim")
    return {"streams": 17, "frames_per_stream": 60, **dict.fromkeys(pairs, equal)}


def metrics(**accuracy: float) -> dict[str, Any]:
    """What `metrics.json` holds: 3 of 4 test clips of two classes are right."""
    return {
        "experiment": "first",
        "accuracy": {
            "kind": "measured",
            "quantized": 0.75,
            "float": 0.5,
            "single_frame": 0.25,
            "single_frame_name": "random forest, last feature frame",
            "chance": 0.5,
            "best_baseline": "largest class",
            "baselines": [
                {
                    "name": "largest class",
                    "classifier": "always 'left'",
                    "accuracy": 0.5,
                    "kind": "counted",
                    "clips": 0,
                    "chosen": "the most frequent class of the test clips",
                    "tried": {"always 'left'": 0.5},
                }
            ],
            "left_out": {"mean picture": "a file is damaged"},
            "comparison": {
                "baseline": "largest class",
                "better": False,
                "difference": 0.25,
                "interval": [-0.375, 0.75],
                "confidence": 0.95,
                "p_value": 1.0,
                "network_only": 1,
                "baseline_only": 0,
                "clips": 4,
            },
            **accuracy,
        },
        "clips": {"test": 4, "test_seed": 10_001, "single_frame_train": 100},
        "confusion": {"classes": ["left", "right"], "matrix": [[2, 0], [1, 1]]},
        "equality": {"keras_reference": {"compared": 264, "mismatches": 0}},
        "parameters": {
            "lstm": 5892,
            "dense_lstm": 29_557_248,
            "ratio_lstm": 5016.505,
            "on_chip": 6464,
            "head": 1419,
        },
        "start": {"from": "checkpoint", "steps": 20},
        "streams": {
            "suits": True,
            "protocol": "stride",
            "time_step": 0.08,
            "suitable": ["consecutive", "stride", "random_stride"],
            "statement": "live streams: suited (protocol stride, steps of 0.08 s)",
        },
    }
