"""A process that generates blocks of clips and writes their bytes to its standard output.

Run as `python -m fdht_models.data.block_process`; see `clip_blocks.py`. The first line of its
standard input says which clips.
"""

from __future__ import annotations

from fdht_models.data.generated import get_dataset
from fdht_models.workers import answer_pipe, orders, run_worker, write_all


def main() -> None:
    """Writes the clips of each requested block [first, last), one after the other."""
    with answer_pipe() as pipe:
        order = next(orders())
        data_set = get_dataset(order["name"]).with_dead_zone(order["dead_zone"])
        for first, last in order["blocks"]:
            for index in range(first, last):
                frames, _ = data_set.generate(order["split"], order["seed"], index, order["steps"])
                write_all(pipe, frames.data.cast("B"))


if __name__ == "__main__":
    run_worker(main)
