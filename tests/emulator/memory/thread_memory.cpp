// ThreadMemory's front: which space an access goes to, local memory, fences.
#include "tests/emulator/memory/thread_memory.hpp"

#include <algorithm>
#include <atomic>

#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

using ptx::Space;

namespace {

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

// --- loads and stores by space ---------------------------------------------------------------------

namespace {

/// Calls part(access) for the lanes of each space that an access goes to, with addresses of that space.
template <typename Part>
void by_space(const Access& access, Part&& part) {
    if (access.space != Space::kGeneric) return part(access);
    uint64_t addresses[kWarpLanes];
    LaneMask shared = 0, local = 0, global = 0;
    for_lanes(access.lanes, [&](int lane) {
        const Space space = Memory::classify(access.addresses[lane], &addresses[lane]);
        LaneMask& of = space == Space::kShared ? shared : space == Space::kLocal ? local : global;
        of |= 1u << lane;
    });
    Access one = access;
    one.addresses = addresses;
    const auto in = [&](Space space, LaneMask lanes) {
        if (lanes == 0) return;
        one.space = space;
        one.lanes = lanes;
        part(one);
    };
    in(Space::kGlobal, global);
    in(Space::kShared, shared);
    in(Space::kLocal, local);
}

}  // namespace

LaneMask ThreadMemory::load(Warp& warp, const Access& access, uint8_t* out, int stride) {
    LaneMask bad = 0;
    by_space(access, [&](const Access& part) {
        bad |= part.space == Space::kShared  ? load_shared(warp, part, out, stride)
               : part.space == Space::kLocal ? load_local(warp, part, out, stride)
                                             : load_global(warp, part, out, stride);
    });
    return bad;
}

void ThreadMemory::store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                         LaneMask suspicious) {
    worker_.progress();
    by_space(access, [&](const Access& part) {
        const LaneMask bad = suspicious & part.lanes;
        if (part.space == Space::kShared)
            store_shared(warp, part, in, stride, bad);
        else if (part.space == Space::kLocal)
            store_local(warp, part, in, stride, bad);
        else
            store_global(warp, part, in, stride, bad);
    });
}

// --- local memory ----------------------------------------------------------------------------------

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

// --- fences ----------------------------------------------------------------------------------------

void ThreadMemory::fence(Warp& warp, Order /*order*/, Scope scope) {
    if (launch_.parallel) std::atomic_thread_fence(std::memory_order_seq_cst);
    fence_clocks(warp, reach_of(scope));
}

void ThreadMemory::fence_proxy_async(Warp& warp) {
    fence_proxy_clocks(warp);
}

}  // namespace emulator
