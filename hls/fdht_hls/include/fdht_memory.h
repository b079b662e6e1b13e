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

// Reads frame number `frame` and emits it as fibres of `data_T::size` bytes each. Frames start at
// word boundaries; a fibre may start anywhere in a word.
template <unsigned FIBRES, unsigned FRAME_WORDS, class data_T>
void read_frame(const word_t *frames, unsigned frame, hls::stream<data_T> &fibres) {
    const word_t *source = frames + (size_t)frame * FRAME_WORDS;
    word_t word = 0;
    unsigned position = 0;
    unsigned left = 0;
    data_T out;
Fibres:
    for (unsigned fibre = 0; fibre < FIBRES; fibre++) {
    Bytes:
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS PIPELINE II=1
            if (left == 0) {
                word = source[position++];
                left = word_bytes;
            }
            out[i] = from_code<typename data_T::value_type>(word);
            word >>= 8;
            left--;
            if (i == data_T::size - 1) {
                fibres.write(out);
            }
        }
    }
}

// The same where a fibre is a whole number of words: one word a clock.
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

// Writes the logits of frame number `frame`, sign-extended to 32 bits each.
template <unsigned RESULT_WORDS, class res_T>
void write_result(hls::stream<res_T> &logits, word_t *results, unsigned frame) {
    word_t *target = results + (size_t)frame * RESULT_WORDS;
    const res_T logit = logits.read();
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

} // namespace fdht

#endif
