#ifndef FDHT_MEMORY_H_
#define FDHT_MEMORY_H_

#include "ap_int.h"
#include "fdht_integer.h"
#include "hls_stream.h"

// Between memory and streams: frames in, results out, 64 bits a word, bursts of at most 16 words
// so that the ports also fit the AXI3 slaves of a Zynq-7000 without an interconnect.
namespace fdht {

#if defined(FDHT_NATIVE)
typedef uint64_t word_t;
#else
typedef ap_uint<64> word_t;
#endif
static const unsigned word_bytes = 8;

// Reads frame number `frame`, a word a clock. Frames start at word boundaries.
template <unsigned FRAME_WORDS>
void read_frame(const word_t *frames, unsigned frame, hls::stream<word_t> &words) {
    const word_t *source = frames + (size_t)frame * FRAME_WORDS;
Words:
    for (unsigned position = 0; position < FRAME_WORDS; position++) {
        #pragma HLS PIPELINE II=1
        words.write(source[position]);
    }
}

// The gearbox: cuts the words of a frame into fibres of `data_T::size` bytes, whatever that is; a
// fibre may start anywhere in a word.
//
// In a clock a word is taken if less than a fibre is left, and a fibre leaves if there is one. So
// it goes at the pace of the words, a word a clock, or, if fibres are shorter than words, at that of
// the fibres.
template <unsigned FIBRES, class data_T> void cut_fibres(hls::stream<word_t> &words, hls::stream<data_T> &fibres) {
    typedef typename data_T::value_type value_t;
    static const unsigned fibre = data_T::size;
    static const unsigned frame_words = (FIBRES * fibre + word_bytes - 1) / word_bytes;
    static const unsigned turns = FIBRES > frame_words ? FIBRES : frame_words;
    // Words shift through a register, the newest at its end, where the unused bytes lie. They are a
    // fibre less one byte and a word at most.
    static const unsigned most = fibre - 1 + word_bytes;
    static const unsigned kept = (most + word_bytes - 1) / word_bytes * word_bytes;
    value_t bytes[kept];
    #pragma HLS ARRAY_PARTITION variable=bytes complete
    unsigned unused = 0;
Turns:
    for (unsigned turn = 0; turn < turns; turn++) {
        #pragma HLS PIPELINE II=1
        if (unused < fibre) {
            const word_t word = words.read();
            for (unsigned i = 0; i < kept - word_bytes; i++) {
                #pragma HLS UNROLL
                bytes[i] = bytes[i + word_bytes];
            }
            for (unsigned i = 0; i < word_bytes; i++) {
                #pragma HLS UNROLL
                bytes[kept - word_bytes + i] = from_code<value_t>(word >> (8 * i));
            }
            unused += word_bytes;
        }
        if (unused >= fibre) {
            // A fibre starts at one of 8 places; the remainder tells the tool so.
            const unsigned first = kept - most + (most - unused) % word_bytes;
            data_T out;
            for (unsigned i = 0; i < fibre; i++) {
                #pragma HLS UNROLL
                out[i] = bytes[first + i];
            }
            fibres.write(out);
            unused -= fibre;
        }
    }
}

// Both in one where a fibre is a whole number of words: nothing is shifted.
template <unsigned FIBRES, unsigned FRAME_WORDS, class data_T>
void read_frame_of_words(const word_t *frames, unsigned frame, hls::stream<data_T> &fibres) {
    static const unsigned words = data_T::size / word_bytes;
    const word_t *source = frames + (size_t)frame * FRAME_WORDS;
    data_T out;
Fibres:
    for (unsigned fibre = 0; fibre < FIBRES; fibre++) {
    Words:
        for (unsigned position = 0; position < words; position++) {
            #pragma HLS PIPELINE II=1
            const word_t word = source[fibre * words + position];
            for (unsigned i = 0; i < word_bytes; i++) {
                #pragma HLS UNROLL
                out[position * word_bytes + i] = from_code<typename data_T::value_type>(word >> (8 * i));
            }
            if (position == words - 1) {
                fibres.write(out);
            }
        }
    }
}

// Stores logits, sign-extended to 32 bits each.
template <unsigned RESULT_WORDS, class res_T> void store_result(const res_T &logit, word_t *target) {
    #pragma HLS INLINE
Words:
    for (unsigned position = 0; position < RESULT_WORDS; position++) {
        #pragma HLS PIPELINE II=1
        word_t word = 0;
        for (unsigned half = 0; half < 2; half++) {
            #pragma HLS UNROLL
            const unsigned i = 2 * position + half;
            if (i < res_T::size) {
                const ap_int<32> wide = code(logit[i]);
                word |= word_t(ap_uint<32>(wide)) << (32 * half);
            }
        }
        target[position] = word;
    }
}

// Writes the logits of frame number `frame`.
template <unsigned RESULT_WORDS, class res_T>
void write_result(hls::stream<res_T> &logits, word_t *results, unsigned frame) {
    store_result<RESULT_WORDS>(logits.read(), results + (size_t)frame * RESULT_WORDS);
}

} // namespace fdht

#endif
