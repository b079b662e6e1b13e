"""Cycles and resources of the core, from its loops and formats. Every figure is `estimated`.

A stage takes (turns of its pipelined loop) x (beats of a turn) clocks a frame; the processes run
side by side, so the slowest sets the pace. Depths of pipelines and all coefficients of resources
are those of `ResourceModel`. Needs no hls4ml.
"""

from __future__ import annotations

from fdht_hls.estimate.coefficients import FAMILIES, Assumptions, ResourceModel
from fdht_hls.estimate.hls import CoreModel, Estimate, StageEstimate, estimate
from fdht_hls.estimate.reading import (
    EstimateSummary,
    check_estimate,
    estimate_of_manifest,
    load_estimate,
)
from fdht_hls.estimate.resources import Resources

__all__ = [
    "FAMILIES",
    "Assumptions",
    "CoreModel",
    "Estimate",
    "EstimateSummary",
    "ResourceModel",
    "Resources",
    "StageEstimate",
    "check_estimate",
    "estimate",
    "estimate_of_manifest",
    "load_estimate",
]
