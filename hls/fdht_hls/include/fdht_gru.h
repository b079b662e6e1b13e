#ifndef FDHT_GRU_H_
#define FDHT_GRU_H_

#include "fdht_integer.h"
#include "fdht_recurrence.h"
#include "hls_stream.h"

// The GRU cell: W_h h, the gates as truth tables, and the state. The reset gate acts behind W_h.
//   r, z = gate[round(W_x x + W_h h + b)]      n = candidate[round(W_x x + b + r round(W_h h))]
//   h = round((1 - z) n + z h)
namespace fdht {

// Reference for the generated configurations.
struct gru_config {
    static const unsigned frames = 1;   // time steps in a call
    static const unsigned units = 1;    // H
    static const unsigned rows = 3;     // 3 H
    static const unsigned fibre = 1;    // p_d: hidden units in a word of W_h's input
    static const unsigned stateful = 0; // 1: the state outlives the call
    static const unsigned streamed = 0; // 1: each unit is a word of the result
    static const int sum_width = 32;    // of the gates' argument
    static const int input_shift = 0;   // exact shifts that align its parts
    static const int hidden_shift = 0;
    static const int bias_shift = 0;
    static const int preactivation_width = 10;
    static const int preactivation_shift = 0; // fractional bits that rounding drops
    static const int recurrent_sum_width = 32; // of W_h h
    static const int recurrent_width = 10;     // of what the reset gate multiplies
    static const int recurrent_shift = 0;
    static const int candidate_sum_width = 32; // of the candidate's argument
    static const int candidate_input_shift = 0;
    static const int candidate_bias_shift = 0;
    static const int candidate_product_shift = 0;
    static const int candidate_shift = 0;
    static const int gate_fraction = 8; // code of 1: 2^gate_fraction
    static const int hidden_width = 8;
    static const int hidden_sum_width = 32; // of (1 - z) n + z h
    static const int fresh_shift = 0;
    static const int kept_shift = 0;
    static const int hidden_result_shift = 0;
};

// One call: `frames` time steps. `row` is the order in which sums arrive, as rows of W.
//
// Static, so that the state belongs to the library that holds it; see `lstm_cell`.
template <typename CONFIG_T, class data_T, class res_T, class... weights_T>
static void gru_cell(hls::stream<data_T> &projected, hls::stream<res_T> &result, bool reset_state,
                     unsigned frame,
                     const typename CONFIG_T::bias_t bias[CONFIG_T::units][3],
                     const typename CONFIG_T::position_t row[CONFIG_T::rows],
                     const typename CONFIG_T::gate_t gate[1 << CONFIG_T::preactivation_width],
                     const typename CONFIG_T::candidate_t candidate[1 << CONFIG_T::preactivation_width],
                     const weights_T &...weights) {
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    typedef typename integer<CONFIG_T::sum_width>::type sum_t;
    typedef typename integer<CONFIG_T::recurrent_sum_width>::type recurrent_sum_t;
    typedef typename integer<CONFIG_T::candidate_sum_width>::type candidate_sum_t;
    typedef typename integer<CONFIG_T::hidden_sum_width>::type hidden_sum_t;
    typedef typename integer<CONFIG_T::preactivation_width>::type pre_t;
    typedef typename integer<CONFIG_T::hidden_width>::type hidden_t;
    static hidden_t hidden[CONFIG_T::units];
Steps:
    for (unsigned step = 0; step < CONFIG_T::frames; step++) {
        if (starts_from_zero<CONFIG_T>(reset_state, frame, step)) {
        Reset:
            for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
                #pragma HLS PIPELINE II=1
                hidden[unit] = 0;
            }
        }
        sum_t from_hidden[CONFIG_T::rows];
        sum_t from_input[CONFIG_T::rows];
        collect_frame<CONFIG_T>(projected, hidden, row, from_input, from_hidden, weights...);
        res_T out;
    Units:
        for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
            #pragma HLS PIPELINE II=1
            pre_t pre[2];
            #pragma HLS ARRAY_PARTITION variable=pre complete
            for (unsigned g = 0; g < 2; g++) {
                #pragma HLS UNROLL
                const unsigned at = g * CONFIG_T::units + unit;
                pre[g] = argument_of<CONFIG_T>(from_input[at], from_hidden[at], sum_t(bias[unit][g]));
            }
            const unsigned last = 2 * CONFIG_T::units + unit;
            const candidate_sum_t memory =
                round_saturate<CONFIG_T::recurrent_sum_width, CONFIG_T::recurrent_shift, CONFIG_T::recurrent_width>(
                    recurrent_sum_t(from_hidden[last]));
            const candidate_sum_t reset =
                candidate_sum_t(gate[table_index<CONFIG_T::preactivation_width>(pre[0])]);
            const candidate_sum_t argument =
                scale_up<CONFIG_T::candidate_input_shift>(candidate_sum_t(from_input[last])) +
                scale_up<CONFIG_T::candidate_bias_shift>(candidate_sum_t(bias[unit][2])) +
                scale_up<CONFIG_T::candidate_product_shift>(candidate_sum_t(reset * memory));
            const pre_t fresh_argument = round_saturate<CONFIG_T::candidate_sum_width, CONFIG_T::candidate_shift,
                                                        CONFIG_T::preactivation_width>(argument);
            const hidden_sum_t fresh =
                hidden_sum_t(candidate[table_index<CONFIG_T::preactivation_width>(fresh_argument)]);
            const hidden_sum_t update =
                hidden_sum_t(gate[table_index<CONFIG_T::preactivation_width>(pre[1])]);
            const hidden_sum_t rest = (hidden_sum_t(1) << CONFIG_T::gate_fraction) - update;
            const hidden_sum_t sum = scale_up<CONFIG_T::fresh_shift>(hidden_sum_t(rest * fresh)) +
                                     scale_up<CONFIG_T::kept_shift>(hidden_sum_t(update * hidden_sum_t(hidden[unit])));
            const hidden_t next = round_saturate<CONFIG_T::hidden_sum_width, CONFIG_T::hidden_result_shift,
                                                 CONFIG_T::hidden_width>(sum);
            hidden[unit] = next;
            give_unit<CONFIG_T>(next, unit, step, out, result);
        }
        give_word<CONFIG_T>(step, out, result);
#if !defined(__SYNTHESIS__)
        observe(hidden);
#endif
    }
}

} // namespace fdht

#endif
