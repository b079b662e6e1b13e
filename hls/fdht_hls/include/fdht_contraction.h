#ifndef FDHT_CONTRACTION_H_
#define FDHT_CONTRACTION_H_

#include "fdht_integer.h"
#include "hls_stream.h"

// Stages of a streaming tensor contraction, one a mode, last mode first.
//
// A frame arrives in raster order as fibres of its last mode. Each stage accumulates in the order
// in which data arrive (outer products), so no transpose memory exists: the transposition is in
// the order of the loops. A stage sums exactly and rounds once, when its mode has passed.
namespace fdht {

// Reference for the generated configurations.
struct contraction_config {
    static const unsigned frames = 1;   // time steps in a call
    static const unsigned outer = 1;    // product of the modes still to come
    static const unsigned mode = 1;     // n_k, the mode that this stage sums
    static const unsigned groups = 1;   // words of input for each value of that mode
    static const unsigned inner = 1;    // vectors in a word of input
    static const unsigned rank_in = 1;  // length of such a vector: bonds that this stage sums
    static const unsigned outputs = 1;  // m_k times the bonds that this stage opens
    static const unsigned interval = 1; // initiation interval
    static const int accumulator_width = 32;
    static const int shift = 0; // fractional bits that rounding drops
};

// What a stage emits: rounded to a code of the result's width, or, in the last stage, exact.
template <class result_T, typename CONFIG_T, bool EXACT> struct emit;

template <class result_T, typename CONFIG_T> struct emit<result_T, CONFIG_T, true> {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    static result_T value(const sum_t &sum) {
        #pragma HLS INLINE
        return from_code<result_T>(sum);
    }
};

template <class result_T, typename CONFIG_T> struct emit<result_T, CONFIG_T, false> {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    static result_T value(const sum_t &sum) {
        #pragma HLS INLINE
        return from_code<result_T>(
            round_saturate<CONFIG_T::accumulator_width, CONFIG_T::shift, result_T::width>(sum));
    }
};

// First stage: one word of input is a whole fibre of the last mode.
//   result[o] = sum_i word[i] * weights[i][o]
template <class data_T, class res_T, typename CONFIG_T>
void contract_fibre(hls::stream<data_T> &data, hls::stream<res_T> &result,
                    const typename CONFIG_T::weight_t weights[CONFIG_T::mode * CONFIG_T::outputs]) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    typedef emit<typename res_T::value_type, CONFIG_T, CONFIG_T::exact> output;
    #pragma HLS ARRAY_PARTITION variable=weights complete
Fibres:
    for (unsigned fibre = 0; fibre < CONFIG_T::frames * CONFIG_T::outer; fibre++) {
        #pragma HLS PIPELINE II=CONFIG_T::interval
        const data_T word = data.read();
        sum_t sums[CONFIG_T::outputs];
        #pragma HLS ARRAY_PARTITION variable=sums complete
        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
            #pragma HLS UNROLL
            sums[o] = 0;
        }
        for (unsigned i = 0; i < CONFIG_T::mode; i++) {
            #pragma HLS UNROLL
            const sum_t value = code(word[i]);
            for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                #pragma HLS UNROLL
                sums[o] += value * sum_t(weights[i * CONFIG_T::outputs + o]);
            }
        }
        res_T out;
        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
            #pragma HLS UNROLL
            out[o] = output::value(sums[o]);
        }
        result.write(out);
    }
}

// Later stages: one word of input holds `inner` vectors of length rank_in; each is an outer
// product with the core's slice for the current value of the mode.
//   sums[group][inner][o] += sum_r word[inner][r] * weights[i][r][o]
template <class data_T, class res_T, typename CONFIG_T>
void contract_mode(
    hls::stream<data_T> &data, hls::stream<res_T> &result,
    const typename CONFIG_T::weight_t weights[CONFIG_T::mode * CONFIG_T::rank_in * CONFIG_T::outputs]) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    typedef emit<typename res_T::value_type, CONFIG_T, CONFIG_T::exact> output;
    sum_t sums[CONFIG_T::groups * CONFIG_T::inner][CONFIG_T::outputs];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=2
    #pragma HLS ARRAY_RESHAPE variable=weights block factor=CONFIG_T::mode dim=1
Outer:
    for (unsigned outer = 0; outer < CONFIG_T::frames * CONFIG_T::outer; outer++) {
    Mode:
        for (unsigned i = 0; i < CONFIG_T::mode; i++) {
        Groups:
            for (unsigned group = 0; group < CONFIG_T::groups; group++) {
                const data_T word = data.read();
            Inner:
                for (unsigned inner = 0; inner < CONFIG_T::inner; inner++) {
                    #pragma HLS PIPELINE II=CONFIG_T::interval
                    const unsigned row = group * CONFIG_T::inner + inner;
                    for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                        #pragma HLS UNROLL
                        sums[row][o] = i == 0 ? sum_t(0) : sums[row][o];
                    }
                    for (unsigned r = 0; r < CONFIG_T::rank_in; r++) {
                        #pragma HLS UNROLL
                        const sum_t value = code(word[inner * CONFIG_T::rank_in + r]);
                        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                            #pragma HLS UNROLL
                            const unsigned at = (i * CONFIG_T::rank_in + r) * CONFIG_T::outputs + o;
                            sums[row][o] += value * sum_t(weights[at]);
                        }
                    }
                    if (i == CONFIG_T::mode - 1) {
                        res_T out;
                        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                            #pragma HLS UNROLL
                            out[o] = output::value(sums[row][o]);
                        }
                        result.write(out);
                    }
                }
            }
        }
    }
}

} // namespace fdht

#endif
