#ifndef FDHT_SPARSE_H_
#define FDHT_SPARSE_H_

#include "fdht_contraction.h"
#include "fdht_integer.h"
#include "fdht_observe.h"
#include "hls_stream.h"

// Stages that work for what arrives. Of a frame only words come that are not zero, each with its place:
// a coordinate for each mode that is still to be summed. A sum over a mode is complete when no further
// word of the frame belongs to it, which the place says as well; it then leaves with the rest of the
// place. A sum of nothing rounds to zero, so nothing is emitted for what nothing reached.
//
// The beats are those of fdht_contraction.h. What differs are the loops: there nested counters, here one
// loop that steps its counters itself and ends with the frame. Vitis HLS flattens nested loops, so that
// beats of one word follow those of another without a gap, only if all but the outermost have constant
// bounds and nothing but the innermost has a body; a loop that ends when its data say so is neither.
namespace fdht {

// Bits of an integer from 0 to MOST.
template <unsigned MOST> struct bits_of {
    static const unsigned value = 1 + bits_of<MOST / 2>::value;
};

template <> struct bits_of<0> {
    static const unsigned value = 1;
};

template <> struct bits_of<1> {
    static const unsigned value = 1;
};

constexpr unsigned largest(unsigned first) {
    return first;
}

template <class... others_T> constexpr unsigned largest(unsigned first, unsigned second, others_T... others) {
    return largest(first > second ? first : second, others...);
}

constexpr unsigned product_of() {
    return 1;
}

template <class... others_T> constexpr unsigned product_of(unsigned first, others_T... others) {
    return first * product_of(others...);
}

// A natural number of some bits.
template <unsigned BITS> struct natural {
#if defined(FDHT_NATIVE)
    typedef unsigned type;
#else
    typedef ap_uint<BITS> type;
#endif
};

// number / BY, of numbers with so many bits, as a product with the reciprocal: a divider takes tens of
// clocks. Rounding the reciprocal up adds less than number / 2^shift, which is too little to reach the
// next quotient.
template <unsigned BY, unsigned BITS> unsigned quotient(unsigned number) {
    #pragma HLS INLINE
    static const unsigned shift = BITS + bits_of<BY - 1>::value;
    static const uint64_t reciprocal = ((uint64_t(1) << shift) + BY - 1) / BY;
    return unsigned((uint64_t(number) * reciprocal) >> shift);
}

// Where in a frame a word lies: a coordinate for each mode of these lengths, the fastest first; and for
// each sum over one of them whether it is the last word of this frame that belongs to it. Where one
// ends, those of the modes before it do, and with the last one the frame.
template <unsigned... LENGTHS> struct place {
    static const unsigned modes = sizeof...(LENGTHS);
    static const unsigned words = product_of(LENGTHS...);
    typename natural<bits_of<largest(LENGTHS...) - 1>::value>::type at[modes];
    natural<1>::type ends[modes];
#if !defined(__SYNTHESIS__)
    // Of a word in its frame.
    size_t number() const {
        const unsigned lengths[] = {LENGTHS...};
        size_t found = 0;
        for (unsigned mode = modes; mode > 0; mode--) {
            found = found * lengths[mode - 1] + unsigned(at[mode - 1]);
        }
        return found;
    }
#endif
};

// Cuts the number of a word in its frame into coordinates.
template <unsigned... LENGTHS> struct coordinates;

template <> struct coordinates<> {
    template <class place_T> static void of(unsigned, place_T &) {
        #pragma HLS INLINE
    }
};

template <unsigned FIRST, unsigned... OTHERS> struct coordinates<FIRST, OTHERS...> {
    template <class place_T> static void of(unsigned number, place_T &place) {
        #pragma HLS INLINE
        static const unsigned most = FIRST * product_of(OTHERS...) - 1;
        const unsigned rest = quotient<FIRST, bits_of<most>::value>(number);
        place.at[place_T::modes - 1 - sizeof...(OTHERS)] = number - rest * FIRST;
        coordinates<OTHERS...>::of(rest, place);
    }
};

template <unsigned... LENGTHS> void locate(unsigned number, place<LENGTHS...> &place) {
    #pragma HLS INLINE
    coordinates<LENGTHS...>::of(number, place);
}

// Gives the place of a word of output on: of the modes that are still to be summed. Behind the last
// stage there is none.
template <class place_T> void hand_on(const place_T &) {
    #pragma HLS INLINE
}

template <class place_T, class rest_T> void hand_on(const place_T &place, hls::stream<rest_T> &leaving) {
    #pragma HLS INLINE
    static const unsigned summed = place_T::modes - rest_T::modes;
    rest_T rest;
    for (unsigned mode = 0; mode < rest_T::modes; mode++) {
        #pragma HLS UNROLL
        rest.at[mode] = place.at[summed + mode];
        rest.ends[mode] = place.ends[summed + mode];
    }
    leaving.write(rest);
}

// `contract_fibre` of what arrives; a fibre's place stays what it is. `leaving` are the places of the
// words in `result`: one stream, or none.
template <typename CONFIG_T, class data_T, class place_T, class res_T, class... rest_T>
void contract_placed_fibre(hls::stream<data_T> &data, hls::stream<place_T> &places, hls::stream<res_T> &result,
                           const fibre_weights<CONFIG_T> weights,
                           hls::stream<rest_T> &...leaving) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    static const unsigned most = CONFIG_T::outer * CONFIG_T::vector_pieces * CONFIG_T::output_pieces;
    data_T word;
    place_T place;
    res_T out;
    sum_t sums[CONFIG_T::output_pieces][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=0
    #pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
    unsigned piece = 0, part = 0;
Beats:
    for (unsigned beat = 0; beat < most; beat++) {
        #pragma HLS PIPELINE II=1
        if (piece == 0 && part == 0) {
            word = data.read();
            place = places.read();
        }
        fibre_beat<CONFIG_T>(word, piece, part, weights, sums, out);
        const bool last_part = part == CONFIG_T::output_pieces - 1;
        const bool last = last_part && piece == CONFIG_T::vector_pieces - 1;
        part = last_part ? 0 : part + 1;
        piece = last ? 0 : piece + last_part;
        if (last) {
            result.write(out);
            hand_on(place, leaving...);
        }
        if (last && place.ends[place_T::modes - 1]) {
            break;
        }
    }
}

// Steps to the next beat of a value of the mode; true behind its last one.
template <typename CONFIG_T> bool step(beat_place &at) {
    #pragma HLS INLINE
    static const unsigned turns = CONFIG_T::inner * CONFIG_T::lanes / CONFIG_T::vectors;
    const bool last_part = at.part == CONFIG_T::output_pieces - 1;
    const bool last_piece = last_part && at.piece == CONFIG_T::vector_pieces - 1;
    const bool last_turn = last_piece && at.number == turns - 1;
    const bool last = last_turn && at.group == CONFIG_T::groups - 1;
    at.part = last_part ? 0 : at.part + 1;
    at.piece = last_piece ? 0 : at.piece + last_part;
    at.number = last_turn ? 0 : at.number + last_piece;
    at.group = last ? 0 : at.group + last_turn;
    return last;
}

// `contract_mode` of what arrives. All words of one value of the mode have the same place.
template <typename CONFIG_T, class data_T, class place_T, class res_T, class... rest_T>
void contract_placed_mode(hls::stream<data_T> &data, hls::stream<place_T> &places, hls::stream<res_T> &result,
                          const mode_weights<CONFIG_T> weights,
                          hls::stream<rest_T> &...leaving) {
    typedef typename integer<CONFIG_T::accumulator_width>::type sum_t;
    static const unsigned turns = CONFIG_T::inner * CONFIG_T::lanes / CONFIG_T::vectors;
    static const unsigned rows = CONFIG_T::groups * turns * CONFIG_T::output_pieces;
    static const unsigned most = CONFIG_T::outer * CONFIG_T::mode * rows * CONFIG_T::vector_pieces;
    data_T word;
    place_T place;
    res_T out;
    // As in `contract_mode`.
    sum_t turn[CONFIG_T::output_pieces][CONFIG_T::vectors][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=turn complete dim=0
    sum_t sums[rows][CONFIG_T::vectors][CONFIG_T::output_parallel];
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=2
    #pragma HLS ARRAY_PARTITION variable=sums complete dim=3
    #pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
    beat_place at = {0, 0, 0, 0};
    // Has the value of the mode before this one ended a sum?
    bool first = true;
Beats:
    for (unsigned beat = 0; beat < most; beat++) {
        #pragma HLS PIPELINE II=1
        // Of all words of a value of the mode each comes, so that a row is read again as late as there.
        #pragma HLS DEPENDENCE variable=sums type=inter direction=RAW distance=CONFIG_T::output_pieces*((CONFIG_T::groups*turns-1)*CONFIG_T::vector_pieces+1) true
        if (at.number == 0 && at.piece == 0 && at.part == 0) {
            word = data.read();
            place = places.read();
        }
        if (mode_beat<CONFIG_T>(word, at, place.at[0], first, place.ends[0], weights, turn, sums, out)) {
            result.write(out);
            hand_on(place, leaving...);
        }
        const bool last = step<CONFIG_T>(at);
        if (last) {
            first = place.ends[0];
        }
        if (last && place.ends[place_T::modes - 1]) {
            break;
        }
    }
}

// `split_words` of what arrives: each word leaves with the place of those that came as one.
template <typename CONFIG_T, class data_T, class place_T, class res_T>
void split_placed_words(hls::stream<data_T> &data, hls::stream<place_T> &places, hls::stream<res_T> &result,
                        hls::stream<place_T> &leaving) {
    static const unsigned words = CONFIG_T::groups * CONFIG_T::inner;
    data_T all;
    place_T place;
    unsigned word = 0;
Words:
    for (unsigned number = 0; number < CONFIG_T::outer * words; number++) {
        #pragma HLS PIPELINE II=1
        if (word % CONFIG_T::words_at_once == 0) {
            all = data.read();
            place = places.read();
        }
        res_T out;
        pick_word<CONFIG_T>(all, word, out);
        result.write(out);
        leaving.write(place);
        const bool last = word == words - 1;
        word = last ? 0 : word + 1;
        if (last && place.ends[place_T::modes - 1]) {
            break;
        }
    }
}

// `contract_mode_groups` of what arrives.
template <typename CONFIG_T, class data_T, class place_T, class res_T, class rest_T>
void contract_placed_mode_groups(hls::stream<data_T> &data, hls::stream<place_T> &places, hls::stream<res_T> &result,
                                 const mode_weights<CONFIG_T> weights,
                                 hls::stream<rest_T> &leaving) {
    #pragma HLS DATAFLOW
    hls::stream<typename several<res_T, CONFIG_T::words_at_once>::type> several_words("several_words");
    #pragma HLS STREAM variable=several_words depth=16
    hls::stream<rest_T> several_places("several_places");
    #pragma HLS STREAM variable=several_places depth=16
    contract_placed_mode<CONFIG_T>(data, places, several_words, weights, several_places);
    split_placed_words<CONFIG_T>(several_words, several_places, result, leaving);
}

// The same of a path's last stage, which emits all its words, once a frame.
template <typename CONFIG_T, class data_T, class place_T, class res_T>
void contract_placed_mode_groups(hls::stream<data_T> &data, hls::stream<place_T> &places, hls::stream<res_T> &result,
                                 const mode_weights<CONFIG_T> weights) {
    #pragma HLS DATAFLOW
    hls::stream<typename several<res_T, CONFIG_T::words_at_once>::type> several_words("several_words");
    #pragma HLS STREAM variable=several_words depth=16
    contract_placed_mode<CONFIG_T>(data, places, several_words, weights);
    split_words<CONFIG_T>(several_words, result);
}

#if !defined(__SYNTHESIS__)
// What a stage emits for a frame, as if all of it did: `WORDS` words for each place, of zeros where
// nothing was emitted. They stay in their streams.
template <unsigned WORDS, class word_T, class place_T>
void observe(hls::stream<word_T> &stream, hls::stream<place_T> &places) {
    if (!observing().values) {
        return;
    }
    size_t next = 0;
    const auto skip_to = [&next](size_t word) {
        for (; next < word; next++) {
            for (unsigned i = 0; i < word_T::size; i++) {
                observing().take(0);
            }
        }
    };
    for (size_t words = stream.size(); words > 0; words--) {
        const word_T word = stream.read();
        const place_T place = places.read();
        skip_to(place.number() * WORDS);
        for (unsigned i = 0; i < word_T::size; i++) {
            observing().take(code(word[i]));
        }
        next++;
        stream.write(word);
        places.write(place);
    }
    skip_to(size_t(place_T::words) * WORDS);
}
#endif

} // namespace fdht

#endif
