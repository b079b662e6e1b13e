#ifndef FDHT_WEIGHTS_H_
#define FDHT_WEIGHTS_H_

#include "ap_int.h"
#include "fdht_integer.h"
#include "fdht_memory.h"

// Weights from memory into tables, before the frames of a call. Each row of a table starts at a word
// and holds as many whole codes as fit in a word, the first in the lowest bits; see
// fdht_hls/weights.py, which says where each table lies.
namespace fdht {

// A code of W bits at a place in a word.
template <int W, bool SIGNED>
typename std::conditional<SIGNED, ap_int<W>, ap_uint<W>>::type code_at(const word_t &word, unsigned place) {
    #pragma HLS INLINE
    return ap_uint<64>(word) >> (place * W);
}

// A table of which a stage, or the cell, reads a row a clock. A row is put together in registers and
// stored whole: one word a clock is taken.
template <unsigned ROWS, unsigned COLUMNS, int W, bool SIGNED, class code_T>
void load_rows(const word_t *weights, unsigned first, code_T table[ROWS][COLUMNS]) {
    static const unsigned in_word = 64 / W;
    static const unsigned words = (COLUMNS + in_word - 1) / in_word;
    #pragma HLS ARRAY_RESHAPE variable=table complete dim=2
    code_T row[COLUMNS];
    #pragma HLS ARRAY_PARTITION variable=row complete
Rows:
    for (unsigned r = 0; r < ROWS; r++) {
    Words:
        for (unsigned position = 0; position < words; position++) {
            #pragma HLS PIPELINE II=1
            const word_t word = weights[first + r * words + position];
            for (unsigned c = 0; c < COLUMNS; c++) {
                #pragma HLS UNROLL
                if (c / in_word == position) {
                    row[c] = from_code<code_T>(code_at<W, SIGNED>(word, c % in_word));
                }
                if (position == words - 1) {
                    table[r][c] = row[c];
                }
            }
        }
    }
}

} // namespace fdht

#endif
