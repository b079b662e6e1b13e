#!/usr/bin/env bash
# The same YUV 4:2:0 frame becomes other RGB values with and without swscale's vector code, at the size
# that it has already: what PyAV 18.1's reformat and to_ndarray give by default on a workstation is not
# what a processor without that code gives. Resized frames are the same. libavfilter's scale with
# accurate_rnd+bitexact+full_chroma_int gives the same values both times.
# Linux on x86-64. Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==1.26.4
cat > "$work/convert.py" <<'PY'
import ctypes
import sys
from fractions import Fraction

import av
import numpy as np

plain, target = sys.argv[1] == "plain", sys.argv[2]
if plain:
    # FFmpeg is told that the processor has no vector code.
    maps = (line.split()[-1] for line in open("/proc/self/maps"))
    library = next(name for name in maps if "libavutil" in name)
    ctypes.CDLL(library).av_force_cpu_flags(0)
picture = np.random.default_rng(0).integers(0, 256, (120 * 3 // 2, 160)).astype(np.uint8)
frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
graph = av.filter.Graph()
flags = "bilinear+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp"
source = graph.add_buffer(width=160, height=120, format=av.VideoFormat("yuv420p"), time_base="1/25")
nodes = [
    source,
    graph.add("scale", f"160:120:flags={flags}"),
    graph.add("format", "rgb24"),
    graph.add("buffersink"),
]
graph.link_nodes(*nodes).configure()
frame.pts, frame.time_base = 0, Fraction(1, 25)
graph.push(frame)
np.savez(
    target,
    same_size=frame.reformat(160, 120, "rgb24").to_ndarray(),
    resized=frame.reformat(80, 60, "rgb24").to_ndarray(),
    exact=graph.pull().to_ndarray(),
)
PY
cat > "$work/compare.py" <<'PY'
import sys

import av
import numpy as np

one, other = (np.load(name) for name in sys.argv[1:])
print("PyAV", av.__version__, "swscale", av.library_versions["libswscale"])
share = {}
for name in one.files:
    difference = np.abs(one[name].astype(int) - other[name])
    share[name] = float((difference > 0).mean())
    print(f"{name}: {share[name]:.1%} of the values differ, by up to {difference.max()}")
stated = share["same_size"] > 0.1 and share["resized"] == share["exact"] == 0
print("as stated" if stated else "behaviour has changed")
sys.exit(not stated)
PY
for kind in vector plain; do "$work/venv/bin/python" "$work/convert.py" "$kind" "$work/$kind.npz"; done
"$work/venv/bin/python" "$work/compare.py" "$work/vector.npz" "$work/plain.npz"
