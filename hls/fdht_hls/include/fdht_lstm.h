#ifndef FDHT_LSTM_H_
#define FDHT_LSTM_H_

#include "fdht_integer.h"
#include "fdht_recurrence.h"
#include "hls_stream.h"

// The LSTM cell: W_h h, the gates as truth tables, and the state.
namespace fdht {

// Reference for the generated configurations.
struct lstm_config {
    static const unsigned frames = 1;   // time steps in a call
    static const unsigned units = 1;    // H
    static const unsigned rows = 4;     // 4 H
    static const unsigned groups = 1;   // words of sums in a frame: product of m_2 .. m_d
    static const unsigned width = 4;    // sums in a word: m_1 = 4 gates x units in a word
    static const unsigned fibre = 1;    // p_d: hidden units in a word of W_h's input
    static const unsigned stateful = 0; // 1: the state outlives the call
    static const unsigned streamed = 0; // 1: each unit is a word of the result
    static const int sum_width = 32;
    static const int input_shift = 0;  // exact shifts that align the three parts of a sum
    static const int hidden_shift = 0;
    static const int bias_shift = 0;
    static const int preactivation_width = 10;
    static const int preactivation_shift = 0; // fractional bits that rounding drops
    static const int cell_width = 12;
    static const int cell_sum_width = 32;
    static const int forget_shift = 0; // exact shifts that align f c and u g
    static const int update_shift = 0;
    static const int cell_shift = 0;
    static const int hidden_width = 8;
    static const int product_width = 32; // o tanh(c)
    static const int product_shift = 0;
};

// Gates of one hidden unit: pre-activations in, new cell state stored, new hidden code returned.
template <typename CONFIG_T>
typename integer<CONFIG_T::hidden_width>::type
update_unit(const typename integer<CONFIG_T::preactivation_width>::type pre[4],
            typename integer<CONFIG_T::cell_width>::type &cell, const typename CONFIG_T::gate_t gate[],
            const typename CONFIG_T::candidate_t candidate[], const typename CONFIG_T::output_t output[]) {
    #pragma HLS INLINE
    const int width = CONFIG_T::preactivation_width;
    typedef typename integer<CONFIG_T::cell_sum_width>::type sum_t;
    typedef typename integer<CONFIG_T::product_width>::type product_t;
    const sum_t forget = sum_t(gate[table_index<width>(pre[0])]);
    const sum_t update = sum_t(gate[table_index<width>(pre[1])]);
    const sum_t fresh = sum_t(candidate[table_index<width>(pre[2])]);
    const product_t open = product_t(gate[table_index<width>(pre[3])]);
    const sum_t kept = scale_up<CONFIG_T::forget_shift>(sum_t(forget * sum_t(cell)));
    const sum_t added = scale_up<CONFIG_T::update_shift>(sum_t(update * fresh));
    cell = round_saturate<CONFIG_T::cell_sum_width, CONFIG_T::cell_shift, CONFIG_T::cell_width>(
        sum_t(kept + added));
    const product_t squashed = product_t(output[table_index<CONFIG_T::cell_width>(cell)]);
    return round_saturate<CONFIG_T::product_width, CONFIG_T::product_shift, CONFIG_T::hidden_width>(
        product_t(open * squashed));
}

// One call: `frames` time steps. Each word of sums holds all four gates of some units.
// `position[g]` is the hidden unit of group g, less its index in the word times `groups`. What is
// behind the truth tables are the weights of W_h h that can be loaded.
//
// Static, so that the state belongs to the library that holds it: the static variables of any other
// template are one for all libraries of a process (STB_GNU_UNIQUE).
template <typename CONFIG_T, class data_T, class res_T, class... weights_T>
static void lstm_cell(hls::stream<data_T> &projected, hls::stream<res_T> &result, bool reset_state,
                      unsigned frame,
                      const typename CONFIG_T::bias_t bias[CONFIG_T::units][4],
                      const typename CONFIG_T::position_t position[CONFIG_T::groups],
                      const typename CONFIG_T::gate_t gate[1 << CONFIG_T::preactivation_width],
                      const typename CONFIG_T::candidate_t candidate[1 << CONFIG_T::preactivation_width],
                      const typename CONFIG_T::output_t output[1 << CONFIG_T::cell_width],
                      const weights_T &...weights) {
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    typedef typename integer<CONFIG_T::sum_width>::type sum_t;
    typedef typename integer<CONFIG_T::preactivation_width>::type pre_t;
    typedef typename integer<CONFIG_T::cell_width>::type cell_t;
    typedef typename integer<CONFIG_T::hidden_width>::type hidden_t;
    typedef typename CONFIG_T::recurrent_word_t recurrent_word_t;
    static const unsigned units_in_word = CONFIG_T::width / 4;
    static hidden_t hidden[CONFIG_T::units];
    static cell_t cell[CONFIG_T::units];
Steps:
    for (unsigned step = 0; step < CONFIG_T::frames; step++) {
        if (starts_from_zero<CONFIG_T>(reset_state, frame, step)) {
        Reset:
            for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
                #pragma HLS PIPELINE II=1
                hidden[unit] = 0;
                cell[unit] = 0;
            }
        }
        hls::stream<recurrent_word_t> recurrent("recurrent_sums");
        #pragma HLS STREAM variable=recurrent depth=CONFIG_T::groups
        // From here on nothing reads the former h, so that each unit's new one can take its place.
        start_recurrence<CONFIG_T>(hidden, recurrent, weights...);
        res_T out;
    Groups:
        for (unsigned group = 0; group < CONFIG_T::groups; group++) {
            const data_T from_input = projected.read();
            const recurrent_word_t from_hidden = recurrent.read();
        Units:
            for (unsigned lane = 0; lane < units_in_word; lane++) {
                #pragma HLS PIPELINE II=1
                const unsigned unit = lane * CONFIG_T::groups + unsigned(position[group]);
                pre_t pre[4];
                #pragma HLS ARRAY_PARTITION variable=pre complete
                for (unsigned g = 0; g < 4; g++) {
                    #pragma HLS UNROLL
                    const unsigned at = g * units_in_word + lane;
                    const sum_t biased = sum_t(bias[unit][g]);
                    pre[g] = argument_of<CONFIG_T>(sum_t(code(from_input[at])), sum_t(code(from_hidden[at])), biased);
                }
                const hidden_t fresh = update_unit<CONFIG_T>(pre, cell[unit], gate, candidate, output);
                hidden[unit] = fresh;
                give_unit<CONFIG_T>(fresh, unit, step, out, result);
            }
        }
        give_word<CONFIG_T>(step, out, result);
#if !defined(__SYNTHESIS__)
        observe(hidden);
        observe(cell);
#endif
    }
}

} // namespace fdht

#endif
