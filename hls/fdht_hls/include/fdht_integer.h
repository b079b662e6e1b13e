#ifndef FDHT_INTEGER_H_
#define FDHT_INTEGER_H_

#include "ap_fixed.h"
#include "ap_int.h"

#include <cstdint>
#include <type_traits>

// For C simulation at speed the same source compiles on the processor's own integers.
#if defined(FDHT_NATIVE_INTEGERS) && !defined(__SYNTHESIS__)
#define FDHT_NATIVE 1
#endif

// Integers of a stated width, and the one rounding rule.
//
// Everything is computed on codes: integers whose binary point is known to the generator alone. The
// results of both builds are equal because no sum can exceed its stated width.
namespace fdht {

#if defined(FDHT_NATIVE)
template <int W> struct integer {
    static_assert(W <= 64, "a sum does not fit the processor's integers");
    typedef typename std::conditional<(W <= 32), int32_t, int64_t>::type type;
};
#else
template <int W> struct integer {
    typedef ap_int<W> type;
};
#endif

// The processor's narrowest integer that holds W bits.
template <int W, bool SIGNED> struct narrowest {
    typedef typename std::conditional<SIGNED, int8_t, uint8_t>::type narrow;
    typedef typename std::conditional<SIGNED, int16_t, uint16_t>::type middle;
    typedef typename std::conditional<SIGNED, int32_t, uint32_t>::type wide;
    typedef typename std::conditional<SIGNED, int64_t, uint64_t>::type widest;
    typedef typename std::conditional<(W <= 32), wide, widest>::type higher;
    typedef typename std::conditional<(W <= 16), middle, higher>::type upper;
    typedef typename std::conditional<(W <= 8), narrow, upper>::type type;
};

// Integers that weights and tables are made of. In C simulation they are plain integers, because a
// table of thousands of ap_int is filled by a constructor each, at every start, and compiles for
// minutes. A native build multiplies them as they are, eight or more at once.
#if defined(__SYNTHESIS__)
template <int W, bool SIGNED> struct constant {
    typedef typename std::conditional<SIGNED, ap_int<W>, ap_uint<W>>::type type;
};
#elif defined(FDHT_NATIVE)
template <int W, bool SIGNED> struct constant {
    typedef typename integer<SIGNED ? W : W + 1>::type type;
};
#else
template <int W, bool SIGNED> struct constant {
    typedef typename narrowest<W, SIGNED>::type type;
};
#endif

// The code of a fixed-point number: its bits, read as an integer.
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
typename integer<W>::type code(const ap_fixed<W, I, Q, O, N> &value) {
    #pragma HLS INLINE
    ap_int<W> bits;
    bits.range(W - 1, 0) = value.range(W - 1, 0);
    return (typename integer<W>::type)bits;
}

template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
typename integer<W + 1>::type code(const ap_ufixed<W, I, Q, O, N> &value) {
    #pragma HLS INLINE
    ap_uint<W> bits;
    bits.range(W - 1, 0) = value.range(W - 1, 0);
    return (typename integer<W + 1>::type)bits;
}

// A plain integer is a code already: what a native build streams.
template <class plain_T>
typename std::enable_if<std::is_integral<plain_T>::value, plain_T>::type code(const plain_T &value) {
    return value;
}

// The fixed-point number with a given code.
template <class fixed_T, class code_T>
typename std::enable_if<!std::is_integral<fixed_T>::value, fixed_T>::type from_code(const code_T &code) {
    #pragma HLS INLINE
    ap_int<fixed_T::width> bits = code;
    fixed_T value;
    value.range(fixed_T::width - 1, 0) = bits.range(fixed_T::width - 1, 0);
    return value;
}

template <class plain_T, class code_T>
typename std::enable_if<std::is_integral<plain_T>::value, plain_T>::type from_code(const code_T &code) {
    return plain_T(code);
}

// What a stream between two of our processes carries: words of fixed-point numbers, for which a
// native build has words of plain integers.
#if defined(FDHT_NATIVE)
template <class word_T> struct carried;

template <template <class, unsigned> class array_T, int W, int I, ap_q_mode Q, ap_o_mode O, int N, unsigned SIZE>
struct carried<array_T<ap_fixed<W, I, Q, O, N>, SIZE>> {
    typedef array_T<typename narrowest<W, true>::type, SIZE> type;
};

template <template <class, unsigned> class array_T, int W, int I, ap_q_mode Q, ap_o_mode O, int N, unsigned SIZE>
struct carried<array_T<ap_ufixed<W, I, Q, O, N>, SIZE>> {
    typedef array_T<typename narrowest<W, false>::type, SIZE> type;
};
#else
template <class word_T> struct carried {
    typedef word_T type;
};
#endif

// value * weight, exactly. A product of two ap_int is as wide as both together, and the multiplier no
// wider than its factors; the processor's integers are widened first.
template <class sum_T, class value_T, class weight_T> sum_T product(const value_T &value, const weight_T &weight) {
    #pragma HLS INLINE
#if defined(FDHT_NATIVE)
    return sum_T(value) * sum_T(weight);
#else
    return sum_T(value * weight);
#endif
}

// value * 2^SHIFT, exactly. For the processor it is a product, because C++ before 2020 does not define
// the shift of a negative integer to the left.
template <int SHIFT, class integer_T> integer_T scale_up(const integer_T &value) {
    #pragma HLS INLINE
#if defined(FDHT_NATIVE)
    return integer_T(int64_t(value) * (int64_t(1) << SHIFT));
#else
    return value << SHIFT;
#endif
}

// value * 2^-SHIFT, rounded half to even: AP_RND_CONV. A negative SHIFT is exact.
template <int W, int SHIFT, bool RIGHT = (SHIFT > 0)> struct shifter;

template <int W, int SHIFT> struct shifter<W, SHIFT, true> {
    // A shift by W already rounds every value to zero; a further one would leave the integers.
    static const int DROPPED = SHIFT < W ? SHIFT : W;
    typedef typename integer<W + 1>::type result_t;
    static result_t apply(const typename integer<W>::type &value) {
        #pragma HLS INLINE
        result_t wide = value;
        // Half minus one, plus the bit that will become the lowest, carries exactly when the
        // fraction is above a half, or a half and the result would be odd.
        result_t odd = (wide >> DROPPED) & result_t(1);
        result_t half = (result_t(1) << (DROPPED - 1)) - result_t(1);
        result_t sum = wide + half + odd;
        return sum >> DROPPED;
    }
};

template <int W, int SHIFT> struct shifter<W, SHIFT, false> {
    typedef typename integer<W - SHIFT>::type result_t;
    static result_t apply(const typename integer<W>::type &value) {
        #pragma HLS INLINE
        return scale_up<-SHIFT>(result_t(value));
    }
};

// Rounds a sum of W bits half to even by SHIFT bits and saturates it to a signed code of OUT bits.
template <int W, int SHIFT, int OUT>
typename integer<OUT>::type round_saturate(const typename integer<W>::type &value) {
    #pragma HLS INLINE
    typedef typename shifter<W, SHIFT>::result_t rounded_t;
    const rounded_t rounded = shifter<W, SHIFT>::apply(value);
    const typename integer<OUT>::type maximum = (int64_t(1) << (OUT - 1)) - 1;
    const typename integer<OUT>::type minimum = -(int64_t(1) << (OUT - 1));
    if (rounded > maximum) {
        return maximum;
    }
    if (rounded < minimum) {
        return minimum;
    }
    return (typename integer<OUT>::type)rounded;
}

// The index of a signed code of W bits in a truth table: its raw bits.
template <int W, class code_T> unsigned table_index(const code_T &code) {
    #pragma HLS INLINE
    return unsigned(int(code)) & ((1u << W) - 1);
}

} // namespace fdht

#endif
