"""Many clips at once: each from zero, whatever the threads, and the same integers."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_hls.batch import BatchSimulation
from fdht_hls.csimulation import CSimulation
from fdht_models.errors import ArtifactError, ConfigError, DeviceError
from tests.hls.conftest import Converted
from tests.hls.test_csimulation import toy


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_batch_is_clip_by_clip_the_reference(small: Converted, threads):
    """Also with more threads than there are calls to make."""
    with BatchSimulation(small.library("native"), small.network, threads) as batch:
        np.testing.assert_array_equal(batch.run(small.streams), small.logits)
        again = batch.run(small.streams[::-1])
    np.testing.assert_array_equal(again, small.logits[::-1])
    assert (small.logits[0] != small.logits[1]).any(), "a state that leaks would be seen"


def test_the_exact_build_has_the_same_entry(small):
    with BatchSimulation(small.library("exact"), small.network) as batch:
        np.testing.assert_array_equal(batch.run(small.streams[:, :20]), small.logits[:, :20])


@pytest.mark.parametrize(("clips", "frames"), [(0, 5), (3, 0), (1, 1)])
def test_batches_of_any_size(small, clips, frames):
    with BatchSimulation(small.library("native"), small.network, 2) as batch:
        found = batch.run(small.streams[:clips, :frames])
    np.testing.assert_array_equal(found, small.logits[:clips, :frames])


@pytest.mark.parametrize(
    ("clips", "value"),
    [
        (np.zeros((2, 60), np.uint8), r"uint8\[2, 60\]"),
        (np.zeros((2, 3, 59), np.uint8), r"uint8\[2, 3, 59\]"),
        (np.zeros((2, 3, 60), np.int64), r"int64\[2, 3, 60\]"),
    ],
)
def test_clips_of_another_shape_are_refused(small, clips, value):
    with (
        BatchSimulation(small.library("native"), small.network, 1) as batch,
        pytest.raises(
            ConfigError, match=rf"clips = '{value}': must be bytes \[clips, frames, 60\]"
        ),
    ):
        batch.run(clips)


def test_no_threads_are_refused(small):
    with pytest.raises(ConfigError, match="threads = 0: must be at least 1"):
        BatchSimulation(small.library("native"), small.network, 0)


def test_a_library_of_another_version_is_refused(tmp_path):
    core = CSimulation(toy(tmp_path, "-DFAILURE=0", "-fno-gnu-unique"))
    nothing = np.zeros(0, np.uint8)
    with pytest.raises(ArtifactError, match="has no fdht_csim_run_clips; run fdht convert again"):
        core.run_clips(nothing, nothing, 0, 1)
    core.close()
    with pytest.raises(DeviceError, match="is closed"):
        core.run_clips(nothing, nothing, 0, 1)
