// Eight codes in a register <-> their bytes in the plain format. Eight codes take `bits` bytes,
// whatever the format.
#pragma once

#include <cstdint>

#include "core/quantize/cuda/params.hpp"

namespace fp6llm::cuda {

/// Eight codes, one per byte -> `bits` bytes, the first code lowest.
__device__ __forceinline__ uint64_t join_codes(uint64_t codes, int bits) {
    uint64_t joined = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i)
        joined |= (codes >> (8 * i) & 0xFFu) << (bits * i);
    return joined;
}

__device__ __forceinline__ uint64_t spread_codes(uint64_t joined, int bits) {
    const uint64_t mask = (1u << bits) - 1;
    uint64_t codes = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i)
        codes |= (joined >> (bits * i) & mask) << (8 * i);
    return codes;
}

/// Keeps the first `count` of eight codes, zeroes the others.
__device__ __forceinline__ uint64_t keep_codes(uint64_t codes, int64_t count) {
    return count >= 8 ? codes : count <= 0 ? 0 : codes & ((uint64_t{1} << (8 * count)) - 1);
}

/// Half a warp stores 16 octets of codes (one per lane, one code per byte) side by side, at most
/// `limit` bytes; both halves take part. Through shared memory, so that it stores words: `buffer`
/// is the warp's own.
__device__ __forceinline__ void store_codes(uint64_t codes, int bits, uint8_t* to, int64_t limit,
                                            uint8_t* buffer) {
    const int lane = threadIdx.x % 16;
    buffer += threadIdx.x % 32 / 16 * kCodeBufferHalf;
    const uint64_t joined = join_codes(codes, bits);
    __syncwarp();  // the buffer's last readers are done
#pragma unroll
    for (int i = 0; i < 6; ++i) {
        if (i < bits) buffer[lane * bits + i] = static_cast<uint8_t>(joined >> (8 * i));
    }
    __syncwarp();
    const int bytes = limit < 16 * bits ? static_cast<int>(limit) : 16 * bits;
    int done = 0;
    if (reinterpret_cast<uintptr_t>(to) % 4 == 0 && bytes > 0) {
        done = bytes & ~3;
        for (int i = 4 * lane; i < done; i += 4 * 16)
            *reinterpret_cast<uint32_t*>(to + i) = *reinterpret_cast<const uint32_t*>(buffer + i);
    }
    for (int i = done + lane; i < bytes; i += 16)
        to[i] = buffer[i];
}

}  // namespace fp6llm::cuda
