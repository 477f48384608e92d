// What goes wrong with an access: addresses outside, and the sentences of a conflict's two parties.
#include "tests/emulator/check/replay.hpp"
#include "tests/emulator/memory/lanes.hpp"

namespace emulator {

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

std::string ThreadMemory::describe(Warp& warp, const Conflict& conflict,
                                   std::string* other_source) const {
    if (conflict.other_work != nullptr)
        return conflict.other_work->what + " in stream " +
               std::to_string(conflict.other_work->stream) +
               ", which no event, stream or synchronization orders";
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
        conflict.other_work == nullptr && conflict.other_cluster == cluster.number) {
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

}  // namespace emulator
