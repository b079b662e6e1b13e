"""The files of a source, read one after the other: blocks, and what is known of each file by then.

A reader may be ahead of the core. So each block comes with the account as it was when the block
was there: what was read further, and is given up in the end, is nowhere counted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace

import numpy as np

from fdht_host.ahead import Ahead
from fdht_host.file_blocks import blocks_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import FileAccount, InputBlock, Reader


@dataclass(frozen=True, eq=False)
class FileRead:
    """A block of a file; or the file's end, without one.

    Attributes:
        place: of the file among the files.
        account: how it was read so far.
        block: None: there are no more of this file.
        failure: why not, if it was not read to its end.
    """

    place: int
    account: FileAccount
    block: InputBlock | None = None
    failure: Exception | None = None


def read_files(
    reader: Reader, files: Sequence[ClipFile]
) -> Generator[tuple[FileRead, int], None, None]:
    """Yields the blocks of files, and behind those of each its end; a bad file ends itself alone.

    Args:
        reader: how.
        files: in order.

    Yields:
        What was read, and its bytes.
    """
    for place, file in enumerate(files):
        account = FileAccount()
        failure: Exception | None = None
        try:
            with closing(blocks_of(reader, file.path, file.key, file.span, account)) as blocks:
                for block in blocks:
                    yield FileRead(place, _as_it_is(account), block), _size(block)
        except Exception as error:  # told where the file is run
            failure = error
        yield FileRead(place, _as_it_is(account), failure=failure), 0


def reads_of(
    reader: Reader, files: Sequence[ClipFile]
) -> AbstractContextManager[Iterator[FileRead]]:
    """What `read_files` yields, in a thread ahead of whoever takes it, or one by one."""
    reads = read_files(reader, files)
    return Ahead(reads) if reader.overlapped else closing(_one_by_one(reads))


def _one_by_one(
    reads: Generator[tuple[FileRead, int], None, None],
) -> Generator[FileRead, None, None]:
    with closing(reads):
        for read, _ in reads:
            yield read


def _as_it_is(account: FileAccount) -> FileAccount:
    return replace(account, times=replace(account.times))


def _size(block: InputBlock) -> int:
    inputs = block.inputs
    return inputs.nbytes if isinstance(inputs, np.ndarray) else sum(one.nbytes for one in inputs)
