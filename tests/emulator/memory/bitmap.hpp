// One bit per byte of memory: which bytes were written, which await a copy.
#pragma once

#include <cstdint>
#include <cstring>

namespace emulator {

/// Words are read whole, whose other bits another host thread may be changing.
#if defined(__SANITIZE_THREAD__)
#define EMULATOR_READS_NEIGHBOURS __attribute__((no_sanitize("thread")))
#else
#define EMULATOR_READS_NEIGHBOURS
#endif

/// Are bits [at, at + count) all set?
EMULATOR_READS_NEIGHBOURS inline bool bits_all(const uint8_t* bits, uint64_t at,
                                               uint64_t count) noexcept {
    if (count <= 32) {
        uint64_t word;
        std::memcpy(&word, bits + (at >> 3), 8);  // bitmaps have 8 bytes to spare
        const uint64_t mask = ((uint64_t{1} << count) - 1) << (at & 7);
        return (word & mask) == mask;
    }
    const uint64_t end = at + count;
    while ((at & 7) != 0) {
        if ((bits[at >> 3] >> (at & 7) & 1) == 0) return false;
        ++at;
    }
    for (; at + 64 <= end; at += 64) {
        uint64_t word;
        std::memcpy(&word, bits + (at >> 3), 8);
        if (word != ~uint64_t{0}) return false;
    }
    for (; at + 8 <= end; at += 8)
        if (bits[at >> 3] != 0xFF) return false;
    for (; at < end; ++at)
        if ((bits[at >> 3] >> (at & 7) & 1) == 0) return false;
    return true;
}

/// Is any of bits [at, at + count) set?
EMULATOR_READS_NEIGHBOURS inline bool bits_any(const uint8_t* bits, uint64_t at,
                                               uint64_t count) noexcept {
    if (count <= 32) {
        uint64_t word;
        std::memcpy(&word, bits + (at >> 3), 8);
        const uint64_t mask = ((uint64_t{1} << count) - 1) << (at & 7);
        return (word & mask) != 0;
    }
    const uint64_t end = at + count;
    for (; (at & 7) != 0; ++at)
        if ((bits[at >> 3] >> (at & 7) & 1) != 0) return true;
    for (; at + 64 <= end; at += 64) {
        uint64_t word;
        std::memcpy(&word, bits + (at >> 3), 8);
        if (word != 0) return true;
    }
    for (; at < end; ++at)
        if ((bits[at >> 3] >> (at & 7) & 1) != 0) return true;
    return false;
}

/// Sets or clears bits [at, at + count). Bytes of the bitmap that are covered in part change by an
/// atomic operation: another host thread may own the other bits.
inline void bits_assign(uint8_t* bits, uint64_t at, uint64_t count, bool value) noexcept {
    const uint64_t end = at + count;
    const auto part = [&](uint64_t from, uint64_t to) {
        const auto mask = static_cast<uint8_t>(((1u << (to - from)) - 1) << (from & 7));
        uint8_t* byte = bits + (from >> 3);
        if (value) {
            if ((*byte & mask) != mask) __atomic_fetch_or(byte, mask, __ATOMIC_RELAXED);
        } else if ((*byte & mask) != 0) {
            __atomic_fetch_and(byte, static_cast<uint8_t>(~mask), __ATOMIC_RELAXED);
        }
    };
    if ((at & 7) != 0) {
        const uint64_t stop = at + (8 - (at & 7)) < end ? at + (8 - (at & 7)) : end;
        part(at, stop);
        at = stop;
    }
    const uint64_t whole = (end - at) >> 3;
    if (whole == 1)
        bits[at >> 3] = value ? 0xFF : 0;
    else if (whole == 2)
        std::memset(bits + (at >> 3), value ? 0xFF : 0, 2);
    else if (whole != 0)
        std::memset(bits + (at >> 3), value ? 0xFF : 0, whole);
    at += whole << 3;
    if (at < end) part(at, end);
}

}  // namespace emulator
