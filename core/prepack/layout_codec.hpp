// What a published layout provides: one constant of this struct per layout, one row in
// published_layouts.cpp.
#pragma once

#include <algorithm>

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/formats/format.hpp"

namespace fp6llm {

struct LayoutCodec {
    PackedLayout layout;
    /// Throws NOT_SUPPORTED or INVALID_VALUE, as packed_layout_bytes() documents.
    size_t (*bytes)(const FormatInfo& format, int64_t rows, int64_t cols);
    void (*pack)(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* codes,
                 uint8_t* packed, Executor& executor);
    void (*unpack)(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* packed,
                   uint8_t* codes, Executor& executor);
};

extern const LayoutCodec kTcFpxCodec;
extern const LayoutCodec kSplit42Codec;

/// Calls body(i) for each i in [0, count), in as many contiguous parts as the executor has threads.
template <class Body>
void run_in_parts(Executor& executor, int64_t count, const Body& body) {
    const int64_t parts = std::min<int64_t>(count, executor.concurrency());
    executor.run(parts, [&](int64_t part) {
        const IndexRange range = split_range(count, part, parts);
        for (int64_t i = range.begin; i < range.end; ++i)
            body(i);
    });
}

}  // namespace fp6llm
