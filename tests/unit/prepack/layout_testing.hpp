// Helpers of the layout tests: reproducible codes, buffers with canaries, executors that run loops
// in awkward ways.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/common/error.hpp"
#include "core/common/parallel.hpp"
#include "core/formats/format.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/published_layouts.hpp"

namespace fp6llm {

/// The codes of tests/data/tc_fpx/README.md: top bits of a linear congruential sequence.
inline std::vector<uint8_t> make_codes(int bits, int64_t count, uint32_t seed = 12345) {
    std::vector<uint8_t> codes(static_cast<size_t>(count));
    for (uint8_t& code : codes) {
        seed = 1664525u * seed + 1013904223u;
        code = static_cast<uint8_t>(seed >> (32 - bits));
    }
    return codes;
}

/// One code per byte [rows, cols] -> plain rows.
inline std::vector<uint8_t> to_plain(const std::vector<uint8_t>& codes, int bits, int64_t rows,
                                     int64_t cols) {
    const int64_t row_bytes = (cols * bits + 7) / 8;
    std::vector<uint8_t> plain(static_cast<size_t>(rows * row_bytes));
    for (int64_t r = 0; r < rows; ++r) {
        pack_codes(codes.data() + r * cols, bits, cols, plain.data() + r * row_bytes);
    }
    return plain;
}

/// A buffer whose surroundings must stay as they are.
class Guarded {
  public:
    explicit Guarded(size_t size) : bytes_(size + 2 * kMargin, kCanary) {}
    ~Guarded() {
        const auto canary = [](uint8_t byte) { return byte == kCanary; };
        EXPECT_TRUE(std::all_of(bytes_.begin(), bytes_.begin() + kMargin, canary)) << "underrun";
        EXPECT_TRUE(std::all_of(bytes_.end() - kMargin, bytes_.end(), canary)) << "overrun";
    }
    uint8_t* data() { return bytes_.data() + kMargin; }
    std::vector<uint8_t> contents() const {
        return std::vector<uint8_t>(bytes_.begin() + kMargin, bytes_.end() - kMargin);
    }

  private:
    static constexpr int kMargin = 64;
    static constexpr uint8_t kCanary = 0xA5;
    std::vector<uint8_t> bytes_;
};

/// Claims many threads and runs the last task first: what a result may not depend on.
class BackwardExecutor final : public Executor {
  public:
    int concurrency() const noexcept override { return 7; }
    void run(int64_t count, TaskRef task) override {
        while (count-- > 0)
            task(count);
    }
};

inline std::vector<uint8_t> pack_layout_guarded(PackedLayout layout, const FormatInfo& format,
                                                int64_t rows, int64_t cols,
                                                const std::vector<uint8_t>& plain,
                                                Executor& executor) {
    Guarded packed(packed_layout_bytes(layout, format, rows, cols));
    pack_layout(layout, format, rows, cols, plain.data(), packed.data(), executor);
    return packed.contents();
}

inline std::vector<uint8_t> unpack_layout_guarded(PackedLayout layout, const FormatInfo& format,
                                                  int64_t rows, int64_t cols,
                                                  const std::vector<uint8_t>& packed,
                                                  Executor& executor) {
    Guarded plain(static_cast<size_t>(rows * ((cols * format.bits + 7) / 8)));
    unpack_layout(layout, format, rows, cols, packed.data(), plain.data(), executor);
    return plain.contents();
}

/// Expects packed_layout_bytes() to throw `status` with a message that contains `text`.
inline void expect_refused(PackedLayout layout, DataType type, int64_t rows, int64_t cols,
                           Status status, const char* text) {
    try {
        packed_layout_bytes(layout, *find_format(type), rows, cols);
        ADD_FAILURE() << "accepted; expected a message about " << text;
    } catch (const Error& error) {
        EXPECT_EQ(error.status(), status);
        EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
}

}  // namespace fp6llm
