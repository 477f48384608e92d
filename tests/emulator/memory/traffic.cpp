// The counters of memory: bank conflicts, sectors, bytes by allocation.
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

namespace {

/// Wavefronts of a shared access: lanes go in phases of 128 bytes (32, 16 or 8 lanes); within one,
/// each bank serves one unit a wavefront, and lanes of the same unit share it.
uint32_t wavefronts(const uint64_t* addresses, LaneMask lanes, int bytes, uint32_t* ideal) {
    const uint32_t unit_shift = bytes <= 4 ? 2 : bytes == 8 ? 3 : 4;
    const uint32_t banks = 128u >> unit_shift;
    const int phase_lanes = static_cast<int>(banks);
    uint32_t total = 0;
    *ideal = 0;
    for (int phase = 0; phase < kWarpLanes; phase += phase_lanes) {
        LaneMask active = lanes >> phase;
        if (phase_lanes < 32) active &= (1u << phase_lanes) - 1;
        if (active == 0) continue;
        ++*ideal;
        uint32_t first[32];
        uint32_t used = 0;
        LaneMask clash = 0;
        for (LaneMask rest = active; rest != 0; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            const auto unit = static_cast<uint32_t>(addresses[phase + lane] >> unit_shift);
            const uint32_t bank = unit & (banks - 1);
            if ((used >> bank & 1) == 0) {
                used |= 1u << bank;
                first[bank] = unit;
            } else if (first[bank] != unit) {
                clash |= 1u << lane;
            }
        }
        uint32_t most = 1;
        if (clash != 0) {
            uint32_t units[32][32];
            uint32_t depth[32];
            for (uint32_t bank = 0; bank < banks; ++bank) {
                units[bank][0] = first[bank];
                depth[bank] = used >> bank & 1;
            }
            for (; clash != 0; clash &= clash - 1) {
                const int lane = __builtin_ctz(clash);
                const auto unit = static_cast<uint32_t>(addresses[phase + lane] >> unit_shift);
                const uint32_t bank = unit & (banks - 1);
                bool known = false;
                for (uint32_t i = 0; i < depth[bank]; ++i)
                    known |= units[bank][i] == unit;
                if (!known) units[bank][depth[bank]++] = unit;
                most = std::max(most, depth[bank]);
            }
        }
        total += most;
    }
    return total;
}

}  // namespace

void ThreadMemory::count_shared(const Access& access, Pattern pattern, bool store) {
    ++counters_.shared_requests;
    uint32_t ideal, waves;
    if (pattern == Pattern::kSame) {
        ideal = waves = 1;
    } else if (pattern == Pattern::kRun) {
        const int lanes = __builtin_popcount(access.lanes);
        ideal = waves = static_cast<uint32_t>(std::max(1, (lanes * access.bytes + 127) / 128));
    } else {
        waves = wavefronts(access.addresses, access.lanes, access.bytes, &ideal);
    }
    counters_.shared_wavefronts += waves;
    counters_.shared_ideal += ideal;
    (store ? counters_.shared_store_conflicts : counters_.shared_load_conflicts) += waves - ideal;
}

void ThreadMemory::count_global(const Access& access, Pattern pattern, int first, bool store) {
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    const uint64_t start = access.addresses[first];
    uint64_t sectors = 0;
    if (pattern == Pattern::kSame) {
        sectors = 1;
    } else if (pattern == Pattern::kRun) {
        sectors = (start + bytes * lanes - 1) / 32 - start / 32 + 1;
    } else {
        uint64_t table[64] = {};
        for (LaneMask rest = access.lanes; rest != 0; rest &= rest - 1) {
            const uint64_t sector = access.addresses[__builtin_ctz(rest)] / 32 + 1;
            size_t at = sector & 63;
            while (table[at] != 0 && table[at] != sector)
                at = (at + 1) & 63;
            sectors += table[at] == 0;
            table[at] = sector;
        }
    }
    if (store) {
        ++counters_.global_store_requests;
        counters_.global_store_sectors += sectors;
        counters_.global_store_bytes += bytes * lanes;
    } else {
        ++counters_.global_load_requests;
        counters_.global_load_sectors += sectors;
        counters_.global_load_bytes += bytes * lanes;
    }
}

void ThreadMemory::finish() {
    Counters sum;
    for (uint32_t i = 1; i < traffic_.size() && i < arena_.allocation_count(); ++i) {
        if (arena_.allocation(i).read_only) continue;
        if (traffic_[i].first == 0 && traffic_[i].second == 0) continue;
        const Allocation& allocation = arena_.allocation(i);
        Counters one;
        one.traffic.push_back(
            {allocation.base, allocation.bytes, traffic_[i].first, traffic_[i].second});
        sum.add(one);
    }
    counters_.add(sum);
    traffic_.clear();
}

}  // namespace emulator
