"""Shards decoded here or by worker processes: the same bytes whoever does it."""

from __future__ import annotations

import os
import selectors
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from fdht_models.data.folders.decoding.shards import Shard, decode_shard
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import DataError
from fdht_models.workers import ONE_THREAD, WorkerProcess, error_of, module_command

_PARALLEL_CLIPS = 64  # below this, a worker takes longer to start than to work
_SILENT_SECONDS = 300.0  # without a line from a worker, on one clip
_END_SECONDS = 5.0  # from asking the workers to end to killing them


def decode_shards(
    request: FolderRequest,
    shards: Sequence[Shard],
    workers: int | None,
    tick: Callable[[int], None],
) -> None:
    """Decodes shards and writes them.

    Args:
        request: a completed request.
        shards: those that are missing.
        workers: processes to use; None chooses one a processor where that saves time.
        tick: called with the number of clips begun since it was called last.

    Raises:
        DataError: a package is missing, the folder can no longer be read, or a worker failed
            or was silent for minutes over one clip.
        ArtifactError: a shard cannot be written.
        ToolError: a worker cannot be started.
    """
    if workers is None:
        clips = sum(len(shard.clips) for shard in shards)
        workers = (os.cpu_count() or 1) if clips >= _PARALLEL_CLIPS else 1
    workers = min(workers, len(shards))
    if workers > 1:
        _decode_in_workers(request, shards, workers, tick)
        return
    for shard in shards:
        decode_shard(request, shard, lambda _: tick(1))


def _decode_in_workers(
    request: FolderRequest, shards: Sequence[Shard], workers: int, tick: Callable[[int], None]
) -> None:
    waiting = deque(shards)
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        busy: set[_Worker] = set()
        started: list[_Worker] = []
        stack.callback(_end, started)
        for _ in range(workers):
            worker = _Worker(request)
            started.append(worker)
            worker.begin(waiting.popleft())
            selector.register(worker.pipe, selectors.EVENT_READ, worker)
            busy.add(worker)
        while busy:
            deadline = min(worker.deadline for worker in busy)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            for key, _ in ready:
                worker = key.data
                begun, done = worker.listen()
                tick(begun)
                if not done:
                    continue
                if waiting:
                    worker.begin(waiting.popleft())
                else:
                    selector.unregister(worker.pipe)
                    busy.remove(worker)
            for worker in busy:
                worker.check_time()


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + _END_SECONDS
    for worker in workers:
        worker.close(deadline)


class _Worker:
    """One worker process, and what it is at."""

    def __init__(self, request: FolderRequest) -> None:
        self._process = WorkerProcess(
            module_command("fdht_models.data.folders.decoding.shard_process"), ONE_THREAD
        )
        self._clip, self._shard = "its first clip", Path()
        self.deadline = time.monotonic() + _SILENT_SECONDS
        self._send({**asdict(request), "root": str(request.root.absolute())})

    @property
    def pipe(self) -> IO[bytes]:
        """Where its messages come from."""
        return self._process.answers

    def begin(self, shard: Shard) -> None:
        """Gives the worker a shard to decode."""
        self.deadline = time.monotonic() + _SILENT_SECONDS
        self._shard = shard.directory
        self._send(shard.to_json())

    def listen(self) -> tuple[int, bool]:
        """Reads what there is: (clips begun, True if the shard is done)."""
        try:
            messages = self._process.receive()
        except EOFError:
            raise self._failure() from None
        self.deadline = time.monotonic() + _SILENT_SECONDS
        begun, done = 0, False
        for message in messages:
            if "error" in message:
                raise error_of(message)
            if "clip" in message:
                self._clip = message["clip"]
                begun += 1
            done = done or "done" in message
        return begun, done

    def check_time(self) -> None:
        """Raises a DataError if the worker was silent for too long."""
        if time.monotonic() > self.deadline:
            raise DataError(
                f"decoding it took longer than {_SILENT_SECONDS:.0f} s",
                field=self._clip,
                remedy="copy the file again or take it out of the folder; what is decoded so "
                "far is kept",
            )

    def terminate(self) -> None:
        """Asks the process to end; it removes what it has half written."""
        self._process.terminate()

    def close(self, deadline: float) -> None:
        """Waits for the process to end, and kills it where it hangs."""
        if not self._process.close(deadline - time.monotonic()):
            for place in self._shard.parent.glob(f".{self._shard.name}.*"):
                shutil.rmtree(place, ignore_errors=True)

    def _send(self, order: dict[str, Any]) -> None:
        try:
            self._process.send(order)
        except OSError as error:
            raise self._failure() from error

    def _failure(self) -> DataError:
        return DataError(
            f"the process decoding it failed ({self._process.last_words()})",
            field=self._clip,
            remedy="use one worker to see where, or take the file out of the folder",
        )
