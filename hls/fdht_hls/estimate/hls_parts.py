"""What one contraction stage takes, from its loops, its widths and its parallelism."""

from __future__ import annotations

from fdht_hls.adders import adder_graph, adders_available
from fdht_hls.engine.contractions import QUEUE_WORDS, StageDesign
from fdht_hls.estimate.coefficients import Assumptions, ResourceModel
from fdht_hls.estimate.primitives import (
    dsps_of_product,
    fifo,
    luts_of_constant_product,
    luts_of_product,
    memory,
    rom,
    rounding,
    select,
)
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.schedule import MOST_ADDER_WEIGHTS, StageSchedule, vector_length, weight_rows
from fdht_models.errors import ToolError


def stage_resources(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel, engine: Assumptions
) -> dict[str, Resources]:
    """What the parts of a stage take, by name."""
    return {
        "multipliers": multipliers(design, schedule, model, engine),
        "weights": weights(design, schedule, model),
        "accumulators": accumulators(design, schedule, model),
        "words": words(design, schedule, model),
        "fifo": fifo(QUEUE_WORDS, design.word_out * design.result.width, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def multipliers(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel, engine: Assumptions
) -> Resources:
    """Multipliers and the adders behind them.

    DSP slices add as they multiply, and take what they add to from the accumulators. Multipliers
    made of LUT have adders of LUT. Where a multiplier sees one weight only, for good - its stage
    does a turn in one beat and has one slice - it is a constant multiplier.
    """
    if schedule.weights == "adders":
        return adder_resources(design, schedule, model)
    source = design.source.width + int(not design.source.signed)
    parallel, core = schedule.parallel, design.core.format.width
    if schedule.multipliers == "dsp":
        each = dsps_of_product(source, core, model)
        packed = (
            engine.int8_pairs
            and max(design.source.width, core) <= model.int8_bits
            and schedule.outputs > 1
        )
        if not packed:
            return Resources(dsp=each * parallel)
        # Two outputs share the value that they are multiplied with; their sums share no adder.
        adders = luts(parallel * design.total.width * model.lut_per_adder_bit)
        pairs = schedule.vectors * schedule.vector * -(-schedule.outputs // 2)
        return Resources(lut=adders, ff=adders, dsp=pairs)
    if design.count == schedule.weights_in_beat and schedule.weights == "constant":
        taken = luts(parallel * luts_of_constant_product(design.source.width, core, model))
    else:
        adder = design.total.width * model.lut_per_adder_bit
        taken = luts(parallel * (luts_of_product(source, core, model) + adder))
    return Resources(lut=taken, ff=luts(taken * model.ff_per_lut))


def adder_resources(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel
) -> Resources:
    """A graph of adders: what da4ml says of these weights, or the study's model of unknown ones."""
    if design.kernel is None:
        each = luts_of_constant_product(design.source.width, design.core.format.width, model)
        taken = luts(schedule.parallel * each)
        return Resources(lut=taken, ff=luts(taken * model.ff_per_lut))
    graph = adder_graph(design.kernel, design.source)
    return Resources(lut=graph.cost, ff=graph.register_bits) * schedule.vectors


def why_no_adders(design: StageDesign) -> str | None:
    """Why a stage whose beats can all have the same weights is not made of adders.

    Finds the graph of a trained stage, which can take some ten seconds, and remembers it.

    Returns:
        A clause; None if adders are possible, or if beats differ in their weights in any case.
    """
    whole = StageSchedule(vector_length(design.shape), design.shape.outputs)
    if weight_rows(design.shape, whole) > 1:
        return None
    if whole.weights_in_beat > MOST_ADDER_WEIGHTS:
        most = f"at most {MOST_ADDER_WEIGHTS:,} weights"
        return f"they are made for {most}, and it has {whole.weights_in_beat:,}"
    if not adders_available():
        return "da4ml is not installed; pip install 'fdht[hls]' brings it"
    if design.kernel is not None:
        try:
            adder_graph(design.kernel, design.source)
        except ToolError as error:
            return str(error)
    return None


def weights(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Constants, or a memory: one word a clock with a weight for every multiplier of a vector."""
    row = schedule.weights_in_beat
    depth, width = design.count // row, row * design.core.format.width
    if schedule.weights == "adders":
        return Resources()
    if schedule.weights == "loadable":
        return memory(depth, width, model)
    return rom(depth, width, model)


def accumulators(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Sums over the mode: a memory for every parallel output; and those of the running turn.

    Behind them, a parallel output is rounded, unless it is emitted exactly.
    """
    shape, width = design.shape, design.total.width
    outputs, pieces = schedule.vectors * schedule.outputs, shape.outputs // schedule.outputs
    kept = schedule.vectors * shape.outputs if schedule.vector < vector_length(shape) else 0
    turn = Resources(ff=kept * width)
    clear = luts(outputs * width * model.lut_per_clear_bit)
    rounded = 0 if design.exact else rounding(width, design.result.width, model)
    logic = Resources(lut=clear + outputs * rounded, ff=outputs * width)
    if shape.fibre:  # the running turn is all that it adds up
        return turn + logic
    rows = shape.groups * shape.inner * shape.lanes // schedule.vectors * pieces
    return turn + logic + memory(rows, width, model, outputs)


def words(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Registers of the word that is worked on and of the word that is put together.

    A beat's values are selected from the former; each value of the latter has an enable. Words that
    are completed at once wait in a FIFO of their own, from which one after the other is selected.
    """
    shape, width = design.shape, design.source.width
    words = schedule.words_at_once(shape) // shape.words_joined
    taken = schedule.vectors * schedule.vector
    arriving, bits = design.word_in * width, design.word_out * design.result.width
    found = Resources(
        lut=select(design.word_in // taken, taken * width, model) + words * design.word_out,
        ff=arriving + words * bits,
    )
    if words > 1:
        found += fifo(QUEUE_WORDS, words * bits, model) + Resources(lut=select(words, bits, model))
    return found
