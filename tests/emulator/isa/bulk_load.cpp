// Bulk copies towards shared memory: they complete on an mbarrier, so they land when that is polled
// (mbarrier.cpp); the destination is poisoned until then.
#include <cstring>
#include <functional>
#include <memory>

#include "tests/emulator/isa/bulk_copy.hpp"
#include "tests/emulator/isa/mbarrier.hpp"

namespace emulator {

using ptx::Space;

namespace {

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

}  // namespace

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
    struct BoxRow {
        int64_t offset, skip, bytes;
        const uint8_t* source;
    };
    auto rows = std::make_shared<std::vector<BoxRow>>();
    Unwritten unwritten;
    Memory& memory = warp.memory();
    bool fault = false;
    int64_t loaded = 0;
    box.for_rows([&](int64_t offset, uint64_t address, int64_t skip, int64_t bytes) {
        BoxRow row{offset, skip, bytes, nullptr};
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
            for (const BoxRow& row : *rows) {
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

}  // namespace emulator
