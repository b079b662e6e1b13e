"""The memory side where the core computes the feature: raw frames in, items of differences out."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fdht_hls.rtl.axi import COUNT_BITS, FrameReader, reader_ports
from fdht_hls.rtl.motion import MotionEnergy
from fdht_hls.rtl.sparse_reader import tell_frames


class RawReader(wiring.Component):
    """Reads raw frames of video and hands on the words of their feature that are not zero.

    A call that starts from a zero state begins a sequence. Its buffer has a frame more than the
    call has results: the first is only what the second is compared with. Any other call goes on
    from the last raw frame of the call before.

    Args:
        frame_words: memory words of a frame; at least 2.
        word_bytes: bytes of a memory word.
        dead_zone: largest difference that counts as none.

    Attributes:
        words: stream of `frame_item`; whole frames only.
        count: frames that give a feature.
        resets: given with `start`: a sequence begins.
        failed: the feature of frame `failed_frame`, or what it is compared with, came with an
            error.
        others: as those of `FrameReader`.
    """

    def __init__(self, frame_words: int, word_bytes: int, dead_zone: int) -> None:
        self._inner = FrameReader(frame_words, False, word_bytes)
        self._motion = MotionEnergy(frame_words, word_bytes, dead_zone)
        item = self._motion.items.payload.shape()
        super().__init__({**reader_ports(item, word_bytes), "resets": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m, inner, motion = Module(), self._inner, self._motion
        m.submodules.inner, m.submodules.motion = inner, motion
        wiring.connect(m, inner.bus, wiring.flipped(self.bus))
        wiring.connect(m, inner.words, motion.words)
        wiring.connect(m, motion.items, wiring.flipped(self.words))
        begun = Signal()  # the sequence begins with this call
        with m.If(self.start):
            m.d.sync += begun.eq(self.resets)
        before = self.resets & (self.count != 0)
        failed_behind = Mux(inner.failed_frame == 0, 0, inner.failed_frame - 1)
        m.d.comb += [
            inner.start.eq(self.start),
            inner.address.eq(self.address),
            inner.count.eq(self.count + before),
            inner.stop.eq(self.stop),
            motion.begins.eq(begun & inner.first),
            self.failed.eq(inner.failed),
            self.failed_frame.eq(Mux(begun, failed_behind, inner.failed_frame)),
        ]
        leaves = tell_frames(m, self)
        under_way = Signal(COUNT_BITS)  # frames that were begun here and not handed on whole
        m.d.sync += under_way.eq(under_way + motion.entered - leaves)
        m.d.comb += self.idle.eq(inner.idle & (under_way == 0))
        return m
