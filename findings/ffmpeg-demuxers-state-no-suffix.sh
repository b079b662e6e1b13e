#!/usr/bin/env bash
# FFmpeg (PyAV 16.1.0) can be asked which suffixes its demuxers read, and the answer is of no use to
# tell which files of a folder are clips: .wav, .mpg, .wmv and .aiff are missing, whose demuxers know
# files by their contents alone, and .txt is there, as a video: a text is drawn as a terminal shows it.
# Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==16.1.0
cd "$work"
cat > show.py <<'PY'
import sys
import wave

import av

print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
stated = set()
for name in av.formats_available:
    try:
        stated |= set(av.ContainerFormat(name, "r").extensions)
    except ValueError:
        continue  # a muxer only
print(len(stated), "suffixes are stated by demuxers")
missing = [suffix for suffix in ("wav", "mpg", "wmv", "aiff") if suffix not in stated]
print("not among them:", ", ".join(missing))

with wave.open("sound.wav", "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(8000)
    file.writeframes(bytes(16000))
with av.open("sound.wav") as container:
    samples = sum(frame.samples for frame in container.decode(audio=0))
print("sound.wav holds", samples, "samples")

with open("notes.txt", "w") as file:
    file.write("take 3 is out of focus\n" * 40)
with av.open("notes.txt") as container:
    stream = container.streams.video[0]
    frame = next(container.decode(stream))
    print("notes.txt is a video:", container.format.name, stream.codec_context.name,
          f"{frame.width}x{frame.height}")
    text_is_video = container.format.name == "tty"

as_stated = len(missing) == 4 and samples == 8000 and "txt" in stated and text_is_video
print("suffixes do not tell what is a clip" if as_stated else "behaviour has changed")
sys.exit(0 if as_stated else 1)
PY
"$work/venv/bin/python" -W ignore show.py
