"""A process that decodes shards, one for each line of its standard input.

Run as a module of its own; see `shard_workers.py`. The first line is the request. For each
clip it begins, and for each shard it has written, it prints a line of JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from fdht_models.data.folders.decoding.shards import Shard, decode_shard
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import FdhtError
from fdht_models.workers import answer_pipe, error_message, say


def main() -> None:
    """Decodes shards until the input ends."""
    signal.signal(signal.SIGTERM, _leave)
    with answer_pipe() as pipe:
        lines = iter(sys.stdin)
        fields = json.loads(next(lines))
        request = FolderRequest(**{**fields, "root": Path(fields["root"])}).complete()
        try:
            for line in lines:
                shard = Shard.from_json(json.loads(line))
                decode_shard(request, shard, lambda clip: say(pipe, {"clip": clip.key}))
                say(pipe, {"done": True})
        except FdhtError as error:
            say(pipe, error_message(error))


def _leave(*_: object) -> None:
    raise SystemExit(1)  # through `finally`, so that nothing half-written stays


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):  # the parent needs no more
        sys.exit(1)
