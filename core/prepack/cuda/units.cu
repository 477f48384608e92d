// Plain codes, TC_FPX and SPLIT_4_2 <-> L3 units; scales, and a blob's frame. docs/layouts.md is
// the contract of each.
//
// A block takes one unit at a time by way of its codes, one per byte, in shared memory: every
// layout needs one function that fills such a tile and one that empties it. Rows of a tile are 136
// bytes apart, so that what the eight row groups of a warp touch at once lies in different banks.
#include "core/prepack/cuda/params.hpp"
#include "core/quantize/cuda/rounding.cuh"
#include "core/quantize/cuda/store_codes.cuh"

namespace fp6llm::cuda {
namespace {

constexpr int kTileStride = kUnitCols + 8;
constexpr int kOctets = kUnitCols / 8;  ///< of a row

/// Plain codes (of the weight's format) of one unit, zero beyond the matrix.
struct Tile {
    uint8_t* codes;    ///< [64][kTileStride]
    int64_t row, col;  ///< of the matrix, where the unit begins

    __device__ __forceinline__ uint64_t& octet(int r, int o) const {
        return *reinterpret_cast<uint64_t*>(codes + r * kTileStride + 8 * o);
    }
    __device__ __forceinline__ uint16_t& pair(int r, int c) const {
        return *reinterpret_cast<uint16_t*>(codes + r * kTileStride + c);
    }
};

/// Calls body(r, o) for each octet of a tile; half a warp has 16 neighbours.
template <typename Body>
__device__ __forceinline__ void for_each_octet(const Body& body) {
    for (int i = threadIdx.x; i < kUnitRows * kOctets; i += blockDim.x)
        body(i / kOctets, i % kOctets);
}

struct L3Layout {
    __device__ static uint8_t* place(const UnitParams& p, const Tile& tile) {
        return p.units + (tile.row / kUnitRows * p.k_units + tile.col / kUnitCols) * kUnitBytes +
               16 * threadIdx.x;
    }

    /// Row r and columns c, c + 1 of pair `pair` of a triple.
    __device__ static void find(int triple, int pair, int* r, int* c) {
        const L3Place at{static_cast<int>(threadIdx.x), triple, pair, 0};
        *r = l3_row(at);
        *c = l3_col(at);
    }

    __device__ static void store(const UnitParams& p, const Tile& tile) {
        uint32_t words[kUnitPlanes][4];
#pragma unroll
        for (int triple = 0; triple < 4; ++triple) {
            uint8_t codes[16];
#pragma unroll
            for (int pair = 0; pair < 8; ++pair) {
                int r, c;
                find(triple, pair, &r, &c);
                const uint32_t both = tile.pair(r, c);
                codes[2 * pair] = static_cast<uint8_t>(hold_code(p.holding, both & 0xFFu));
                codes[2 * pair + 1] = static_cast<uint8_t>(hold_code(p.holding, both >> 8));
            }
            uint32_t packed[3];
            l3_pack_triple(p.tag, codes, packed);
#pragma unroll
            for (int plane = 0; plane < kUnitPlanes; ++plane)
                words[plane][triple] = packed[plane];
        }
        uint8_t* to = place(p, tile);
#pragma unroll
        for (int plane = 0; plane < kUnitPlanes; ++plane)
            *reinterpret_cast<uint4*>(to + kUnitPlaneBytes * plane) =
                make_uint4(words[plane][0], words[plane][1], words[plane][2], words[plane][3]);
    }

    /// Codes of padding are whatever a blob has there; those who empty the tile leave them out.
    __device__ static void load(const UnitParams& p, const Tile& tile) {
        const uint8_t* from = place(p, tile);
        uint4 planes[kUnitPlanes];
#pragma unroll
        for (int plane = 0; plane < kUnitPlanes; ++plane)
            planes[plane] = *reinterpret_cast<const uint4*>(from + kUnitPlaneBytes * plane);
#pragma unroll
        for (int triple = 0; triple < 4; ++triple) {
            uint32_t packed[3];
#pragma unroll
            for (int plane = 0; plane < kUnitPlanes; ++plane) {
                const uint4& v = planes[plane];
                packed[plane] = triple == 0 ? v.x : triple == 1 ? v.y : triple == 2 ? v.z : v.w;
            }
            uint8_t codes[16];
            l3_unpack_triple(p.tag, packed, codes);
#pragma unroll
            for (int pair = 0; pair < 8; ++pair) {
                int r, c;
                find(triple, pair, &r, &c);
                tile.pair(r, c) =
                    static_cast<uint16_t>(release_code(p.holding, codes[2 * pair]) |
                                          release_code(p.holding, codes[2 * pair + 1]) << 8);
            }
        }
    }
};

/// `count` bytes at `from` as one little-endian number; the others are 0.
__device__ __forceinline__ uint64_t load_bytes(const uint8_t* from, int64_t count) {
    uint64_t bytes = 0;
#pragma unroll
    for (int i = 0; i < 6; ++i)
        if (i < count) bytes |= static_cast<uint64_t>(from[i]) << (8 * i);
    return bytes;
}

struct PlainLayout {
    __device__ static void load(const UnitParams& p, const Tile& tile) {
        for_each_octet([&](int r, int o) {
            const int64_t row = tile.row + r, col = tile.col + 8 * o;
            uint64_t codes = 0;
            if (row < p.rows && col < p.cols) {
                const int64_t at = col / 8 * p.bits, left = p.row_bytes - at;
                const uint64_t joined =
                    load_bytes(p.packed + row * p.row_bytes + at, left < p.bits ? left : p.bits);
                codes = keep_codes(spread_codes(joined, p.bits), p.cols - col);
            }
            tile.octet(r, o) = codes;
        });
    }

    /// A warp stores two rows of 16 octets each.
    __device__ static void store(const UnitParams& p, const Tile& tile, uint8_t* buffer) {
        buffer += threadIdx.x / 32 * kCodeBuffer;
        for_each_octet([&](int r, int o) {
            const int64_t row = tile.row + r, col = tile.col + 8 * o;
            const uint64_t codes = keep_codes(tile.octet(r, o), p.cols - col);
            const int64_t at = tile.col / 8 * p.bits;
            store_codes(codes, p.bits, p.packed + row * p.row_bytes + at,
                        row < p.rows ? p.row_bytes - at : 0, buffer);
        });
    }
};

struct Split42Layout {
    __device__ static void load(const UnitParams& p, const Tile& tile) {
        for_each_octet([&](int r, int o) {
            const int64_t row = tile.row + r, col = tile.col + 8 * o;
            uint64_t codes = 0;
            if (row < p.rows && col < p.cols) {
                const int64_t last_row = (p.cols + 3) / 4;
                const int64_t left = p.row_bytes - col / 2, last_left = last_row - col / 4;
                const uint64_t first =
                    load_bytes(p.packed + row * p.row_bytes + col / 2, left < 4 ? left : 4);
                const uint64_t last =
                    load_bytes(p.packed + p.last_offset + row * last_row + col / 4,
                               last_left < 2 ? last_left : 2);
                codes =
                    keep_codes(spread_codes(first, 4) << 2 | spread_codes(last, 2), p.cols - col);
            }
            tile.octet(r, o) = codes;
        });
    }

    __device__ static void store(const UnitParams& p, const Tile& tile, uint8_t*) {
        for_each_octet([&](int r, int o) {
            const int64_t row = tile.row + r, col = tile.col + 8 * o;
            if (row >= p.rows || col >= p.cols) return;
            const uint64_t codes = keep_codes(tile.octet(r, o), p.cols - col);
            const uint64_t first = join_codes(codes >> 2 & 0x0F0F0F0F0F0F0F0Full, 4);
            const uint64_t last = join_codes(codes & 0x0303030303030303ull, 2);
            const int64_t last_row = (p.cols + 3) / 4;
            uint8_t* to = p.packed + row * p.row_bytes + col / 2;
            for (int i = 0; i < 4 && col / 2 + i < p.row_bytes; ++i)
                to[i] = static_cast<uint8_t>(first >> (8 * i));
            to = p.packed + p.last_offset + row * last_row + col / 4;
            for (int i = 0; i < 2 && col / 4 + i < last_row; ++i)
                to[i] = static_cast<uint8_t>(last >> (8 * i));
        });
    }
};

/// Rows and columns are multiples of 64, so a unit is a whole number of blocks of 64 x 16, eight or
/// four. A thread takes a lane of a block: its four low words and its one or two top words.
struct TcFpxLayout {
    static constexpr int kBlocks = kUnitCols / 16;

    /// Lowest bit, in the byte of member m, of quad r in a plane of b bits.
    __device__ static int position(int b, int r) { return 8 - b * (r % (8 / b) + 1); }

    /// Row and column in the unit of members 2 h and 2 h + 1 of quad r.
    __device__ static void find(int block, int lane, int r, int h, int* row, int* col) {
        *row = 16 * (r / 2) + 8 * h + lane / 4;
        *col = 16 * block + 8 * (r % 2) + 2 * (lane % 4);
    }

    /// First word of a lane of block `block` of the unit in the plane of b bits at `plane`.
    __device__ static uint32_t* words(const UnitParams& p, const Tile& tile, uint8_t* plane, int b,
                                      int block, int lane) {
        const int64_t number = tile.row / 64 * (p.cols / 16) + tile.col / 16 + block;
        return reinterpret_cast<uint32_t*>(plane) + number * b * 32 + lane;
    }

    /// Words are read and written by bytes: the caller's buffer need not be aligned.
    __device__ static uint32_t load_word(const uint32_t* from) {
        return static_cast<uint32_t>(load_bytes(reinterpret_cast<const uint8_t*>(from), 4));
    }
    __device__ static void store_word(uint32_t* to, uint32_t word) {
        for (int i = 0; i < 4; ++i)
            reinterpret_cast<uint8_t*>(to)[i] = static_cast<uint8_t>(word >> (8 * i));
    }

    __device__ static void load(const UnitParams& p, const Tile& tile) {
        const int top_bits = p.bits - 4;
        for (int i = threadIdx.x; i < kBlocks * 32; i += blockDim.x) {
            const int block = i / 32, lane = i % 32;
            const bool exists = tile.row < p.rows && tile.col + 16 * block < p.cols;
            uint32_t top[2] = {0, 0}, low[4] = {0, 0, 0, 0};
            if (exists) {
                const uint32_t* from = words(p, tile, p.packed, top_bits, block, lane);
#pragma unroll
                for (int w = 0; w < 2; ++w)
                    if (w < top_bits) top[w] = load_word(from + 32 * w);
                from = words(p, tile, p.packed + p.last_offset, 4, block, lane);
#pragma unroll
                for (int w = 0; w < 4; ++w)
                    low[w] = load_word(from + 32 * w);
            }
#pragma unroll
            for (int r = 0; r < 8; ++r) {
                // One code per byte, members in bytes 1, 3, 0, 2.
                const uint32_t top_word = top_bits == 1 || r < 4 ? top[0] : top[1];
                const uint32_t top_mask = (1u << top_bits) - 1;
                const uint32_t quad = (low[r / 2] >> position(4, r) & 0x0F0F0F0Fu) |
                                      (top_word >> position(top_bits, r) & top_mask * 0x01010101u)
                                          << 4;
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    int row, col;
                    find(block, lane, r, h, &row, &col);
                    const uint32_t even = quad >> (h == 0 ? 8 : 0),
                                   odd = quad >> (h == 0 ? 24 : 16);
                    tile.pair(row, col) =
                        static_cast<uint16_t>((even & 0xFFu) | (odd & 0xFFu) << 8);
                }
            }
        }
    }

    __device__ static void store(const UnitParams& p, const Tile& tile, uint8_t*) {
        const int top_bits = p.bits - 4;
        for (int i = threadIdx.x; i < kBlocks * 32; i += blockDim.x) {
            const int block = i / 32, lane = i % 32;
            if (tile.row >= p.rows || tile.col + 16 * block >= p.cols) continue;
            uint32_t top[2] = {0, 0}, low[4] = {0, 0, 0, 0};
#pragma unroll
            for (int r = 0; r < 8; ++r) {
                uint32_t quad = 0;
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    int row, col;
                    find(block, lane, r, h, &row, &col);
                    const uint32_t both = tile.pair(row, col);
                    quad |= (both & 0xFFu) << (h == 0 ? 8 : 0);
                    quad |= (both >> 8) << (h == 0 ? 24 : 16);
                }
                const uint32_t top_mask = (1u << top_bits) - 1;
                const uint32_t piece = (quad >> 4 & top_mask * 0x01010101u)
                                       << position(top_bits, r);
                if (top_bits == 1 || r < 4) {
                    top[0] |= piece;
                } else {
                    top[1] |= piece;
                }
                low[r / 2] |= (quad & 0x0F0F0F0Fu) << position(4, r);
            }
            uint32_t* to = words(p, tile, p.packed, top_bits, block, lane);
#pragma unroll
            for (int w = 0; w < 2; ++w)
                if (w < top_bits) store_word(to + 32 * w, top[w]);
            to = words(p, tile, p.packed + p.last_offset, 4, block, lane);
#pragma unroll
            for (int w = 0; w < 4; ++w)
                store_word(to + 32 * w, low[w]);
        }
    }
};

/// Calls body(tile) for the units of this block.
template <typename Body>
__device__ __forceinline__ void for_each_unit(const UnitParams& p, const Body& body) {
    __shared__ __align__(16) uint8_t codes[kUnitRows * kTileStride];
    const int64_t units = p.row_blocks * p.k_units;
    for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
        body(Tile{codes, unit / p.k_units * kUnitRows, unit % p.k_units * kUnitCols});
        __syncthreads();
    }
}

template <typename From>
__device__ __forceinline__ void fill_units(const UnitParams& p) {
    for_each_unit(p, [&](const Tile& tile) {
        From::load(p, tile);
        __syncthreads();
        L3Layout::store(p, tile);
    });
}

template <typename To>
__device__ __forceinline__ void empty_units(const UnitParams& p) {
    __shared__ __align__(4) uint8_t buffer[kUnitThreads / 32 * kCodeBuffer];
    for_each_unit(p, [&](const Tile& tile) {
        L3Layout::load(p, tile);
        __syncthreads();
        To::store(p, tile, buffer);
    });
}

/// Row and group of scale number i of a weight; -1 as row where it is padding.
struct ScalePlace {
    int64_t row, group;

    __device__ ScalePlace(const UnitScaleParams& p, int64_t i) {
        const int64_t width = p.mx != 0 ? 4 : 1, groups = p.mx != 0 ? p.k_units : p.groups;
        const int64_t line = i / width / kUnitRows;
        row = line / groups * kUnitRows + i / width % kUnitRows;
        group = line % groups * width + i % width;
        if (row >= p.rows || group >= p.groups) row = -1;
    }
};

__device__ __forceinline__ int64_t held_scales(const UnitScaleParams& p) {
    return p.row_blocks * kUnitRows * (p.mx != 0 ? 4 * p.k_units : p.groups);
}

}  // namespace
}  // namespace fp6llm::cuda

using namespace fp6llm::cuda;

#define FP6LLM_UNIT_KERNEL(name, body)                                                         \
    extern "C" __global__ void __launch_bounds__(kUnitThreads) name(const UnitParams params) { \
        body(params);                                                                          \
    }

FP6LLM_UNIT_KERNEL(l3_pack, fill_units<PlainLayout>)
FP6LLM_UNIT_KERNEL(l3_unpack, empty_units<PlainLayout>)
FP6LLM_UNIT_KERNEL(l3_import_tc_fpx, fill_units<TcFpxLayout>)
FP6LLM_UNIT_KERNEL(l3_export_tc_fpx, empty_units<TcFpxLayout>)
FP6LLM_UNIT_KERNEL(l3_import_split_4_2, fill_units<Split42Layout>)
FP6LLM_UNIT_KERNEL(l3_export_split_4_2, empty_units<Split42Layout>)

extern "C" __global__ void __launch_bounds__(256) l3_pack_scales(const UnitScaleParams params) {
    const int64_t count = held_scales(params);
    for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
         i += int64_t{gridDim.x} * blockDim.x) {
        const ScalePlace at(params, i);
        const int64_t from = at.row * params.groups + at.group;
        if (params.mx != 0) {
            params.held[i] = at.row < 0 ? 127 : params.plain[from];
        } else {
            reinterpret_cast<uint32_t*>(params.held)[i] =
                at.row < 0 ? __float_as_uint(1.0f) : load_scale(params.plain, params.type, from);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) l3_unpack_scales(const UnitScaleParams params) {
    const int64_t count = held_scales(params);
    for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
         i += int64_t{gridDim.x} * blockDim.x) {
        const ScalePlace at(params, i);
        if (at.row < 0) continue;
        const int64_t to = at.row * params.groups + at.group;
        if (params.mx != 0) {
            params.plain[to] = params.held[i];
        } else {
            store_scale(params.plain, params.type, to,
                        reinterpret_cast<const uint32_t*>(params.held)[i]);
        }
    }
}

/// One block.
extern "C" __global__ void __launch_bounds__(256) l3_write_frame(const FrameParams params) {
    const uint8_t* header = reinterpret_cast<const uint8_t*>(&params.header);
    for (int i = threadIdx.x; i < static_cast<int>(sizeof params.header); i += blockDim.x)
        params.blob[i] = header[i];
    for (int64_t i = params.scales_end + threadIdx.x; i < params.total_bytes; i += blockDim.x)
        params.blob[i] = 0;
}
