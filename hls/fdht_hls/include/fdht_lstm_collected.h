#ifndef FDHT_LSTM_COLLECTED_H_
#define FDHT_LSTM_COLLECTED_H_

#include "fdht_lstm.h"
#include "fdht_recurrence.h"
#include "hls_stream.h"

// The LSTM cell for formats in which a word of sums does not hold all gates of its units.
namespace fdht {

// One call of an LSTM whose sums come in any order: the rows of a frame are collected first.
template <typename CONFIG_T, class data_T, class res_T, class... weights_T>
static void lstm_cell_collected(hls::stream<data_T> &projected, hls::stream<res_T> &result, bool reset_state,
                                unsigned frame,
                                const typename CONFIG_T::bias_t bias[CONFIG_T::units][4],
                                const typename CONFIG_T::position_t row[CONFIG_T::rows],
                                const typename CONFIG_T::gate_t gate[1 << CONFIG_T::preactivation_width],
                                const typename CONFIG_T::candidate_t candidate[1 << CONFIG_T::preactivation_width],
                                const typename CONFIG_T::output_t output[1 << CONFIG_T::cell_width],
                                const weights_T &...weights) {
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    typedef typename integer<CONFIG_T::sum_width>::type sum_t;
    typedef typename integer<CONFIG_T::preactivation_width>::type pre_t;
    typedef typename integer<CONFIG_T::cell_width>::type cell_t;
    typedef typename integer<CONFIG_T::hidden_width>::type hidden_t;
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
        sum_t from_hidden[CONFIG_T::rows];
        sum_t from_input[CONFIG_T::rows];
        collect_frame<CONFIG_T>(projected, hidden, row, from_input, from_hidden, weights...);
        res_T out;
    Units:
        for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
            #pragma HLS PIPELINE II=1
            pre_t pre[4];
            #pragma HLS ARRAY_PARTITION variable=pre complete
            for (unsigned g = 0; g < 4; g++) {
                #pragma HLS UNROLL
                const unsigned at = g * CONFIG_T::units + unit;
                pre[g] = argument_of<CONFIG_T>(from_input[at], from_hidden[at], sum_t(bias[unit][g]));
            }
            const hidden_t fresh = update_unit<CONFIG_T>(pre, cell[unit], gate, candidate, output);
            hidden[unit] = fresh;
            give_unit<CONFIG_T>(fresh, unit, step, out, result);
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
