#include "tests/emulator/check/finding.hpp"

namespace emulator {

const char* finding_name(FindingKind kind) noexcept {
    switch (kind) {
        case FindingKind::kOutOfBounds:
            return "out-of-bounds";
        case FindingKind::kMisaligned:
            return "misaligned";
        case FindingKind::kUninitialized:
            return "uninitialized";
        case FindingKind::kSharedRace:
            return "shared-race";
        case FindingKind::kGlobalRace:
            return "global-race";
        case FindingKind::kLaneRace:
            return "lane-race";
        case FindingKind::kAsyncProxy:
            return "async-proxy";
        case FindingKind::kUnfinishedCopy:
            return "unfinished-copy";
        case FindingKind::kDivergentBarrier:
            return "divergent-barrier";
        case FindingKind::kDeadlock:
            return "deadlock";
        case FindingKind::kBadBarrier:
            return "bad-barrier";
        case FindingKind::kBadDescriptor:
            return "bad-descriptor";
        case FindingKind::kDoubleWrite:
            return "double-write";
        case FindingKind::kStreamRace:
            return "stream-race";
        case FindingKind::kCount:
            break;
    }
    return "?";
}

}  // namespace emulator
