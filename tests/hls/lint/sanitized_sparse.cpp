// Calls of sparse frames through the C simulation, each on memory of exactly its size, so that a
// sanitizer sees every word too many. Arguments: words in a result; then, for each call, a file of
// 64-bit words in hexadecimal, one a line, and the number of frames. Prints a line a call: faults,
// frames done so far, and words of results that are not as they were.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

extern "C" int fdht_csim_run_sparse(const uint64_t *frames, uint64_t *results, uint32_t frame_count,
                                    uint32_t reset_state, uint32_t call_words, uint32_t identity[]);

int main(int argc, char **argv) {
    const uint64_t untouched = 0xa5a5a5a5a5a5a5a5u;
    for (int argument = 2; argument + 1 < argc; argument += 2) {
        std::vector<uint64_t> frames;
        unsigned long long value;
        FILE *file = std::fopen(argv[argument], "r");
        while (file && std::fscanf(file, "%llx", &value) == 1) {
            frames.push_back(value);
        }
        if (file) {
            std::fclose(file);
        }
        frames.shrink_to_fit();
        const unsigned count = std::atoi(argv[argument + 1]);
        std::vector<uint64_t> results(size_t(count) * std::atoi(argv[1]), untouched);
        uint32_t identity[16];
        if (fdht_csim_run_sparse(frames.data(), results.data(), count, 0, frames.size(), identity)) {
            return 2;
        }
        size_t written = 0;
        for (size_t i = 0; i < results.size(); i++) {
            written += results[i] != untouched;
        }
        std::printf("%u %u %zu\n", identity[9], identity[5], written);
    }
    return 0;
}
