#ifndef FDHT_RECURRENCE_H_
#define FDHT_RECURRENCE_H_

#include "fdht_contraction.h"
#include "fdht_integer.h"
#include "fdht_observe.h"
#include "hls_stream.h"

// What the recurrent cells have in common.
//
// W_h h of the next frame needs only the state, which is ready a whole frame before the sums of
// W_x x arrive. So a cell computes it first and then waits: the recurrence is off the critical
// path, and no stream runs backwards through the DATAFLOW region.
namespace fdht {

// Does the state start from zero in this time step? `frame` counts the frames of a call of the core.
template <typename CONFIG_T> bool starts_from_zero(bool reset_state, unsigned frame, unsigned step) {
    #pragma HLS INLINE
    return step == 0 && ((reset_state && frame == 0) || !CONFIG_T::stateful);
}

// Gives a unit on, where results of this time step are wanted: at once, as a word of its own, for a
// head that adds up meanwhile; or in the word that holds all units, which `give_word` writes.
template <typename CONFIG_T, class hidden_T, class res_T>
void give_unit(const hidden_T &hidden, unsigned unit, unsigned step, res_T &out, hls::stream<res_T> &result) {
    #pragma HLS INLINE
    out[CONFIG_T::streamed ? 0 : unit] = from_code<typename res_T::value_type>(hidden);
    if (CONFIG_T::streamed && (CONFIG_T::every_step || step == CONFIG_T::frames - 1)) {
        result.write(out);
    }
}

template <typename CONFIG_T, class res_T> void give_word(unsigned step, const res_T &out, hls::stream<res_T> &result) {
    #pragma HLS INLINE
    if (!CONFIG_T::streamed && (CONFIG_T::every_step || step == CONFIG_T::frames - 1)) {
        result.write(out);
    }
}

// Sends the hidden state that begins at `first` through the contraction of W_h. `weights` are those of
// its stages that can be loaded.
template <typename CONFIG_T, class... weights_T>
void start_recurrence(const typename integer<CONFIG_T::hidden_width>::type hidden[CONFIG_T::contexts * CONFIG_T::units],
                      unsigned first, hls::stream<typename CONFIG_T::recurrent_word_t> &recurrent, const weights_T &...weights) {
    typedef typename CONFIG_T::hidden_word_t hidden_word_t;
    hls::stream<hidden_word_t> fibres("hidden_fibres");
    #pragma HLS STREAM variable=fibres depth=CONFIG_T::units / CONFIG_T::fibre
Fibres:
    for (unsigned start = 0; start < CONFIG_T::units; start += CONFIG_T::fibre) {
        hidden_word_t word;
        for (unsigned k = 0; k < CONFIG_T::fibre; k++) {
            #pragma HLS PIPELINE II=1
            word[k] = from_code<typename hidden_word_t::value_type>(hidden[first + start + k]);
        }
        fibres.write(word);
    }
    CONFIG_T::contract_hidden(fibres, recurrent, weights...);
}

// Collects the sums of one path by the row of W that they belong to. Both paths emit their sums in
// the same order, whatever the words that carry them; `row` is that order.
template <unsigned ROWS, unsigned WIDTH, class data_T, class sum_T, class row_T>
void collect(hls::stream<data_T> &sums, sum_T collected[ROWS], const row_T row[ROWS]) {
Words:
    for (unsigned start = 0; start < ROWS; start += WIDTH) {
        const data_T word = sums.read();
    Sums:
        for (unsigned k = 0; k < WIDTH; k++) {
            #pragma HLS PIPELINE II=1
            collected[unsigned(row[start + k])] = code(word[k]);
        }
    }
}

// One frame's sums of both paths, by row of W.
template <typename CONFIG_T, class data_T, class... weights_T>
void collect_frame(hls::stream<data_T> &projected,
                   const typename integer<CONFIG_T::hidden_width>::type hidden[CONFIG_T::contexts * CONFIG_T::units],
                   unsigned first, const typename CONFIG_T::position_t row[CONFIG_T::rows],
                   typename CONFIG_T::projected_t from_input[CONFIG_T::rows],
                   typename CONFIG_T::recurrent_t from_hidden[CONFIG_T::rows], const weights_T &...weights) {
    typedef typename CONFIG_T::recurrent_word_t recurrent_word_t;
    hls::stream<recurrent_word_t> recurrent("recurrent_sums");
    #pragma HLS STREAM variable=recurrent depth=CONFIG_T::rows / recurrent_word_t::size
    start_recurrence<CONFIG_T>(hidden, first, recurrent, weights...);
    collect<CONFIG_T::rows, recurrent_word_t::size>(recurrent, from_hidden, row);
    collect<CONFIG_T::rows, data_T::size>(projected, from_input, row);
}

} // namespace fdht

#endif
