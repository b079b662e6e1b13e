"""What is decoded in part is what it is when everything is decoded, in every integer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_models.media import VideoFile, describe_media, sparse
from fdht_models.media import video as video_module
from fdht_models.media.coding import Unproven, inspector_for
from fdht_models.media.sparse import plan_stretches
from fdht_models.media.table import PacketTable
from fdht_models.preprocessing import Picture, Sampling
from fdht_models.preprocessing.frames import Frames, read_frames, read_sparsely, read_twice
from fdht_models.preprocessing.video_clips import read_video
from tests.models.media_samples import HEIGHT, WIDTH, cut, moving, write

COUNT = 45
QUIET = "log-level=none:keyint=10:min-keyint=10"
LIVE, FRAGMENTS = {"live": "1"}, {"movflags": "frag_keyframe+empty_moov"}
#: Name, encoder, pixels, options of the encoder, of the container, and the entries that there are.
SPARSE = {
    "x264 as it is": ("a.mp4", "libx264", "yuv420p", {}, {}, 1),
    "x264": ("b.mp4", "libx264", "yuv420p", {"g": "10"}, {}, 5),
    "x264 in front": ("b.mp4", "libx264", "yuv420p", {"g": "10"}, {"movflags": "faststart"}, 5),
    "x264 fragments": ("b.mp4", "libx264", "yuv420p", {"g": "10"}, FRAGMENTS, 5),
    "x264 mov": ("b.mov", "libx264", "yuv420p", {"g": "10"}, {}, 5),
    "x264 mkv": ("b.mkv", "libx264", "yuv420p", {"g": "10"}, {}, 5),
    "x264 mkv live": ("b.mkv", "libx264", "yuv420p", {"g": "10"}, LIVE, 5),
    "x264 ts": ("b.ts", "libx264", "yuv420p", {"g": "10"}, {}, 5),
    "x264 flv": ("b.flv", "libx264", "yuv420p", {"g": "10"}, {}, 5),
    "x264 avi, no B": ("b.avi", "libx264", "yuv420p", {"g": "10", "bf": "0"}, {}, 5),
    "x264 open": (
        "b.mp4",
        "libx264",
        "yuv420p",
        {"x264-params": "keyint=10:open-gop=1:b-adapt=0"},
        {},
        1,
    ),
    "x264 refresh": ("b.mp4", "libx264", "yuv420p", {"x264-params": "intra-refresh=1"}, {}, 1),
    "x264 baseline": ("b.mp4", "libx264", "yuv420p", {"profile": "baseline", "g": "10"}, {}, 5),
    "x264 10 bits": ("b.mp4", "libx264", "yuv420p10le", {"g": "10"}, {}, 5),
    "x264 slices": ("b.mp4", "libx264", "yuv420p", {"g": "10", "slices": "3"}, {}, 5),
    "x265 open": ("b.mp4", "libx265", "yuv420p", {"x265-params": QUIET}, {}, 5),
    "x265": ("b.mkv", "libx265", "yuv420p", {"x265-params": QUIET + ":no-open-gop=1"}, {}, 5),
    "x265 ts": ("b.ts", "libx265", "yuv420p", {"x265-params": QUIET}, {}, 5),
    "x265 layers": (
        "b.mp4",
        "libx265",
        "yuv420p",
        {"x265-params": QUIET + ":temporal-layers=2"},
        {},
        5,
    ),
    "mpeg4 avi": ("b.avi", "mpeg4", "yuv420p", {"g": "10", "bf": "2"}, {}, 5),
    "mpeg4 mp4": ("b.mp4", "mpeg4", "yuv420p", {"g": "10", "bf": "2"}, {}, 5),
    "mpeg1": ("b.mpg", "mpeg1video", "yuv420p", {"g": "10", "bf": "2"}, {}, 5),
    "mpeg2": ("b.mpg", "mpeg2video", "yuv420p", {"g": "10", "bf": "2"}, {}, 5),
    "mpeg2 mkv": ("b.mkv", "mpeg2video", "yuv420p", {"g": "10", "bf": "2"}, {}, 5),
    "vp8": ("b.webm", "libvpx", "yuv420p", {"g": "10", "auto-alt-ref": "1"}, {}, 5),
    "vp9": ("b.webm", "libvpx-vp9", "yuv420p", {"g": "10", "lag-in-frames": "10"}, {}, 5),
    "av1": ("b.mkv", "libsvtav1", "yuv420p", {"svtav1-params": "keyint=10"}, {}, 5),
    "ffv1": ("b.mkv", "ffv1", "bgr0", {"g": "10"}, {}, 5),
    "mjpeg": ("b.avi", "mjpeg", "yuvj420p", {}, {}, COUNT),
    "prores": ("b.mov", "prores", "yuv422p10le", {}, {}, COUNT),
}
#: What is not known well enough, or says of its times what its pictures do not.
WHOLLY = {
    "x264 avi": ("b.avi", "libx264", "yuv420p", {"g": "10"}),
    "x264 raw": ("b.h264", "libx264", "yuv420p", {"g": "10"}),
    "x264 fields": ("b.mp4", "libx264", "yuv420p", {"x264-params": "interlaced=1"}),
    "x264 4:2:2": ("b.mp4", "libx264", "yuv422p", {"g": "10"}),
    "gif": ("b.gif", "gif", "rgb8", {}),
    "wmv": ("b.wmv", "wmv2", "yuv420p", {"g": "10"}),
    "flv": ("b.flv", "flv", "yuv420p", {"g": "10"}),
}


def film() -> np.ndarray:
    """Frames with parts that move and parts that stand still."""
    found = moving(COUNT)
    noise = np.random.default_rng(1).integers(0, 128, found[:1, 20:].shape, dtype=np.uint8)
    found[:, 20:] = found[:, 20:] // 2 + noise
    return found


def everything(path: Path) -> Frames:
    return read_twice(path, lambda clock: list(range(clock.count)), HEIGHT, WIDTH)


def sparsely(path: Path, chosen: list[int], threads: int = 1) -> Frames | None:
    with VideoFile(path, threads) as video:
        return read_sparsely(video, lambda _: chosen, HEIGHT, WIDTH)


def choices(count: int) -> list[list[int]]:
    """Each frame alone, and some at random."""
    generator = np.random.default_rng(0)
    drawn = [generator.choice(count, size, replace=False) for size in (2, 3, 5, 9) * 3]
    return [[frame] for frame in range(count)] + [sorted(map(int, one)) for one in drawn]


@pytest.mark.parametrize("kind", SPARSE)
def test_some_frames_are_what_they_are_among_all(kind: str, tmp_path: Path) -> None:
    name, codec, pixels, options, container, entries = SPARSE[kind]
    path = write(tmp_path / name, film(), codec, pixels, container=container, **options)
    whole = everything(path)
    assert len(whole.pictures) == COUNT
    with VideoFile(path) as video:
        table = video.packet_table()
    assert table.pictures is not None
    assert sum(picture.entry for picture in table.pictures) == entries
    assert table.clock == whole.clock
    for chosen in choices(COUNT):
        found = sparsely(path, chosen)
        assert found is not None
        np.testing.assert_array_equal(found.pictures, [whole.pictures[frame] for frame in chosen])


@pytest.mark.parametrize(
    "kind",
    ["x264", "x264 mkv", "x264 fragments", "x264 ts", "x265 open", "mpeg4 avi", "mpeg1", "vp9"],
)
def test_packets_of_long_files_are_read_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not kept in memory: seeking finds them, or everything is decoded."""
    monkeypatch.setattr(video_module, "_MOST_KEPT", 0)
    name, codec, pixels, options, container, _ = SPARSE[kind]
    path = write(tmp_path / name, film(), codec, pixels, container=container, **options)
    whole = everything(path)
    sought = 0
    for chosen in choices(COUNT)[::3]:
        sought += sparsely(path, chosen) is not None
        found = read_frames(path, lambda _, chosen=chosen: chosen, HEIGHT, WIDTH)
        assert found.clock == whole.clock
        np.testing.assert_array_equal(found.pictures, [whole.pictures[frame] for frame in chosen])
    assert describe_media(path).frames == COUNT
    if kind not in ("x264 ts", "mpeg1"):  # seeking leads into the middle of these
        assert sought == len(choices(COUNT)[::3])


@pytest.mark.parametrize("kind", WHOLLY)
def test_what_is_not_known_is_decoded_wholly(kind: str, tmp_path: Path) -> None:
    name, codec, pixels, options = WHOLLY[kind]
    path = write(tmp_path / name, film(), codec, pixels, **options)
    whole = everything(path)
    for chosen in choices(len(whole.pictures))[::3]:
        assert sparsely(path, chosen) is None
        found = read_frames(path, lambda _, chosen=chosen: chosen, HEIGHT, WIDTH)
        np.testing.assert_array_equal(found.pictures, [whole.pictures[frame] for frame in chosen])
        assert found.clock == whole.clock


@pytest.mark.parametrize("kind", ["x264", "x264 ts", "x265 open", "vp9", "mjpeg"])
@pytest.mark.parametrize("threads", [0, 3])
def test_threads_give_the_same_frames(kind: str, threads: int, tmp_path: Path) -> None:
    name, codec, pixels, options, container, _ = SPARSE[kind]
    path = write(tmp_path / name, film(), codec, pixels, container=container, **options)
    whole = everything(path)
    for chosen in (list(range(COUNT)), [2, 30, 41], [44], []):
        found = sparsely(path, chosen, threads)
        assert found is not None
        assert len(found.pictures) == len(chosen)
        for picture, frame in zip(found.pictures, chosen, strict=True):
            np.testing.assert_array_equal(picture, whole.pictures[frame])


def test_each_thread_has_stretches_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.mp4", film(), "libx264", g="10")
    shares: list[int] = []
    real = sparse._decode_beside

    def counted(video: VideoFile, stretches: list[sparse.Stretch], convert: object) -> bool:
        shares.append(sum(len(stretch.packets) for stretch in stretches))
        return real(video, stretches, convert)  # type: ignore[arg-type]

    monkeypatch.setattr(sparse, "_decode_beside", counted)
    sparsely(path, [3, 12, 24, 36, 42], 2)
    assert len(shares) == 2 and min(shares) > 5


def test_little_is_decoded(tmp_path: Path) -> None:
    """One of 45 frames: its group up to it, without the B pictures that nothing depends on."""
    path = write(tmp_path / "x.mp4", film(), "libx264", g="10", bf="2", **{"b-pyramid": "none"})
    with VideoFile(path) as video:
        table = video.packet_table()
    (stretch,) = plan_stretches(table, [25]) or []
    assert stretch.packets[0] >= 20 and len(stretch.packets) <= 5
    assert [len(one.packets) for one in plan_stretches(table, [0, 20, 40]) or []] == [1, 1, 1]


def timed(path: Path, times: list[int], codec: str = "libx264", **options: str) -> Path:
    """Frames at these milliseconds."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, pixels in zip(times, film(), strict=False):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts"])
def test_any_times_are_kept(name: str, tmp_path: Path) -> None:
    """A rate that changes, a start later than 0."""
    steps = np.random.default_rng(2).integers(20, 400, COUNT)
    times = (5000 + np.cumsum(steps) - steps[0]).tolist()
    path = timed(tmp_path / name, times, g="10")
    whole = everything(path)
    assert whole.clock.times is not None
    shown = [float(time) for time in whole.clock.times]
    # A transport stream counts 90 kHz; the others keep milliseconds.
    np.testing.assert_allclose(shown, (np.array(times) - 5000) / 1000, atol=1 / 90_000)
    for chosen in choices(COUNT)[::5]:
        found = sparsely(path, chosen)
        assert found is not None and found.clock == whole.clock
        np.testing.assert_array_equal(found.pictures, [whole.pictures[frame] for frame in chosen])


def test_a_start_that_was_cut_off_is_not_shown(tmp_path: Path) -> None:
    """An edit list: pictures before the start are decoded for others and not shown."""
    source = write(tmp_path / "x.mp4", film(), "libx264", g="10")
    data = bytearray(source.read_bytes())
    at = data.index(b"elst") + 4 + 4 + 4
    media_time = int.from_bytes(data[at + 4 : at + 8], "big")
    with av.open(str(source)) as container:
        unit = container.streams.video[0].time_base
    later = media_time + int(Fraction(14, 25) / unit)
    data[at + 4 : at + 8] = later.to_bytes(4, "big")
    source.write_bytes(data)
    whole = everything(source)
    assert len(whole.pictures) == COUNT - 14
    found = read_frames(source, lambda clock: [0, clock.count - 1], HEIGHT, WIDTH)
    np.testing.assert_array_equal(found.pictures, [whole.pictures[0], whole.pictures[-1]])
    assert found.clock == whole.clock


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.avi", "x.ts", "x.mpg"])
def test_a_file_that_is_cut_is_read_as_before(name: str, tmp_path: Path) -> None:
    codec = {".avi": "mpeg4", ".mpg": "mpeg2video"}.get(Path(name).suffix, "libx264")
    container = {"movflags": "faststart"} if name == "x.mp4" else {}
    path = write(tmp_path / name, film(), codec, container=container, g="10")
    size = path.stat().st_size
    whole = path.read_bytes()
    for share in (0.7, 0.9, 1 - 1 / size):
        path.write_bytes(whole)
        cut(path, share)
        before = everything(path)
        assert before.damage or share > 0.9  # the last byte is of an index, or filling
        after = read_frames(path, lambda clock: list(range(clock.count)), HEIGHT, WIDTH)
        first = read_frames(path, lambda clock: [0], HEIGHT, WIDTH)
        assert (after.damage, first.damage) == (before.damage, before.damage)
        assert after.clock == first.clock == before.clock
        np.testing.assert_array_equal(after.pictures, before.pictures)
        np.testing.assert_array_equal(first.pictures, before.pictures[:1])


def test_damage_is_seen_where_it_is_decoded_or_all_is_checked(tmp_path: Path) -> None:
    """A part of a picture that nothing needs is wrong: the frames are right, and it is unseen."""
    path = write(tmp_path / "x.avi", film(), "mpeg4", bf="0", g="9")
    whole = everything(path)
    with VideoFile(path) as video:
        packet = video.packet_table().packets[40]
        place = path.read_bytes().index(bytes(packet))
        size = packet.size
    data = bytearray(path.read_bytes())
    data[place + size // 2 : place + size // 2 + 8] = b"\xff" * 8
    path.write_bytes(data)
    damaged = everything(path)
    assert damaged.damage and len(damaged.pictures) == 40

    def read(protocol: str, steps: int, *, check_all: bool = False):
        sampling, picture = Sampling(protocol, steps), Picture(HEIGHT, WIDTH)
        return read_video(path, "k", sampling, picture, check_all=check_all)

    early = read("tt_rnn", 20)
    assert (early.damage, early.frames) == ("", COUNT)
    np.testing.assert_array_equal(early.values.reshape(20, HEIGHT, WIDTH, 3), whole.pictures[:20])
    checked = read("tt_rnn", 20, check_all=True)
    assert (checked.damage, checked.frames) == (damaged.damage, 40)
    np.testing.assert_array_equal(checked.values, early.values)
    late = read("uniform", COUNT)
    assert (late.damage, late.frames, late.used) == (damaged.damage, 40, 40)
    np.testing.assert_array_equal(late.values[-40:].reshape(40, HEIGHT, WIDTH, 3), damaged.pictures)


@pytest.mark.parametrize("first", [0, 1])
def test_a_decoder_that_gives_out_something_else_is_not_believed(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan without a packet that is needed, or with another time: all is decoded again."""
    path = write(tmp_path / "x.mp4", film(), "libx264", g="10")
    whole = everything(path)
    real = sparse.plan_stretches

    def wrong(table: PacketTable, wanted: list[int], **options: bool) -> list[sparse.Stretch]:
        return [
            replace(
                stretch,
                packets=stretch.packets[first:],
                shown=tuple(time + 1 - first for time in stretch.shown),
            )
            for stretch in real(table, wanted, **options) or []
        ]

    monkeypatch.setattr(sparse, "plan_stretches", wrong)
    assert sparsely(path, [3, 27]) is None
    found = read_frames(path, lambda _: [3, 27], HEIGHT, WIDTH)
    np.testing.assert_array_equal(found.pictures, [whole.pictures[3], whole.pictures[27]])


def test_a_count_of_packets_that_is_not_that_of_frames_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of two packets, a packet of no picture: what the decoder gives out counts."""
    path = write(tmp_path / "x.wmv", film(), "wmv2", g="10")
    whole = everything(path)
    real = PacketTable.clock.func

    def too_many(table: PacketTable):
        return replace(real(table), count=2 * COUNT, times=None)

    monkeypatch.setattr(PacketTable, "clock", property(too_many))
    for choose, frame in (
        (lambda clock: [clock.count - 1], COUNT - 1),
        (lambda clock: [5 if clock.count == COUNT else 0], 5),
    ):
        found = read_frames(path, choose, HEIGHT, WIDTH)
        assert found.chosen == [frame] and found.clock == whole.clock
        np.testing.assert_array_equal(found.pictures, [whole.pictures[frame]])


@pytest.mark.parametrize("kind", [kind for kind in SPARSE if "4" in kind or "x265" in kind])
def test_damaged_headers_are_never_an_error(kind: str, tmp_path: Path) -> None:
    name, codec, pixels, options, container, _ = SPARSE[kind]
    path = write(tmp_path / name, film()[:12], codec, pixels, container=container, **options)
    with VideoFile(path) as video:
        packets = [bytes(packet) for packet in video.packet_table().packets[:6]]
        context = video.stream.codec_context
        coding, extradata = context.codec.canonical_name, context.extradata or b""
    generator = np.random.default_rng(3)
    for _ in range(300):
        parts = [bytearray(extradata), *map(bytearray, packets)]
        part = parts[int(generator.integers(len(parts)))]
        if generator.random() < 0.3:
            del part[int(generator.integers(len(part) + 1)) :]
        elif part:
            part[int(generator.integers(min(len(part), 60)))] = int(generator.integers(256))
        try:
            inspector = inspector_for(coding, bytes(parts[0]))
            for one in parts[1:]:
                inspector.add(memoryview(bytes(one)), True)
        except (Unproven, IndexError):
            continue
