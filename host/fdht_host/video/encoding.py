"""Writes lossless videos, atomically."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.video.labels import Clip, VideoLabels, check_clips, labels_path, write_labels
from fdht_models.artifacts import digest_file
from fdht_models.errors import DataError, ShapeError
from fdht_models.media.library import av
from fdht_models.media.messages import unwritable

Frame = npt.NDArray[np.uint8]


def encode(
    path: Path,
    frames: Iterable[Frame],
    rate: Fraction | int,
    *,
    clips: Sequence[Clip] = (),
    classes: Sequence[str] = (),
) -> int:
    """Writes a lossless video (FFV1 in Matroska) and, with `clips`, its side file; atomically.

    Args:
        path: the file to write; should end in `.mkv`.
        frames: uint8[H, W, 3], all of one size; drawn one at a time.
        rate: frames per second.
        clips: where clips begin and what they show.
        classes: names of the labels.

    Returns:
        The number of frames written.

    Raises:
        DataError: no frame at all, or clips that do not fit the frames.
        ShapeError: a frame that is not uint8[H, W, 3] of the first frame's size.
        ArtifactError: the file cannot be written; one that was there before is untouched.
    """
    temporary: Path | None = None
    sink: _Sink | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary, sink = Path(name), _Sink(handle)
        count = _encode_into(sink, path, frames, rate)
        sink.finish()
        temporary.chmod(0o644)
        check_clips(path, clips, classes, count)
        digest = digest_file(temporary)
        temporary.replace(path)
        # The video first, the labels last: labels of an earlier video fail on its digest.
        if clips:
            write_labels(path, clips, classes, count, digest)
        else:
            labels_path(path).unlink(missing_ok=True)
    except BaseException as error:
        cause = sink.error if sink is not None and sink.error is not None else error
        if isinstance(cause, OSError | av().error.FFmpegError):
            raise unwritable(path, cause) from error
        raise
    finally:
        if sink is not None:
            sink.discard()
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return count


def encode_clips(
    path: Path,
    clips: Iterable[npt.NDArray[np.uint8]],
    labels: Sequence[int],
    classes: Sequence[str],
    rate: Fraction | int = 25,
) -> VideoLabels:
    """Writes clips one after the other as one labelled video; see `encode`.

    Args:
        path: the file to write.
        clips: uint8[frames, H, W, 3] each, one for each label.
        labels: class numbers.
        classes: names of the classes.
        rate: frames per second.

    Returns:
        The labels as written.
    """
    table: list[Clip] = []

    def frames() -> Iterator[Frame]:
        position = 0
        for clip, label in zip(clips, labels, strict=True):
            table.append(Clip(position, len(clip), int(label)))
            position += len(clip)
            yield from clip

    count = encode(path, frames(), rate, clips=table, classes=classes)
    return VideoLabels(tuple(classes), tuple(table), count)


class _Sink(io.RawIOBase):
    """A file for PyAV that keeps the operating system's error, which FFmpeg would swallow."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb")
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def finish(self) -> None:
        """Brings every byte to the disk and closes; raises the first error that there was."""
        try:
            if self.error is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if self.error is not None:
            raise self.error

    def discard(self) -> None:
        """Closes a file whose bytes do not matter any more."""
        with contextlib.suppress(OSError):
            self._file.close()


def _encode_into(sink: _Sink, path: Path, frames: Iterable[Frame], rate: Fraction | int) -> int:
    library = av()
    shape: tuple[int, ...] | None = None
    count = 0
    with library.open(sink, mode="w", format="matroska") as container:
        stream = None
        for frame in frames:
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                raise ShapeError(
                    "must be uint8[H, W, 3]",
                    field=f"frame {count}",
                    value=f"{frame.dtype}{list(frame.shape)}",
                )
            if stream is None:
                shape = frame.shape
                # Version 3 with a checksum a slice; bgr0 holds RGB as it is.
                stream = container.add_stream(
                    "ffv1", rate=rate, options={"level": "3", "slicecrc": "1"}
                )
                stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], "bgr0"
            if frame.shape != shape:
                raise ShapeError(
                    f"all frames must be {shape}", field=f"frame {count}", value=frame.shape
                )
            picture = library.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise DataError("there is no frame to write", field=str(path))
        container.mux(stream.encode())
    return count
