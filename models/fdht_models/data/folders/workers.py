"""Shards decoded here or by worker processes: the same bytes whoever does it.

Fresh interpreters, neither forks (the parent may have TensorFlow's threads running, and forking
those can deadlock) nor `multiprocessing`, which would run the user's own script once more.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from fdht_models import errors
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.shards import Shard, decode_shard
from fdht_models.errors import DataError

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
    """One worker process, and the pipes to and from it."""

    def __init__(self, request: FolderRequest) -> None:
        # One thread each: the processes are what runs in parallel.
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fdht_models.data.folders.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                bufsize=0,
            )
        except OSError as error:
            self._errors.close()
            raise DataError(f"a worker process could not be started ({error})") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self.pipe: IO[bytes] = self._process.stdout
        self._heard, self._clip, self._shard = b"", "its first clip", Path()
        self.deadline = time.monotonic() + _SILENT_SECONDS
        self._write({**asdict(request), "root": str(request.root.absolute())})

    def begin(self, shard: Shard) -> None:
        """Gives the worker a shard to decode."""
        self.deadline = time.monotonic() + _SILENT_SECONDS
        self._shard = shard.directory
        self._write(shard.to_json())

    def listen(self) -> tuple[int, bool]:
        """Reads what there is: (clips begun, True if the shard is done)."""
        received = os.read(self.pipe.fileno(), 1 << 16)
        if not received:
            raise self._failure()
        self.deadline = time.monotonic() + _SILENT_SECONDS
        *lines, self._heard = (self._heard + received).split(b"\n")
        begun, done = 0, False
        for message in map(json.loads, lines):
            if "error" in message:
                raise _error_of(message)
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
        with suppress(OSError):
            self._orders.close()

    def close(self, deadline: float) -> None:
        """Waits for the process to end, and kills it where it hangs."""
        self.pipe.close()
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=_END_SECONDS)
            for place in self._shard.parent.glob(f".{self._shard.name}.*"):
                shutil.rmtree(place, ignore_errors=True)
        self._errors.close()

    def _write(self, order: dict[str, Any]) -> None:
        view = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while view:
                view = view[self._orders.write(view) :]
        except OSError as error:
            raise self._failure() from error

    def _failure(self) -> DataError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_SECONDS)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {self._process.poll()}"
        return DataError(
            f"the process decoding it failed ({why})",
            field=self._clip,
            remedy="use one worker to see where, or take the file out of the folder",
        )


def _error_of(message: dict[str, Any]) -> errors.FdhtError:
    kind = getattr(errors, str(message["error"]), DataError)
    found: errors.FdhtError = kind(
        message["problem"], field=message["field"], remedy=message["remedy"]
    )
    return found
