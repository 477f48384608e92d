#include "tests/emulator/memory/thread_memory.hpp"

#include "tests/emulator/check/replay.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace emulator {
namespace {

using ptx::Space;

constexpr uint32_t kLocalLimit = 512 * 1024;
constexpr int kLocalState = Warp::kStates - 1;

/// Local memory of a warp: lane l's byte o at data[l * capacity + o].
struct LocalMemory : WarpState {
    uint32_t capacity = 0;
    std::vector<uint8_t> data, initialized;

    void grow(uint32_t bytes) {
        if (bytes <= capacity) return;
        uint32_t wider = std::max<uint32_t>(capacity, 1024);
        while (wider < bytes)
            wider *= 2;
        std::vector<uint8_t> moved(size_t{wider} * kWarpLanes);
        std::vector<uint8_t> bits(size_t{wider} * kWarpLanes / 8 + 8);
        for (int lane = 0; lane < kWarpLanes && capacity != 0; ++lane) {
            std::memcpy(moved.data() + size_t{wider} * lane, data.data() + size_t{capacity} * lane,
                        capacity);
            std::memcpy(bits.data() + size_t{wider} * lane / 8,
                        initialized.data() + size_t{capacity} * lane / 8, capacity / 8);
        }
        data.swap(moved);
        initialized.swap(bits);
        capacity = wider;
    }
};

std::string hex(uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

uint8_t reach_of(Scope scope) noexcept {
    return scope == Scope::kCta ? 0 : scope == Scope::kCluster ? 1 : 2;
}

bool acquires(Order order) noexcept {
    return order == Order::kAcquire || order == Order::kAcqRel;
}
bool releases(Order order) noexcept {
    return order == Order::kRelease || order == Order::kAcqRel;
}

void copy_bytes(uint8_t* to, const uint8_t* from, int bytes) noexcept {
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
void copy_out(const Access& access, bool same, int first, const uint8_t* from, uint8_t* out,
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
void copy_in(const Access& access, int first, const uint8_t* in, int stride, uint8_t* to) {
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

uint32_t log2_floor(uint32_t value) noexcept {
    return value <= 1 ? 0 : 31u - static_cast<uint32_t>(__builtin_clz(value));
}

}  // namespace

std::unique_ptr<Memory> make_memory(Worker& worker) {
    return std::make_unique<ThreadMemory>(worker);
}

void finish_memory(Worker& worker) {
    static_cast<ThreadMemory&>(worker.memory()).finish();
}

ThreadMemory::ThreadMemory(Worker& worker)
    : worker_(worker),
      launch_(worker.launch()),
      arena_(*worker.launch().arena),
      counters_(worker.counters),
      checks_(worker.launch().checks) {}

// --- parties, patterns, counters -------------------------------------------------------------------

ThreadMemory::Pattern ThreadMemory::pattern(const Access& access, int first) noexcept {
    const uint64_t* a = access.addresses;
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = a[first];
    if (access.lanes == kAllLanes) {
        uint64_t off_run = 0, off_same = 0;
        for (int lane = 0; lane < kWarpLanes; ++lane) {
            off_run |= a[lane] ^ (start + bytes * static_cast<uint64_t>(lane));
            off_same |= a[lane] ^ start;
        }
        return off_run == 0 ? Pattern::kRun : off_same == 0 ? Pattern::kSame : Pattern::kAny;
    }
    bool run = true, same = true;
    int expected = first;
    for (LaneMask rest = access.lanes; rest != 0; rest &= rest - 1, ++expected) {
        const int lane = __builtin_ctz(rest);
        run &= lane == expected && a[lane] == start + bytes * static_cast<uint64_t>(lane - first);
        same &= a[lane] == start;
    }
    return run ? Pattern::kRun : same ? Pattern::kSame : Pattern::kAny;
}

Party ThreadMemory::party(Warp& warp, const Access& access) const noexcept {
    Party who = party(warp, *access.op, Proxy::kGeneric, {});
    who.noncoherent = access.noncoherent;
    if (access.order != Order::kWeak) {
        who.strong = true;
        who.reach = access.order == Order::kVolatile ? 2 : reach_of(access.scope);
    }
    return who;
}

Party ThreadMemory::party(Warp& warp, const Op& op, Proxy proxy, Moment moment) const noexcept {
    Party who{};
    const Cluster& cluster = *warp.block().cluster;
    who.ordering = warp.ordering();
    who.cluster = cluster.number;
    who.first_column = static_cast<uint32_t>(warp.block().rank) * cluster.columns_per_block;
    who.warps = cluster.warps_per_block;
    who.column = who.ordering->column;
    who.tick = who.ordering->tick;
    if (moment.column != Moment::kNoColumn) {
        who.column = moment.column;
        who.tick = moment.tick;
    }
    who.pc = static_cast<uint32_t>(warp.code().number) << 20 | op.index;
    who.async_proxy = proxy == Proxy::kAsync;
    return who;
}

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

// --- what goes wrong -------------------------------------------------------------------------------

void ThreadMemory::misaligned(Warp& warp, const Op& op, int lane, uint64_t address, int bytes) {
    warp.report(
        op, 1u << lane, FindingKind::kMisaligned,
        "the address " + hex(address) + " is not aligned to " + std::to_string(bytes) + " bytes",
        true);
    throw Fault("misaligned");
}

const Allocation& ThreadMemory::global_at(Warp& warp, const Op& op, int lane, uint64_t address,
                                          uint64_t bytes, bool write) {
    const Allocation* allocation = arena_.holder(address, bytes);
    if (allocation != nullptr && !(write && allocation->read_only)) return *allocation;
    std::string message = std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
                          " bytes at " + hex(address) + ", ";
    if (allocation != nullptr) {
        message += "which is constant memory";
    } else if (const Allocation* near = arena_.find(address)) {
        if (!near->live) {
            message += "in memory that was freed";
        } else if (address < near->base) {
            message += std::to_string(near->base - address) + " bytes before";
        } else if (address - near->base >= near->bytes) {
            message +=
                std::to_string(address - near->base - near->bytes) + " bytes behind the end of";
        } else {
            message += "across the end of";
        }
        if (near->live)
            message += " the allocation of " + std::to_string(near->bytes) + " bytes at " +
                       hex(near->base);
    } else {
        message += "where no allocation is";
    }
    warp.report(op, 1u << lane, FindingKind::kOutOfBounds, message, true);
    throw Fault(message);
}

ThreadMemory::Place ThreadMemory::shared_at(Warp& warp, const Op& op, int lane, uint64_t address,
                                            uint32_t bytes, bool write) {
    const uint64_t rank = address >> 24;
    const auto offset = static_cast<uint32_t>(address & 0xFFFFFF);
    Cluster& cluster = *warp.block().cluster;
    if (rank < cluster.blocks.size()) {
        Block& block = *cluster.blocks[rank];
        if (offset >= kSharedFirst && offset + bytes <= block.shared_end) {
            if (block.live_threads == 0 && &block != &warp.block())
                warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                            "shared memory of block rank " + std::to_string(rank) +
                                " of the cluster, which has exited",
                            true);
            return {&block, offset};
        }
    }
    const std::string message = std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
                                " bytes at shared address " + hex(address) + "; the block has " +
                                std::to_string(warp.block().shared_end - kSharedFirst) +
                                " bytes from " + hex(kSharedFirst) + " on";
    warp.report(op, 1u << lane, FindingKind::kOutOfBounds, message, true);
    throw Fault(message);
}

uint8_t* ThreadMemory::local_at(Warp& warp, const Op& op, int lane, uint64_t address,
                                uint32_t bytes, uint8_t** bits, uint64_t* bit) {
    const Frame& frame = *warp.group().frame;
    const uint32_t end = frame.local_base + frame.code->local_bytes;
    if (address < kLocalFirst || address + bytes > end) {
        const std::string message = "accesses " + std::to_string(bytes) +
                                    " bytes at local address " + hex(address) +
                                    "; the thread has " + hex(kLocalFirst) + ".." + hex(end);
        warp.report(op, 1u << lane, FindingKind::kOutOfBounds, message, true);
        throw Fault(message);
    }
    auto& local = warp.state<LocalMemory>(kLocalState);
    if (local.capacity < end) {
        if (end > kLocalLimit) {
            warp.report(op, 1u << lane, FindingKind::kOutOfBounds, "the stack overflows", true);
            throw Fault("stack");
        }
        local.grow(end);
    }
    *bits = local.initialized.data();
    *bit = uint64_t{local.capacity} * static_cast<uint64_t>(lane) + address;
    return local.data.data() + *bit;
}

std::string ThreadMemory::describe(Warp& warp, const Conflict& conflict,
                                   std::string* other_source) const {
    const Cluster& cluster = *warp.block().cluster;
    const uint32_t per_block = cluster.columns_per_block;
    const uint32_t rank = conflict.other_column / per_block;
    const uint32_t place = conflict.other_column % per_block;
    std::string who;
    if (place < cluster.warps_per_block)
        who = "warp " + std::to_string(place) + " lane " + std::to_string(conflict.other_lane);
    else
        who = place < 2 * cluster.warps_per_block   ? "a bulk store"
              : place < 3 * cluster.warps_per_block ? "a wgmma"
                                                    : "a copy that completes on an mbarrier";
    if (conflict.other_cluster != cluster.number || cluster.blocks.size() > 1) {
        const uint64_t block = uint64_t{conflict.other_cluster} * cluster.blocks.size() + rank;
        who += " of block " + std::to_string(block);
    }
    const Program& program = *launch_.program;
    const uint32_t function = conflict.other_pc >> 20, index = conflict.other_pc & 0xFFFFF;
    if (function < program.functions.size() &&
        index < program.functions[function]->function->instructions.size()) {
        const ptx::Instruction& other = program.functions[function]->function->instructions[index];
        *other_source = program.source(other.location);
        who += " (line " + std::to_string(other.location.line) + ": " + other.full_opcode() +
               (other_source->empty() ? "" : ", " + *other_source) + ")";
    }
    return who;
}

void ThreadMemory::report(Warp& warp, const Op& op, LaneMask lanes, const Conflict& conflict,
                          bool write, bool shared) {
    std::string other;
    const std::string who = describe(warp, conflict, &other);
    const Cluster& cluster = *warp.block().cluster;
    // Warps of other clusters may have gone, or run on another host thread: they are not asked.
    if (write && !conflict.other_writes && !conflict.other_async &&
        conflict.other_cluster == cluster.number) {
        // It was read before; perhaps in vain.
        const uint32_t place = conflict.other_column % cluster.columns_per_block;
        Warp* reader = nullptr;
        if (place < cluster.warps_per_block)
            reader =
                &cluster.blocks[conflict.other_column / cluster.columns_per_block]->warps[place];
        const Kernel& code = reader != nullptr && !reader->groups().empty()
                                 ? *reader->groups()[0].frame->code
                                 : launch_.program->entry();
        if (reader != nullptr && (conflict.other_pc & 0xFFFF) < code.ops.size()) {
            const ptx::Instruction& writer = warp.code().function->instructions[op.index];
            const uint32_t cause = worker_.cause(
                conflict.kind, code, code.ops[conflict.other_pc & 0xFFFF],
                std::string("read from ") + (shared ? "shared" : "global") +
                    " memory unordered with the write by warp " + std::to_string(warp.index()) +
                    " (line " + std::to_string(writer.location.line) + ": " + writer.full_opcode() +
                    ")",
                launch_.program->source(writer.location));
            if (not_used_yet(worker_, *reader, conflict, cause)) return;
        }
    }
    std::string message;
    const std::string where =
        (shared ? "shared memory at offset " : "global memory at ") + hex(conflict.address);
    if (conflict.kind == FindingKind::kAsyncProxy)
        message = "the async proxy reads " + where + ", written by " + who +
                  " without fence.proxy.async since";
    else if (conflict.kind == FindingKind::kDoubleWrite)
        message = "writes " + where + ", which was written before by " + who;
    else
        message = std::string(write ? "writes " : "reads ") + where + ", unordered with the " +
                  (conflict.other_writes ? "write" : "read") + " by " + who;
    worker_.report(warp, op, lanes, conflict.kind, message, other);
}

uint32_t ThreadMemory::cause_of(Warp& warp, const Op& op, const Conflict& conflict, bool shared) {
    std::string other;
    const std::string who = describe(warp, conflict, &other);
    return worker_.cause(conflict.kind, warp.code(), op,
                         std::string("read from ") + (shared ? "shared" : "global") +
                             " memory unordered with the write by " + who,
                         other);
}

uint32_t ThreadMemory::cause_uninitialized(Warp& warp, const Op& op, uint64_t address,
                                           const char* where) {
    (void)address;
    return worker_.cause(FindingKind::kUninitialized, warp.code(), op,
                         std::string("loaded from ") + where + " memory that was never written",
                         "");
}

uint32_t ThreadMemory::cause_unfinished(Warp& warp, const Op& op, uint64_t address) {
    (void)address;
    return worker_.cause(FindingKind::kUnfinishedCopy, warp.code(), op,
                         "loaded from shared memory before the wait of the copy that fills it", "");
}

// --- strong accesses -------------------------------------------------------------------------------

void ThreadMemory::strong_effects(Warp& warp, const Access& access, bool reads, bool writes,
                                  bool adds, LaneMask lanes) {
    if (reads && !writes) ++worker_.polls;
    if (warp.ordering() == nullptr) return;
    const int reach = access.order == Order::kVolatile ? 2 : reach_of(access.scope);
    const bool shared = access.space == Space::kShared;
    for_lanes(lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        const auto apply = [&](SyncVariable& variable) {
            if (reads) strong_read(warp, 1u << lane, variable, reach, acquires(access.order));
            if (writes) strong_write(warp, variable, reach, releases(access.order), adds);
        };
        if (shared) {
            Cluster& cluster = *warp.block().cluster;
            Block& block = *cluster.blocks[address >> 24];
            const auto offset = static_cast<uint32_t>(address & 0xFFFFFF);
            const auto found = block.sync_variables.find(offset);
            if (found != block.sync_variables.end())
                apply(found->second);
            else if (writes)
                apply(block.sync_variables[offset]);
        } else {
            GlobalSync::Stripe& stripe = launch_.sync->stripe(address);
            std::unique_lock<std::mutex> lock(stripe.mutex, std::defer_lock);
            if (launch_.parallel) lock.lock();
            const auto found = stripe.variables.find(address);
            if (found != stripe.variables.end())
                apply(found->second);
            else if (writes)
                apply(stripe.variables[address]);
        }
    });
}

// --- loads -----------------------------------------------------------------------------------------

LaneMask ThreadMemory::load(Warp& warp, const Access& access, uint8_t* out, int stride) {
    switch (access.space) {
        case Space::kShared:
            return load_shared(warp, access, out, stride);
        case Space::kLocal:
            return load_local(warp, access, out, stride);
        case Space::kGlobal:
        case Space::kConst:
        case Space::kParam:
            return load_global(warp, access, out, stride);
        case Space::kGeneric:
            break;
    }
    uint64_t addresses[kWarpLanes];
    LaneMask shared = 0, local = 0, global = 0;
    for_lanes(access.lanes, [&](int lane) {
        switch (classify(access.addresses[lane], &addresses[lane])) {
            case Space::kShared:
                shared |= 1u << lane;
                break;
            case Space::kLocal:
                local |= 1u << lane;
                break;
            default:
                global |= 1u << lane;
                break;
        }
    });
    Access part = access;
    part.addresses = addresses;
    LaneMask bad = 0;
    if (global != 0) {
        part.lanes = global;
        part.space = Space::kGlobal;
        bad |= load_global(warp, part, out, stride);
    }
    if (shared != 0) {
        part.lanes = shared;
        part.space = Space::kShared;
        bad |= load_shared(warp, part, out, stride);
    }
    if (local != 0) {
        part.lanes = local;
        part.space = Space::kLocal;
        bad |= load_local(warp, part, out, stride);
    }
    return bad;
}

LaneMask ThreadMemory::load_global(Warp& warp, const Access& access, uint8_t* out, int stride) {
    if (access.lanes == 0) return 0;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    LaneMask bad = 0;
    if (access.count) count_global(access, pattern, first, false);

    if (pattern != Pattern::kAny) {
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        const uint64_t span = pattern == Pattern::kRun ? bytes * lanes : bytes;
        const Allocation* allocation = arena_.holder(start, span);
        if (allocation != nullptr) {
            add_traffic(*allocation, bytes * lanes, 0);
            if (checks_) {
                if (!arena_.is_initialized(*allocation, start, span)) {
                    for_lanes(access.lanes, [&](int lane) {
                        if (!arena_.is_initialized(*allocation, access.addresses[lane], bytes))
                            bad |= 1u << lane;
                    });
                    warp.set_cause(cause_uninitialized(warp, op, start, "global"));
                }
                if (!allocation->read_only) {
                    const Conflict conflict = launch_.shadow->read(
                        party(warp, access), start, static_cast<uint32_t>(span), first,
                        pattern == Pattern::kRun ? static_cast<uint32_t>(bytes) : 0);
                    if (conflict) {
                        bad = access.lanes;
                        warp.set_cause(cause_of(warp, op, conflict, false));
                    }
                }
            }
            const auto* from = reinterpret_cast<const uint8_t*>(start);
            copy_out(access, pattern == Pattern::kSame, first, from, out, stride);
            if (access.order != Order::kWeak)
                strong_effects(warp, access, true, false, false,
                               pattern == Pattern::kSame ? 1u << first : access.lanes);
            return bad;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Allocation& allocation = global_at(warp, op, lane, address, bytes, false);
        add_traffic(allocation, bytes, 0);
        if (checks_) {
            if (!arena_.is_initialized(allocation, address, bytes)) {
                bad |= 1u << lane;
                warp.set_cause(cause_uninitialized(warp, op, address, "global"));
            }
            if (!allocation.read_only) {
                const Conflict conflict =
                    launch_.shadow->read(who, address, static_cast<uint32_t>(bytes), lane, 0);
                if (conflict) {
                    bad |= 1u << lane;
                    warp.set_cause(cause_of(warp, op, conflict, false));
                }
            }
        }
        copy_bytes(out + lane * stride, reinterpret_cast<const uint8_t*>(address), access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, true, false, false, access.lanes);
    return bad;
}

/// Lanes [first, first + lanes) that read bytes_per_lane each from `offset` on: which of them see
/// bytes that were never written or that a copy has not filled yet.
LaneMask ThreadMemory::suspicious_shared(Warp& warp, const Op& op, Block& block, uint32_t offset,
                                         uint32_t bytes_per_lane, int first, int lanes) {
    SharedShadow& shadow = *block.shadow;
    const uint32_t at = offset - kSharedFirst;
    LaneMask bad = 0;
    if (shadow.unfinished_bytes != 0 &&
        bits_any(shadow.unfinished(), at,
                 uint64_t{bytes_per_lane} * static_cast<uint32_t>(lanes))) {
        for (int i = 0; i < lanes; ++i)
            if (bits_any(shadow.unfinished(), at + bytes_per_lane * static_cast<uint32_t>(i),
                         bytes_per_lane))
                bad |= 1u << (first + i);
        warp.set_cause(cause_unfinished(warp, op, offset));
        if (bad != 0) return bad;
    }
    if (!bits_all(shadow.initialized(), at,
                  uint64_t{bytes_per_lane} * static_cast<uint32_t>(lanes))) {
        for (int i = 0; i < lanes; ++i)
            if (!bits_all(shadow.initialized(), at + bytes_per_lane * static_cast<uint32_t>(i),
                          bytes_per_lane))
                bad |= 1u << (first + i);
        warp.set_cause(cause_uninitialized(warp, op, offset, "shared"));
    }
    return bad;
}

LaneMask ThreadMemory::load_shared(Warp& warp, const Access& access, uint8_t* out, int stride) {
    if (access.lanes == 0) return 0;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const int lanes = __builtin_popcount(access.lanes);
    LaneMask bad = 0;
    if (access.count) count_shared(access, pattern, false);

    if (pattern != Pattern::kAny) {
        const uint32_t span =
            pattern == Pattern::kRun ? bytes * static_cast<uint32_t>(lanes) : bytes;
        const uint64_t rank = start >> 24;
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        if (rank == static_cast<uint64_t>(warp.block().rank) && offset >= kSharedFirst &&
            offset + span <= warp.block().shared_end) {
            Block& block = warp.block();
            if (checks_) {
                bad = suspicious_shared(warp, op, block, offset, bytes, first,
                                        pattern == Pattern::kRun ? lanes : 1);
                if (pattern == Pattern::kSame && bad != 0) bad = access.lanes;
                const Party who = party(warp, access);
                SharedShadow& shadow = *block.shadow;
                const uint32_t shift =
                    pattern == Pattern::kRun ? log2_floor(bytes >> shadow.granule_shift()) : 31;
                Conflict conflict =
                    shadow.read(who, offset - kSharedFirst, span, {first, static_cast<int>(shift)});
                if (pattern == Pattern::kSame && lanes > 1 && !conflict)
                    conflict = shadow.read(who, offset - kSharedFirst, span,
                                           {31 - __builtin_clz(access.lanes), 31});
                if (conflict) {
                    bad = access.lanes;
                    warp.set_cause(cause_of(warp, op, conflict, true));
                }
            }
            const uint8_t* from = block.shared + offset;
            copy_out(access, pattern == Pattern::kSame, first, from, out, stride);
            if (access.order != Order::kWeak)
                strong_effects(warp, access, true, false, false,
                               pattern == Pattern::kSame ? 1u << first : access.lanes);
            return bad;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, false);
        if (checks_) {
            bad |= suspicious_shared(warp, op, *place.block, place.offset, bytes, lane, 1);
            const Conflict conflict =
                place.block->shadow->read(who, place.offset - kSharedFirst, bytes, {lane, 31});
            if (conflict) {
                bad |= 1u << lane;
                warp.set_cause(cause_of(warp, op, conflict, true));
            }
        }
        copy_bytes(out + lane * stride, place.block->shared + place.offset, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, true, false, false, access.lanes);
    return bad;
}

LaneMask ThreadMemory::load_local(Warp& warp, const Access& access, uint8_t* out, int stride) {
    LaneMask bad = 0;
    const auto bytes = static_cast<uint32_t>(access.bytes);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, *access.op, lane, address, access.bytes);
        uint8_t* bits;
        uint64_t bit;
        const uint8_t* from = local_at(warp, *access.op, lane, address, bytes, &bits, &bit);
        if (checks_ && !bits_all(bits, bit, bytes)) {
            bad |= 1u << lane;
            warp.set_cause(cause_uninitialized(warp, *access.op, address, "local"));
        }
        copy_bytes(out + lane * stride, from, access.bytes);
    });
    return bad;
}

// --- stores ----------------------------------------------------------------------------------------

void ThreadMemory::store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                         LaneMask suspicious) {
    worker_.progress();
    switch (access.space) {
        case Space::kShared:
            return store_shared(warp, access, in, stride, suspicious);
        case Space::kLocal:
            return store_local(warp, access, in, stride, suspicious);
        case Space::kGlobal:
        case Space::kConst:
        case Space::kParam:
            return store_global(warp, access, in, stride, suspicious);
        case Space::kGeneric:
            break;
    }
    uint64_t addresses[kWarpLanes];
    LaneMask shared = 0, local = 0, global = 0;
    for_lanes(access.lanes, [&](int lane) {
        switch (classify(access.addresses[lane], &addresses[lane])) {
            case Space::kShared:
                shared |= 1u << lane;
                break;
            case Space::kLocal:
                local |= 1u << lane;
                break;
            default:
                global |= 1u << lane;
                break;
        }
    });
    Access part = access;
    part.addresses = addresses;
    if (global != 0) {
        part.lanes = global;
        part.space = Space::kGlobal;
        store_global(warp, part, in, stride, suspicious & global);
    }
    if (shared != 0) {
        part.lanes = shared;
        part.space = Space::kShared;
        store_shared(warp, part, in, stride, suspicious & shared);
    }
    if (local != 0) {
        part.lanes = local;
        part.space = Space::kLocal;
        store_local(warp, part, in, stride, suspicious & local);
    }
}

void ThreadMemory::store_global(Warp& warp, const Access& access, const uint8_t* in, int stride,
                                LaneMask suspicious) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint64_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const auto lanes = static_cast<uint64_t>(__builtin_popcount(access.lanes));
    if (access.count) count_global(access, pattern, first, true);
    if (suspicious != 0 && checks_) warp.report_cause(op, suspicious, "the value stored was");
    const bool double_writes = launch_.options->double_writes;

    if (pattern == Pattern::kRun) {
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        const uint64_t span = bytes * lanes;
        const Allocation* allocation = arena_.holder(start, span);
        if (allocation != nullptr && !allocation->read_only) {
            add_traffic(*allocation, 0, span);
            if (checks_) {
                arena_.set_initialized(*allocation, start, span);
                const Conflict conflict =
                    launch_.shadow->write(party(warp, access), start, static_cast<uint32_t>(span),
                                          first, static_cast<uint32_t>(bytes), double_writes);
                if (conflict) report(warp, op, access.lanes, conflict, true, false);
            }
            copy_in(access, first, in, stride, reinterpret_cast<uint8_t*>(start));
            if (access.order != Order::kWeak)
                strong_effects(warp, access, false, true, false, access.lanes);
            return;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Allocation& allocation = global_at(warp, op, lane, address, bytes, true);
        add_traffic(allocation, 0, bytes);
        auto* to = reinterpret_cast<uint8_t*>(address);
        if (checks_) {
            arena_.set_initialized(allocation, address, bytes);
            const Conflict conflict = launch_.shadow->write(
                who, address, static_cast<uint32_t>(bytes), lane, 0, double_writes);
            // Lanes of one instruction that write the same value to one place are harmless.
            const bool same_value = conflict.kind == FindingKind::kLaneRace &&
                                    conflict.other_pc == who.pc &&
                                    std::memcmp(to, in + lane * stride, bytes) == 0;
            if (conflict && !same_value) report(warp, op, 1u << lane, conflict, true, false);
        }
        copy_bytes(to, in + lane * stride, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, false, true, false, access.lanes);
}

void ThreadMemory::store_shared(Warp& warp, const Access& access, const uint8_t* in, int stride,
                                LaneMask suspicious) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const uint64_t start = access.addresses[first];
    const Pattern pattern = this->pattern(access, first);
    const int lanes = __builtin_popcount(access.lanes);
    if (access.count) count_shared(access, pattern, true);
    // What was never written may pass through shared memory unused; a race is told right here.
    if (suspicious != 0 && checks_ &&
        worker_.cause(warp.cause()).kind != FindingKind::kUninitialized) {
        warp.report_cause(op, suspicious, "the value stored was");
        suspicious = 0;
    }
    const auto over_copy = [&](Block& block, uint32_t at, uint32_t span, LaneMask who) {
        if (block.shadow->unfinished_bytes != 0 && bits_any(block.shadow->unfinished(), at, span))
            warp.report(
                op, who, FindingKind::kUnfinishedCopy,
                "writes shared memory at offset " + hex(at) + " that a copy in flight will fill");
    };

    if (pattern == Pattern::kRun && start >> 24 == static_cast<uint64_t>(warp.block().rank)) {
        Block& block = warp.block();
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        const uint32_t span = bytes * static_cast<uint32_t>(lanes);
        if (start % bytes != 0) misaligned(warp, op, first, start, access.bytes);
        if (offset >= kSharedFirst && offset + span <= block.shared_end) {
            if (checks_) {
                SharedShadow& shadow = *block.shadow;
                const uint32_t at = offset - kSharedFirst;
                over_copy(block, at, span, access.lanes);
                bits_assign(shadow.initialized(), at, span, true);
                for_lanes(suspicious & access.lanes, [&](int lane) {
                    bits_assign(shadow.initialized(),
                                at + bytes * static_cast<uint32_t>(lane - first), bytes, false);
                });
                const Conflict conflict = shadow.write(
                    party(warp, access), at, span,
                    {first, static_cast<int>(log2_floor(bytes >> shadow.granule_shift()))});
                if (conflict) report(warp, op, access.lanes, conflict, true, true);
            }
            copy_in(access, first, in, stride, block.shared + offset);
            if (access.order != Order::kWeak)
                strong_effects(warp, access, false, true, false, access.lanes);
            return;
        }
    }
    Party who{};
    if (checks_) who = party(warp, access);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, true);
        uint8_t* to = place.block->shared + place.offset;
        if (checks_) {
            const uint32_t at = place.offset - kSharedFirst;
            over_copy(*place.block, at, bytes, 1u << lane);
            bits_assign(place.block->shadow->initialized(), at, bytes,
                        (suspicious >> lane & 1) == 0);
            const Conflict conflict = place.block->shadow->write(who, at, bytes, {lane, 31});
            const bool same_value = conflict.kind == FindingKind::kLaneRace &&
                                    conflict.other_pc == who.pc &&
                                    std::memcmp(to, in + lane * stride, bytes) == 0;
            if (conflict && !same_value) report(warp, op, 1u << lane, conflict, true, true);
        }
        copy_bytes(to, in + lane * stride, access.bytes);
    });
    if (access.order != Order::kWeak)
        strong_effects(warp, access, false, true, false, access.lanes);
}

void ThreadMemory::store_local(Warp& warp, const Access& access, const uint8_t* in, int stride,
                               LaneMask suspicious) {
    const auto bytes = static_cast<uint32_t>(access.bytes);
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, *access.op, lane, address, access.bytes);
        uint8_t* bits;
        uint64_t bit;
        uint8_t* to = local_at(warp, *access.op, lane, address, bytes, &bits, &bit);
        if (checks_) bits_assign(bits, bit, bytes, (suspicious >> lane & 1) == 0);
        copy_bytes(to, in + lane * stride, access.bytes);
    });
}

// --- atomics ---------------------------------------------------------------------------------------

LaneMask ThreadMemory::atomic(
    Warp& warp, const Access& access, uint8_t* old, int stride,
    const std::function<void(const uint8_t* old, int lane, uint8_t* result)>& modify) {
    const Op& op = *access.op;
    const auto bytes = static_cast<uint32_t>(access.bytes);
    LaneMask bad = 0;
    if (access.count) ++counters_.atomic_requests;
    // Which lane comes first is nobody's business: start anywhere.
    const int turn = static_cast<int>(worker_.random() >> 59);
    for (int step = 0; step < kWarpLanes; ++step) {
        const int lane = (step + turn) & 31;
        if ((access.lanes >> lane & 1) == 0) continue;
        uint64_t address = access.addresses[lane];
        Space space = access.space;
        if (space == Space::kGeneric) space = classify(address, &address);
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        uint8_t result[16];
        uint8_t before[16];
        bool changed = true;
        uint64_t addresses[kWarpLanes];
        addresses[lane] = address;
        Access one = access;
        one.space = space;
        one.addresses = addresses;
        one.lanes = 1u << lane;
        if (one.order == Order::kWeak) one.order = Order::kRelaxed;
        const bool relies = one.order != Order::kRelease;
        if (space == Space::kShared) {
            const Place place = shared_at(warp, op, lane, address, bytes, true);
            uint8_t* at = place.block->shared + place.offset;
            std::memcpy(before, at, bytes);
            modify(before, lane, result);
            changed = std::memcmp(before, result, bytes) != 0;
            if (checks_) {
                const uint32_t offset = place.offset - kSharedFirst;
                bad |= suspicious_shared(warp, op, *place.block, place.offset, bytes, lane, 1);
                bits_assign(place.block->shadow->initialized(), offset, bytes, true);
                const Conflict conflict =
                    place.block->shadow->write(party(warp, one), offset, bytes, {lane, 31});
                if (conflict) report(warp, op, 1u << lane, conflict, true, true);
            }
            std::memcpy(at, result, bytes);
            strong_effects(warp, one, relies, changed || releases(one.order), true, one.lanes);
        } else if (space == Space::kLocal) {
            warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                        "an atomic operation on local memory", true);
        } else {
            const Allocation& allocation = global_at(warp, op, lane, address, bytes, true);
            add_traffic(allocation, bytes, bytes);
            auto* at = reinterpret_cast<uint8_t*>(address);
            {
                GlobalSync::Stripe& stripe = launch_.sync->stripe(address);
                std::unique_lock<std::mutex> lock(stripe.mutex, std::defer_lock);
                if (launch_.parallel) lock.lock();
                std::memcpy(before, at, bytes);
                modify(before, lane, result);
                changed = std::memcmp(before, result, bytes) != 0;
                std::memcpy(at, result, bytes);
            }
            if (checks_) {
                if (!arena_.is_initialized(allocation, address, bytes)) {
                    bad |= 1u << lane;
                    warp.set_cause(cause_uninitialized(warp, op, address, "global"));
                }
                arena_.set_initialized(allocation, address, bytes);
                const Conflict conflict =
                    launch_.shadow->write(party(warp, one), address, bytes, lane, 0, false);
                if (conflict) report(warp, op, 1u << lane, conflict, true, false);
            }
            strong_effects(warp, one, relies, changed || releases(one.order), true, one.lanes);
        }
        std::memcpy(old + lane * stride, before, bytes);
        if (changed) {
            worker_.progress();
        } else {
            ++worker_.polls;
            ++counters_.spin_retries;
        }
    }
    return bad;
}

// --- engines ---------------------------------------------------------------------------------------

uint8_t* ThreadMemory::resolve(Warp& warp, const Op& op, Space space, uint64_t address,
                               int64_t bytes, bool write) {
    const int lane = __builtin_ctz(warp.group().lanes | 0x80000000u);
    if (space == Space::kGeneric) space = classify(address, &address);
    if (space == Space::kShared) {
        const Place place = shared_at(warp, op, lane, address, static_cast<uint32_t>(bytes), write);
        return place.block->shared + place.offset;
    }
    if (space == Space::kLocal) {
        warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                    "local memory is no place for an asynchronous copy", true);
        return nullptr;
    }
    if (bytes == 0) return reinterpret_cast<uint8_t*>(address);
    global_at(warp, op, lane, address, static_cast<uint64_t>(bytes), write);
    return reinterpret_cast<uint8_t*>(address);
}

Block* ThreadMemory::owner(Warp& warp, const uint8_t* where, int64_t bytes) const noexcept {
    for (Block* block : warp.block().cluster->blocks)
        if (where >= block->shared + kSharedFirst &&
            where + bytes <= block->shared + block->shared_end)
            return block;
    return nullptr;
}

uint8_t* ThreadMemory::shared_pointer(Warp& warp, uint64_t address, int64_t bytes) {
    const uint64_t rank = address >> 24;
    const auto offset = static_cast<int64_t>(address & 0xFFFFFF);
    Cluster& cluster = *warp.block().cluster;
    if (rank >= cluster.blocks.size() || offset < kSharedFirst ||
        offset + bytes > cluster.blocks[rank]->shared_end)
        return nullptr;
    return cluster.blocks[rank]->shared + offset;
}

bool ThreadMemory::note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                             Proxy proxy) {
    return note_read(warp, op, where, bytes, proxy, Moment{});
}

void ThreadMemory::note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                              bool complete) {
    note_write(warp, op, where, bytes, proxy, complete, Moment{});
}

bool ThreadMemory::note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                             Proxy proxy, Moment moment, LaneMask lanes) {
    if (bytes == 0) return true;
    const auto address = reinterpret_cast<uint64_t>(where);
    const bool by_lane = proxy == Proxy::kAsync && lanes != 0;
    if (lanes == 0) lanes = warp.group().lanes;
    const int lane = __builtin_ctz(lanes | 0x80000000u);
    if (arena_.contains(address)) {
        const Allocation* allocation = arena_.holder(address, static_cast<uint64_t>(bytes));
        if (allocation == nullptr) return true;
        add_traffic(*allocation, static_cast<uint64_t>(bytes), 0);
        if (!checks_) return true;
        bool good = true;
        if (!arena_.is_initialized(*allocation, address, static_cast<uint64_t>(bytes))) {
            warp.set_cause(cause_uninitialized(warp, op, address, "global"));
            good = false;
        }
        if (!allocation->read_only) {
            const Conflict conflict = launch_.shadow->read(party(warp, op, proxy, moment), address,
                                                           static_cast<uint32_t>(bytes), lane, 0);
            if (conflict) {
                warp.set_cause(cause_of(warp, op, conflict, false));
                good = false;
            }
        }
        return good;
    }
    if (!checks_) return true;
    Block* block = owner(warp, where, bytes);
    if (block == nullptr) return true;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    SharedShadow& shadow = *block->shadow;
    Party who = party(warp, op, proxy, moment);
    who.by_lane = by_lane;
    bool good = true;
    if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
        warp.set_cause(cause_unfinished(warp, op, at));
        if (proxy == Proxy::kAsync)
            warp.report(op, lanes, FindingKind::kUnfinishedCopy,
                        "reads shared memory at offset " + hex(at) +
                            " that a copy in flight has not filled");
        good = false;
    } else if (!bits_all(shadow.initialized(), at, span)) {
        warp.set_cause(cause_uninitialized(warp, op, at, "shared"));
        good = false;
    }
    const Conflict conflict = shadow.read(who, at, span, {lane, 31});
    if (conflict) {
        warp.set_cause(cause_of(warp, op, conflict, true));
        // An engine's value has no register to carry the suspicion.
        if (proxy == Proxy::kAsync) report(warp, op, lanes, conflict, false, true);
        good = false;
    }
    return good;
}

void ThreadMemory::note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                              bool complete, Moment moment, LaneMask lanes) {
    if (bytes == 0) return;
    worker_.progress();
    const auto address = reinterpret_cast<uint64_t>(where);
    if (lanes == 0) lanes = warp.group().lanes;
    const int lane = __builtin_ctz(lanes | 0x80000000u);
    if (arena_.contains(address)) {
        const Allocation* allocation = arena_.holder(address, static_cast<uint64_t>(bytes));
        if (allocation == nullptr) return;
        if (complete) add_traffic(*allocation, 0, static_cast<uint64_t>(bytes));
        if (!checks_) return;
        if (complete) arena_.set_initialized(*allocation, address, static_cast<uint64_t>(bytes));
        const Conflict conflict = launch_.shadow->write(
            party(warp, op, proxy, moment), address, static_cast<uint32_t>(bytes), lane, 0, false);
        if (conflict) report(warp, op, lanes, conflict, true, false);
        return;
    }
    if (!checks_) return;
    Block* block = owner(warp, where, bytes);
    if (block == nullptr) return;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    SharedShadow& shadow = *block->shadow;
    const Party who = party(warp, op, proxy, moment);
    if (!complete) {
        if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
            warp.report(
                op, lanes, FindingKind::kUnfinishedCopy,
                "a copy into shared memory at offset " + hex(at) + " where another is in flight");
        } else {
            const Conflict conflict = shadow.write(who, at, span, {lane, 31});
            if (conflict) report(warp, op, lanes, conflict, true, true);
        }
        bits_assign(shadow.unfinished(), at, span, true);
        shadow.unfinished_bytes += span;
        return;
    }
    if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
        bits_assign(shadow.unfinished(), at, span, false);
        shadow.unfinished_bytes -= std::min(shadow.unfinished_bytes, span);
        shadow.set_writer(who, at, span, {lane, 31});
    } else {
        const Conflict conflict = shadow.write(who, at, span, {lane, 31});
        if (conflict) report(warp, op, lanes, conflict, true, true);
    }
    bits_assign(shadow.initialized(), at, span, true);
}

void ThreadMemory::issue_store(Warp& warp, const Access& access) {
    if (access.lanes == 0) return;
    const Op& op = *access.op;
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const Pattern pattern = this->pattern(access, first);
    if (access.count) count_shared(access, pattern, true);
    const uint64_t start = access.addresses[first];
    Party who{};
    if (checks_) who = party(warp, access);
    const auto span_of = [&](Block& block, uint32_t at, uint32_t span, LaneMask lanes,
                             LaneRun run) {
        SharedShadow& shadow = *block.shadow;
        if (shadow.unfinished_bytes != 0 && bits_any(shadow.unfinished(), at, span)) {
            warp.report(
                op, lanes, FindingKind::kUnfinishedCopy,
                "a copy into shared memory at offset " + hex(at) + " where another is in flight");
        } else {
            const Conflict conflict = shadow.write(who, at, span, run);
            if (conflict) report(warp, op, lanes, conflict, true, true);
        }
        bits_assign(shadow.unfinished(), at, span, true);
        shadow.unfinished_bytes += span;
    };
    if (pattern == Pattern::kRun && start % bytes == 0) {
        const uint32_t span = bytes * static_cast<uint32_t>(__builtin_popcount(access.lanes));
        Block& block = warp.block();
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (start >> 24 == static_cast<uint64_t>(block.rank) && offset >= kSharedFirst &&
            offset + span <= block.shared_end) {
            if (checks_)
                span_of(
                    block, offset - kSharedFirst, span, access.lanes,
                    {first, static_cast<int>(log2_floor(bytes >> block.shadow->granule_shift()))});
            return;
        }
    }
    for_lanes(access.lanes, [&](int lane) {
        const uint64_t address = access.addresses[lane];
        if (address % bytes != 0) misaligned(warp, op, lane, address, access.bytes);
        const Place place = shared_at(warp, op, lane, address, bytes, true);
        if (checks_)
            span_of(*place.block, place.offset - kSharedFirst, bytes, 1u << lane, {lane, 31});
    });
}

void ThreadMemory::land_store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                              LaneMask suspicious, Moment moment) {
    if (access.lanes == 0) return;
    worker_.progress();
    const int first = __builtin_ctz(access.lanes);
    const auto bytes = static_cast<uint32_t>(access.bytes);
    const Pattern pattern = this->pattern(access, first);
    const uint64_t start = access.addresses[first];
    Party who{};
    if (checks_) who = party(warp, *access.op, Proxy::kGeneric, moment);
    const auto span_of = [&](Block& block, uint32_t at, uint32_t span, LaneRun run) {
        SharedShadow& shadow = *block.shadow;
        bits_assign(shadow.unfinished(), at, span, false);
        shadow.unfinished_bytes -= std::min(shadow.unfinished_bytes, span);
        bits_assign(shadow.initialized(), at, span, true);
        shadow.set_writer(who, at, span, run);
    };
    Cluster& cluster = *warp.block().cluster;
    if (pattern == Pattern::kRun) {
        const uint32_t span = bytes * static_cast<uint32_t>(__builtin_popcount(access.lanes));
        Block& block = *cluster.blocks[start >> 24];
        const auto offset = static_cast<uint32_t>(start & 0xFFFFFF);
        if (checks_)
            span_of(block, offset - kSharedFirst, span,
                    {first, static_cast<int>(log2_floor(bytes >> block.shadow->granule_shift()))});
        copy_in(access, first, in, stride, block.shared + offset);
    } else {
        for_lanes(access.lanes, [&](int lane) {
            const uint64_t address = access.addresses[lane];
            Block& block = *cluster.blocks[address >> 24];
            const auto offset = static_cast<uint32_t>(address & 0xFFFFFF);
            if (checks_) span_of(block, offset - kSharedFirst, bytes, {lane, 31});
            copy_bytes(block.shared + offset, in + lane * stride, access.bytes);
        });
    }
    if (checks_)
        for_lanes(suspicious & access.lanes, [&](int lane) {
            const uint64_t address = access.addresses[lane];
            bits_assign(cluster.blocks[address >> 24]->shadow->initialized(),
                        (address & 0xFFFFFF) - kSharedFirst, bytes, false);
        });
}

void ThreadMemory::note_reduction(Warp& warp, const Op& op, uint8_t* where, int64_t bytes,
                                  Proxy proxy, Moment moment) {
    worker_.progress();
    Block* block = checks_ ? owner(warp, where, bytes) : nullptr;
    if (block == nullptr) return;
    const LaneMask lanes = warp.group().lanes;
    Party who = party(warp, op, proxy, moment);
    who.strong = true;
    who.reach = 1;
    const auto at = static_cast<uint32_t>(where - block->shared) - kSharedFirst;
    const auto span = static_cast<uint32_t>(bytes);
    const Conflict conflict =
        block->shadow->write(who, at, span, {__builtin_ctz(lanes | 0x80000000u), 31});
    if (conflict) report(warp, op, lanes, conflict, true, true);
}

void ThreadMemory::forget_local(Warp& warp, LaneMask lanes, uint32_t from, uint32_t bytes) {
    if (bytes == 0) return;
    auto& local = warp.state<LocalMemory>(kLocalState);
    if (from >= local.capacity) return;
    const uint64_t count = std::min(bytes, local.capacity - from);
    for_lanes(lanes, [&](int lane) {
        bits_assign(local.initialized.data(),
                    uint64_t{local.capacity} * static_cast<uint64_t>(lane) + from, count, false);
    });
}

void ThreadMemory::mark_uninitialized(Warp& warp, uint8_t* where, int64_t bytes) {
    if (!checks_ || bytes == 0) return;
    const Block* block = owner(warp, where, bytes);
    if (block == nullptr) return;
    bits_assign(block->shadow->initialized(),
                static_cast<uint64_t>(where - block->shared) - kSharedFirst,
                static_cast<uint64_t>(bytes), false);
}

void ThreadMemory::fence(Warp& warp, Order /*order*/, Scope scope) {
    fence_clocks(warp, reach_of(scope));
}

void ThreadMemory::fence_proxy_async(Warp& warp) {
    fence_proxy_clocks(warp);
}

}  // namespace emulator
