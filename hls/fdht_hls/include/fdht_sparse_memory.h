#ifndef FDHT_SPARSE_MEMORY_H_
#define FDHT_SPARSE_MEMORY_H_

#include "fdht_memory.h"
#include "fdht_sparse.h"

// Sparse frames out of memory. A frame is a header, which says how many words follow, and these: all of
// a dense frame, or, of a sparse one, for each block of 64 words a bitmap that says which of them follow,
// and these. See fdht_models/tensor/sparse_frames.py.
//
//   read_sparse_words --> unpack_frame --> collect_units --> place_fibres --> fibres with their places
//                              |
//                              +--> judge_frame --> write_kept_result
//
// Nothing is read behind the words of the call. A frame that cannot be read ends where the damage is
// found, those behind it in the call are empty, and the results of all of them are not written.
namespace fdht {

// Bits of the register `frame_faults`; see `FrameFault` in sparse_frames.py.
typedef ap_uint<5> faults_t;
static const unsigned fault_header = 1;
static const unsigned fault_count = 2;
static const unsigned fault_behind = 4;
static const unsigned fault_short = 8;
static const unsigned fault_long = 16;
// See `FrameKind` there.
static const unsigned kind_sparse = 1;
static const unsigned kind_dense = 2;
// Words that a bitmap tells of.
static const unsigned block_words = 64;

// What a header says: the words that follow, and how they are to be read.
struct frame_head {
    unsigned words;
    bool dense;
    faults_t faults;
};

// A word of a frame that is not left out, or behind the last one the frame's end.
template <unsigned FRAME_WORDS> struct frame_item {
    word_t word;
    typename natural<bits_of<FRAME_WORDS - 1>::value>::type number;
    bool last;
};

// Words that together are whole fibres.
template <unsigned WORDS, unsigned UNITS> struct frame_unit {
    word_t words[WORDS];
    typename natural<bits_of<UNITS - 1>::value>::type number;
    bool last;
};

// Has a frame of these faults to be given up? Words behind the last frame do no harm.
inline bool is_damaged(const faults_t &faults) {
    #pragma HLS INLINE
    return (faults & faults_t(31 - fault_long)) != 0;
}

// Header `header`, behind which the call has `left` words.
template <unsigned FRAME_WORDS> frame_head read_head(const word_t &header, unsigned left) {
    #pragma HLS INLINE
    static const unsigned blocks = (FRAME_WORDS + block_words - 1) / block_words;
    const unsigned words = unsigned(header & word_t(0xffffffffu)), kind = unsigned(header >> 32);
    const bool sparse = kind == kind_sparse && words >= blocks && words <= blocks + FRAME_WORDS;
    frame_head head = {0, kind == kind_dense, 0};
    if (!sparse && !(head.dense && words == FRAME_WORDS)) {
        head.faults = fault_header;
    } else if (words > left) {
        head.faults = fault_short;
    } else {
        head.words = words;
    }
    return head;
}

// Reads a frame, a word a clock. Where it starts is known when the one before it has been read.
template <unsigned FRAME_WORDS>
static void read_sparse_words(const word_t *frames, unsigned frame, unsigned frame_count, unsigned call_words,
                              hls::stream<frame_head> &heads, hls::stream<word_t> &words) {
    static unsigned position = 0; // of the next header
    static bool lost = false;     // nobody knows where it is
    if (frame == 0) {
        position = 0;
        lost = false;
    }
    frame_head head = {0, false, 0};
    if (!lost && position == call_words) {
        head.faults = fault_short;
    } else if (!lost) {
        head = read_head<FRAME_WORDS>(frames[position], call_words - position - 1);
        position++;
    }
    lost = lost || is_damaged(head.faults);
    const unsigned start = position;
    position += head.words;
    if (!lost && frame == frame_count - 1 && position != call_words) {
        head.faults = fault_long;
    }
    heads.write(head);
Words:
    for (unsigned i = 0; i < head.words; i++) {
        #pragma HLS PIPELINE II=1
        #pragma HLS LOOP_TRIPCOUNT min=1 max=FRAME_WORDS+(FRAME_WORDS+block_words-1)/block_words
        words.write(frames[start + i]);
    }
}

// The number of the lowest bit that is set.
inline unsigned lowest_bit(const word_t &bits) {
    #pragma HLS INLINE
#if defined(FDHT_NATIVE)
    return unsigned(__builtin_ctzll(bits));
#else
    unsigned lowest = 0;
    for (unsigned i = block_words; i > 0; i--) {
        #pragma HLS UNROLL
        if (((bits >> (i - 1)) & word_t(1)) != 0) {
            lowest = i - 1;
        }
    }
    return lowest;
#endif
}

// Follows the bitmaps: gives each word on with its number. From a fault on, words are read and dropped.
template <unsigned FRAME_WORDS>
static void unpack_frame(hls::stream<frame_head> &heads, hls::stream<word_t> &words, unsigned frame,
                         hls::stream<frame_item<FRAME_WORDS>> &items, hls::stream<faults_t> &verdicts) {
    static const unsigned blocks = (FRAME_WORDS + block_words - 1) / block_words;
    static const unsigned last_words = FRAME_WORDS - (blocks - 1) * block_words;
    static bool given_up = false; // an earlier frame of the call was damaged
    given_up = given_up && frame != 0;
    const frame_head head = heads.read();
    faults_t faults = given_up ? faults_t(0) : head.faults;
    bool reads = !given_up && !is_damaged(faults);
    word_t bits = 0;     // words of the block that are to come
    unsigned block = 0;  // bitmaps that have been read
Words:
    for (unsigned i = 0; i < head.words; i++) {
        #pragma HLS PIPELINE II=1
        #pragma HLS LOOP_TRIPCOUNT min=1 max=FRAME_WORDS+(FRAME_WORDS+block_words-1)/block_words
        const word_t word = words.read();
        const bool is_bitmap = !head.dense && bits == 0;
        const bool behind = last_words < block_words && block == blocks - 1 &&
                            (word >> (last_words % block_words)) != 0;
        if (reads && is_bitmap && (block == blocks || behind)) {
            faults = behind ? fault_behind : fault_count;
            reads = false;
        }
        if (reads && is_bitmap) {
            bits = word;
            block++;
        } else if (reads) {
            frame_item<FRAME_WORDS> item;
            item.word = word;
            item.number = head.dense ? i : (block - 1) * block_words + lowest_bit(bits);
            item.last = false;
            items.write(item);
            bits = bits & word_t(bits - 1);
        }
    }
    if (reads && !head.dense && (block != blocks || bits != 0)) {
        faults = fault_count;
    }
    given_up = given_up || is_damaged(faults);
    frame_item<FRAME_WORDS> end;
    end.word = 0;
    end.number = 0;
    end.last = true;
    items.write(end);
    verdicts.write(faults);
}

// Collects words of a frame in units; one leaves when a word of another one comes, or with the frame's
// end. What does not come in it is zero. A frame without words is a unit of zeros.
template <unsigned FRAME_WORDS, unsigned WORDS, unsigned UNITS>
void collect_units(hls::stream<frame_item<FRAME_WORDS>> &items, hls::stream<frame_unit<WORDS, UNITS>> &units) {
    frame_unit<WORDS, UNITS> unit;
    unit.number = 0;
    for (unsigned w = 0; w < WORDS; w++) {
        #pragma HLS UNROLL
        unit.words[w] = 0;
    }
    bool some = false;
Items:
    for (unsigned i = 0; i < FRAME_WORDS + 1; i++) {
        #pragma HLS PIPELINE II=1
        const frame_item<FRAME_WORDS> item = items.read();
        const unsigned number = quotient<WORDS, bits_of<FRAME_WORDS - 1>::value>(unsigned(item.number));
        const unsigned at = unsigned(item.number) - number * WORDS;
        const bool other = some && unsigned(unit.number) != number;
        if (item.last || other) {
            unit.last = item.last;
            units.write(unit);
        }
        for (unsigned w = 0; w < WORDS; w++) {
            #pragma HLS UNROLL
            const word_t before = other ? word_t(0) : unit.words[w];
            unit.words[w] = w == at ? item.word : before;
        }
        unit.number = number;
        some = true;
        if (item.last) {
            break;
        }
    }
}

// A fibre of a unit; true if not all of it is zero.
template <unsigned WORDS, unsigned UNITS, class data_T>
bool cut_fibre(const frame_unit<WORDS, UNITS> &unit, unsigned piece, data_T &fibre) {
    #pragma HLS INLINE
    typedef typename data_T::value_type value_t;
    static const unsigned pieces = WORDS * word_bytes / data_T::size;
    bool used = false;
    for (unsigned p = 0; p < pieces; p++) {
        #pragma HLS UNROLL
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS UNROLL
            const unsigned byte = p * data_T::size + i;
            if (p == piece) {
                fibre[i] = from_code<value_t>(unit.words[byte / word_bytes] >> (8 * (byte % word_bytes)));
                used = used || code(fibre[i]) != 0;
            }
        }
    }
    return used;
}

// Cuts units into fibres and gives on those that are not zero, with their places. One is held back until
// the next one's place tells which sums end with it. A frame without any is one of zeros, behind which
// all sums end.
template <unsigned FIBRES, class data_T, unsigned WORDS, unsigned UNITS, class place_T>
void place_fibres(hls::stream<frame_unit<WORDS, UNITS>> &units, hls::stream<data_T> &fibres,
                  hls::stream<place_T> &places) {
    static const unsigned pieces = WORDS * word_bytes / data_T::size;
    frame_unit<WORDS, UNITS> unit;
    data_T held, fibre;
    place_T held_place, place;
    for (unsigned i = 0; i < data_T::size; i++) {
        #pragma HLS UNROLL
        held[i] = from_code<typename data_T::value_type>(word_t(0));
    }
    locate(0, held_place);
    bool holds = false, ended = false;
    unsigned piece = 0;
Fibres:
    for (unsigned clock = 0; clock < UNITS * pieces + 1; clock++) {
        #pragma HLS PIPELINE II=1
        bool used = false;
        if (!ended) {
            if (piece == 0) {
                unit = units.read();
            }
            const unsigned number = unsigned(unit.number) * pieces + piece;
            // What lies behind the last fibre belongs to no frame.
            used = cut_fibre(unit, piece, fibre) && number < FIBRES;
            locate(number, place);
        }
        if (ended || (used && holds)) {
            bool ends = ended;
            for (unsigned mode = place_T::modes; mode > 0; mode--) {
                #pragma HLS UNROLL
                held_place.ends[mode - 1] = ends;
                ends = ends || held_place.at[mode - 1] != place.at[mode - 1];
            }
            fibres.write(held);
            places.write(held_place);
        }
        if (ended) {
            break;
        }
        if (used) {
            held = fibre;
            held_place = place;
            holds = true;
        }
        const bool last = piece == pieces - 1;
        ended = last && unit.last;
        piece = last ? 0 : piece + 1;
    }
}

// Counts a call's frames up to the first that is damaged, and says which results are to be kept.
static inline void judge_frame(hls::stream<faults_t> &verdicts, unsigned frame, hls::stream<bool> &kept, ap_uint<32> &faults,
                        ap_uint<32> &whole) {
    static faults_t found = 0;
    static ap_uint<32> counted = 0;
    if (frame == 0) {
        found = 0;
        counted = 0;
    }
    found = found | verdicts.read();
    const bool keeps = !is_damaged(found);
    if (keeps) {
        counted++;
    }
    faults = found;
    whole = counted;
    kept.write(keeps);
}

// `write_result` of a frame that is not damaged.
template <unsigned RESULT_WORDS, class res_T>
void write_kept_result(hls::stream<res_T> &logits, hls::stream<bool> &kept, word_t *results, unsigned frame) {
    const res_T logit = logits.read();
    if (kept.read()) {
        store_result<RESULT_WORDS>(logit, results + (size_t)frame * RESULT_WORDS);
    }
}

} // namespace fdht

#endif
