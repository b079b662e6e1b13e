#ifndef FDHT_CONTRACTION_H_
#define FDHT_CONTRACTION_H_

#include "fdht_integer.h"
#include "hls_stream.h"

// Stages of a streaming tensor contraction, one a core, last mode first.
//
// A frame arrives in raster order as fibres of its last mode. Each stage accumulates in the order
// in which data arrive (outer products), so no transpose memory exists: the transposition is in
// the order of the loops. A stage sums exactly and rounds once, when its mode has passed.
//
// A turn of a stage takes `vectors` vectors to `outputs` sums each. It is done in beats of one clock:
// in a beat `vector_parallel` values of each vector meet `output_parallel` outputs. Pieces of the
// vector are the outer loop, pieces of the outputs the inner one.
namespace fdht {

// Reference for the generated configurations.
struct contraction_config {
    static const unsigned frames = 1;      // time steps in a call
    static const unsigned outer = 1;       // product of the modes still to come
    static const unsigned mode = 1;        // n_k, the mode that this stage sums
    static const unsigned groups = 1;      // words of input for each value of that mode
    static const unsigned inner = 1;       // groups of vectors in a word of input
    static const unsigned lanes = 1;       // vectors in a group: bonds that pass by or number terms
    static const unsigned rank_in = 1;     // length of such a vector: bonds that this stage sums
    static const unsigned outputs = 1;     // new output modes times the bonds that this stage opens
    static const unsigned opened = 1;      // of these the bonds
    static const unsigned banks = 1;       // terms of a sum, each with weights of its own
    static const unsigned bank_stride = 1; // lanes between one term and the next
    static const unsigned low = 1;         // lanes that end before the opened bonds do
    static const unsigned vectors = 1;         // vectors of a word that are worked on at once
    static const unsigned words_at_once = 1;   // words of output that they complete at once
    static const unsigned vector_parallel = 1; // values of a vector in a beat
    static const unsigned vector_pieces = 1;   // beats' worth of values in a vector
    static const unsigned output_parallel = 1; // outputs that each of them meets in a beat
    static const unsigned output_pieces = 1;   // beats' worth of outputs
    static const int accumulator_width = 32;
    static const int shift = 0; // fractional bits that rounding drops
    static const bool adders = false; // shifts and adders for constants, in `constants`, multiply
};

// Weights that one beat needs, in a row; and all rows of a stage. For each value of the mode and each bank
// a later stage has as many of them as a fibre's stage has in all.
template <typename CONFIG_T>
using row_weights = typename CONFIG_T::weight_t[CONFIG_T::vector_parallel * CONFIG_T::output_parallel];
template <typename CONFIG_T>
using fibre_weights = row_weights<CONFIG_T>[CONFIG_T::vector_pieces * CONFIG_T::output_pieces];
template <typename CONFIG_T>
using mode_weights =
    row_weights<CONFIG_T>[CONFIG_T::mode * CONFIG_T::banks * CONFIG_T::vector_pieces * CONFIG_T::output_pieces];

// What a stage emits: rounded to a code of the result's width, or, in the last stage, exact.
template <typename CONFIG_T, bool EXACT> struct emit;

template <typename CONFIG_T> struct emit<CONFIG_T, true> {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    template <class result_T> static result_T value(const sum_t &sum) {
        #pragma HLS INLINE
        return from_code<result_T>(sum);
    }
};

template <typename CONFIG_T> struct emit<CONFIG_T, false> {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    template <class result_T> static result_T value(const sum_t &sum) {
        #pragma HLS INLINE
        return from_code<result_T>(
            round_saturate<CONFIG_T::accumulator_width, CONFIG_T::shift, CONFIG_T::result_width>(sum));
    }
};

// One beat of a vector: all products of `vector_parallel` values, from word[first] on, with `output_parallel`
// outputs, summed over the values. `weights` is what one read gives.
template <typename CONFIG_T, class data_T>
void multiply(const data_T &word, unsigned first, const typename CONFIG_T::weight_t weights[],
              typename integer<CONFIG_T::accumulator_width>::type products[CONFIG_T::output_parallel]) {
    #pragma HLS INLINE
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    for (unsigned p = 0; p < CONFIG_T::output_parallel; p++) {
        #pragma HLS UNROLL
        products[p] = 0;
    }
    for (unsigned v = 0; v < CONFIG_T::vector_parallel; v++) {
        #pragma HLS UNROLL
        const auto value = code(word[first + v]);
        for (unsigned p = 0; p < CONFIG_T::output_parallel; p++) {
            #pragma HLS UNROLL
            products[p] += product<sum_t>(value, weights[v * CONFIG_T::output_parallel + p]);
        }
    }
}

// The same by what a stage is made of: multipliers, or a graph of adders for its constants.
template <typename CONFIG_T, bool ADDERS = CONFIG_T::adders> struct beat {
    template <class data_T, class sum_T>
    static void products_of(const data_T &word, unsigned first, const typename CONFIG_T::weight_t weights[],
                            sum_T products[CONFIG_T::output_parallel]) {
        #pragma HLS INLINE
        multiply<CONFIG_T>(word, first, weights, products);
    }
};

template <typename CONFIG_T> struct beat<CONFIG_T, true> {
    template <class data_T, class sum_T>
    static void products_of(const data_T &word, unsigned first, const typename CONFIG_T::weight_t[],
                            sum_T products[CONFIG_T::output_parallel]) {
        #pragma HLS INLINE
        CONFIG_T::constants::multiply(word, first, products);
    }
};

// One beat of a fibre: adds its products to the sums of its turn, and puts these into the word of output.
template <typename CONFIG_T, class data_T, class sum_T, class res_T>
void fibre_beat(const data_T &word, unsigned piece, unsigned part,
                const row_weights<CONFIG_T> weights[],
                sum_T sums[][CONFIG_T::output_parallel], res_T &out) {
    #pragma HLS INLINE
    typedef typename res_T::value_type result_t;
    sum_T products[CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=products complete
    beat<CONFIG_T>::products_of(word, piece * CONFIG_T::vector_parallel,
                                weights[piece * CONFIG_T::output_pieces + part], products);
    for (unsigned p = 0; p < CONFIG_T::output_parallel; p++) {
        #pragma HLS UNROLL
        const sum_T before = piece == 0 ? sum_T(0) : sums[part][p];
        sums[part][p] = before + products[p];
        // Only what the last piece of the vector leaves here is ever read.
        out[part * CONFIG_T::output_parallel + p] =
            emit<CONFIG_T, CONFIG_T::exact>::template value<result_t>(sums[part][p]);
    }
}

// First stage: one word of input is a whole fibre of the last mode; a turn is a fibre.
//   result[o] = sum_i word[i] * weights[i][o]
// `weights` has a row for each beat of a turn.
template <typename CONFIG_T, class data_T, class res_T>
void contract_fibre(hls::stream<data_T> &data, hls::stream<res_T> &result,
                    const fibre_weights<CONFIG_T> weights) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    data_T word;
    res_T out;
    // Registers: a sum is taken up again `output_pieces` beats later, be it in the next clock.
    sum_t sums[CONFIG_T::output_pieces][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    #pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
Fibres:
    for (unsigned fibre = 0; fibre < CONFIG_T::frames * CONFIG_T::outer; fibre++) {
    Vector:
        for (unsigned piece = 0; piece < CONFIG_T::vector_pieces; piece++) {
        Outputs:
            for (unsigned part = 0; part < CONFIG_T::output_pieces; part++) {
                #pragma HLS PIPELINE II=1
                if (piece == 0 && part == 0) {
                    word = data.read();
                }
                fibre_beat<CONFIG_T>(word, piece, part, weights, sums, out);
                if (piece == CONFIG_T::vector_pieces - 1 && part == CONFIG_T::output_pieces - 1) {
                    result.write(out);
                }
            }
        }
    }
}

// Adds one beat's products to the sums of its turn. Those start, with the first piece of a vector,
// from the sums over the mode, and return to them with the last.
template <typename CONFIG_T, class sum_T>
void accumulate(bool first_piece, bool last_piece, bool first_of_mode, const sum_T products[CONFIG_T::output_parallel],
                sum_T turn[CONFIG_T::output_parallel], sum_T sums[CONFIG_T::output_parallel]) {
    #pragma HLS INLINE
    for (unsigned p = 0; p < CONFIG_T::output_parallel; p++) {
        #pragma HLS UNROLL
        const sum_T over_mode = first_of_mode ? sum_T(0) : sums[p];
        const sum_T before = first_piece ? over_mode : turn[p];
        turn[p] = before + products[p];
        if (last_piece) {
            sums[p] = turn[p];
        }
    }
}

// Puts one beat's finished sums of a vector into a word of output, which starts at out[start]. In it,
// bonds that live longer come first, so that those which the next stage sums are the innermost.
template <typename CONFIG_T, class res_T>
void put(unsigned start, unsigned lane, unsigned part,
         const typename integer<CONFIG_T::accumulator_width>::type sums[CONFIG_T::output_parallel], res_T &out) {
    #pragma HLS INLINE
    static const unsigned high = CONFIG_T::lanes / CONFIG_T::low;
    for (unsigned p = 0; p < CONFIG_T::output_parallel; p++) {
        #pragma HLS UNROLL
        const unsigned o = part * CONFIG_T::output_parallel + p;
        const unsigned mode_out = o / CONFIG_T::opened;
        const unsigned bond = (mode_out * high + lane / CONFIG_T::low) * CONFIG_T::opened + o % CONFIG_T::opened;
        out[start + bond * CONFIG_T::low + lane % CONFIG_T::low] =
            emit<CONFIG_T, CONFIG_T::exact>::template value<typename res_T::value_type>(sums[p]);
    }
}

// Which beat of a value of the mode it is: a word of input, a turn of it, pieces of vectors and outputs.
struct beat_place {
    unsigned group;
    unsigned number;
    unsigned piece;
    unsigned part;
};

// One beat of a later stage, of value `i` of its mode: with the first one that comes the sums over the
// mode start, with the last one they are complete. Then they are put into the word of output; true if
// that leaves.
template <typename CONFIG_T, class data_T, class sum_T, class res_T>
bool mode_beat(const data_T &word, const beat_place &at, unsigned i, bool first_of_mode, bool last_of_mode,
               const row_weights<CONFIG_T> weights[],
               sum_T turn[][CONFIG_T::vectors][CONFIG_T::output_parallel],
               sum_T sums[][CONFIG_T::vectors][CONFIG_T::output_parallel], res_T &out) {
    #pragma HLS INLINE
    static const unsigned turns = CONFIG_T::inner * CONFIG_T::lanes / CONFIG_T::vectors;
    const unsigned vector = at.number * CONFIG_T::vectors;
    const unsigned lane = vector % CONFIG_T::lanes;
    const unsigned bank = lane / CONFIG_T::bank_stride % CONFIG_T::banks;
    const unsigned slice = (i * CONFIG_T::banks + bank) * CONFIG_T::vector_pieces + at.piece;
    const unsigned row = (at.group * turns + at.number) * CONFIG_T::output_pieces + at.part;
    const bool first = at.piece == 0;
    const bool last = at.piece == CONFIG_T::vector_pieces - 1;
    const bool complete = last && last_of_mode;
    for (unsigned v = 0; v < CONFIG_T::vectors; v++) {
        #pragma HLS UNROLL
        sum_T products[CONFIG_T::output_parallel];
        #pragma HLS ARRAY_PARTITION variable=products complete
        const unsigned value = (vector + v) * CONFIG_T::rank_in + at.piece * CONFIG_T::vector_parallel;
        beat<CONFIG_T>::products_of(word, value, weights[slice * CONFIG_T::output_pieces + at.part], products);
        accumulate<CONFIG_T>(first, last, first_of_mode, products, turn[at.part][v], sums[row][v]);
        if (complete) {
            const unsigned start = v / CONFIG_T::lanes * CONFIG_T::lanes * CONFIG_T::outputs;
            put<CONFIG_T>(start, lane + v % CONFIG_T::lanes, at.part, turn[at.part][v], out);
        }
    }
    return complete && lane + CONFIG_T::vectors >= CONFIG_T::lanes && at.part == CONFIG_T::output_pieces - 1;
}

// Later stages: one word of input holds inner x lanes vectors of length rank_in; each is an outer
// product with the core's slice for the current value of the mode. `vectors` of them are a turn.
//   sums[group][inner][lane][o] += sum_r word[inner][lane][r] * weights[i][bank of lane][r][o]
// A word of output is one group of vectors; `result` carries `words_at_once` of them in one. All
// vectors of a turn are of one bank, so `weights` has a row for each beat of a turn, for each value
// of the mode and each bank.
template <typename CONFIG_T, class data_T, class res_T>
void contract_mode(hls::stream<data_T> &data, hls::stream<res_T> &result,
                   const mode_weights<CONFIG_T> weights) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    static const unsigned turns = CONFIG_T::inner * CONFIG_T::lanes / CONFIG_T::vectors;
    static const unsigned rows = CONFIG_T::groups * turns * CONFIG_T::output_pieces;
    data_T word;
    res_T out;
    // Sums of the turn that runs, in registers: taken up again by the next piece of its vectors.
    sum_t turn[CONFIG_T::output_pieces][CONFIG_T::vectors][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=turn complete dim=0
    // Sums over the mode, one beat's worth a row. They come from here in the first piece of a
    // vector and return in its last. The same row is read again in the next value of the mode:
    // output_pieces x ((groups x turns - 1) x vector_pieces + 1) beats after it was written, which is
    // at least the number of rows. So either there are several clocks between, or there are so few
    // rows that they are registers (Vitis HLS partitions arrays of up to 4 by itself: UG1399,
    // config_array_partition -complete_threshold).
    sum_t sums[rows][CONFIG_T::vectors][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=2
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=3
    #pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
Outer:
    for (unsigned outer = 0; outer < CONFIG_T::frames * CONFIG_T::outer; outer++) {
    Mode:
        for (unsigned i = 0; i < CONFIG_T::mode; i++) {
        Groups:
            for (unsigned group = 0; group < CONFIG_T::groups; group++) {
            Turns:
                for (unsigned number = 0; number < turns; number++) {
                Vector:
                    for (unsigned piece = 0; piece < CONFIG_T::vector_pieces; piece++) {
                    Outputs:
                        for (unsigned part = 0; part < CONFIG_T::output_pieces; part++) {
                            #pragma HLS PIPELINE II=1
                            // The tool cannot see the distance through six counters.
                            #pragma HLS DEPENDENCE variable=sums type=inter direction=RAW distance=CONFIG_T::output_pieces*((CONFIG_T::groups*turns-1)*CONFIG_T::vector_pieces+1) true
                            const beat_place at = {group, number, piece, part};
                            if (number == 0 && piece == 0 && part == 0) {
                                word = data.read();
                            }
                            if (mode_beat<CONFIG_T>(word, at, i, i == 0, i == CONFIG_T::mode - 1, weights, turn, sums, out)) {
                                result.write(out);
                            }
                        }
                    }
                }
            }
        }
    }
}

// So many words in one.
template <class word_T, unsigned COUNT> struct several;

template <template <class, unsigned> class array_T, class value_T, unsigned SIZE, unsigned COUNT>
struct several<array_T<value_T, SIZE>, COUNT> {
    typedef array_T<value_T, SIZE * COUNT> type;
};

// One of the words that came as one, by its number in the frame.
template <typename CONFIG_T, class data_T, class res_T> void pick_word(const data_T &all, unsigned word, res_T &out) {
    #pragma HLS INLINE
    for (unsigned i = 0; i < res_T::size; i++) {
        #pragma HLS UNROLL
        out[i] = all[word % CONFIG_T::words_at_once * res_T::size + i];
    }
}

// Gives words that came as one on, a word a clock.
template <typename CONFIG_T, class data_T, class res_T>
void split_words(hls::stream<data_T> &data, hls::stream<res_T> &result) {
    data_T all;
Words:
    for (unsigned word = 0; word < CONFIG_T::frames * CONFIG_T::outer * CONFIG_T::groups * CONFIG_T::inner; word++) {
        #pragma HLS PIPELINE II=1
        if (word % CONFIG_T::words_at_once == 0) {
            all = data.read();
        }
        res_T out;
        pick_word<CONFIG_T>(all, word, out);
        result.write(out);
    }
}

// A later stage whose turns are whole groups of vectors, so that each completes several words. They
// wait in a FIFO while the next sums are added up, and leave a word a clock.
template <typename CONFIG_T, class data_T, class res_T>
void contract_mode_groups(hls::stream<data_T> &data, hls::stream<res_T> &result,
                          const mode_weights<CONFIG_T> weights) {
    #pragma HLS DATAFLOW
    hls::stream<typename several<res_T, CONFIG_T::words_at_once>::type> several_words("several_words");
    #pragma HLS STREAM variable=several_words depth=16
    contract_mode<CONFIG_T>(data, several_words, weights);
    split_words<CONFIG_T>(several_words, result);
}

} // namespace fdht

#endif
