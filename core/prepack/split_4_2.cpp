// SPLIT_4_2: the 4+2 split of ZeroQuant(4+2) (arXiv 2312.08583): a plane of the first four bits of
// each code and a plane of its last two, so that neither straddles bytes. Order, row padding and
// alignment are this library's:
//
//   first plane, row-major, ceil(cols / 2) bytes a row:   byte j = v[2j] >> 2 | (v[2j+1] >> 2) << 4
//   last plane,  row-major, ceil(cols / 4) bytes a row:   byte j = v[4j] & 3 | (v[4j+1] & 3) << 2
//     from the next multiple of 64 bytes                         | (v[4j+2] & 3) << 4 | ... << 6
//
// All padding is zero bits, and ignored on import.
#include <algorithm>
#include <cstring>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/layout_codec.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kPlaneAlignment = 64;
constexpr int kChunk = 512;  // codes handled at a time; whole bytes in every layout

struct Geometry {
    int64_t code_row, first_row, last_row;  // bytes of a row: plain, first plane, last plane
    int64_t first_bytes, last_offset;       // bytes of the first plane, without and with padding
};

Geometry geometry(int64_t rows, int64_t cols) noexcept {
    const int64_t first_row = ceil_div(cols, 2), last_row = ceil_div(cols, 4);
    const int64_t first_bytes = rows * first_row;
    return {ceil_div(cols * 6, 8), first_row, last_row, first_bytes,
            round_up(first_bytes, kPlaneAlignment)};
}

size_t layout_bytes(const FormatInfo& format, int64_t rows, int64_t cols) {
    if (format.bits != 6) {
        fail(Status::kNotSupported, "SPLIT_4_2 holds E3M2 and E2M3, not %s", format.name);
    }
    checked_mul(checked_mul(rows, cols, "rows * cols"), 6, "rows * cols * 6");
    const Geometry g = geometry(rows, cols);
    return static_cast<size_t>(g.last_offset + rows * g.last_row);
}

/// Calls body(row, col, count) for chunks of each row.
template <class Body>
void for_each_chunk(int64_t rows, int64_t cols, Executor& executor, const Body& body) {
    run_in_parts(executor, cols > 0 ? rows : 0, [&](int64_t row) {
        for (int64_t col = 0; col < cols; col += kChunk) {
            body(row, col, static_cast<int>(std::min<int64_t>(kChunk, cols - col)));
        }
    });
}

void pack(const FormatInfo&, int64_t rows, int64_t cols, const uint8_t* codes, uint8_t* packed,
          Executor& executor) {
    const Geometry g = geometry(rows, cols);
    std::memset(packed + g.first_bytes, 0, static_cast<size_t>(g.last_offset - g.first_bytes));
    for_each_chunk(rows, cols, executor, [&](int64_t row, int64_t col, int count) {
        uint8_t v[kChunk];
        unpack_codes(codes + row * g.code_row + col * 6 / 8, 6, count, v);
        std::memset(v + count, 0, static_cast<size_t>(round_up(count, 4) - count));
        uint8_t* const first = packed + row * g.first_row + col / 2;
        uint8_t* const last = packed + g.last_offset + row * g.last_row + col / 4;
        for (int j = 0; j < ceil_div(count, 2); ++j) {
            first[j] = static_cast<uint8_t>(v[2 * j] >> 2 | (v[2 * j + 1] >> 2) << 4);
        }
        for (int j = 0; j < ceil_div(count, 4); ++j) {
            last[j] = static_cast<uint8_t>((v[4 * j] & 3) | (v[4 * j + 1] & 3) << 2 |
                                           (v[4 * j + 2] & 3) << 4 | (v[4 * j + 3] & 3) << 6);
        }
    });
}

void unpack(const FormatInfo&, int64_t rows, int64_t cols, const uint8_t* packed, uint8_t* codes,
            Executor& executor) {
    const Geometry g = geometry(rows, cols);
    for_each_chunk(rows, cols, executor, [&](int64_t row, int64_t col, int count) {
        const uint8_t* const first = packed + row * g.first_row + col / 2;
        const uint8_t* const last = packed + g.last_offset + row * g.last_row + col / 4;
        uint8_t v[kChunk];
        for (int j = 0; j < ceil_div(count, 2); ++j) {
            const int low = last[j / 2] >> j % 2 * 4;
            v[2 * j] = static_cast<uint8_t>((first[j] & 15) << 2 | (low & 3));
            v[2 * j + 1] = static_cast<uint8_t>((first[j] >> 4) << 2 | (low >> 2 & 3));
        }
        pack_codes(v, 6, count, codes + row * g.code_row + col * 6 / 8);
    });
}

}  // namespace

const LayoutCodec kSplit42Codec = {PackedLayout::kSplit42, layout_bytes, pack, unpack};

}  // namespace fp6llm
