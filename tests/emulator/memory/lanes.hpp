// What the files of ThreadMemory share: copies by lanes, orders. Private to this folder.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>

#include "tests/emulator/memory/thread_memory.hpp"

namespace emulator {

inline std::string hex(uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

inline bool acquires(Order order) noexcept {
    return order == Order::kAcquire || order == Order::kAcqRel;
}
inline bool releases(Order order) noexcept {
    return order == Order::kRelease || order == Order::kAcqRel;
}

inline void copy_bytes(uint8_t* to, const uint8_t* from, int bytes) noexcept {
    switch (bytes) {
        case 1:
            *to = *from;
            return;
        case 2:
            std::memcpy(to, from, 2);
            return;
        case 4:
            std::memcpy(to, from, 4);
            return;
        case 8:
            std::memcpy(to, from, 8);
            return;
        case 16:
            std::memcpy(to, from, 16);
            return;
        default:
            std::memcpy(to, from, static_cast<size_t>(bytes));
            return;
    }
}

/// Loads of lanes that read `from` on, one behind the other from lane `first` on or, if `same`, all of
/// them the same bytes.
inline void copy_out(const Access& access, bool same, int first, const uint8_t* from, uint8_t* out,
                     int stride) {
    if (same) {
        for_lanes(access.lanes,
                  [&](int lane) { copy_bytes(out + lane * stride, from, access.bytes); });
    } else if (stride == access.bytes) {
        std::memcpy(out + first * stride, from,
                    static_cast<size_t>(access.bytes) *
                        static_cast<size_t>(__builtin_popcount(access.lanes)));
    } else {
        for_lanes(access.lanes, [&](int lane) {
            copy_bytes(out + lane * stride, from + access.bytes * (lane - first), access.bytes);
        });
    }
}

/// Stores of lanes that write `to` on, one behind the other from lane `first` on.
inline void copy_in(const Access& access, int first, const uint8_t* in, int stride, uint8_t* to) {
    if (stride == access.bytes) {
        std::memcpy(to, in + first * stride,
                    static_cast<size_t>(access.bytes) *
                        static_cast<size_t>(__builtin_popcount(access.lanes)));
        return;
    }
    for_lanes(access.lanes, [&](int lane) {
        copy_bytes(to + access.bytes * (lane - first), in + lane * stride, access.bytes);
    });
}

inline uint32_t log2_floor(uint32_t value) noexcept {
    return value <= 1 ? 0 : 31u - static_cast<uint32_t>(__builtin_clz(value));
}

/// Lanes of one instruction that write the same value to one place are harmless.
inline bool is_same_store(const Conflict& conflict, const Party& who, const uint8_t* to,
                          const uint8_t* value, size_t bytes) {
    return conflict.kind == FindingKind::kLaneRace && conflict.other_pc == who.pc &&
           std::memcmp(to, value, bytes) == 0;
}

}  // namespace emulator
