#ifndef FDHT_RAW_MEMORY_H_
#define FDHT_RAW_MEMORY_H_

#include "fdht_sparse_memory.h"

// Raw frames of video out of memory, and of these the feature motion_energy: |frame - frame before|,
// byte by byte, where differences up to the dead zone count as none. It is
// `fdht_models.features.motion_energy`, integer for integer. Of the differences only words that are not
// zero go on, as from a reader of sparse frames:
//
//   read_motion --> collect_units --> place_fibres --> fibres with their places
namespace fdht {

// |word - before| of each byte; 0 up to the dead zone.
template <unsigned DEAD_ZONE> word_t motion_energy(const word_t &before, const word_t &word) {
    #pragma HLS INLINE
    word_t found = 0;
    for (unsigned byte = 0; byte < word_bytes; byte++) {
        #pragma HLS UNROLL
        const unsigned one = unsigned((before >> (8 * byte)) & word_t(255));
        const unsigned other = unsigned((word >> (8 * byte)) & word_t(255));
        const unsigned size = one > other ? one - other : other - one;
        found |= word_t(size > DEAD_ZONE ? size : 0u) << (8 * byte);
    }
    return found;
}

// Reads raw frame number `frame` of a call and gives on what of its feature is not zero, a word a clock.
// Where a sequence begins with the call, its buffer has a frame more, the first, which is only kept. The
// frame before lives in block RAM, also from call to call.
template <unsigned FRAME_WORDS, unsigned DEAD_ZONE>
static void read_motion(const word_t *frames, unsigned frame, bool begins, hls::stream<frame_item<FRAME_WORDS>> &items) {
    static word_t before[FRAME_WORDS];
    #pragma HLS BIND_STORAGE variable=before type=ram_2p impl=bram
    if (begins && frame == 0) {
    First:
        for (unsigned i = 0; i < FRAME_WORDS; i++) {
            #pragma HLS PIPELINE II=1
            before[i] = frames[i];
        }
    }
    const word_t *source = frames + ((size_t)frame + (begins ? 1 : 0)) * FRAME_WORDS;
    frame_item<FRAME_WORDS> item;
Words:
    for (unsigned i = 0; i < FRAME_WORDS; i++) {
        #pragma HLS PIPELINE II=1
        // A word is read once in a frame, before it is replaced.
        #pragma HLS DEPENDENCE variable=before type=inter false
        const word_t word = source[i];
        item.word = motion_energy<DEAD_ZONE>(before[i], word);
        item.number = i;
        item.last = false;
        before[i] = word;
        if (item.word != 0) {
            items.write(item);
        }
    }
    item.word = 0;
    item.number = 0;
    item.last = true;
    items.write(item);
}

} // namespace fdht

#endif
