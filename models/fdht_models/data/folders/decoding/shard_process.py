"""A process that decodes shards, one for each line of its standard input.

Run as a module of its own; see `shard_workers.py`. The first line is the request. For each
clip it begins, and for each shard it has written, it prints a line of JSON.
"""

from __future__ import annotations

import signal
from pathlib import Path

from fdht_models.data.folders.decoding.shards import Shard, decode_shard
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import FdhtError
from fdht_models.workers import answer_pipe, error_message, orders, run_worker, say


def main() -> None:
    """Decodes shards until the input ends."""
    signal.signal(signal.SIGTERM, _leave)
    with answer_pipe() as pipe:
        given = orders()
        fields = next(given)
        request = FolderRequest(**{**fields, "root": Path(fields["root"])}).complete()
        try:
            for order in given:
                shard = Shard.from_json(order)
                decode_shard(request, shard, lambda clip: say(pipe, {"clip": clip.key}))
                say(pipe, {"done": True})
        except FdhtError as error:
            say(pipe, error_message(error))


def _leave(*_: object) -> None:
    raise SystemExit(1)  # through `finally`, so that nothing half-written stays


if __name__ == "__main__":
    run_worker(main)
