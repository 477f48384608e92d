// TC_FPX: the buffer that the original FP6-LLM kernels read (arXiv 2401.14112, "Ahead-of-time
// Bit-level Pre-packing"), bit for bit as the original packer writes it.
//
// A code is cut, from its sign down, into a 2-bit and a 4-bit piece (6-bit formats) or a 1-bit and
// a 4-bit piece (5-bit formats). Each piece has a plane of its own, the narrow one first. A plane
// is a sequence of blocks of 64 rows x 16 columns, column blocks within row blocks:
//
//   lane = 4 l + t holds the mma.m16n8k16 A fragments of the block's four 16x16 squares; its 32
//   codes are eight quads r = 0..7 of four members m = 0..3:
//
//     row    = 16 (r / 2) + 8 (m / 2) + l        column = 8 (r % 2) + 2 t + m % 2
//
//   the block of a plane of b bits: b x 32 lanes x uint32; a lane's word w holds the pieces of
//   quads r = w * 8 / b ... (w + 1) * 8 / b - 1, the first topmost in each byte, and a quad's
//   members in bytes {1, 3, 0, 2}
//
// Thus masking the top of each byte of a word gives one piece of four codes at a time, and a shift
// left the next; packing here works on the same quads. docs/layouts.md has the picture;
// tests/data/tc_fpx the original's output.
#include <cstring>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/layout_codec.hpp"

namespace fp6llm {
namespace {

constexpr int kSide = 64;  // rows and columns are multiples of it
constexpr int kBlockCols = 16;
constexpr int kRowGroups = 8;        // l
constexpr int kQuads = 8;            // r
constexpr int kPlaneRowBytes = 128;  // a word of each of 32 lanes
/// Bytes of a block in a plane of one bit per code.
constexpr int64_t kBlockBytesPerBit = kSide * kBlockCols / 8;

// A word of each of the lanes t = 0..3 of one l; a compiler vector, which any processor has or
// emulates. As a quad it has one code per byte.
typedef uint32_t Lanes __attribute__((vector_size(16)));
typedef uint16_t Pairs __attribute__((vector_size(8)));

/// Two columns of one row per lane, in bytes 0 and 2.
inline Lanes load_pairs(const uint8_t* codes) noexcept {
    Pairs pairs;
    std::memcpy(&pairs, codes, sizeof pairs);
    const Lanes lanes = __builtin_convertvector(pairs, Lanes);
    return (lanes | lanes << 8) & 0x00FF00FF;
}

inline void store_pairs(uint8_t* codes, Lanes lanes) noexcept {
    lanes &= 0x00FF00FF;
    const Pairs pairs = __builtin_convertvector((lanes | lanes >> 8) & 0xFFFF, Pairs);
    std::memcpy(codes, &pairs, sizeof pairs);
}

/// Quad r of row group l of a block, `codes` being the block's first in a [64][64] tile.
inline Lanes load_quad(const uint8_t* codes, int l, int r) noexcept {
    codes += (16 * (r / 2) + l) * kSide + 8 * (r % 2);
    return load_pairs(codes) << 8 | load_pairs(codes + 8 * kSide);
}

inline void store_quad(uint8_t* codes, int l, int r, Lanes quad) noexcept {
    codes += (16 * (r / 2) + l) * kSide + 8 * (r % 2);
    store_pairs(codes, quad >> 8);
    store_pairs(codes + 8 * kSide, quad);
}

/// The plane of the `kBits` bits from bit `kShift` of each code.
template <int kBits, int kShift>
struct Plane {
    static constexpr int kPerByte = 8 / kBits;
    static constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;

    /// Position of a quad's piece in each byte of its word.
    static constexpr int position(int r) noexcept { return 8 - kBits * (r % kPerByte + 1); }

    /// Where row group l of block j of a tile starts.
    static constexpr int64_t offset(int j, int l) noexcept {
        return j * kBits * kBlockBytesPerBit + l * static_cast<int64_t>(sizeof(Lanes));
    }

    /// Packs the quads of one row group; `words` is where the group starts in the block.
    static void pack(const Lanes (&quads)[kQuads], uint8_t* words) noexcept {
        for (int w = 0; w < kBits; ++w) {
            Lanes word = {};
            for (int r = w * kPerByte; r < (w + 1) * kPerByte; ++r) {
                word |= (quads[r] >> kShift & kMask) << position(r);
            }
            std::memcpy(words + w * kPlaneRowBytes, &word, sizeof word);
        }
    }

    /// Adds this plane's bits to the quads.
    static void unpack(const uint8_t* words, Lanes (&quads)[kQuads]) noexcept {
        for (int w = 0; w < kBits; ++w) {
            Lanes word;
            std::memcpy(&word, words + w * kPlaneRowBytes, sizeof word);
            for (int r = w * kPerByte; r < (w + 1) * kPerByte; ++r) {
                quads[r] |= (word >> position(r) & kMask) << kShift;
            }
        }
    }
};

using Low = Plane<4, 0>;

/// Packs a tile of codes; `top` and `low` are where it starts in the two planes.
template <int kTopBits>
void pack_tile(const uint8_t* tile, uint8_t* top, uint8_t* low) noexcept {
    using Top = Plane<kTopBits, 4>;
    for (int j = 0; j < kSide / kBlockCols; ++j) {
        for (int l = 0; l < kRowGroups; ++l) {
            Lanes quads[kQuads];
            for (int r = 0; r < kQuads; ++r)
                quads[r] = load_quad(tile + j * kBlockCols, l, r);
            Top::pack(quads, top + Top::offset(j, l));
            Low::pack(quads, low + Low::offset(j, l));
        }
    }
}

template <int kTopBits>
void unpack_tile(const uint8_t* top, const uint8_t* low, uint8_t* tile) noexcept {
    using Top = Plane<kTopBits, 4>;
    for (int j = 0; j < kSide / kBlockCols; ++j) {
        for (int l = 0; l < kRowGroups; ++l) {
            Lanes quads[kQuads] = {};
            Top::unpack(top + Top::offset(j, l), quads);
            Low::unpack(low + Low::offset(j, l), quads);
            for (int r = 0; r < kQuads; ++r)
                store_quad(tile + j * kBlockCols, l, r, quads[r]);
        }
    }
}

size_t layout_bytes(const FormatInfo& format, int64_t rows, int64_t cols) {
    if (format.bits != 6 && format.bits != 5) {
        fail(Status::kNotSupported, "TC_FPX holds 6-bit and 5-bit formats, not %s", format.name);
    }
    if (rows % kSide != 0 || cols % kSide != 0) {
        fail(Status::kNotSupported,
             "TC_FPX holds matrices whose rows and columns are multiples of 64, not %lld x %lld",
             static_cast<long long>(rows), static_cast<long long>(cols));
    }
    const int64_t codes = checked_mul(rows, cols, "rows * cols");
    return static_cast<size_t>(checked_mul(codes / 8, format.bits, "packed bytes"));
}

/// Calls body(codes, top, low) for each 64x64 tile with the offsets in bytes at which it starts in
/// the plain codes and in the two planes.
template <int kTopBits, class Body>
void for_each_tile(int64_t rows, int64_t cols, Executor& executor, const Body& body) {
    constexpr int64_t kBytesPerBit = kSide * kSide / 8;
    const int64_t tile_cols = cols / kSide, tiles = rows / kSide * tile_cols;
    run_in_parts(executor, tiles, [&](int64_t tile) {
        const int64_t band = tile / tile_cols, col = tile % tile_cols;
        body((band * kSide * tile_cols + col) * (kSide / 8) * (kTopBits + 4),
             tile * kTopBits * kBytesPerBit, (tiles * kTopBits + tile * 4) * kBytesPerBit);
    });
}

template <int kTopBits>
void pack(int64_t rows, int64_t cols, const uint8_t* codes, uint8_t* packed, Executor& executor) {
    constexpr int kBits = kTopBits + 4;
    for_each_tile<kTopBits>(rows, cols, executor, [&](int64_t first, int64_t top, int64_t low) {
        uint8_t tile[kSide * kSide];
        for (int r = 0; r < kSide; ++r) {
            unpack_codes(codes + first + r * (cols / 8 * kBits), kBits, kSide, tile + r * kSide);
        }
        pack_tile<kTopBits>(tile, packed + top, packed + low);
    });
}

template <int kTopBits>
void unpack(int64_t rows, int64_t cols, const uint8_t* packed, uint8_t* codes, Executor& executor) {
    constexpr int kBits = kTopBits + 4;
    for_each_tile<kTopBits>(rows, cols, executor, [&](int64_t first, int64_t top, int64_t low) {
        uint8_t tile[kSide * kSide];
        unpack_tile<kTopBits>(packed + top, packed + low, tile);
        for (int r = 0; r < kSide; ++r) {
            pack_codes(tile + r * kSide, kBits, kSide, codes + first + r * (cols / 8 * kBits));
        }
    });
}

void pack_any(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* codes,
              uint8_t* packed, Executor& executor) {
    (format.bits == 6 ? pack<2> : pack<1>)(rows, cols, codes, packed, executor);
}

void unpack_any(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* packed,
                uint8_t* codes, Executor& executor) {
    (format.bits == 6 ? unpack<2> : unpack<1>)(rows, cols, packed, codes, executor);
}

}  // namespace

const LayoutCodec kTcFpxCodec = {PackedLayout::kTcFpx, layout_bytes, pack_any, unpack_any};

}  // namespace fp6llm
