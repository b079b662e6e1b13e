"""The two cores that can be built of a network, each with the model that estimates it.

What asks for an estimate, asks here. `hls` is the C++ through Vitis HLS, `rtl` the project's own
Verilog. The two differ in their adapters and in how processes follow each other, and so in their
figures, for the same schedule too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from fdht_hls.engine import check_feature, design_engine
from fdht_hls.estimate import Assumptions, CoreModel
from fdht_hls.frame_profile import FrameProfile
from fdht_hls.schedule import fibres_for
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.rtl_core import STAGE_CLOCKS, RtlCoreModel
from fdht_hls.tuner.sparse_core import SparseHlsModel, SparseRtlModel
from fdht_models.errors import ConfigError
from fdht_models.tensor.contexts import check_contexts
from fdht_models.tensor.quantized import QuantizedNetwork

#: As `fdht build --core` names them.
CoreKind = Literal["hls", "rtl"]
CORES: tuple[CoreKind, ...] = get_args(CoreKind)
#: The family for which yosys' counts confirm the model of the RTL; see docs/estimate.md.
_CONFIRMED = "zynq7000"


def checked_core(core: str) -> CoreKind:
    """The name of a core.

    Raises:
        ConfigError: it is none.
    """
    for known in CORES:
        if core == known:
            return known
    raise ConfigError(f"must be {' or '.join(CORES)}", field="core", value=core)


def model_of(core: CoreKind, family: str) -> str:
    """Whose figures the estimates are, in words."""
    if core == "hls":
        return "of what Vitis HLS makes of the C++; not confirmed by a synthesis"
    if family == _CONFIRMED:
        return "of the core in RTL; within 15 % of what yosys counts"
    return "of the core in RTL; confirmed by yosys for the 7 series only"


def check_profile(profile: FrameProfile, frames: str) -> None:
    """Refuses a profile for a core that does not read such frames.

    Raises:
        ConfigError: it is of another kind of frames.
    """
    if profile.frames != frames:
        raise ConfigError(
            f"is of {profile.frames} frames, and the core reads {frames} ones",
            field="profile",
            remedy="measure it again: fdht tune EXPERIMENT --clips",
        )


def core_to_tune(
    network: QuantizedNetwork,
    budget: Budget,
    core: CoreKind = "hls",
    engine: Assumptions | None = None,
    loadable: bool = False,
    frames: str = "dense",
    profile: FrameProfile | None = None,
    contexts: int = 1,
) -> CoreModel:
    """A network as processes, with the costs of the core that is built.

    Args:
        network: the integers, or their shapes and formats.
        budget: the device and its ports.
        core: that is to be built.
        engine: what it does beyond today's kernels.
        loadable: weights can be loaded at run time.
        frames: that it reads; see `Schedule`.
        profile: of the frames that a core which skips zeros is tuned for; None: frames count as
            full.
        contexts: states that it keeps.

    Raises:
        ConfigError: the family has no model, the engine is not that of the core in RTL, or the
            profile is of other frames.
        ConversionError: the core is to compute the network's feature, and cannot.
    """
    check_contexts(contexts, frames)
    if profile is not None:
        check_profile(profile, frames)
    engine, width = engine or Assumptions(), budget.bytes_per_clock
    if frames == "raw":
        check_feature(network, width)
    if core == "hls":
        design = design_engine(network, width, contexts=contexts)
        own = design, budget.model, engine, loadable, frames
        return CoreModel(*own) if profile is None else SparseHlsModel(*own, profile)
    if engine != Assumptions():
        raise ConfigError(
            "is nothing that the core in RTL does", field="assume", remedy="use --core hls"
        )
    # The RTL's clocks are its own: a memory that answers at once, as in its simulation.
    model = replace(budget.model, pipeline_depth=STAGE_CLOCKS, memory_latency=0)
    fibres = (fibres_for(network.recurrence, width), 1)
    parts = design_engine(network, width, fibres, contexts), model, engine, loadable, frames
    return RtlCoreModel(*parts) if profile is None else SparseRtlModel(*parts, profile)
