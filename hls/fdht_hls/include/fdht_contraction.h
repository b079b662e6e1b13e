#ifndef FDHT_CONTRACTION_H_
#define FDHT_CONTRACTION_H_

#include "fdht_integer.h"
#include "hls_stream.h"

// Stages of a streaming tensor contraction, one a core, last mode first.
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
    static const unsigned inner = 1;    // groups of vectors in a word of input
    static const unsigned lanes = 1;    // vectors in a group: bonds that pass by or number terms
    static const unsigned rank_in = 1;  // length of such a vector: bonds that this stage sums
    static const unsigned outputs = 1;  // new output modes times the bonds that this stage opens
    static const unsigned opened = 1;   // of these the bonds
    static const unsigned banks = 1;    // terms of a sum, each with weights of its own
    static const unsigned bank_stride = 1; // lanes between one term and the next
    static const unsigned low = 1;      // lanes that end before the opened bonds do
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

// Later stages: one word of input holds inner x lanes vectors of length rank_in; each is an outer
// product with the core's slice for the current value of the mode.
//   sums[group][inner][lane][o] += sum_r word[inner][lane][r] * weights[i][bank of lane][r][o]
// A word of output is one group of vectors. In it, bonds that live longer come first, so that those
// which the next stage sums are the innermost.
template <class data_T, class res_T, typename CONFIG_T>
void contract_mode(hls::stream<data_T> &data, hls::stream<res_T> &result,
                   const typename CONFIG_T::weight_t
                       weights[CONFIG_T::mode * CONFIG_T::banks * CONFIG_T::rank_in * CONFIG_T::outputs]) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    typedef emit<typename res_T::value_type, CONFIG_T, CONFIG_T::exact> output;
    static const unsigned vectors = CONFIG_T::inner * CONFIG_T::lanes;
    static const unsigned high = CONFIG_T::lanes / CONFIG_T::low;
    sum_t sums[CONFIG_T::groups * vectors][CONFIG_T::outputs];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=2
    #pragma HLS ARRAY_RESHAPE variable=weights block factor=CONFIG_T::mode * CONFIG_T::banks dim=1
Outer:
    for (unsigned outer = 0; outer < CONFIG_T::frames * CONFIG_T::outer; outer++) {
    Mode:
        for (unsigned i = 0; i < CONFIG_T::mode; i++) {
        Groups:
            for (unsigned group = 0; group < CONFIG_T::groups; group++) {
                const data_T word = data.read();
                res_T out;
            Vectors:
                for (unsigned vector = 0; vector < vectors; vector++) {
                    #pragma HLS PIPELINE II=CONFIG_T::interval
                    const unsigned lane = vector % CONFIG_T::lanes;
                    const unsigned bank = lane / CONFIG_T::bank_stride % CONFIG_T::banks;
                    const unsigned row = group * vectors + vector;
                    for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                        #pragma HLS UNROLL
                        sums[row][o] = i == 0 ? sum_t(0) : sums[row][o];
                    }
                    for (unsigned r = 0; r < CONFIG_T::rank_in; r++) {
                        #pragma HLS UNROLL
                        const sum_t value = code(word[vector * CONFIG_T::rank_in + r]);
                        const unsigned slice = (i * CONFIG_T::banks + bank) * CONFIG_T::rank_in + r;
                        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                            #pragma HLS UNROLL
                            sums[row][o] += value * sum_t(weights[slice * CONFIG_T::outputs + o]);
                        }
                    }
                    if (i == CONFIG_T::mode - 1) {
                        for (unsigned o = 0; o < CONFIG_T::outputs; o++) {
                            #pragma HLS UNROLL
                            const unsigned mode_out = o / CONFIG_T::opened;
                            const unsigned place = (mode_out * high + lane / CONFIG_T::low) * CONFIG_T::opened +
                                                   o % CONFIG_T::opened;
                            out[place * CONFIG_T::low + lane % CONFIG_T::low] = output::value(sums[row][o]);
                        }
                        if (lane == CONFIG_T::lanes - 1) {
                            result.write(out);
                        }
                    }
                }
            }
        }
    }
}

} // namespace fdht

#endif
