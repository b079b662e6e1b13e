"""Clips in blocks, in order, generated here or by worker processes.

Clip i depends on its own seed alone, so the blocks are the same whoever generates them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.clip_sets import DataSet
from fdht_models.errors import DataError
from fdht_models.workers import ONE_THREAD, WorkerProcess, module_command

_BLOCK_BYTES = 4 << 20
# Below this, a worker takes longer to start than to work: 250 clips of `motion`, 2 seconds.
_PARALLEL_BYTES = 100 << 20
_DEFAULT_WORKERS = 2
_TIMEOUT_SECONDS = 120.0  # without a byte from a worker


@dataclass(frozen=True)
class GeneratedRequest:
    """Which clips: the first `clips` of (data set, split, seed), of `steps` frames each."""

    data_set: DataSet
    split: str
    clips: int
    seed: int
    steps: int

    @property
    def clip_bytes(self) -> int:
        """Bytes of one clip."""
        return self.steps * self.data_set.inputs

    def labels(self) -> NDArray[np.int64]:
        """The labels of the clips: int64 [clips]."""
        label = self.data_set.label
        return np.array(
            [label(self.split, self.seed, index) for index in range(self.clips)], np.int64
        )


def generate_blocks(
    request: GeneratedRequest, workers: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yields the clips in order, some at a time: uint8 [some, steps, inputs].

    Args:
        request: which clips.
        workers: processes to use; None chooses two where that saves time.

    Raises:
        DataError: a package is missing, or a worker failed or was silent for two minutes.
        ToolError: a worker cannot be started.
    """
    if workers is None:
        large = request.clips * request.clip_bytes >= _PARALLEL_BYTES
        workers = min(_DEFAULT_WORKERS, os.cpu_count() or 1) if large else 1
    length = max(1, _BLOCK_BYTES // request.clip_bytes)
    ranges = [
        (first, min(first + length, request.clips)) for first in range(0, request.clips, length)
    ]
    if workers <= 1:
        return _generate_here(request, ranges)
    return _generate_in_workers(request, ranges, min(workers, len(ranges)))


def _generate_here(
    request: GeneratedRequest, ranges: list[tuple[int, int]]
) -> Iterator[NDArray[np.uint8]]:
    generate = request.data_set.generate
    for first, last in ranges:
        yield np.stack(
            [
                generate(request.split, request.seed, index, request.steps)[0]
                for index in range(first, last)
            ]
        )


def _generate_in_workers(
    request: GeneratedRequest, ranges: list[tuple[int, int]], workers: int
) -> Iterator[NDArray[np.uint8]]:
    with ExitStack() as stack:
        processes = []
        for number in range(workers):
            process = _Worker(request, ranges[number::workers])
            stack.callback(process.close)
            processes.append(process)
        for number, (first, last) in enumerate(ranges):
            block = np.empty((last - first, request.steps, request.data_set.inputs), np.uint8)
            processes[number % workers].read_into(block.data.cast("B"))
            yield block


class _Worker:
    """One worker process, and what comes through its pipe."""

    def __init__(self, request: GeneratedRequest, ranges: list[tuple[int, int]]) -> None:
        self._process = WorkerProcess(module_command("fdht_models.data.block_process"), ONE_THREAD)
        # What it says instead of clips tells why it ended.
        with suppress(OSError):
            self._process.send(
                {
                    "name": request.data_set.name,
                    "dead_zone": request.data_set.dead_zone,
                    "split": request.split,
                    "seed": request.seed,
                    "steps": request.steps,
                    "blocks": ranges,
                }
            )

    def read_into(self, view: memoryview) -> None:
        """Fills `view` from the pipe."""
        while view:
            if not self._process.answers_within(_TIMEOUT_SECONDS):
                raise DataError(
                    f"a worker process was silent for {_TIMEOUT_SECONDS:.0f} s",
                    remedy="use one worker",
                )
            received = os.readv(self._process.answers.fileno(), [view])
            if received == 0:
                raise DataError(
                    f"a worker process failed ({self._process.last_words()})",
                    remedy="use one worker to see where",
                )
            view = view[received:]

    def close(self) -> None:
        """Ends the process, which may have more to write if the caller broke off."""
        self._process.close(patience=0)
