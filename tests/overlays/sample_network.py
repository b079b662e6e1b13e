"""A small random network with padding in frames and results, for tests of overlays and boards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from fdht_models.artifacts import new_stage
from fdht_models.preprocessing import Picture, Preprocessing, Sampling
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import CELLS
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import (
    ContractionPath,
    Head,
    QuantizedNetwork,
    QuantizedRecurrence,
)
from fdht_models.tensor.recurrent import fdht_shape
from tests.stage_files import estimate, summary

ESTIMATE = summary(500)


def sample_network(name: str = "tiny-net", seed: int = 5, signed: bool = False) -> QuantizedNetwork:
    """60 inputs (64 bytes a frame), 8 units, 3 classes (16 bytes a result)."""
    generator = np.random.default_rng(seed)
    shape = fdht_shape((3, 4, 5), (8, 2, 2), (2, 4), 2, 2)

    def draw(form: FixedPoint, *sizes: int) -> QuantizedArray:
        codes = generator.integers(form.minimum, form.maximum + 1, sizes)
        return QuantizedArray(form, codes.astype(np.int64))

    weight, middle = FixedPoint(6, 5), FixedPoint(14, 5)
    cores = {core: draw(weight, *shape.stored.shape(core)) for core in shape.stored.core_names}

    def path(plan):
        names = tuple(stage.core for stage in plan.stages)
        return ContractionPath(plan, names, (middle,) * (len(names) - 1))

    pre, state, gate = FixedPoint(8, 4), FixedPoint(8, 5), FixedPoint(8, 7, signed=False)
    squash = FixedPoint(8, 6)
    real = pre.dequantize(pre.all_codes())
    tanh = QuantizedArray(squash, squash.quantize(np.tanh(real)))
    sigmoid = QuantizedArray(gate, gate.quantize(1 / (1 + np.exp(-real))))
    output = QuantizedArray(squash, squash.quantize(np.tanh(state.dequantize(state.all_codes()))))
    hidden = FixedPoint(8, 7)
    bias = draw(FixedPoint(6, 4), 32)
    tables = {"gate": sigmoid, "candidate": tanh, "output": output}
    cell = CELLS["lstm"](bias=bias, preactivation=pre, cell=state, hidden=hidden, **tables)
    head = Head(draw(FixedPoint(6, 5), 8, 3), draw(FixedPoint(6, 3), 3))
    return QuantizedNetwork(
        name,
        ("left", "right", "still"),
        Preprocessing(Sampling("generated", 20), picture=Picture(4, 5, "motion_energy")),
        QuantizedRecurrence(
            FixedPoint(8, 7, signed) if signed else FixedPoint(8, 8, signed=False),
            cores,
            path(shape.input_plan),
            path(shape.hidden_plan),
            cell,
        ),
        head,
    )


def write_hls_stage(directory: Path, network: QuantizedNetwork, library: bytes | Path) -> Path:
    """What `fdht convert` leaves, as far as an overlay needs it."""
    with new_stage(directory, "hls", {}) as (temporary, extra):
        extra["estimate"] = ESTIMATE
        network.save(temporary / "network.json")
        (temporary / "estimate.json").write_text(json.dumps(estimate(500)))
        if isinstance(library, bytes):
            (temporary / "csim.so").write_bytes(library)
        else:
            shutil.copyfile(library, temporary / "csim.so")
    return directory
