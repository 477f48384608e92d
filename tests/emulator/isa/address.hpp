// Addresses of the matrix and asynchronous instructions: "[register + constant]" per lane, and which
// shared memory a generic address means.
#pragma once

#include "tests/emulator/exec/op.hpp"
#include "tests/emulator/exec/warp.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {

/// An address operand after lowering.
struct AddressSource {
    Slot base = kZeroSlot;
    bool base_is_32 = false;
    int64_t offset = 0;

    void lower(LowerContext& context, const ptx::Operand& operand) {
        context.address(operand, &base, &base_is_32, &offset);
    }
    uint64_t at(Warp& warp, int lane) const noexcept {
        if (base_is_32) return warp.u32(base)[lane] + static_cast<uint64_t>(offset);
        return warp.u64(base)[lane] + static_cast<uint64_t>(offset);
    }
    void all(Warp& warp, uint64_t out[kWarpLanes]) const noexcept {
        if (base_is_32) {
            const uint32_t* from = warp.u32(base);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                out[lane] = from[lane] + static_cast<uint64_t>(offset);
        } else {
            const uint64_t* from = warp.u64(base);
            for (int lane = 0; lane < kWarpLanes; ++lane)
                out[lane] = from[lane] + static_cast<uint64_t>(offset);
        }
    }
    /// Reports lanes whose address was computed from a value that was never written.
    void check(Warp& warp, const Op& op, LaneMask lanes) const {
        const LaneMask suspicious = warp.taint(base) & lanes;
        if (__builtin_expect(suspicious != 0, 0))
            warp.report_taint(op, base, suspicious, "address");
    }
};

/// Reports lanes of a source operand that was never written, where it decides what happens.
inline void check_source(Warp& warp, const Op& op, Slot slot, LaneMask lanes, const char* what) {
    const LaneMask suspicious = warp.taint(slot) & lanes;
    if (__builtin_expect(suspicious != 0, 0)) warp.report_taint(op, slot, suspicious, what);
}

/// A generic address of shared memory as a shared address (rank * 2^24 + offset); anything else
/// becomes 0, which is invalid. Shared addresses pass through.
inline uint64_t shared_address(ptx::Space space, uint64_t address) noexcept {
    if (space == ptx::Space::kShared) return address & 0xFFFFFFFFu;
    if (address < kSharedWindow || address >= kSharedWindow + 16 * kSharedWindowStride) return 0;
    return address - kSharedWindow;
}

}  // namespace emulator
