// TC_FPX: the buffer that the original FP6-LLM kernels read (arXiv 2401.14112, "Ahead-of-time
// Bit-level Pre-packing"), bit for bit as the original packer writes it.
//
// A code is cut, from its sign down, into a 2-bit and a 4-bit piece (6-bit formats) or a 1-bit and
// a 4-bit piece (5-bit formats). Each piece has a plane of its own, the narrow one first. A plane
// is a sequence of blocks of 64 rows x 16 columns, column blocks within row blocks:
//
//   lane = 4 l + t holds the mma.m16n8k16 A fragments of the block's four 16x16 squares; its 32
//   codes are numbered 4 r + m, r = 0..7, m = 0..3:
//
//     row    = 16 (r / 2) + 8 (m / 2) + l        column = 8 (r % 2) + 2 t + m % 2
//
//   the block of a plane of b bits: b x 32 lanes x uint32; of the word w of a lane, byte
//   {1, 3, 0, 2}[m] holds the pieces of codes r = w * 8 / b ... (w + 1) * 8 / b - 1, first topmost
//
// Thus masking the top of each byte of a word gives one piece of four codes at a time, and a shift
// left the next. docs/layouts.md has the picture; tests/data/tc_fpx the original's output.
#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/layout_codec.hpp"

namespace fp6llm {
namespace {

constexpr int kSide = 64;  // rows and columns are multiples of it
constexpr int kBlockCols = 16;
constexpr int kLanes = 32;
constexpr int kQuads = 8;                       // r
constexpr int kByteOfMember[4] = {1, 3, 0, 2};  // by m

/// Where code (lane, r, m) of a block lies in a [64][64] tile of codes, from the block's first
/// column.
constexpr int tile_offset(int lane, int r, int m) noexcept {
    const int row = 16 * (r / 2) + 8 * (m / 2) + lane / 4;
    const int col = 8 * (r % 2) + 2 * (lane % 4) + m % 2;
    return row * kSide + col;
}

/// Where byte (lane, w, m) of a block lies in a plane, from the block's first byte.
constexpr int plane_offset(int lane, int w, int m) noexcept {
    return (w * kLanes + lane) * 4 + kByteOfMember[m];
}

/// One piece of the codes: `kBits` bits from bit `shift` of a code.
template <int kBits>
struct Plane {
    static constexpr int kPerByte = 8 / kBits;
    static constexpr uint8_t kMask = (1 << kBits) - 1;

    static constexpr int byte_shift(int r) noexcept { return 8 - kBits * (r % kPerByte + 1); }

    static void pack_block(const uint8_t* tile, int shift, uint8_t* plane) noexcept {
        for (int lane = 0; lane < kLanes; ++lane) {
            for (int m = 0; m < 4; ++m) {
                uint8_t bytes[kBits] = {};
                for (int r = 0; r < kQuads; ++r) {
                    const int piece = tile[tile_offset(lane, r, m)] >> shift & kMask;
                    bytes[r / kPerByte] |= static_cast<uint8_t>(piece << byte_shift(r));
                }
                for (int w = 0; w < kBits; ++w)
                    plane[plane_offset(lane, w, m)] = bytes[w];
            }
        }
    }

    /// Adds this plane's bits to the codes of `tile`.
    static void unpack_block(const uint8_t* plane, int shift, uint8_t* tile) noexcept {
        for (int lane = 0; lane < kLanes; ++lane) {
            for (int m = 0; m < 4; ++m) {
                for (int r = 0; r < kQuads; ++r) {
                    const int byte = plane[plane_offset(lane, r / kPerByte, m)];
                    const int piece = byte >> byte_shift(r) & kMask;
                    tile[tile_offset(lane, r, m)] |= static_cast<uint8_t>(piece << shift);
                }
            }
        }
    }
};

/// Bytes of a 64-row x 16-column block of a plane of one bit per code.
constexpr int64_t kBlockBytesPerBit = kSide * kBlockCols / 8;

template <int kTopBits>
void pack_tile(const uint8_t* tile, int64_t block, int64_t blocks, uint8_t* packed) noexcept {
    uint8_t* const low_plane = packed + blocks * (kTopBits * kBlockBytesPerBit);
    for (int col = 0; col < kSide; col += kBlockCols, ++block) {
        Plane<kTopBits>::pack_block(tile + col, 4, packed + block * kTopBits * kBlockBytesPerBit);
        Plane<4>::pack_block(tile + col, 0, low_plane + block * 4 * kBlockBytesPerBit);
    }
}

template <int kTopBits>
void unpack_tile(const uint8_t* packed, int64_t block, int64_t blocks, uint8_t* tile) noexcept {
    const uint8_t* const low_plane = packed + blocks * (kTopBits * kBlockBytesPerBit);
    for (int col = 0; col < kSide; col += kBlockCols, ++block) {
        Plane<kTopBits>::unpack_block(packed + block * kTopBits * kBlockBytesPerBit, 4, tile + col);
        Plane<4>::unpack_block(low_plane + block * 4 * kBlockBytesPerBit, 0, tile + col);
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

/// Calls body(tile, codes, block) per 64x64 tile: its first plain byte and its first block.
template <class Body>
void for_each_tile(const FormatInfo& format, int64_t rows, int64_t cols, Executor& executor,
                   const Body& body) {
    const int64_t tile_bytes = kSide * format.bits / 8, tile_cols = cols / kSide;
    run_in_parts(executor, rows / kSide * tile_cols, [&](int64_t tile) {
        const int64_t band = tile / tile_cols, col = tile % tile_cols;
        body((band * kSide * tile_cols + col) * tile_bytes, tile * (kSide / kBlockCols));
    });
}

void pack(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* codes,
          uint8_t* packed, Executor& executor) {
    const int64_t row_bytes = cols * format.bits / 8, blocks = rows * cols / (kSide * kBlockCols);
    for_each_tile(format, rows, cols, executor, [&](int64_t first_byte, int64_t block) {
        uint8_t tile[kSide * kSide];
        for (int r = 0; r < kSide; ++r) {
            unpack_codes(codes + first_byte + r * row_bytes, format.bits, kSide, tile + r * kSide);
        }
        (format.bits == 6 ? pack_tile<2> : pack_tile<1>)(tile, block, blocks, packed);
    });
}

void unpack(const FormatInfo& format, int64_t rows, int64_t cols, const uint8_t* packed,
            uint8_t* codes, Executor& executor) {
    const int64_t row_bytes = cols * format.bits / 8, blocks = rows * cols / (kSide * kBlockCols);
    for_each_tile(format, rows, cols, executor, [&](int64_t first_byte, int64_t block) {
        uint8_t tile[kSide * kSide] = {};
        (format.bits == 6 ? unpack_tile<2> : unpack_tile<1>)(packed, block, blocks, tile);
        for (int r = 0; r < kSide; ++r) {
            pack_codes(tile + r * kSide, format.bits, kSide, codes + first_byte + r * row_bytes);
        }
    });
}

}  // namespace

const LayoutCodec kTcFpxCodec = {PackedLayout::kTcFpx, layout_bytes, pack, unpack};

}  // namespace fp6llm
