"""Small folders in the published layouts, of real encoded videos and sounds."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fdht_models.data.folders import Clip, FolderRequest
from fdht_models.preprocessing import ClipInputs, read_clip

HEIGHT, WIDTH = 12, 16
SIZE = {"height": HEIGHT, "width": WIDTH}


def read_of(request: FolderRequest, clip: Clip) -> ClipInputs:
    """A clip as a completed request makes it."""
    return read_clip(request.root / clip.path, clip.key, request.preprocessing())


def random_frames(count: int, seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


#: Pixel formats. FFV1 and PNG keep every value, so that a test knows what must be decoded.
FORMATS = {"ffv1": "bgr0", "png": "rgb24", "mpeg1video": "yuv420p", "mpeg4": "yuv420p"}


def write_video(
    path: Path, frames: np.ndarray, rate: Fraction | int = 25, codec: str = "ffv1"
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    container = "mpeg" if codec == "mpeg1video" else "avi"
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = FORMATS[codec]
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def write_frameless_video(path: Path) -> Path:
    """A container with a video stream and not one frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        output.start_encoding()
    return path


def decode(path: Path) -> np.ndarray:
    """All frames at their own size, by a plain use of PyAV with swscale's exact code."""
    # SWS_BILINEAR, _FULL_CHR_H_INT, _ACCURATE_RND and _BITEXACT: without them the vector code of
    # x86 and the plain code round differently.
    exact = 0x2 | 0x2000 | 0x40000 | 0x80000
    with av.open(str(path)) as container:
        return np.stack(
            [
                frame.to_ndarray(format="rgb24", interpolation=exact)
                for frame in container.decode(video=0)
            ]
        )


def ucf11(root: Path, groups: int = 5, clips: int = 2, frames: int = 8) -> dict[str, np.ndarray]:
    """UCF11_updated_mpg's folders, with lossless .avi as in the older archive; key -> frames."""
    made = {}
    for place, (name, action) in enumerate((("basketball", "shooting"), ("biking", "biking"))):
        (root / name / "Annotation").mkdir(parents=True)
        (root / name / "Annotation" / f"v_{action}_01_01.xgtf").write_text("<viper/>")
        for group in range(1, groups + 1):
            for clip in range(1, clips + 1):
                stem = f"v_{action}_{group:02d}_{clip:02d}"
                video = random_frames(frames + clip, 1000 * place + 10 * group + clip)
                write_video(root / name / f"v_{action}_{group:02d}" / f"{stem}.avi", video)
                made[f"{name}/{stem}"] = video
    return made


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """RIFF, 16 bit, one channel; samples are int16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = samples.astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    chunks = form + struct.pack("<4sI", b"data", len(data)) + data
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks)
    return path


def write_sphere(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """NIST SPHERE, 16 bit, one channel, as TIMIT's .WAV and TED-LIUM's .sph are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields: Sequence[str] = (
        "NIST_1A",
        "   1024",
        "database_id -s5 TIMIT",
        "channel_count -i 1",
        f"sample_count -i {len(samples)}",
        f"sample_rate -i {rate}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
        "end_head",
    )
    header = "".join(f"{field}\n" for field in fields).encode()
    path.write_bytes(header.ljust(1024, b" ") + samples.astype("<i2").tobytes())
    return path


def leftovers(cache: Path) -> list[Path]:
    """Temporary directories and files."""
    return [path for path in cache.rglob("*") if path.name.startswith(".")]
