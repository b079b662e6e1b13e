"""Clips as a `tf.data` input that keeps training busy.

The only module of `fdht_models.data` that imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.data.clip_sets import ClipSet
from fdht_models.errors import ConfigError, require_least
from fdht_models.kerasapi import tf

Numbers = npt.NDArray[np.int64]
#: Makes of clips, their numbers in the set and the epoch what is trained on.
Change = Callable[[npt.NDArray[np.uint8], Numbers, int], npt.NDArray[np.uint8]]

_READERS = 2  # batches read from disk at the same time
_READY = 2  # batches kept ready


def clip_pipeline(
    clips: ClipSet,
    batch: int,
    seed: int,
    *,
    epoch: int = 0,
    numbers: Numbers | None = None,
    part: Callable[[Numbers], Numbers] | None = None,
    change: Change | None = None,
    numbered: bool = False,
) -> Any:
    """Returns a `tf.data.Dataset` of an epoch's batches, read ahead while the network computes.

    Epoch e goes through all clips in the order of `default_rng([seed, e]).permutation(clips)`, so
    that a run resumed at any epoch sees what it would have seen.
    Batches are whole: up to `batch - 1` clips at the end of an epoch are left out of it. Inside a
    batch clips come in the order in which they lie on disk. Nothing but the batches read ahead is
    held in memory.

    Args:
        clips: what to go through; memory-mapped clips stay on disk.
        batch: clips a batch.
        seed: of the order.
        epoch: its number.
        numbers: which clips to go through, ascending; None: all.
        part: which clips of a batch to read, ascending numbers to some of them, the same count for
            every whole batch; None: all. Of several workers each reads a part of its own.
        change: what is done to the clips of a batch after they were read, by the readers too;
            None: nothing.
        numbered: give the clips' numbers in their set, too.

    Returns:
        Dataset of (uint8 [batch, steps, inputs], int64 [batch]) and, `numbered`, int64 [batch].

    Raises:
        ConfigError: a batch larger than the clips, or a number below its least value.
    """
    require_least(batch, 1, "batch")
    require_least(epoch, 0, "epoch")
    count = len(clips) if numbers is None else len(numbers)
    if batch > count:
        raise ConfigError(
            f"there are only {count} clips",
            field="batch",
            value=batch,
            remedy=f"choose {count} or fewer",
        )
    steps = count // batch
    order = np.random.default_rng([seed, epoch]).permutation(count)
    # As they lie on disk.
    batches = np.sort(order[: steps * batch].reshape(steps, batch), axis=1)

    def read(places: Numbers) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        chosen = places if numbers is None else numbers[places]
        chosen = chosen if part is None else part(chosen)
        frames = np.asarray(clips.frames[chosen])
        if change is not None:
            frames = change(frames, chosen, epoch)
        return frames, clips.labels[chosen], chosen

    def load(chosen: Any) -> tuple[Any, ...]:
        kinds = (tf.uint8, tf.int64, tf.int64)
        frames, *others = tf.numpy_function(read, [chosen], kinds)
        size = chosen.shape[0] if part is None else None
        frames = tf.ensure_shape(frames, (size, *clips.frames.shape[1:]))
        labels, found = (tf.ensure_shape(other, (size,)) for other in others)
        return (frames, labels, found) if numbered else (frames, labels)

    # Deterministic: two readers, and yet the batches come in their order.
    dataset = tf.data.Dataset.from_tensor_slices(batches)
    return dataset.map(load, num_parallel_calls=_READERS, deterministic=True).prefetch(_READY)
