#ifndef FDHT_HEAD_H_
#define FDHT_HEAD_H_

#include "fdht_integer.h"
#include "hls_stream.h"

// The head: a dense layer that adds up while the cell gives on one hidden unit after the other, so
// that logits are there a few clocks after the last unit.
namespace fdht {

// Reference for the generated configurations.
struct head_config {
    static const unsigned units = 1;   // H
    static const unsigned classes = 1; // logits
    static const int sum_width = 32;   // of a logit; no sum exceeds it
    static const int product_shift = 0; // exact shifts that align products and bias
    static const int bias_shift = 0;
};

// One result: logit[c] = bias[0][c] + sum_u hidden[u] * weights[u][c]. `number` is the order in which
// units come.
template <typename CONFIG_T, class data_T, class res_T>
void head(hls::stream<data_T> &hidden, hls::stream<res_T> &logits,
          const typename CONFIG_T::head_number_t number[CONFIG_T::units],
          const typename CONFIG_T::head_weight_t weights[CONFIG_T::units][CONFIG_T::classes],
          const typename CONFIG_T::head_bias_t bias[1][CONFIG_T::classes]) {
    typedef typename integer<CONFIG_T::sum_width>::type sum_t;
    typedef typename res_T::value_type logit_t;
    sum_t sums[CONFIG_T::classes];
    #pragma HLS ARRAY_PARTITION variable=sums complete
    #pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
    #pragma HLS ARRAY_RESHAPE variable=bias complete dim=2
    res_T out;
Units:
    for (unsigned unit = 0; unit < CONFIG_T::units; unit++) {
        #pragma HLS PIPELINE II=1
        const data_T word = hidden.read();
        const auto value = code(word[0]);
        const unsigned row = unsigned(number[unit]);
        for (unsigned c = 0; c < CONFIG_T::classes; c++) {
            #pragma HLS UNROLL
            const sum_t before = unit == 0 ? sum_t(0) : sums[c];
            sums[c] = before + product<sum_t>(value, weights[row][c]);
            // Only what the last unit leaves here is ever read.
            const sum_t sum = scale_up<CONFIG_T::product_shift>(sums[c]) + scale_up<CONFIG_T::bias_shift>(sum_t(bias[0][c]));
            out[c] = from_code<logit_t>(sum);
        }
        if (unit == CONFIG_T::units - 1) {
            logits.write(out);
        }
    }
}

} // namespace fdht

#endif
