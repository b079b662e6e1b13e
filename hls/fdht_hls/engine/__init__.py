"""EnginePlan: one frozen, verified description of everything that is built of a network.

`lower` makes it from a network, a schedule and a memory port. The emitters of C++ and RTL, the
estimators, cosimulation and the loader of weights read it and nothing else. Needs NumPy alone.
"""

from __future__ import annotations

from fdht_hls.engine.contractions import StageDesign, StagePlan
from fdht_hls.engine.engine_plan import CellPlan, EngineDesign, EnginePlan, HeadPlan, PortPlan
from fdht_hls.engine.lower import (
    check_feature,
    design_engine,
    lower,
    schedule_engine,
    stage_designs,
    stage_plans,
)

__all__ = [
    "CellPlan",
    "EngineDesign",
    "EnginePlan",
    "HeadPlan",
    "PortPlan",
    "StageDesign",
    "StagePlan",
    "check_feature",
    "design_engine",
    "lower",
    "schedule_engine",
    "stage_designs",
    "stage_plans",
]
