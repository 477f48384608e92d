// What the detectors report. The emulated GPU is stricter than hardware: a finding is a fault of the
// program even where its results came out right.
#pragma once

#include <cstdint>
#include <string>

namespace emulator {

enum class FindingKind : uint8_t {
    kOutOfBounds,  ///< an access outside live allocations, the block's shared memory, ...
    kMisaligned,
    kUninitialized,     ///< a never-written value reached a store, an address or a branch
    kSharedRace,        ///< two unordered accesses of shared memory, one a write
    kGlobalRace,        ///< the same in global memory, scopes and fences considered
    kLaneRace,          ///< the same between lanes of one warp
    kAsyncProxy,        ///< a generic-proxy write read by the async proxy without fence.proxy.async
    kUnfinishedCopy,    ///< data of a cp.async, bulk copy or wgmma used before its wait
    kDivergentBarrier,  ///< an .aligned or .sync operation without the lanes it names
    kDeadlock,
    kBadBarrier,     ///< arrival counts, phases or mbarriers misused
    kBadDescriptor,  ///< wgmma, tensor map
    kDoubleWrite,    ///< opt-in: an output element written more than once
    kStreamRace,     ///< works of two streams touch the same bytes and nothing orders them
    kCount
};

const char* finding_name(FindingKind kind) noexcept;

struct Finding {
    FindingKind kind;
    std::string kernel;
    std::string message;       ///< a sentence with addresses and both parties
    int line = 0;              ///< of the PTX text
    std::string source;        ///< "file:line" by -lineinfo, "" without
    std::string other_source;  ///< of the other access, where there is one
    int block[3] = {0, 0, 0};
    int warp = 0;
    uint32_t lanes = 0;
    uint64_t count = 1;  ///< how often, same kind and same place
};

}  // namespace emulator
