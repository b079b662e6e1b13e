"""Factorisations of a frame and of the hidden units that stream well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from fdht_hls.shapes import divisors
from fdht_models.errors import FdhtError
from fdht_models.experiment import Experiment
from fdht_models.sections import ModelSettings
from fdht_models.tensor.formats.modes import check_ranks
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_models.tensor.recurrent import RecurrentShape

#: Sides of input modes that are tried: shorter ones make many stages, longer ones large cores.
_SIDES = range(4, 33)


def input_factorisations(experiment: Experiment) -> list[tuple[int, ...]]:
    """Ways to cut a frame into as many modes as the experiment has.

    For video, some modes are rows and the others are columns with colours, so that a mode is a
    neighbourhood; the last mode is a whole number of memory words. The experiment's own come first.
    """
    own = experiment.shape.input_modes
    frame = experiment.source.frame_shape
    if len(frame) != 3 or math.prod(frame) != math.prod(own) or len(own) < 2:
        return [own]
    rows, columns = frame[0], frame[1] * frame[2]
    found = [own]
    for count in range(1, len(own)):
        for high in _ordered(rows, count):
            for low in _ordered(columns, len(own) - count):
                modes = (*high, *low)
                fits = all(side in _SIDES for side in modes) and modes[-1] % WORD_BYTES == 0
                if fits and modes not in found:
                    found.append(modes)
    return found


def output_factorisations(shape: RecurrentShape, least_last: int) -> list[tuple[int, ...]]:
    """Ways to cut gates x H: the gates in the first mode; modes fall, for early stages open few.

    The last one is not below `least_last`, which is what the first stage keeps of a fibre.
    """
    gates, own = len(shape.gates), shape.output_modes
    found = [own]
    for modes in _ordered(shape.units, len(own)):
        stacked = (gates * modes[0], *modes[1:])
        falling = all(a >= b for a, b in pairwise(stacked[1:]))
        if falling and stacked[-1] >= least_last and stacked not in found:
            found.append(stacked)
    return found


def hidden_box(units: int, modes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Sides p_2 .. p_d of a box of all units: whole words of 8 in the last mode if they fit.

    The others are alike, which gives W_h the highest rank. None if no box fits.
    """
    boxes = [
        box
        for box in product(*(divisors(units) for _ in modes[1:]))
        if math.prod(box) == units
        and all(side <= mode for side, mode in zip(box, modes[1:], strict=True))
    ]
    if not boxes:
        return None
    return min(boxes, key=lambda box: (box[-1] % WORD_BYTES != 0, max(box) / min(box), box))


def with_modes(
    model: ModelSettings, inputs: tuple[int, ...], outputs: tuple[int, ...], most: int
) -> ModelSettings | None:
    """An experiment's model with other modes and the highest ranks within `most` parameters.

    All ranks are scaled alike. None if even three quarters of the ranks are too many.
    """
    gates = len(model.shape.gates)
    box = None if model.hidden_box is None else hidden_box(math.prod(outputs) // gates, inputs)
    if (box is None) != (model.hidden_box is None):
        return None
    best = None
    for numerator in range(6, 17):  # 3/4 to 2 times the ranks
        changed = replace(
            model,
            input_modes=inputs,
            output_modes=outputs,
            hidden_box=box,
            **_scaled(model, numerator / 8),
        )
        try:
            shape = changed.shape
            check_ranks(shape.network)
        except FdhtError:  # ranks beyond what these modes can have
            continue
        if shape.parameter_count > most:
            break
        best = changed
    return best


def _scaled(model: ModelSettings, factor: float) -> dict[str, Any]:
    """Ranks of a model, times a factor; 0, a mode left whole, stays."""

    def times(rank: int) -> int:
        return 0 if rank == 0 else max(1, round(rank * factor))

    ranks = ("leaf_rank", "inner_rank", "ranks", "rank", "input_ranks", "output_ranks")
    found: dict[str, Any] = {}
    for key in ranks:
        value = getattr(model, key)
        if isinstance(value, int):
            found[key] = times(value)
        elif value is not None:
            found[key] = tuple(times(rank) for rank in value)
    return found


def _ordered(number: int, count: int) -> Iterator[tuple[int, ...]]:
    """All ordered factorisations into so many factors."""
    if count == 1:
        yield (number,)
        return
    for first in divisors(number):
        for rest in _ordered(number // first, count - 1):
            yield (first, *rest)
