// Modifiers and operands that ld, st, atom and red share.
#pragma once

#include <string>

#include "tests/emulator/exec/op.hpp"
#include "tests/emulator/exec/warp.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {

/// What the modifiers of a memory instruction say; take() eats one it knows.
struct AccessModifiers {
    ptx::Space space = ptx::Space::kGeneric;
    Order order = Order::kWeak;
    Scope scope = Scope::kGpu;
    bool has_scope = false;
    bool has_policy = false;   ///< L2::cache_hint: a cache policy is the last operand
    bool noncoherent = false;  ///< .nc

    bool take(const std::string& modifier) {
        using ptx::Space;
        static const struct {
            const char* name;
            Space space;
        } spaces[] = {{"global", Space::kGlobal},      {"shared", Space::kShared},
                      {"shared::cta", Space::kShared}, {"shared::cluster", Space::kShared},
                      {"local", Space::kLocal},        {"const", Space::kConst},
                      {"param", Space::kParam},        {"param::entry", Space::kParam},
                      {"param::func", Space::kParam}};
        for (const auto& known : spaces)
            if (modifier == known.name) {
                space = known.space;
                return true;
            }
        static const struct {
            const char* name;
            Scope scope;
        } scopes[] = {{"cta", Scope::kCta},
                      {"cluster", Scope::kCluster},
                      {"gpu", Scope::kGpu},
                      {"sys", Scope::kSys}};
        for (const auto& known : scopes)
            if (modifier == known.name) {
                scope = known.scope;
                has_scope = true;
                return true;
            }
        if (modifier == "L2::cache_hint") return has_policy = true;
        // Hints that change no result.
        for (const char* hint :
             {"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last",
              "L1::no_allocate", "L2::evict_normal", "L2::evict_first", "L2::evict_last", "L2::64B",
              "L2::128B", "L2::256B"})
            if (modifier == hint) return true;
        return false;
    }
};

/// 2, 4, 8 for "v2", "v4", "v8"; 0 for anything else.
inline int vector_length(const std::string& modifier) {
    return modifier == "v2" ? 2 : modifier == "v4" ? 4 : modifier == "v8" ? 8 : 0;
}

/// Addresses of all lanes.
inline void lane_addresses(Warp& warp, Slot base, bool base_is_32, int64_t offset,
                           uint64_t* addresses) noexcept {
    const auto add = static_cast<uint64_t>(offset);
    if (base_is_32) {
        const uint32_t* from = warp.u32(base);
        for (int lane = 0; lane < kWarpLanes; ++lane)
            addresses[lane] = from[lane] + add;
    } else {
        const uint64_t* from = warp.u64(base);
        for (int lane = 0; lane < kWarpLanes; ++lane)
            addresses[lane] = from[lane] + add;
    }
}

/// A shared address has 32 bits: a sum that leaves them wraps around.
inline void wrap_shared(uint64_t* addresses) noexcept {
    for (int lane = 0; lane < kWarpLanes; ++lane)
        addresses[lane] &= 0xFFFFFFFFu;
}

}  // namespace emulator
