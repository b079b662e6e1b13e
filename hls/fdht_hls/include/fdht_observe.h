#ifndef FDHT_OBSERVE_H_
#define FDHT_OBSERVE_H_

// For the proof of equality: in a C simulation, the codes that processes hand on and the state that a
// cell keeps can be written down as they come. A synthesis tool sees nothing of it.
#if !defined(__SYNTHESIS__)
#include "fdht_integer.h"
#include "hls_stream.h"

#include <cstddef>
#include <cstdint>

namespace fdht {

struct observer {
    int64_t *values; // where to write; null: nobody looks
    size_t room;     // values that fit there
    size_t seen;     // values so far, those that did not fit among them

    template <class code_T> void take(const code_T &code) {
        if (seen < room) {
            values[seen] = int64_t(code);
        }
        seen++;
    }
};

// One for each library.
inline observer &observing() {
    static observer one = {nullptr, 0, 0};
    return one;
}

// Every word that waits in a stream; they stay there in their order.
template <class word_T> void observe(hls::stream<word_T> &stream) {
    if (!observing().values) {
        return;
    }
    for (size_t words = stream.size(); words > 0; words--) {
        const word_T word = stream.read();
        for (unsigned i = 0; i < word_T::size; i++) {
            observing().take(code(word[i]));
        }
        stream.write(word);
    }
}

// A state, by units.
template <unsigned UNITS, class code_T> void observe_state(const code_T *state) {
    for (unsigned unit = 0; observing().values && unit < UNITS; unit++) {
        observing().take(state[unit]);
    }
}

} // namespace fdht
#endif

#endif
