// Walks the box of a tensor copy: which bytes of global memory each row of it is, and where the row
// lies in shared memory.
//
// Source: PTX ISA, chapter "Tensors" (tiled mode, bounding box, out-of-bounds access, swizzling modes);
// CUDA driver API, cuTensorMapEncodeTiled.
//
// The box lies in shared memory densely, innermost dimension first. A swizzle exchanges 16-byte pieces
// by bits of their shared address A, so tiles need not start at a multiple of the pattern:
//   32B    bit  4     ^= bit  7
//   64B    bits 5..4  ^= bits 8..7
//   128B   bits 6..4  ^= bits 9..7
#pragma once

#include <algorithm>
#include <cstdint>

#include "tests/emulator/driver/tensor_map.hpp"

namespace emulator {

/// Where a 16-byte piece of a shared address comes to lie.
inline uint32_t swizzled(uint32_t address, TensorSwizzle swizzle) noexcept {
    switch (swizzle) {
        case TensorSwizzle::k32:
            return address ^ ((address >> 7 & 1u) << 4);
        case TensorSwizzle::k64:
            return address ^ ((address >> 7 & 3u) << 4);
        case TensorSwizzle::k128:
            return address ^ ((address >> 7 & 7u) << 4);
        default:
            return address;
    }
}

/// A box at its coordinates.
struct TensorBox {
    TensorMap map;
    int64_t start[TensorMap::kMaxRank] = {0, 0, 0, 0, 0};

    int element_bytes() const noexcept { return tensor_element_bytes(map.type); }
    /// Elements that are copied along a dimension: every element_stride-th of the box. The innermost
    /// dimension is always dense without interleaving.
    int64_t count(int dimension) const noexcept {
        if (dimension == 0) return map.box[0];
        const int64_t step = map.element_stride[dimension];
        return (map.box[dimension] + step - 1) / step;
    }
    int64_t row_bytes() const noexcept { return count(0) * element_bytes(); }
    int64_t bytes() const noexcept {
        int64_t sum = row_bytes();
        for (int d = 1; d < map.rank; ++d)
            sum *= count(d);
        return sum;
    }

    /// fn(offset of the row in the box, address in global memory of its first byte inside the tensor,
    /// skip, bytes): `skip` bytes of the row lie before the tensor, then come `bytes` bytes inside it
    /// (0: the row is outside), the rest lies behind it.
    template <typename Fn>
    void for_rows(Fn&& fn) const {
        const int64_t width = element_bytes();
        const auto extent0 = static_cast<int64_t>(map.extent(0));
        const int64_t first = std::clamp<int64_t>(-start[0], 0, count(0));
        const int64_t last = std::clamp<int64_t>(extent0 - start[0], first, count(0));
        int64_t index[TensorMap::kMaxRank] = {0, 0, 0, 0, 0};
        for (int64_t offset = 0; offset < bytes(); offset += row_bytes()) {
            bool inside = true;
            uint64_t address = map.address;
            for (int d = 1; d < map.rank; ++d) {
                const int64_t at = start[d] + index[d] * map.element_stride[d];
                inside &= at >= 0 && at < static_cast<int64_t>(map.extent(d));
                address += static_cast<uint64_t>(at) * map.stride[d - 1];
            }
            address += static_cast<uint64_t>((start[0] + first) * width);
            fn(offset, address, first * width, inside ? (last - first) * width : 0);
            for (int d = 1; d < map.rank; ++d) {
                if (++index[d] < count(d)) break;
                index[d] = 0;
            }
        }
    }
};

}  // namespace emulator
