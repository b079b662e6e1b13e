// A stream of frames through the C simulation, in calls of uneven length, each on memory of exactly
// its size, so that a sanitizer sees every word too many. Arguments: files of 64-bit words in
// hexadecimal, one a line: frames and expected results; then words in a frame and in a result.
// RUN_RAW: of a core that reads raw frames, of which the first is only compared with.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(RUN_RAW)
#define RUN fdht_csim_run_raw
static const size_t frames_before = 1;
#else
#define RUN fdht_csim_run
static const size_t frames_before = 0;
#endif

extern "C" int RUN(const uint64_t *frames, uint64_t *results, uint32_t frame_count, uint32_t reset_state,
                   uint32_t identity[]);

typedef std::vector<uint64_t> words_t;

static words_t read_words(const char *path) {
    words_t words;
    unsigned long long value;
    FILE *file = std::fopen(path, "r");
    while (file && std::fscanf(file, "%llx", &value) == 1) {
        words.push_back(value);
    }
    if (file) {
        std::fclose(file);
    }
    return words;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    const words_t frames = read_words(argv[1]), expected = read_words(argv[2]);
    const size_t frame_words = std::atoi(argv[3]), result_words = std::atoi(argv[4]);
    const size_t count = frames.size() / frame_words - frames_before;
    const size_t lengths[4] = {1, 7, 2, 13};
    uint32_t identity[16];
    size_t wrong = 0;
    for (size_t start = 0, call = 0; start < count; call++) {
        size_t stop = start + lengths[call % 4];
        stop = stop < count ? stop : count;
        const size_t first = call == 0 ? 0 : start + frames_before;
        const words_t source(frames.begin() + first * frame_words,
                             frames.begin() + (stop + frames_before) * frame_words);
        words_t target((stop - start) * result_words);
        if (RUN(source.data(), target.data(), stop - start, call == 0, identity)) {
            return 2;
        }
        for (size_t i = 0; i < target.size(); i++) {
            wrong += target[i] != expected.at(start * result_words + i);
        }
        start = stop;
    }
    std::printf("%zu frames, %zu words differ of %zu\n", count, wrong, expected.size());
    return wrong ? 1 : 0;
}
