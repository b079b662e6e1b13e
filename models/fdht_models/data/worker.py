"""A process that generates blocks of clips and writes their bytes to its standard output.

Run as `python -m fdht_models.data.worker REQUEST`, REQUEST being JSON; see `blocks.py`. A fresh
interpreter, not a fork: the parent may have TensorFlow's threads running, and forking those can
deadlock; and not `multiprocessing` either, which would run the user's own script once more.
"""

from __future__ import annotations

import json
import os
import sys

from fdht_models.data.catalogue import get_dataset


def main(request: str) -> None:
    """Writes the clips of each requested block [first, last), one after the other."""
    # Whatever a library prints goes to standard error, so that the pipe holds frames only.
    with os.fdopen(os.dup(1), "wb", buffering=0) as pipe:
        os.dup2(2, 1)
        order = json.loads(request)
        data_set = get_dataset(order["name"])
        for first, last in order["blocks"]:
            for index in range(first, last):
                frames, _ = data_set.generate(order["split"], order["seed"], index, order["steps"])
                view = frames.data.cast("B")
                while view:
                    view = view[pipe.write(view) :]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BrokenPipeError:  # the parent needs no more
        sys.exit(1)
