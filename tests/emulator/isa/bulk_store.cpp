// Bulk copies out of shared memory: they complete in the thread's bulk groups, the source is read at
// wait_group.read at the latest, the destination written at wait_group, or when the warp exits.
// Lanes that execute one store with the same operands make one copy: so ptxas translates it (stores go
// through the uniform datapath, once per distinct operands; loads and reductions once per lane), and
// CUTLASS's epilogues rely on it.
#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>

#include "tests/emulator/isa/bulk_copy.hpp"
#include "tests/emulator/isa/mbarrier.hpp"

namespace emulator {

using ptx::Space;

// --- groups of bulk stores -------------------------------------------------------------------------

void finish_stores(Warp& warp, LaneMask lanes, const uint32_t* groups, bool finish) {
    AsyncState& state = async_state(warp);
    for (BulkStore& store : state.stores) {
        LaneMask waited = 0;
        for_lanes(store.lanes & lanes, [&](int lane) {
            waited |= static_cast<LaneMask>(store.group[lane] < groups[lane]) << lane;
        });
        if (waited == 0) continue;
        if (!store.was_read) {
            store.read(warp);
            store.was_read = true;
        }
        // First, so that the write that lands is no race with itself when it was issued.
        finish_async(warp, waited, finish ? store.writing : store.reading);
        if (finish && store.write) {
            store.write(warp);
            store.write = nullptr;
            count_in_flight(warp, warp.block(), -store.bytes);
        }
        if (finish) store.lanes &= ~waited;
    }
    state.stores.erase(std::remove_if(state.stores.begin(), state.stores.end(),
                                      [](const BulkStore& store) { return store.lanes == 0; }),
                       state.stores.end());
}

void AsyncState::on_exit(Warp& warp) {
    for (const BulkStore& store : stores)
        if (!store.was_read)
            warp.report(
                *store.op, store.lanes, FindingKind::kUnfinishedCopy,
                "a thread exits before cp.async.bulk.wait_group.read: the copy may still read "
                "the block's shared memory");
    uint32_t all[kWarpLanes];
    std::fill(std::begin(all), std::end(all), std::numeric_limits<uint32_t>::max());
    finish_stores(warp, kAllLanes, all, true);
    if (warp.block().live_threads > 0) return;
    for (const auto& [offset, object] : warp.block().mbarriers)
        if (!object.in_flight.empty() && last_load != nullptr)
            warp.report(*last_load, 0, FindingKind::kUnfinishedCopy,
                        "a block exits while copies to its shared memory are in flight on the "
                        "mbarrier at shared offset " +
                            std::to_string(offset));
}

namespace {

/// Adds to global memory, 32 elements at a time, atomically as other blocks do the same.
void reduce_global(Warp& warp, const Op& op, Reduction reduction, ReductionType type, uint64_t to,
                   const uint8_t* values, int64_t bytes) {
    const int width = reduction_bytes(type);
    for (int64_t at = 0; at < bytes; at += int64_t{width} * kWarpLanes) {
        const int64_t count = std::min<int64_t>(kWarpLanes, (bytes - at) / width);
        uint64_t addresses[kWarpLanes] = {};
        for (int64_t i = 0; i < count; ++i)
            addresses[i] = to + static_cast<uint64_t>(at + i * width);
        Access access{&op, count == kWarpLanes ? kAllLanes : (1u << count) - 1, addresses, width};
        access.space = Space::kGlobal;
        access.order = Order::kRelaxed;
        access.scope = Scope::kGpu;
        access.count = false;
        uint8_t old[8 * kWarpLanes];
        warp.memory().atomic(warp, access, old, 8,
                             [&](const uint8_t* before, int lane, uint8_t* result) {
                                 reduce_element(reduction, type, before,
                                                values + at + int64_t{lane} * width, result);
                             });
    }
}

/// A piece of a store: `bytes` at offset `at` of the data go to `address`.
struct StorePiece {
    int64_t at, bytes;
    uint64_t address;
    uint8_t* where;
};

/// Puts a store of `lanes` in flight. `gather` reads the data out of shared memory (`data` has `data_bytes`);
/// `pieces` say where it goes.
void launch_store(Warp& warp, const Op& op, const BulkDetail& detail, LaneMask lanes,
                  Moment reading, int64_t data_bytes, std::function<void(uint8_t* data)> gather,
                  std::vector<StorePiece> pieces, uint32_t byte_mask, ReductionType type,
                  Unwritten unwritten) {
    int64_t bytes = 0;
    // Later than the read: wait_group.read says nothing of it.
    const Moment writing = begin_async(warp, Engine::kBulkStore);
    for (const StorePiece& piece : pieces) {
        bytes += piece.bytes;
        if (!detail.reduce && byte_mask == 0xFFFFu)
            warp.memory().note_write(warp, op, piece.where, piece.bytes, Proxy::kAsync, false,
                                     writing);
    }
    warp.counters().bulk_store_bytes += static_cast<uint64_t>(bytes);
    AsyncState& state = async_state(warp);
    BulkStore store;
    store.op = &op;
    store.lanes = lanes;
    store.group = state.bulk_committed;
    store.bytes = bytes;
    store.reading = reading;
    store.writing = writing;
    auto data = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(data_bytes));
    store.read = [data, gather](Warp&) { gather(data->data()); };
    const Op* by = &op;
    const bool reduce = detail.reduce;
    const Reduction reduction = detail.reduction;
    store.write = [=](Warp& owner) {
        for (const StorePiece& piece : pieces) {
            const uint8_t* from = data->data() + piece.at;
            if (reduce) {
                reduce_global(owner, *by, reduction, type, piece.address, from, piece.bytes);
                continue;
            }
            if (byte_mask == 0xFFFFu) {
                owner.memory().note_write(owner, *by, piece.where, piece.bytes, Proxy::kAsync, true,
                                          writing);
                std::memcpy(piece.where, from, static_cast<size_t>(piece.bytes));
            } else {
                for (int64_t i = 0; i < piece.bytes; ++i) {
                    if ((byte_mask >> (i % 16) & 1u) == 0) continue;
                    owner.memory().note_write(owner, *by, piece.where + i, 1, Proxy::kAsync, true,
                                              writing);
                    piece.where[i] = from[i];
                }
            }
            for (const auto& [first, count] : unwritten) {
                const int64_t begin = std::max(first, piece.at);
                const int64_t end = std::min(first + count, piece.at + piece.bytes);
                if (begin < end)
                    owner.memory().mark_uninitialized(owner, piece.where + (begin - piece.at),
                                                      end - begin);
            }
        }
    };
    count_in_flight(warp, warp.block(), bytes);
    state.stores.push_back(std::move(store));
}

/// What a reduction of a tensor's elements works on; false if there is none.
bool reduction_type_of(TensorType type, ReductionType* out) {
    switch (type) {
        case TensorType::kU32:
            *out = ReductionType::kU32;
            return true;
        case TensorType::kS32:
            *out = ReductionType::kS32;
            return true;
        case TensorType::kU64:
            *out = ReductionType::kU64;
            return true;
        case TensorType::kS64:
            *out = ReductionType::kS64;
            return true;
        case TensorType::kF16:
            *out = ReductionType::kF16;
            return true;
        case TensorType::kBF16:
            *out = ReductionType::kBF16;
            return true;
        case TensorType::kF32:
        case TensorType::kF32Ftz:
            *out = ReductionType::kF32;
            return true;
        case TensorType::kF64:
            *out = ReductionType::kF64;
            return true;
        default:
            return false;
    }
}

}  // namespace

void store_linear(Warp& warp, const Op& op, const BulkDetail& detail, LaneMask lanes) {
    const int lane = __builtin_ctz(lanes);
    const uint64_t from = shared_address(Space::kShared, detail.from.at(warp, lane));
    const uint64_t to = detail.to.at(warp, lane);
    const int64_t bytes = size_of(warp, op, detail, lane);
    if (!check_alignment(warp, op, lane, from, 16, "the source") ||
        !check_alignment(warp, op, lane, to, 16, "the destination") || bytes == 0)
        return;
    Memory& memory = warp.memory();
    const uint8_t* source = memory.resolve(warp, op, Space::kShared, from, bytes, false);
    uint8_t* where = memory.resolve(warp, op, Space::kGlobal, to, bytes, true);
    if (source == nullptr || where == nullptr) return;
    const Moment moment = begin_async(warp, Engine::kBulkStore);
    Unwritten unwritten;
    if (!memory.note_read(warp, op, source, bytes, Proxy::kAsync, moment, lanes))
        find_unwritten(warp, op, source, bytes, 0, moment, &unwritten);
    const uint32_t mask =
        detail.byte_mask ? warp.u32(detail.bytes_written)[lane] & 0xFFFFu : 0xFFFFu;
    launch_store(
        warp, op, detail, lanes, moment, bytes,
        [source, bytes](uint8_t* data) { std::memcpy(data, source, static_cast<size_t>(bytes)); },
        {{0, bytes, to, where}}, mask, detail.type, std::move(unwritten));
}

void store_tensor(Warp& warp, const Op& op, const BulkDetail& detail, LaneMask lanes) {
    const int lane = __builtin_ctz(lanes);
    const uint64_t from = shared_address(Space::kShared, detail.from.at(warp, lane));
    TensorMap map;
    if (!check_alignment(warp, op, lane, from, 128, "the shared side") ||
        !read_map(warp, op, lane, detail.to, detail.rank, &map))
        return;
    ReductionType type = ReductionType::kU32;
    if (detail.reduce) {
        const bool known = reduction_type_of(map.type, &type);
        const ReductionType exists = type == ReductionType::kS64 ? ReductionType::kU64 : type;
        if (!known || !reduction_exists(detail.reduction,
                                        detail.reduction == Reduction::kAdd ? exists : type)) {
            warp.report(op, 1u << lane, FindingKind::kBadDescriptor,
                        "this reduction does not exist for the tensor's element type", true);
            return;
        }
    }
    const TensorBox box = box_of(warp, detail, map, lane);
    Memory& memory = warp.memory();
    const uint8_t* source = memory.resolve(warp, op, Space::kShared, from, box.bytes(), false);
    if (source == nullptr) return;
    const Moment moment = begin_async(warp, Engine::kBulkStore);
    const bool written =
        memory.note_read(warp, op, source, box.bytes(), Proxy::kAsync, moment, lanes);
    const auto base = static_cast<uint32_t>(from & 0xFFFFFFu);
    const uint8_t* shared = source - base;
    std::vector<StorePiece> pieces;
    Unwritten unwritten;
    bool fault = false;
    box.for_rows([&](int64_t offset, uint64_t address, int64_t skip, int64_t bytes) {
        if (bytes == 0 || fault) return;
        uint8_t* where = memory.resolve(warp, op, Space::kGlobal, address, bytes, true);
        if (where == nullptr) {
            fault = true;
            return;
        }
        const int64_t first = offset + skip;
        pieces.push_back({first, bytes, address, where});
        for (int64_t at = first; at < first + bytes && !written; ++at)
            find_unwritten(warp, op, shared + swizzled_byte(base, at, map.swizzle), 1, at, moment,
                           &unwritten);
    });
    if (fault) return;
    launch_store(
        warp, op, detail, lanes, moment, box.bytes(),
        [box, shared, base](uint8_t* data) {
            for (int64_t offset = 0; offset < box.bytes(); offset += box.row_bytes())
                gather_row(data + offset, shared, base, offset, box.row_bytes(), box.map.swizzle);
        },
        std::move(pieces), 0xFFFFu, type, std::move(unwritten));
}

}  // namespace emulator
