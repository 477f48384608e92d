// cp.async.bulk, cp.reduce.async.bulk, their tensor and prefetch forms, bulk groups, tensormap.*.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions: Bulk copy / Tensor copy". All of these
// work in the async proxy.
//   towards shared memory    completes on an mbarrier: lands when that is polled (mbarrier.cpp);
//                            the destination is poisoned until then
//   out of shared memory     completes in the thread's bulk groups: the source is read at
//                            wait_group.read at the latest, the destination written at wait_group, or
//                            when the warp exits
// Lanes that execute one store with the same operands make one copy: so ptxas translates it (stores go
// through the uniform datapath, once per distinct operands; loads and reductions once per lane), and
// CUTLASS's epilogues rely on it.
// Out-of-bounds elements of a box read as zero (or NaN, all bits of exponent and mantissa set), are not
// written, and count as transferred. Refused: im2col, im2col::w, gather4, scatter4 (load error),
// interleaved maps and the 128B swizzles with larger atoms (finding, as the map is data).
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/async_state.hpp"
#include "tests/emulator/isa/fragments.hpp"
#include "tests/emulator/isa/mbarrier.hpp"
#include "tests/emulator/isa/reduction.hpp"
#include "tests/emulator/isa/tensor_copy.hpp"

namespace emulator {

using ptx::Operand;
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

struct BulkDetail : OpDetail {
    enum class Direction : uint8_t { kToShared, kSharedToShared, kToGlobal, kPrefetch };
    Direction direction = Direction::kToShared;
    AddressSource to, from, barrier;  ///< of tensor copies the map takes the global side's place
    Slot size = kZeroSlot;
    bool multicast = false;
    Slot block_mask = kZeroSlot;  ///< u16: ranks
    bool byte_mask = false;
    Slot bytes_written = kZeroSlot;  ///< u16: which bytes of every 16 are written
    bool reduce = false;
    Reduction reduction = Reduction::kAdd;
    ReductionType type = ReductionType::kU32;
    int rank = 0;  ///< of a tensor copy; 0: linear
    std::array<Slot, TensorMap::kMaxRank> coordinates{};
};

// --- what is copied --------------------------------------------------------------------------------

/// Bytes of some data that nobody has written: offset and length, as seen when the copy was issued.
using Unwritten = std::vector<std::pair<int64_t, int64_t>>;

/// Adds the never-written bytes of a source that note_read() called incomplete; `at` = its offset in
/// the data.
void find_unwritten(Warp& warp, const Op& op, const uint8_t* source, int64_t bytes, int64_t at,
                    Moment moment, Unwritten* unwritten) {
    for (int64_t i = 0; i < bytes; ++i) {
        if (warp.memory().note_read(warp, op, source + i, 1, Proxy::kAsync, moment)) continue;
        if (!unwritten->empty() && unwritten->back().first + unwritten->back().second == at + i)
            ++unwritten->back().second;
        else
            unwritten->emplace_back(at + i, 1);
    }
}

/// What elements outside the tensor read as.
void fill_outside(const TensorMap& map, uint8_t* to, int64_t bytes) {
    if (map.fill != TensorFill::kNan || !tensor_is_float(map.type)) {
        std::memset(to, 0, static_cast<size_t>(bytes));
        return;
    }
    const int width = tensor_element_bytes(map.type);
    for (int64_t at = 0; at < bytes; at += width) {
        std::memset(to + at, 0xFF, static_cast<size_t>(width));
        to[at + width - 1] = 0x7F;  // sign clear
    }
}

/// The map that a lane names, checked; false if it is unusable, which was reported.
bool read_map(Warp& warp, const Op& op, int lane, const AddressSource& source, int rank,
              TensorMap* map) {
    const LaneMask self = 1u << lane;
    const auto bad = [&](const std::string& what) {
        warp.report(op, self, FindingKind::kBadDescriptor, what, true);
        return false;
    };
    const uint64_t address = source.at(warp, lane);
    if (address % 64 != 0) return bad("a tensor map is not aligned to 64 bytes");
    const uint8_t* bytes = warp.memory().resolve(warp, op, Space::kGeneric, address, 128, false);
    if (bytes == nullptr) return false;
    *map = read_tensor_map(bytes);
    if (!map->valid()) return bad("the 128 bytes hold no tensor map");
    if (map->rank != rank)
        return bad("a tensor map of rank " + std::to_string(map->rank) + " in an instruction for " +
                   std::to_string(rank) + " dimensions");
    if (tensor_element_bytes(map->type) == 0) return bad("packed element types are not emulated");
    if (map->interleave != TensorInterleave::kNone) return bad("interleaved maps are not emulated");
    if (map->swizzle > TensorSwizzle::k128) return bad("this swizzle mode does not exist here");
    int64_t row = int64_t{map->box[0]} * tensor_element_bytes(map->type);
    if (row == 0 || row % 16 != 0)
        return bad("the inner dimension of a box has " + std::to_string(row) +
                   " bytes, no multiple of 16");
    const int64_t span = map->swizzle == TensorSwizzle::k32   ? 32
                         : map->swizzle == TensorSwizzle::k64 ? 64
                                                              : 128;
    if (map->swizzle != TensorSwizzle::kNone && row > span)
        return bad("the inner dimension of a box is wider than its swizzle");
    return true;
}

TensorBox box_of(Warp& warp, const BulkDetail& detail, const TensorMap& map, int lane) {
    TensorBox box;
    box.map = map;
    for (int d = 0; d < detail.rank; ++d)
        box.start[d] = static_cast<int32_t>(warp.u32(detail.coordinates[d])[lane]);
    return box;
}

/// Shared offset of byte `at` of a box at shared offset `base`.
uint32_t swizzled_byte(uint32_t base, int64_t at, TensorSwizzle swizzle) {
    return swizzled(static_cast<uint32_t>(base + at) & ~15u, swizzle) +
           static_cast<uint32_t>(at % 16);
}

/// Copies a row between its place in a box in shared memory and dense memory; 16 bytes at a time where
/// the box is swizzled. `base` is the box's shared offset, `shared` the block's shared memory.
void gather_row(uint8_t* dense, const uint8_t* shared, uint32_t base, int64_t offset, int64_t bytes,
                TensorSwizzle swizzle) {
    for (int64_t at = 0; at < bytes; at += 16)
        std::memcpy(dense + at,
                    shared + swizzled(static_cast<uint32_t>(base + offset + at), swizzle), 16);
}
void scatter_row(const uint8_t* dense, uint8_t* shared, uint32_t base, int64_t offset,
                 int64_t bytes, TensorSwizzle swizzle) {
    for (int64_t at = 0; at < bytes; at += 16)
        std::memcpy(shared + swizzled(static_cast<uint32_t>(base + offset + at), swizzle),
                    dense + at, 16);
}

// --- towards shared memory -------------------------------------------------------------------------

bool check_alignment(Warp& warp, const Op& op, int lane, uint64_t address, uint64_t alignment,
                     const char* what) {
    if (address % alignment == 0) return true;
    warp.report(op, 1u << lane, FindingKind::kMisaligned,
                std::string(what) + " of a bulk copy is not aligned to " +
                    std::to_string(alignment) + " bytes",
                true);
    return false;
}

/// The size operand of a linear copy; 0 after a report.
int64_t size_of(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    const uint32_t bytes = warp.u32(detail.size)[lane];
    if (bytes % 16 != 0) {
        warp.report(op, 1u << lane, FindingKind::kMisaligned,
                    "the size of a bulk copy, " + std::to_string(bytes) + ", is no multiple of 16",
                    true);
        return 0;
    }
    return bytes;
}

/// What lands in one block: destination, barrier, and how the bytes come there.
using Fill = std::function<void(Warp& poller, uint8_t* shared, uint32_t offset)>;

/// Puts a copy in flight towards offset `to` and the barrier at `barrier` of each block of `ranks`.
void launch_to_shared(Warp& warp, const Op& op, int lane, uint64_t ranks, uint32_t to,
                      uint32_t barrier, int64_t bytes, bool reduces, const Fill& fill) {
    const LaneMask self = 1u << lane;
    for (int rank = 0; ranks >> rank != 0; ++rank) {
        if ((ranks >> rank & 1u) == 0) continue;
        const uint64_t block_base = static_cast<uint64_t>(rank) << 24;
        const MbarrierRef object = find_mbarrier(warp, op, self, block_base + barrier, false);
        if (object.object == nullptr) continue;
        // The copy engine must see an initialized barrier.
        Memory& memory = warp.memory();
        if (!object.object->init_fenced)
            memory.note_read(warp, op, object.block->shared + barrier, 8, Proxy::kAsync);
        uint8_t* where =
            bytes == 0 ? object.block->shared + to
                       : memory.resolve(warp, op, Space::kShared, block_base + to, bytes, true);
        if (where == nullptr) continue;
        if (bytes != 0 && !reduces) memory.note_write(warp, op, where, bytes, Proxy::kAsync, false);
        count_in_flight(warp, *object.block, bytes);
        const Op* by = &op;
        object.object->in_flight.push_back([=](Warp& poller) {
            const Moment moment =
                land_async(poller, *object.block, object.offset, object.object->clock);
            if (bytes != 0) {
                if (reduces)
                    poller.memory().note_reduction(poller, *by, where, bytes, Proxy::kAsync,
                                                   moment);
                else
                    poller.memory().note_write(poller, *by, where, bytes, Proxy::kAsync, true,
                                               moment);
                fill(poller, object.block->shared, to);
            }
            count_in_flight(poller, *object.block, -bytes);
            complete_transactions(poller, *by, self, object, bytes);
        });
    }
}

/// The blocks that a copy goes to: the one of the address, or those of the multicast mask.
uint64_t target_ranks(Warp& warp, const Op& op, const BulkDetail& detail, int lane, uint64_t to,
                      uint64_t barrier) {
    if (to >> 24 != barrier >> 24) {
        warp.report(op, 1u << lane, FindingKind::kBadBarrier,
                    "a bulk copy to one block completes on an mbarrier of another");
        return 0;
    }
    if (!detail.multicast) return uint64_t{1} << (to >> 24);
    const uint64_t mask = warp.u32(detail.block_mask)[lane] & 0xFFFFu;
    const size_t blocks = warp.block().cluster->blocks.size();
    if (mask == 0 || mask >> blocks != 0) {
        warp.report(op, 1u << lane, FindingKind::kOutOfBounds,
                    "a multicast to blocks that the cluster does not have", true);
        return 0;
    }
    return mask;
}

void load_linear(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    const uint64_t to = shared_address(Space::kShared, detail.to.at(warp, lane));
    const uint64_t barrier = shared_address(Space::kShared, detail.barrier.at(warp, lane));
    const uint64_t from = detail.from.at(warp, lane);
    const int64_t bytes = size_of(warp, op, detail, lane);
    if (!check_alignment(warp, op, lane, to, 16, "the destination") ||
        !check_alignment(warp, op, lane, from, 16, "the source"))
        return;
    const bool local = detail.direction == BulkDetail::Direction::kSharedToShared;
    const Space space = local ? Space::kShared : Space::kGlobal;
    Memory& memory = warp.memory();
    const uint8_t* source = nullptr;
    Unwritten unwritten;
    if (bytes != 0) {
        source = memory.resolve(warp, op, space, from, bytes, false);
        if (source == nullptr) return;
        if (!memory.note_read(warp, op, source, bytes, Proxy::kAsync))
            find_unwritten(warp, op, source, bytes, 0, {}, &unwritten);
    }
    if (!local) warp.counters().bulk_load_bytes += static_cast<uint64_t>(bytes);
    const bool reduce = detail.reduce;
    const Reduction reduction = detail.reduction;
    const ReductionType type = detail.type;
    const uint64_t ranks = target_ranks(warp, op, detail, lane, to, barrier);
    launch_to_shared(warp, op, lane, ranks, static_cast<uint32_t>(to & 0xFFFFFFu),
                     static_cast<uint32_t>(barrier & 0xFFFFFFu), bytes, reduce,
                     [=](Warp& poller, uint8_t* shared, uint32_t offset) {
                         uint8_t* target = shared + offset;
                         if (reduce) {
                             const int width = reduction_bytes(type);
                             for (int64_t at = 0; at < bytes; at += width)
                                 reduce_element(reduction, type, target + at, source + at,
                                                target + at);
                         } else {
                             std::memcpy(target, source, static_cast<size_t>(bytes));
                         }
                         for (const auto& [first, count] : unwritten)
                             poller.memory().mark_uninitialized(poller, target + first, count);
                     });
}

void load_tensor(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    const uint64_t to = shared_address(Space::kShared, detail.to.at(warp, lane));
    const uint64_t barrier = shared_address(Space::kShared, detail.barrier.at(warp, lane));
    TensorMap map;
    if (!check_alignment(warp, op, lane, to, 128, "the shared side") ||
        !read_map(warp, op, lane, detail.from, detail.rank, &map))
        return;
    const TensorBox box = box_of(warp, detail, map, lane);
    struct Row {
        int64_t offset, skip, bytes;
        const uint8_t* source;
    };
    auto rows = std::make_shared<std::vector<Row>>();
    Unwritten unwritten;
    Memory& memory = warp.memory();
    bool fault = false;
    int64_t loaded = 0;
    box.for_rows([&](int64_t offset, uint64_t address, int64_t skip, int64_t bytes) {
        Row row{offset, skip, bytes, nullptr};
        if (bytes != 0 && !fault) {
            row.source = memory.resolve(warp, op, Space::kGlobal, address, bytes, false);
            if (row.source == nullptr) {
                fault = true;
                return;
            }
            if (!memory.note_read(warp, op, row.source, bytes, Proxy::kAsync))
                find_unwritten(warp, op, row.source, bytes, offset + skip, {}, &unwritten);
            loaded += bytes;
        }
        rows->push_back(row);
    });
    if (fault) return;
    warp.counters().bulk_load_bytes += static_cast<uint64_t>(loaded);
    const uint64_t ranks = target_ranks(warp, op, detail, lane, to, barrier);
    launch_to_shared(
        warp, op, lane, ranks, static_cast<uint32_t>(to & 0xFFFFFFu),
        static_cast<uint32_t>(barrier & 0xFFFFFFu), box.bytes(), false,
        [box, rows, unwritten](Warp& poller, uint8_t* shared, uint32_t offset) {
            const int64_t width = box.row_bytes();
            std::vector<uint8_t> dense(static_cast<size_t>(width));
            for (const Row& row : *rows) {
                fill_outside(box.map, dense.data(), width);
                if (row.bytes != 0)
                    std::memcpy(dense.data() + row.skip, row.source,
                                static_cast<size_t>(row.bytes));
                scatter_row(dense.data(), shared, offset, row.offset, width, box.map.swizzle);
            }
            for (const auto& [first, count] : unwritten)
                for (int64_t at = first; at < first + count; ++at)
                    poller.memory().mark_uninitialized(
                        poller, shared + swizzled_byte(offset, at, box.map.swizzle), 1);
        });
}

// --- out of shared memory --------------------------------------------------------------------------

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

void prefetch(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    if (detail.rank != 0) {
        TensorMap map;
        read_map(warp, op, lane, detail.from, detail.rank, &map);
        return;
    }
    const uint64_t from = detail.from.at(warp, lane);
    const int64_t bytes = size_of(warp, op, detail, lane);
    if (check_alignment(warp, op, lane, from, 16, "the source") && bytes != 0)
        warp.memory().resolve(warp, op, Space::kGlobal, from, bytes, false);
}

/// The lanes of `lanes` whose store is that of the first of them.
LaneMask same_store(Warp& warp, const BulkDetail& detail, LaneMask lanes) {
    const int first = __builtin_ctz(lanes);
    if (detail.reduce) return 1u << first;
    LaneMask same = 0;
    for_lanes(lanes, [&](int lane) {
        bool equal = detail.to.at(warp, lane) == detail.to.at(warp, first) &&
                     detail.from.at(warp, lane) == detail.from.at(warp, first);
        const auto compare = [&](Slot slot, uint32_t bits = ~0u) {
            equal &= ((warp.u32(slot)[lane] ^ warp.u32(slot)[first]) & bits) == 0;
        };
        for (int d = 0; d < detail.rank; ++d)
            compare(detail.coordinates[d]);
        if (detail.rank == 0) compare(detail.size);
        if (detail.byte_mask) compare(detail.bytes_written, 0xFFFFu);
        same |= static_cast<LaneMask>(equal) << lane;
    });
    return same;
}

Outcome run_bulk(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const BulkDetail&>(*op.detail);
    using Direction = BulkDetail::Direction;
    for (const AddressSource* source : {&detail.to, &detail.from, &detail.barrier})
        source->check(warp, op, lanes);
    check_source(warp, op, detail.size, lanes, "the size of a bulk copy");
    check_source(warp, op, detail.block_mask, lanes, "the blocks of a multicast");
    for (int d = 0; d < detail.rank; ++d)
        check_source(warp, op, detail.coordinates[d], lanes, "a coordinate of a tensor copy");
    async_state(warp).last_load = &op;
    if (detail.direction == Direction::kToGlobal) {
        while (lanes != 0) {
            const LaneMask same = same_store(warp, detail, lanes);
            detail.rank != 0 ? store_tensor(warp, op, detail, same)
                             : store_linear(warp, op, detail, same);
            lanes &= ~same;
        }
        return Outcome::kNext;
    }
    for_lanes(lanes, [&](int lane) {
        if (detail.direction == Direction::kPrefetch)
            prefetch(warp, op, detail, lane);
        else
            detail.rank != 0 ? load_tensor(warp, op, detail, lane)
                             : load_linear(warp, op, detail, lane);
    });
    return Outcome::kNext;
}

Outcome run_commit(Warp& warp, const Op&, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    for_lanes(lanes, [&](int lane) { ++state.bulk_committed[lane]; });
    return Outcome::kNext;
}

Outcome run_wait(Warp& warp, const Op& op, LaneMask lanes) {
    AsyncState& state = async_state(warp);
    uint32_t groups[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        const int64_t done = int64_t{state.bulk_committed[lane]} - op.imm;
        groups[lane] = static_cast<uint32_t>(std::max<int64_t>(done, 0));
    }
    finish_stores(warp, lanes, groups, op.mode == 0);
    return Outcome::kNext;
}

// --- tensor maps changed by the device -------------------------------------------------------------

enum class MapField : uint8_t {
    kAddress,
    kRank,
    kBox,
    kExtent,
    kStride,
    kElementStride,
    kType,
    kInterleave,
    kSwizzle,
    kAtomicity,
    kFill
};

struct ReplaceDetail : OpDetail {
    MapField field = MapField::kAddress;
    Space space = Space::kGeneric;
    AddressSource address;
    int dimension = 0;
    Slot value = kZeroSlot;
};

Outcome run_replace(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = static_cast<const ReplaceDetail&>(*op.detail);
    detail.address.check(warp, op, lanes);
    check_source(warp, op, detail.value, lanes, "a new field of a tensor map");
    for_lanes(lanes, [&](int lane) {
        const LaneMask self = 1u << lane;
        const uint64_t address = detail.address.at(warp, lane);
        if (address % 128 != 0) {
            warp.report(op, self, FindingKind::kMisaligned,
                        "tensormap.replace on a map that is not aligned to 128 bytes", true);
            return;
        }
        uint8_t* bytes = warp.memory().resolve(warp, op, detail.space, address, 128, true);
        if (bytes == nullptr) return;
        TensorMap map = read_tensor_map(bytes);
        if (!map.valid()) {
            warp.report(op, self, FindingKind::kBadDescriptor, "the 128 bytes hold no tensor map",
                        true);
            return;
        }
        const uint32_t value = warp.u32(detail.value)[lane];
        const auto d = static_cast<size_t>(detail.dimension);
        switch (detail.field) {
            case MapField::kAddress:
                map.address = warp.u64(detail.value)[lane];
                break;
            case MapField::kRank:
                map.rank = static_cast<uint8_t>(value + 1);
                break;
            case MapField::kBox:
                map.box[d] = static_cast<uint16_t>(value);
                break;
            case MapField::kExtent:
                map.last[d] = value - 1;
                break;
            case MapField::kStride:
                if (d < TensorMap::kMaxRank - 1) map.stride[d] = warp.u64(detail.value)[lane];
                break;
            case MapField::kElementStride:
                map.element_stride[d] = static_cast<uint8_t>(value);
                break;
            case MapField::kType:
                map.type = static_cast<TensorType>(value);
                break;
            case MapField::kInterleave:
                map.interleave = static_cast<TensorInterleave>(value);
                break;
            case MapField::kSwizzle:
                map.swizzle = static_cast<TensorSwizzle>(value);
                break;
            case MapField::kAtomicity:
                break;
            case MapField::kFill:
                map.fill = static_cast<TensorFill>(value);
                break;
        }
        warp.memory().note_write(warp, op, bytes, 128, Proxy::kGeneric, true);
        std::memcpy(bytes, &map, sizeof map);
    });
    return Outcome::kNext;
}

/// tensormap.replace.tile.<field>.{global,shared::cta}.b1024.b32|b64 [map], {dimension,} value
void lower_replace(const ptx::Instruction& in, LowerContext& context, Op& op) {
    static const struct {
        const char* name;
        MapField field;
        bool has_dimension, wide;
    } kFields[] = {{"global_address", MapField::kAddress, false, true},
                   {"rank", MapField::kRank, false, false},
                   {"box_dim", MapField::kBox, true, false},
                   {"global_dim", MapField::kExtent, true, false},
                   {"global_stride", MapField::kStride, true, true},
                   {"element_stride", MapField::kElementStride, true, false},
                   {"elemtype", MapField::kType, false, false},
                   {"interleave_layout", MapField::kInterleave, false, false},
                   {"swizzle_mode", MapField::kSwizzle, false, false},
                   {"swizzle_atomicity", MapField::kAtomicity, false, false},
                   {"fill_mode", MapField::kFill, false, false}};
    auto detail = std::make_unique<ReplaceDetail>();
    bool known = false, has_dimension = false, wide = false;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "replace" || modifier == "tile" || modifier == "b1024" ||
            modifier == "b32" || modifier == "b64")
            continue;
        if (modifier == "global")
            detail->space = Space::kGlobal;
        else if (modifier == "shared::cta" || modifier == "shared")
            detail->space = Space::kShared;
        else {
            bool found = false;
            for (const auto& field : kFields) {
                if (modifier != field.name) continue;
                found = known = true;
                detail->field = field.field;
                has_dimension = field.has_dimension;
                wide = field.wide;
            }
            if (!found) context.fail(in, "unknown modifier ." + modifier);
        }
    }
    if (!known || in.has("b64") != wide) context.fail(in, "unknown form");
    if (in.operands.size() != (has_dimension ? 3u : 2u))
        context.fail(in, "wrong number of operands");
    detail->address.lower(context, in.operands[0]);
    if (has_dimension) {
        if (in.operands[1].kind != Operand::Kind::kImmediate || in.operands[1].bits > 4)
            context.fail(in, "the dimension must be a constant from 0 to 4");
        detail->dimension = static_cast<int>(in.operands[1].bits);
    }
    detail->value = context.source(in.operands.back(), wide ? ptx::Type::kB64 : ptx::Type::kB32);
    op.src[0] = detail->address.base;
    op.execute = run_replace;
    op.kind = OpKind::kOther;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

struct FenceCopyDetail : OpDetail {
    AddressSource to, from;
    Scope scope = Scope::kGpu;
};

/// tensormap.cp_fenceproxy: a warp copies a map from shared to global memory and releases it.
Outcome run_fence_copy(Warp& warp, const Op& op, LaneMask lanes) {
    if (warp.gather(op, lanes, warp.live()) != lanes) return Outcome::kBlocked;
    const auto& detail = static_cast<const FenceCopyDetail&>(*op.detail);
    detail.to.check(warp, op, lanes);
    detail.from.check(warp, op, lanes);
    const int lane = __builtin_ctz(lanes);
    const uint64_t from = shared_address(Space::kShared, detail.from.at(warp, lane));
    const uint64_t to = detail.to.at(warp, lane);
    if (from % 128 != 0 || to % 128 != 0) {
        warp.report(op, lanes, FindingKind::kMisaligned,
                    "tensormap.cp_fenceproxy needs maps aligned to 128 bytes", true);
        return Outcome::kNext;
    }
    Memory& memory = warp.memory();
    const uint8_t* source = memory.resolve(warp, op, Space::kShared, from, 128, false);
    uint8_t* target = memory.resolve(warp, op, Space::kGlobal, to, 128, true);
    if (source == nullptr || target == nullptr) return Outcome::kNext;
    memory.note_read(warp, op, source, 128, Proxy::kGeneric);
    memory.note_write(warp, op, target, 128, Proxy::kGeneric, true);
    std::memcpy(target, source, 128);
    memory.fence(warp, Order::kRelease, detail.scope);
    return Outcome::kNext;
}

bool parse_scope(const std::string& name, Scope* scope) {
    if (name == "cta")
        *scope = Scope::kCta;
    else if (name == "cluster")
        *scope = Scope::kCluster;
    else if (name == "gpu")
        *scope = Scope::kGpu;
    else if (name == "sys")
        *scope = Scope::kSys;
    else
        return false;
    return true;
}

void lower_fence_copy(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<FenceCopyDetail>();
    static const char* const kWanted[] = {
        "cp_fenceproxy", "global", "shared::cta", "tensormap::generic",
        "release",       nullptr,  "sync",        "aligned"};
    bool good = in.modifiers.size() == 8 && in.operands.size() == 3;
    for (size_t i = 0; good && i < 8; ++i)
        good = kWanted[i] == nullptr ? parse_scope(in.modifiers[i], &detail->scope)
                                     : in.modifiers[i] == kWanted[i];
    if (!good || in.operands[2].kind != Operand::Kind::kImmediate || in.operands[2].bits != 128)
        context.fail(in, "unknown form");
    detail->to.lower(context, in.operands[0]);
    detail->from.lower(context, in.operands[1]);
    op.execute = run_fence_copy;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

/// fence.proxy.tensormap::generic: maps are read from memory every time, so this is a plain fence.
Outcome run_tensormap_fence(Warp& warp, const Op& op, LaneMask) {
    warp.memory().fence(warp, op.mode != 0 ? Order::kAcquire : Order::kRelease,
                        static_cast<Scope>(op.imm));
    return Outcome::kNext;
}

void lower_tensormap_fence(const ptx::Instruction& in, LowerContext& context, Op& op) {
    Scope scope = Scope::kGpu;
    const bool acquire = in.has("acquire");
    if (in.modifiers.size() != 4 || acquire == in.has("release") ||
        !parse_scope(in.modifiers[3], &scope) || in.operands.size() != (acquire ? 2u : 0u))
        context.fail(in, "unknown form");
    op.mode = acquire ? 1 : 0;
    op.imm = static_cast<int64_t>(scope);
    op.execute = run_tensormap_fence;
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
}

// --- lowering --------------------------------------------------------------------------------------

/// Spaces of destination and source, completion, and what else the modifiers said.
struct BulkForm {
    std::vector<std::string> spaces;
    bool mbarrier = false, group = false, hint = false, prefetch = false, l2 = false;
};

void lower_bulk(const ptx::Instruction& in, LowerContext& context, Op& op) {
    using Direction = BulkDetail::Direction;
    auto detail = std::make_unique<BulkDetail>();
    BulkForm form;
    bool typed = false, has_operation = false;
    for (const std::string& modifier : in.modifiers) {
        if (modifier == "async" || modifier == "bulk" || modifier == "tile") continue;
        if (modifier == "reduce")
            detail->reduce = true;
        else if (modifier == "tensor")
            detail->rank = -1;
        else if (modifier == "prefetch")
            form.prefetch = true;
        else if (modifier == "L2")
            form.l2 = true;
        else if (modifier.size() == 2 && modifier[1] == 'd' && modifier[0] >= '1' &&
                 modifier[0] <= '5' && detail->rank == -1)
            detail->rank = modifier[0] - '0';
        else if (modifier == "global" || modifier == "shared::cta" || modifier == "shared::cluster")
            form.spaces.push_back(modifier);
        else if (modifier == "mbarrier::complete_tx::bytes")
            form.mbarrier = true;
        else if (modifier == "bulk_group")
            form.group = true;
        else if (modifier == "multicast::cluster")
            detail->multicast = true;
        else if (modifier == "L2::cache_hint")
            form.hint = true;
        else if (modifier == "cp_mask")
            detail->byte_mask = true;
        else if (modifier == "noftz" && detail->reduce)
            continue;
        else if (detail->reduce && parse_reduction(modifier, &detail->reduction))
            has_operation = true;
        else if (detail->reduce && parse_reduction_type(modifier, &detail->type))
            typed = true;
        else
            context.fail(in, "unknown or unsupported modifier ." + modifier);
    }
    const bool tensor = detail->rank != 0;
    if (context.arch() < 90) context.fail(in, "needs sm_90");
    if (detail->rank < 0) context.fail(in, "needs .1d to .5d");
    const auto spaces = [&](const char* to, const char* from) {
        return form.spaces.size() == 2 && form.spaces[0] == to && form.spaces[1] == from;
    };
    if (form.prefetch) {
        if (form.spaces != std::vector<std::string>{"global"} || !form.l2)
            context.fail(in, "needs .L2.global");
        detail->direction = Direction::kPrefetch;
    } else if (spaces("shared::cluster", "global") || spaces("shared::cta", "global")) {
        detail->direction = Direction::kToShared;
    } else if (spaces("shared::cluster", "shared::cta") && !tensor) {
        detail->direction = Direction::kSharedToShared;
    } else if (spaces("global", "shared::cta")) {
        detail->direction = Direction::kToGlobal;
    } else {
        context.fail(in, "these state spaces do not go together");
    }
    const bool to_shared = detail->direction == Direction::kToShared ||
                           detail->direction == Direction::kSharedToShared;
    if (form.mbarrier != to_shared || form.group != (detail->direction == Direction::kToGlobal))
        context.fail(in, "wrong completion mechanism");
    if (detail->multicast &&
        (detail->direction != Direction::kToShared || form.spaces[0] != "shared::cluster"))
        context.fail(in, ".multicast::cluster needs .shared::cluster.global");
    if (detail->byte_mask &&
        (tensor || detail->direction != Direction::kToGlobal || detail->reduce))
        context.fail(in, ".cp_mask is for linear stores");
    if (detail->reduce) {
        if (!has_operation || typed == tensor) context.fail(in, "needs an operation and its type");
        if (detail->direction == Direction::kToShared || form.prefetch)
            context.fail(in, "no reduction from global to shared memory");
        if (!tensor && !reduction_exists(detail->reduction, detail->type))
            context.fail(in, "this reduction does not exist for the type");
        if (detail->direction == Direction::kSharedToShared && reduction_is_float(detail->type))
            context.fail(in, "no reduction of floats in shared memory");
    }
    size_t at = 0;
    const auto next = [&]() -> const Operand& {
        if (at >= in.operands.size()) context.fail(in, "too few operands");
        return in.operands[at++];
    };
    const auto map_operand = [&](AddressSource& address) {
        const Operand& operand = next();
        if (operand.elements.size() != static_cast<size_t>(detail->rank))
            context.fail(in, "needs " + std::to_string(detail->rank) + " coordinates");
        address.lower(context, operand);
        for (int d = 0; d < detail->rank; ++d)
            detail->coordinates[d] = context.source(operand.elements[d], ptx::Type::kS32);
    };
    if (detail->direction == Direction::kPrefetch) {
        if (tensor)
            map_operand(detail->from);
        else
            detail->from.lower(context, next());
    } else if (tensor && detail->direction == Direction::kToGlobal) {
        map_operand(detail->to);
        detail->from.lower(context, next());
    } else {
        detail->to.lower(context, next());
        if (tensor)
            map_operand(detail->from);
        else
            detail->from.lower(context, next());
    }
    if (!tensor) detail->size = context.source(next(), ptx::Type::kU32);
    if (form.mbarrier) detail->barrier.lower(context, next());
    if (detail->multicast) detail->block_mask = context.source(next(), ptx::Type::kU16);
    if (form.hint) context.source(next(), ptx::Type::kB64);
    if (detail->byte_mask) detail->bytes_written = context.source(next(), ptx::Type::kU16);
    if (at != in.operands.size()) context.fail(in, "too many operands");
    op.execute = run_bulk;
    op.kind = OpKind::kAsyncCopy;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void lower_groups(const ptx::Instruction& in, LowerContext& context, Op& op) {
    op.kind = OpKind::kBarrier;
    op.flags |= Op::kOwnTaint;
    if (in.full_opcode() == "cp.async.bulk.commit_group" && in.operands.empty()) {
        op.execute = run_commit;
        return;
    }
    op.mode = in.has("read") ? 1 : 0;
    if (in.full_opcode() !=
            (op.mode != 0 ? "cp.async.bulk.wait_group.read" : "cp.async.bulk.wait_group") ||
        in.operands.size() != 1 || in.operands[0].kind != Operand::Kind::kImmediate)
        context.fail(in, "unknown form");
    op.imm = static_cast<int64_t>(in.operands[0].bits);
    op.execute = run_wait;
}

}  // namespace

void register_bulk_copy(Registry& registry) {
    registry.add("cp.async.bulk", lower_bulk);
    registry.add("cp.reduce.async.bulk", lower_bulk);
    registry.add("cp.async.bulk.commit_group", lower_groups);
    registry.add("cp.async.bulk.wait_group", lower_groups);
    registry.add("tensormap.replace", lower_replace);
    registry.add("tensormap.cp_fenceproxy", lower_fence_copy);
    registry.add("fence.proxy.tensormap::generic", lower_tensormap_fence);
}

}  // namespace emulator
