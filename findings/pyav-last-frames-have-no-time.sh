#!/usr/bin/env bash
# PyAV 18.1.0: the frames that a decoder holds back and gives out for decode(None), at the end of a
# video, have their pts and no time base: frame.time is NaN, without an error. Compared with a part's
# start and end, NaN is in no part, so that the last frames of a video with B pictures are lost in
# silence. container.decode() gives the same frames their times. The stream's time base has to be
# used for all frames instead.
# Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==1.26.4
cd "$work"
cat > show.py <<'PY'
import math
import sys
from fractions import Fraction

import av
import numpy as np

print("av", av.__version__)
with av.open("film.mp4", "w") as output:
    stream = output.add_stream("libx264", rate=25, options={"bf": "2"})
    stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
    for number in range(30):
        picture = np.full((48, 64, 3), number * 8, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())

with av.open("film.mp4") as container:
    by_container = [(frame.pts, frame.time) for frame in container.decode(video=0)]
with av.open("film.mp4") as container:
    codec, packets = container.streams.video[0].codec_context, container.demux(video=0)
    frames = [frame for packet in packets if packet.size for frame in codec.decode(packet)]
    held = len(frames)
    frames += codec.decode(None)
    by_codec = [(frame.pts, frame.time) for frame in frames]

print("container.decode():", by_container[-4:])
print("codec.decode():    ", by_codec[-4:])
print("frames from 1.1 s on:", *(sum(time >= 1.1 for _, time in one) for one in (by_container, by_codec)))
lost = [time is None or math.isnan(time) for _, time in by_codec]
as_stated = (
    [pts for pts, _ in by_codec] == [pts for pts, _ in by_container]
    and by_codec[:held] == by_container[:held]
    and lost == [False] * held + [True] * (30 - held)
    and held < 30
)
print("the last", 30 - held, "frames have no time" if as_stated else "behaviour has changed")
sys.exit(0 if as_stated else 1)
PY
"$work/venv/bin/python" show.py 2> errors.txt || { cat errors.txt >&2; exit 1; }
