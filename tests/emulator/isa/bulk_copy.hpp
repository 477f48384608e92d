// What the files of the bulk copies share. Private to this folder.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/async_state.hpp"
#include "tests/emulator/isa/reduction.hpp"
#include "tests/emulator/isa/tensor_copy.hpp"

namespace emulator {

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

/// Bytes of some data that nobody has written: offset and length, as seen when the copy was issued.
using Unwritten = std::vector<std::pair<int64_t, int64_t>>;

/// Adds the never-written bytes of a source that note_read() called incomplete; `at` = its offset in
/// the data.
void find_unwritten(Warp& warp, const Op& op, const uint8_t* source, int64_t bytes, int64_t at,
                    Moment moment, Unwritten* unwritten);

/// What elements outside the tensor read as.
void fill_outside(const TensorMap& map, uint8_t* to, int64_t bytes);

/// The map that a lane names, checked; false if it is unusable, which was reported.
bool read_map(Warp& warp, const Op& op, int lane, const AddressSource& source, int rank,
              TensorMap* map);

TensorBox box_of(Warp& warp, const BulkDetail& detail, const TensorMap& map, int lane);

/// Shared offset of byte `at` of a box at shared offset `base`.
uint32_t swizzled_byte(uint32_t base, int64_t at, TensorSwizzle swizzle);

/// Copies a row between its place in a box in shared memory and dense memory; 16 bytes at a time where
/// the box is swizzled. `base` is the box's shared offset, `shared` the block's shared memory.

void gather_row(uint8_t* dense, const uint8_t* shared, uint32_t base, int64_t offset, int64_t bytes,
                TensorSwizzle swizzle);
void scatter_row(const uint8_t* dense, uint8_t* shared, uint32_t base, int64_t offset,
                 int64_t bytes, TensorSwizzle swizzle);

bool check_alignment(Warp& warp, const Op& op, int lane, uint64_t address, uint64_t alignment,
                     const char* what);

/// The size operand of a linear copy; 0 after a report.
int64_t size_of(Warp& warp, const Op& op, const BulkDetail& detail, int lane);

void load_linear(Warp& warp, const Op& op, const BulkDetail& detail, int lane);
void load_tensor(Warp& warp, const Op& op, const BulkDetail& detail, int lane);
/// By lanes with the same operands.
void store_linear(Warp& warp, const Op& op, const BulkDetail& detail, LaneMask lanes);
void store_tensor(Warp& warp, const Op& op, const BulkDetail& detail, LaneMask lanes);

/// tensormap.replace, tensormap.cp_fenceproxy, fence.proxy.tensormap::generic.
void lower_replace(const ptx::Instruction& in, LowerContext& context, Op& op);
void lower_fence_copy(const ptx::Instruction& in, LowerContext& context, Op& op);
void lower_tensormap_fence(const ptx::Instruction& in, LowerContext& context, Op& op);

}  // namespace emulator
