"""The architecture study's configurations, 57,600 inputs: Keras = reference = C simulation."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_hls.batch import BatchSimulation
from fdht_hls.benchmarks.network import CONFIGURATIONS, noise_clips, random_classifier
from fdht_hls.conversion import convert_project
from fdht_hls.conversion_model import conversion_model
from fdht_hls.csimulation import compile_library
from fdht_hls.engine import lower
from fdht_hls.equality import corner_frames, reference_logits
from fdht_hls.schedule import default_schedule, shapes_of
from fdht_models.tensor.quantized import frame_modes

# tf_keras says this of QKeras' constraints whenever a QDense is described.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning"
)
FRAMES = 6


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_of_the_study_is_equal_three_ways(name, tmp_path):
    model, network = random_classifier(name, seed=3)
    noise = noise_clips(1, FRAMES, network.inputs, seed=4)
    clips = np.concatenate([noise, corner_frames(network, FRAMES)[None]])
    logits = reference_logits(network, clips)
    assert len(np.unique(logits)) > FRAMES * 11, "a dead network proves nothing"

    keras = conversion_model(model, lower(network))
    for clip, wanted in zip(clips, logits, strict=True):
        keras.reset_states()
        values = (clip * network.input_format.scale).astype(np.float32)
        values = values.reshape(FRAMES, 1, 1, *frame_modes(network.recurrence))
        found = np.stack([keras.predict_on_batch(value)[0] for value in values])
        np.testing.assert_array_equal(network.logit_format.exact(found), wanted)

    schedule = default_schedule(network.recurrence)
    stages = zip(schedule.input, shapes_of(network.recurrence.input_path), strict=True)
    assert all(stage.cycles(shape) <= 7200 for stage, shape in stages), "one port's pace"
    convert_project(model, network, tmp_path / "project", {})
    for build in ("native", "exact"):
        compile_library(tmp_path / "project", tmp_path / f"{build}.so", build)
        with BatchSimulation(tmp_path / f"{build}.so", network) as batch:
            np.testing.assert_array_equal(batch.run(clips), logits, build)
