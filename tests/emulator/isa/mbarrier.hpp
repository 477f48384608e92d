// mbarrier objects, for the instructions that arrive at them or complete on them.
//
// Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier". The state lives
// in Block::mbarriers; the 8 bytes in shared memory hold a copy (phase << 24 | pending count), so that
// an ordinary store into a barrier is noticed at its next use.
#pragma once

#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/exec/warp.hpp"

namespace emulator {

constexpr uint32_t kMaxMbarrierCount = (1u << 20) - 1;  ///< arrivals, and bytes of transactions

struct MbarrierRef {
    Block* block = nullptr;
    uint32_t offset = 0;
    Mbarrier* object = nullptr;  ///< nullptr: there is none, and that was reported
};

/// The barrier at a shared address (rank * 2^24 + offset). Reports what is no barrier; `own`: it must
/// lie in the block's own shared memory.
MbarrierRef find_mbarrier(Warp& warp, const Op& op, LaneMask lanes, uint64_t address, bool own);

/// Takes `count` arrivals off the pending count; completes the phase if that was the last thing
/// missing. What the arriving threads know must be in object->clock already.
void arrive(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier, uint32_t count);

/// cp.async.mbarrier.arrive without .noinc: the current phase expects `count` more arrivals.
void add_pending(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier,
                 uint32_t count);

/// `bytes` of transactions have happened (negative: are expected); completes the phase as arrive().
void complete_transactions(Warp& warp, const Op& op, LaneMask lanes, const MbarrierRef& barrier,
                           int64_t bytes);

}  // namespace emulator
