"""A process that decodes shards, one for each line of its standard input.

Run as `python -m fdht_models.data.folders.worker`; see `workers.py`. The first line is the request.
For each clip it begins, and for each shard it has written, it prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.shards import Shard, decode_shard
from fdht_models.errors import FdhtError


def main() -> None:
    """Decodes shards until the input ends."""
    signal.signal(signal.SIGTERM, _leave)
    # Whatever a library prints goes to standard error, so that the pipe holds our lines only.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as pipe:
        os.dup2(2, 1)
        lines = iter(sys.stdin)
        fields = json.loads(next(lines))
        request = FolderRequest(**{**fields, "root": Path(fields["root"])})
        try:
            for line in lines:
                shard = Shard.from_json(json.loads(line))
                decode_shard(request, shard, lambda clip: _say(pipe, {"clip": clip.key}))
                _say(pipe, {"done": True})
        except FdhtError as error:
            fields = {"problem": error.problem, "field": error.field, "remedy": error.remedy}
            _say(pipe, {"error": type(error).__name__, **fields})


def _say(pipe: IO[str], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def _leave(*_: object) -> None:
    raise SystemExit(1)  # through `finally`, so that nothing half-written stays


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):  # the parent needs no more
        sys.exit(1)
