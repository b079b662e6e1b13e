#ifndef FDHT_CELL_H_
#define FDHT_CELL_H_

#include "fdht_integer.h"
#include "fdht_recurrence.h"
#include "hls_stream.h"

// The recurrent cell: W_h h, and the update of each unit. Its configuration is generated and holds
// `state_t`, the arrays of all states, and `update`, what is computed for one unit.
namespace fdht {

// The sums and the bias of all gates of a unit.
template <typename CONFIG_T> struct unit_sums {
    typename CONFIG_T::projected_t projected[CONFIG_T::gates];
    typename CONFIG_T::recurrent_t recurrent[CONFIG_T::gates];
    typename CONFIG_T::bias_sum_t bias[CONFIG_T::gates];
};

// Where the states of a context begin: those of one lie side by side.
template <typename CONFIG_T> unsigned first_place(unsigned context) {
    #pragma HLS INLINE
    return CONFIG_T::contexts == 1 ? 0 : context * CONFIG_T::units;
}

// All states of a context to zero.
template <typename CONFIG_T> void reset_states(typename CONFIG_T::state_t &state, unsigned first) {
    #pragma HLS INLINE
Reset:
    for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
        #pragma HLS PIPELINE II=1
        CONFIG_T::clear(state, first + unit);
    }
}

// One call: `frames` time steps. Each word of sums holds all gates of some units. `position[g]` is the
// hidden unit of group g, less its index in the word times `groups`. What follows are the weights of
// W_h h that can be loaded. `context` says whose state it goes on from.
//
// Static, so that the state belongs to the library that holds it: the static variables of any other
// template are one for all libraries of a process (STB_GNU_UNIQUE).
template <typename CONFIG_T, class data_T, class res_T, class... weights_T>
static void cell(hls::stream<data_T> &projected, hls::stream<res_T> &result, bool reset_state, unsigned frame,
                 unsigned context, const typename CONFIG_T::bias_t bias[CONFIG_T::units][CONFIG_T::gates],
                 const typename CONFIG_T::position_t position[CONFIG_T::groups], const weights_T &...weights) {
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    typedef typename CONFIG_T::recurrent_word_t recurrent_word_t;
    static const unsigned units_in_word = CONFIG_T::width / CONFIG_T::gates;
    static typename CONFIG_T::state_t state;
    const unsigned first = first_place<CONFIG_T>(context);
Steps:
    for (unsigned step = 0; step < CONFIG_T::frames; step++) {
        if (starts_from_zero<CONFIG_T>(reset_state, frame, step)) {
            reset_states<CONFIG_T>(state, first);
        }
        hls::stream<recurrent_word_t> recurrent("recurrent_sums");
        #pragma HLS STREAM variable=recurrent depth=CONFIG_T::groups
        // From here on nothing reads the former h, so that each unit's new one can take its place.
        start_recurrence<CONFIG_T>(state.hidden, first, recurrent, weights...);
        res_T out;
    Groups:
        for (unsigned group = 0; group < CONFIG_T::groups; group++) {
            const data_T from_input = projected.read();
            const recurrent_word_t from_hidden = recurrent.read();
        Units:
            for (unsigned lane = 0; lane < units_in_word; lane++) {
                #pragma HLS PIPELINE II=1
                const unsigned unit = lane * CONFIG_T::groups + unsigned(position[group]);
                unit_sums<CONFIG_T> sums;
                #pragma HLS ARRAY_PARTITION variable=sums.projected complete
                #pragma HLS ARRAY_PARTITION variable=sums.recurrent complete
                #pragma HLS ARRAY_PARTITION variable=sums.bias complete
                for (unsigned g = 0; g < CONFIG_T::gates; g++) {
                    #pragma HLS UNROLL
                    const unsigned at = g * units_in_word + lane;
                    sums.projected[g] = code(from_input[at]);
                    sums.recurrent[g] = code(from_hidden[at]);
                    sums.bias[g] = bias[unit][g];
                }
                give_unit<CONFIG_T>(CONFIG_T::update(sums, state, first + unit), unit, step, out, result);
            }
        }
        give_word<CONFIG_T>(step, out, result);
#if !defined(__SYNTHESIS__)
        CONFIG_T::observe_states(state, first);
#endif
    }
}

// The same where words of sums do not hold all gates of their units: the rows of a frame are collected
// first. `row` is the order in which sums arrive, as rows of W.
template <typename CONFIG_T, class data_T, class res_T, class... weights_T>
static void cell_collected(hls::stream<data_T> &projected, hls::stream<res_T> &result, bool reset_state,
                           unsigned frame, unsigned context,
                           const typename CONFIG_T::bias_t bias[CONFIG_T::units][CONFIG_T::gates],
                           const typename CONFIG_T::position_t row[CONFIG_T::rows], const weights_T &...weights) {
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    static typename CONFIG_T::state_t state;
    const unsigned first = first_place<CONFIG_T>(context);
Steps:
    for (unsigned step = 0; step < CONFIG_T::frames; step++) {
        if (starts_from_zero<CONFIG_T>(reset_state, frame, step)) {
            reset_states<CONFIG_T>(state, first);
        }
        typename CONFIG_T::recurrent_t from_hidden[CONFIG_T::rows];
        typename CONFIG_T::projected_t from_input[CONFIG_T::rows];
        collect_frame<CONFIG_T>(projected, state.hidden, first, row, from_input, from_hidden, weights...);
        res_T out;
    Units:
        for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
            #pragma HLS PIPELINE II=1
            unit_sums<CONFIG_T> sums;
            #pragma HLS ARRAY_PARTITION variable=sums.projected complete
            #pragma HLS ARRAY_PARTITION variable=sums.recurrent complete
            #pragma HLS ARRAY_PARTITION variable=sums.bias complete
            for (unsigned g = 0; g < CONFIG_T::gates; g++) {
                #pragma HLS UNROLL
                const unsigned at = g * CONFIG_T::units + unit;
                sums.projected[g] = from_input[at];
                sums.recurrent[g] = from_hidden[at];
                sums.bias[g] = bias[unit][g];
            }
            give_unit<CONFIG_T>(CONFIG_T::update(sums, state, first + unit), unit, step, out, result);
        }
        give_word<CONFIG_T>(step, out, result);
#if !defined(__SYNTHESIS__)
        CONFIG_T::observe_states(state, first);
#endif
    }
}

} // namespace fdht

#endif
