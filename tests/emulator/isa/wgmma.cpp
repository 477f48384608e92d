// wgmma.mma_async, wgmma.fence, wgmma.commit_group, wgmma.wait_group.
//
// Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions"; the canonical layouts of the
// matrix descriptors in its section on shared memory layout.
//
// Each warp of a warpgroup multiplies its 16 of the 64 rows when it issues; the result is in the
// registers at once, but poisoned until wait_group: who reads it earlier spreads the taint, who changes
// it (or a register of A) is found at the wait. wait_group is one event of the warpgroup: its four warps
// meet there, and then each knows that the operand reads of all four are over, because one thread may
// release a stage for all. Operands in shared memory are read through the async proxy from the issue
// to the wait.
//
//   descriptor   bits 13..0 start >> 4, 29..16 leading byte offset >> 4, 45..32 stride byte offset >> 4,
//                51..49 base offset, 63..62 swizzle (0 none, 1 128B, 2 64B, 3 32B)
//   K-major      address(row, k) = start + row % 8 * P + row / 8 * stride + k bytes; P = 16 without
//                swizzle (then the second 16 bytes of k lie a leading offset further), else the
//                swizzle's width
//   MN-major     (16-bit elements) pieces of 16 bytes along MN. No swizzle: mn / 8 * stride +
//                k % 8 * 16 + k / 8 * leading. Else rows of the swizzle's width W:
//                mn * 2 % W + mn * 2 / W * leading + k % 8 * W + k / 8 * stride
//   swizzle      as in tensor_copy.hpp, of the address less base offset * 128
//
// wgmma.fence is missed where no fence lies between the last wgmma of the warp and this one, and an
// accumulator does not hold what that wgmma left there, or an A register not what it held at the fence.
// For speed each warp notes its reads of a quarter of B, another quarter with every instruction; the
// four warps together note all of it. Products are summed as tensor_math.hpp says.
#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/exec/kernel.hpp"
#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/async_state.hpp"
#include "tests/emulator/isa/fragments.hpp"
#include "tests/emulator/isa/tensor_math.hpp"

namespace emulator {
namespace {

using ptx::Operand;
using tensor::Element;

constexpr int kWarpgroup = 4;  // warps
constexpr int kBytesOfK = 32;  // of every instruction
constexpr int kMaxK = 32;      // elements

struct Wgmma : OpDetail {
    int n = 0, k = 0;
    Element a_element = Element::kF16, b_element = Element::kF16;
    bool integer = false, half_accumulator = false, saturate = false;
    bool a_in_registers = false;
    std::array<Slot, 4> a{};
    Slot a_descriptor = kZeroSlot, b_descriptor = kZeroSlot;
    Slot scale_d = kZeroSlot;
    bool scale_d_negated = false;
    bool negate = false;                  ///< one of A and B
    bool a_by_m = false, b_by_n = false;  ///< MN-major
    std::vector<Slot> d;
};

/// What is known of a register slot that wgmma uses.
struct SlotState {
    bool in_flight = false;
    bool has_result = false;  ///< `result` is what the last wgmma left there
    bool has_fenced = false;  ///< `fenced` is what it held at the last wgmma.fence
    uint16_t n = 0;           ///< shape of the wgmma in flight
    uint32_t group = 0;
    LaneMask real = 0;  ///< taint that stays after the wait
    uint64_t result = 0, fenced = 0;
};

struct PendingA {
    const Op* op;
    uint32_t group;
    std::array<uint64_t, 4> hashes;
};

/// Per warp, at kWgmmaStatePlace.
struct WgmmaState : WarpState {
    std::shared_ptr<Frame> frame;  ///< whose registers `slots` are
    std::vector<SlotState> slots;
    std::vector<Slot> in_flight;
    std::vector<PendingA> pending_a;
    std::vector<Slot> a_slots;  ///< of all wgmma in the function, found at the first fence
    bool fenced = false, fenced_since_issue = false;
    uint32_t committed = 0;             ///< groups
    std::vector<Moment> group_moments;  ///< last operation of each group
    uint32_t operations = 0;            ///< in the open group
    Moment moment;
    std::vector<uint64_t> issues;  ///< what was issued, to compare between warps
    uint64_t waits = 0;
    const Op* last = nullptr;

    void on_exit(Warp& warp) override {
        if (!in_flight.empty() && last != nullptr)
            warp.report(*last, 0, FindingKind::kUnfinishedCopy,
                        "a warp exits without wgmma.wait_group for its last wgmma");
    }
};

WgmmaState& state_of(Warp& warp) {
    return warp.state<WgmmaState>(kWgmmaStatePlace);
}

/// First warp of the running warp's warpgroup; reports where there are not four.
Warp* warpgroup_of(Warp& warp, const Op& op) {
    auto& warps = warp.block().warps;
    const size_t first = static_cast<size_t>(warp.index()) / kWarpgroup * kWarpgroup;
    if (first + kWarpgroup <= warps.size()) return &warps[first];
    warp.report(op, kAllLanes, FindingKind::kDivergentBarrier,
                "wgmma needs a warpgroup of four warps; the block has not enough threads", true);
    return nullptr;
}

uint64_t hash_slot(Warp& warp, Slot slot) {
    const uint64_t* words = warp.lanes<uint64_t>(slot);
    uint64_t hash[4] = {1, 2, 3, 4};
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 4; ++j)
            hash[j] = (hash[j] ^ words[i + j]) * 0x9E3779B97F4A7C15ull;
    return hash[0] ^ (hash[1] << 1) ^ (hash[2] >> 7) ^ (hash[3] * 31);
}

/// The states of the running frame's registers.
void enter_frame(Warp& warp, WgmmaState& state) {
    const std::shared_ptr<Frame>& frame = warp.group().frame;
    if (state.frame == frame) return;
    // Another function's registers: ptxas waits at its boundary, and so what was there is done.
    for (const Slot slot : state.in_flight)
        state.frame->taint[slot] = state.slots[slot].real;
    state.in_flight.clear();
    state.pending_a.clear();
    state.frame = frame;
    state.slots.assign(warp.code().slots, SlotState{});
    state.a_slots.clear();
}

// --- operands in shared memory ---------------------------------------------------------------------

class Tile {
  public:
    Tile(const Block& block, uint64_t descriptor, bool by_mn)
        : shared_(block.shared), end_(block.shared_end), by_mn_(by_mn) {
        start_ = static_cast<uint32_t>(descriptor & 0x3FFF) << 4;
        leading_ = static_cast<uint32_t>(descriptor >> 16 & 0x3FFF) << 4;
        stride_ = static_cast<uint32_t>(descriptor >> 32 & 0x3FFF) << 4;
        base_ = static_cast<uint32_t>(descriptor >> 49 & 7);
        static constexpr uint32_t kMasks[4] = {0, 7, 3, 1};
        mask_ = kMasks[descriptor >> 62];
        width_ = 16 * (mask_ + 1);
        stray_ = (descriptor & ~0xC00E3FFF3FFF3FFFull) != 0;
    }
    /// A sentence about what is wrong with the descriptor, or nullptr.
    const char* fault() const noexcept {
        if (stray_) return "a wgmma descriptor has bits set that must be zero";
        // Without one, the pattern begins at multiples of 1024 bytes wherever the tile does.
        if (base_ != 0 && ((start_ >> 7) & mask_) != (base_ & mask_))
            return "the base offset of a wgmma descriptor does not match its start";
        return nullptr;
    }
    bool by_mn() const noexcept { return by_mn_; }
    uint32_t width() const noexcept { return width_; }

    /// Shared offset of the 16 bytes `piece` (0, 1) of K-major row `row`.
    uint32_t by_k(int row, int piece) const noexcept {
        const auto r = static_cast<uint32_t>(row), p = static_cast<uint32_t>(piece);
        return swizzle(start_ + r % 8 * width_ + r / 8 * stride_ +
                       p * (mask_ == 0 ? leading_ : 16));
    }
    /// Shared offset of elements mn .. mn + 7 at k of an MN-major operand; mn is a multiple of 8.
    uint32_t by_mn(int mn, int k) const noexcept {
        const auto bytes = static_cast<uint32_t>(mn) * 2, row = static_cast<uint32_t>(k);
        if (mask_ == 0) return start_ + bytes / 16 * stride_ + row % 8 * 16 + row / 8 * leading_;
        return swizzle(start_ + bytes % width_ + bytes / width_ * leading_ + row % 8 * width_ +
                       row / 8 * stride_);
    }
    /// The piece at a shared offset; zeros where there is no shared memory.
    const uint8_t* at(uint32_t offset) const noexcept {
        static const uint8_t kZeros[16] = {};
        return valid(offset) ? shared_ + offset : kZeros;
    }
    bool valid(uint32_t offset) const noexcept {
        return offset >= kSharedFirst && offset + 16 <= end_;
    }

  private:
    uint32_t swizzle(uint32_t address) const noexcept {
        return address ^ ((((address >> 7) - base_) & mask_) << 4);
    }
    const uint8_t* shared_;
    uint32_t end_, start_, leading_, stride_, base_, mask_, width_;
    bool by_mn_, stray_;
};

/// Notes the reads of 8 rows (columns of B) from `first` on; returns those that hold never-written
/// bytes, 8 bits.
uint32_t note_rows(Warp& warp, const Op& op, const Tile& tile, int first, int k_count,
                   Moment moment, bool* fault) {
    Memory& memory = warp.memory();
    const auto note = [&](uint32_t offset, int64_t bytes) {
        if (!tile.valid(offset) || !tile.valid(offset + static_cast<uint32_t>(bytes) - 16)) {
            *fault = true;
            return true;
        }
        return memory.note_read(warp, op, tile.at(offset), bytes, Proxy::kAsync, moment);
    };
    uint32_t unwritten = 0;
    if (tile.by_mn()) {
        for (int k = 0; k < k_count; ++k)
            if (!note(tile.by_mn(first, k), 16)) unwritten = 0xFF;
        return unwritten;
    }
    for (int row = 0; row < 8; ++row) {
        const uint32_t one = tile.by_k(first + row, 0), two = tile.by_k(first + row, 1);
        const bool adjacent = one + 16 == two || two + 16 == one;
        const bool written =
            adjacent ? note(std::min(one, two), 32) : note(one, 16) & note(two, 16);
        if (!written) unwritten |= 1u << row;
    }
    return unwritten;
}

// --- the products ----------------------------------------------------------------------------------

const __m256i kEvenOddLanes = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
constexpr int kEvenOdd[8] = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr int kInOrder[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/// The warp's 16 rows of A as binary32, k along the row.
void fetch_a(Warp& warp, const Wgmma& wgmma, const Tile* tile, float a[16][kMaxK]) {
    const int per_piece = 16 / tensor::element_bytes(wgmma.a_element);
    const int first_row = warp.index() % kWarpgroup * 16;
    if (tile != nullptr && tile->by_mn()) {
        for (int k = 0; k < wgmma.k; ++k)
            for (int half = 0; half < 2; ++half) {
                float column[8];
                tensor::widen16(wgmma.a_element, tile->at(tile->by_mn(first_row + 8 * half, k)),
                                column);
                for (int i = 0; i < 8; ++i)
                    a[8 * half + i][k] = column[i];
            }
    } else {
        for (int row = 0; row < 16; ++row)
            for (int piece = 0; piece < 2; ++piece) {
                const uint8_t* from =
                    tile != nullptr
                        ? tile->at(tile->by_k(first_row + row, piece))
                        : warp.lanes<uint8_t>(wgmma.a[2 * piece + row / 8]) + 16 * (row % 8);
                tensor::widen16(wgmma.a_element, from, &a[row][piece * per_piece]);
            }
    }
    if (!wgmma.negate) return;
    for (int row = 0; row < 16; ++row)
        for (int k = 0; k < wgmma.k; ++k)
            a[row][k] = -a[row][k];
}

/// Columns n .. n + 7 of B: b[8 k + i], i in the order in which the accumulators hold them.
void fetch_b(const Wgmma& wgmma, const Tile& tile, int n, float* b) {
    if (tile.by_mn()) {
        for (int k = 0; k < wgmma.k; ++k) {
            float row[8];
            tensor::widen16(wgmma.b_element, tile.at(tile.by_mn(n, k)), row);
            __m256 values = _mm256_loadu_ps(row);
            if (!wgmma.half_accumulator) values = _mm256_permutevar8x32_ps(values, kEvenOddLanes);
            _mm256_storeu_ps(b + 8 * k, values);
        }
        return;
    }
    alignas(32) float columns[8][kMaxK];
    const int per_piece = 16 / tensor::element_bytes(wgmma.b_element);
    for (int i = 0; i < 8; ++i)
        for (int piece = 0; piece < 2; ++piece)
            tensor::widen16(wgmma.b_element, tile.at(tile.by_k(n + i, piece)),
                            &columns[i][piece * per_piece]);
    const int* order = wgmma.half_accumulator ? kInOrder : kEvenOdd;
    for (int k = 0; k < wgmma.k; k += 8) {
        const float* rows[8];
        for (int i = 0; i < 8; ++i)
            rows[i] = &columns[order[i]][k];
        tensor::transpose_8x8(rows, b + 8 * k);
    }
}

/// D = A * B (+ D) for 8 columns and the warp's 16 rows.
void multiply_columns(Warp& warp, const Wgmma& wgmma, const float a[16][kMaxK], const float* b,
                      int n, bool accumulate) {
    for (int block = 0; block < 2; ++block) {
        __m256 sums[8];
        if (wgmma.half_accumulator) {
            uint8_t* d = warp.lanes<uint8_t>(wgmma.d[n / 4 + block]);
            for (int g = 0; g < 8; ++g)
                sums[g] = accumulate ? _mm256_cvtph_ps(_mm_load_si128(
                                           reinterpret_cast<const __m128i*>(d + 16 * g)))
                                     : _mm256_setzero_ps();
            tensor::multiply_8x8(a[8 * block], kMaxK, b, wgmma.k, sums);
            for (int g = 0; g < 8; ++g)
                _mm_store_si128(reinterpret_cast<__m128i*>(d + 16 * g), isa::round_to_f16(sums[g]));
            continue;
        }
        const Slot even = wgmma.d[n / 2 + 2 * block], odd = wgmma.d[n / 2 + 2 * block + 1];
        float* even_lanes = warp.lanes<float>(even);
        float* odd_lanes = warp.lanes<float>(odd);
        for (int g = 0; g < 8; ++g)
            sums[g] = accumulate && !wgmma.integer
                          ? _mm256_set_m128(_mm_load_ps(odd_lanes + 4 * g),
                                            _mm_load_ps(even_lanes + 4 * g))
                          : _mm256_setzero_ps();
        tensor::multiply_8x8(a[8 * block], kMaxK, b, wgmma.k, sums);
        if (wgmma.integer) {  // 32 products of 8 bits each are exact in binary32
            for (int g = 0; g < 8; ++g) {
                float row[8];
                _mm256_storeu_ps(row, sums[g]);
                for (int i = 0; i < 8; ++i) {
                    int32_t* lane = warp.lanes<int32_t>(i < 4 ? even : odd) + 4 * g + i % 4;
                    *lane = tensor::add_s32(accumulate ? *lane : 0, static_cast<int64_t>(row[i]),
                                            wgmma.saturate);
                }
            }
            continue;
        }
        for (int g = 0; g < 8; ++g) {
            const __m256 sum = tensor::canonical(sums[g]);
            _mm_store_ps(even_lanes + 4 * g, _mm256_castps256_ps128(sum));
            _mm_store_ps(odd_lanes + 4 * g, _mm256_extractf128_ps(sum, 1));
        }
    }
}

// --- wgmma.mma_async -------------------------------------------------------------------------------

/// A value that all lanes must agree on.
uint64_t uniform(Warp& warp, const Op& op, Slot slot, const char* what) {
    check_source(warp, op, slot, kAllLanes, what);
    const uint64_t* values = warp.u64(slot);
    for (int lane = 1; lane < kWarpLanes; ++lane)
        if (values[lane] != values[0]) {
            warp.report(op, 1u << lane, FindingKind::kBadDescriptor,
                        std::string(what) + " differs between the lanes of a warp");
            break;
        }
    return values[0];
}

void check_fence(Warp& warp, const Op& op, const Wgmma& wgmma, const WgmmaState& state) {
    if (!state.fenced) {
        warp.report(op, kAllLanes, FindingKind::kUnfinishedCopy,
                    "the first wgmma of a warp without a wgmma.fence before it");
        return;
    }
    for (const Slot slot : wgmma.d) {
        const SlotState& known = state.slots[slot];
        if (known.in_flight && known.n != wgmma.n) {
            warp.report(op, kAllLanes, FindingKind::kUnfinishedCopy,
                        "accumulators of a wgmma of another shape that was not waited for");
            return;
        }
        if (state.fenced_since_issue || known.in_flight || !known.has_result) continue;
        if (hash_slot(warp, slot) == known.result) continue;
        warp.report(op, kAllLanes, FindingKind::kUnfinishedCopy,
                    "an accumulator was changed after the last wgmma and there is no wgmma.fence "
                    "before this one");
        return;
    }
    if (!wgmma.a_in_registers || state.fenced_since_issue) return;
    for (const Slot slot : wgmma.a) {
        const SlotState& known = state.slots[slot];
        if (!known.has_fenced || hash_slot(warp, slot) == known.fenced) continue;
        warp.report(op, kAllLanes, FindingKind::kUnfinishedCopy,
                    "a register of A was changed after the last wgmma.fence");
        return;
    }
}

/// The four warps of a warpgroup must issue the same.
void compare_warps(Warp& warp, const Op& op, Warp* warpgroup, WgmmaState& state, uint64_t what) {
    state.issues.push_back(what);
    const size_t number = state.issues.size() - 1;
    for (int i = 0; i < kWarpgroup; ++i) {
        const auto& other = state_of(warpgroup[i]).issues;
        if (other.size() <= number || other[number] == what) continue;
        warp.report(op, kAllLanes, FindingKind::kDivergentBarrier,
                    "the warps of a warpgroup issue different wgmma operations");
        return;
    }
}

Outcome run_wgmma(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& wgmma = static_cast<const Wgmma&>(*op.detail);
    Warp* warpgroup = warpgroup_of(warp, op);
    if (warpgroup == nullptr) return Outcome::kNext;
    WgmmaState& state = state_of(warp);
    enter_frame(warp, state);
    state.last = &op;
    if (warp.index() % kWarpgroup == 0) {
        ++warp.counters().wgmma_operations;
        warp.counters().multiply_adds += uint64_t{64} * wgmma.n * wgmma.k;
    }

    const bool checks = warp.checks();
    const uint64_t a_descriptor =
        wgmma.a_in_registers ? 0 : uniform(warp, op, wgmma.a_descriptor, "a wgmma descriptor of A");
    const uint64_t b_descriptor = uniform(warp, op, wgmma.b_descriptor, "a wgmma descriptor of B");
    check_source(warp, op, wgmma.scale_d, kAllLanes, "the scale-d of a wgmma");
    LaneMask scale = warp.predicate(wgmma.scale_d);
    if (wgmma.scale_d_negated) scale = ~scale;
    if (scale != 0 && scale != kAllLanes)
        warp.report(op, scale, FindingKind::kDivergentBarrier,
                    "the scale-d of a wgmma differs between the lanes of a warp");
    const bool accumulate = scale != 0;
    const Tile a_tile(warp.block(), a_descriptor, wgmma.a_by_m);
    const Tile b_tile(warp.block(), b_descriptor, wgmma.b_by_n);
    for (const Tile* tile : {&a_tile, &b_tile}) {
        if (tile == &a_tile && wgmma.a_in_registers) continue;
        if (const char* fault = tile->fault())
            warp.report(op, kAllLanes, FindingKind::kBadDescriptor, fault);
    }

    // Taint: rows of A, columns of B, accumulators.
    uint32_t bad_rows[2] = {0, 0};
    std::array<uint8_t, 32> bad_columns{};
    if (checks) {
        check_fence(warp, op, wgmma, state);
        compare_warps(
            warp, op, warpgroup, state,
            (reinterpret_cast<uint64_t>(&op) * 31 + a_descriptor) * 0x9E3779B97F4A7C15ull +
                b_descriptor * 2 + (accumulate ? 1 : 0));
        state.moment = begin_async(warp, Engine::kWgmma);
        bool fault = false;
        if (wgmma.a_in_registers) {
            for (int i = 0; i < 4; ++i)
                bad_rows[i % 2] |= rows_with(warp.taint(wgmma.a[i]));
        } else {
            for (int block = 0; block < 2; ++block)
                bad_rows[block] =
                    note_rows(warp, op, a_tile, warp.index() % kWarpgroup * 16 + 8 * block, wgmma.k,
                              state.moment, &fault);
        }
        // A small B is noted whole by every warp, a large one in quarters that go around.
        const bool whole = wgmma.n <= 64;
        const int turn = (warp.index() + static_cast<int>(state.issues.size())) % kWarpgroup;
        for (int j = 0; j < wgmma.n / 8; ++j)
            if (whole || j % kWarpgroup == turn)
                bad_columns[j] = static_cast<uint8_t>(
                    note_rows(warp, op, b_tile, 8 * j, wgmma.k, state.moment, &fault));
        if (fault)
            warp.report(op, kAllLanes, FindingKind::kOutOfBounds,
                        "an operand of wgmma lies outside the block's shared memory", true);
    }

    alignas(32) float a[16][kMaxK];
    fetch_a(warp, wgmma, wgmma.a_in_registers ? nullptr : &a_tile, a);
    alignas(32) float b[8 * kMaxK];
    for (int n = 0; n < wgmma.n; n += 8) {
        fetch_b(wgmma, b_tile, n, b);
        multiply_columns(warp, wgmma, a, b, n, accumulate);
    }
    ++state.operations;
    state.fenced_since_issue = false;
    if (!checks) return Outcome::kNext;

    if (wgmma.a_in_registers) {
        PendingA pending{&op, state.committed, {}};
        for (int i = 0; i < 4; ++i)
            pending.hashes[i] = hash_slot(warp, wgmma.a[i]);
        state.pending_a.push_back(pending);
    }
    const uint32_t in_flight =
        warp.worker().cause(FindingKind::kUnfinishedCopy, warp.code(), op,
                            "the result of a wgmma before its wgmma.wait_group", "");
    for (size_t i = 0; i < wgmma.d.size(); ++i) {
        const Slot slot = wgmma.d[i];
        SlotState& known = state.slots[slot];
        const int j = static_cast<int>(wgmma.half_accumulator ? i / 2 : i / 4);
        const int block = static_cast<int>(wgmma.half_accumulator ? i % 2 : i / 2 % 2);
        LaneMask real = accumulate ? (known.in_flight ? known.real : warp.taint(slot)) : 0;
        real |= lanes_of_rows(bad_rows[block]);
        if (bad_columns[j] != 0)
            real |= wgmma.half_accumulator
                        ? lanes_of_columns(bad_columns[j], 0) | lanes_of_columns(bad_columns[j], 1)
                        : lanes_of_columns(bad_columns[j], static_cast<int>(i % 2));
        if (!known.in_flight) state.in_flight.push_back(slot);
        known.in_flight = known.has_result = true;
        known.n = static_cast<uint16_t>(wgmma.n);
        known.group = state.committed;
        known.real = real;
        known.result = hash_slot(warp, slot);
        warp.set_cause(in_flight);
        warp.set_taint(slot, kAllLanes, kAllLanes);
    }
    return Outcome::kNext;
}

// --- fence, groups ---------------------------------------------------------------------------------

Outcome run_fence(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    WgmmaState& state = state_of(warp);
    enter_frame(warp, state);
    state.fenced = state.fenced_since_issue = true;
    if (!warp.checks()) return Outcome::kNext;
    if (state.a_slots.empty())
        for (const Op& other : warp.code().ops)
            if (other.execute == run_wgmma) {
                const auto& wgmma = static_cast<const Wgmma&>(*other.detail);
                if (!wgmma.a_in_registers) continue;
                state.a_slots.insert(state.a_slots.end(), wgmma.a.begin(), wgmma.a.end());
            }
    for (const Slot slot : state.a_slots) {
        state.slots[slot].has_fenced = true;
        state.slots[slot].fenced = hash_slot(warp, slot);
    }
    return Outcome::kNext;
}

Outcome run_commit(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    WgmmaState& state = state_of(warp);
    state.group_moments.push_back(state.moment);
    ++state.committed;
    state.operations = 0;
    return Outcome::kNext;
}

Outcome run_wait(Warp& warp, const Op& op, LaneMask lanes) {
    Group& group = warp.group();
    WgmmaState& state = state_of(warp);
    Warp* warpgroup = warpgroup_of(warp, op);
    if (warpgroup == nullptr) return Outcome::kNext;
    if (group.token == 0) {
        if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
        enter_frame(warp, state);
        ++state.waits;
        group.token = 1;
    }
    for (int i = 0; i < kWarpgroup; ++i) {
        if (state_of(warpgroup[i]).waits >= state.waits) continue;
        if (warpgroup[i].live() != 0) return Outcome::kBlocked;
        warp.report(op, lanes, FindingKind::kDivergentBarrier,
                    "wgmma.wait_group of a warpgroup with a warp that has exited");
    }
    const int64_t done = int64_t{state.committed} - op.imm;  // groups before this one
    if (done <= 0 || !warp.checks()) return Outcome::kNext;
    for (int i = 0; i < kWarpgroup; ++i) {
        const auto& moments = state_of(warpgroup[i]).group_moments;
        if (moments.empty()) continue;
        const size_t last = std::min(moments.size(), static_cast<size_t>(done)) - 1;
        finish_async(warp, lanes, moments[last]);
    }
    const auto over = [&](uint32_t of) { return int64_t{of} < done; };
    for (const PendingA& pending : state.pending_a) {
        if (!over(pending.group)) continue;
        const auto& wgmma = static_cast<const Wgmma&>(*pending.op->detail);
        for (int i = 0; i < 4; ++i)
            if (hash_slot(warp, wgmma.a[i]) != pending.hashes[i]) {
                warp.report(*pending.op, lanes, FindingKind::kUnfinishedCopy,
                            "a register of A was changed before the wgmma.wait_group of the wgmma "
                            "that reads it");
                break;
            }
    }
    state.pending_a.erase(
        std::remove_if(state.pending_a.begin(), state.pending_a.end(),
                       [&](const PendingA& pending) { return over(pending.group); }),
        state.pending_a.end());
    bool changed = false;
    for (const Slot slot : state.in_flight) {
        SlotState& known = state.slots[slot];
        if (!over(known.group)) continue;
        known.in_flight = false;
        changed |= hash_slot(warp, slot) != known.result;
        if (known.real != 0)
            warp.set_cause(
                warp.worker().cause(FindingKind::kUninitialized, warp.code(), *state.last,
                                    "computed by a wgmma from values that were never written", ""));
        warp.set_taint(slot, kAllLanes, known.real);
    }
    if (changed)
        warp.report(
            op, lanes, FindingKind::kUnfinishedCopy,
            "an accumulator was changed before the wgmma.wait_group of the wgmma that writes "
            "it");
    state.in_flight.erase(std::remove_if(state.in_flight.begin(), state.in_flight.end(),
                                         [&](Slot slot) { return !state.slots[slot].in_flight; }),
                          state.in_flight.end());
    return Outcome::kNext;
}

// --- lowering --------------------------------------------------------------------------------------

/// "m64n128k16"
bool parse_shape(const std::string& text, int* n, int* k) {
    const size_t n_at = text.find('n'), k_at = text.find('k');
    if (text.compare(0, 3, "m64") != 0 || n_at != 3 || k_at == std::string::npos) return false;
    *n = std::atoi(text.c_str() + n_at + 1);
    *k = std::atoi(text.c_str() + k_at + 1);
    return text == "m64n" + std::to_string(*n) + "k" + std::to_string(*k);
}

/// wgmma.mma_async.sync.aligned.m64n128k16{.satfinite}.<d>.<a>.<b> d, a, b, scale-d
///     {, imm-scale-a, imm-scale-b}{, imm-trans-a}{, imm-trans-b}
void lower_wgmma(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<Wgmma>();
    Wgmma& wgmma = *detail;
    if (context.arch() < 90) context.fail(in, "needs sm_90a");
    auto modifiers = in.modifiers;
    const auto refuse = [&] { context.fail(in, "this form does not exist"); };
    const auto saturate = std::find(modifiers.begin(), modifiers.end(), "satfinite");
    if (saturate != modifiers.end()) {
        wgmma.saturate = true;
        modifiers.erase(saturate);
    }
    if (modifiers.size() != 7 || modifiers[1] != "sync" || modifiers[2] != "aligned" ||
        !parse_shape(modifiers[3], &wgmma.n, &wgmma.k))
        context.fail(in, "only dense .sync.aligned forms are known");
    if (!tensor::parse_element(modifiers[5].c_str(), &wgmma.a_element) ||
        !tensor::parse_element(modifiers[6].c_str(), &wgmma.b_element))
        context.fail(in, "unknown type of A or B");
    const auto is_integer = [](Element e) { return e == Element::kS8 || e == Element::kU8; };
    const auto is_fp8 = [](Element e) { return e == Element::kE4M3 || e == Element::kE5M2; };
    wgmma.integer = is_integer(wgmma.a_element);
    const bool fp8 = is_fp8(wgmma.a_element);
    if (wgmma.integer != is_integer(wgmma.b_element) || fp8 != is_fp8(wgmma.b_element)) refuse();
    if (!wgmma.integer && !fp8 && wgmma.a_element != wgmma.b_element) refuse();
    if (wgmma.k * tensor::element_bytes(wgmma.a_element) != kBytesOfK) refuse();
    if (wgmma.n < 8 || wgmma.n > 256 || wgmma.n % 8 != 0) refuse();
    if (wgmma.integer && wgmma.n > 32 && wgmma.n % 16 != 0) refuse();
    if (wgmma.saturate && !wgmma.integer) refuse();
    wgmma.half_accumulator = modifiers[4] == "f16";
    if (wgmma.integer ? modifiers[4] != "s32" : modifiers[4] != "f32" && !wgmma.half_accumulator)
        refuse();
    if (wgmma.half_accumulator && wgmma.a_element != Element::kF16 && !fp8) refuse();

    const auto& operands = in.operands;
    if (operands.size() < 4) context.fail(in, "too few operands");
    const auto d = elements_of(operands[0]);
    if (static_cast<int>(d.size()) != wgmma.n / (wgmma.half_accumulator ? 4 : 2))
        context.fail(in, "the vector of accumulators has the wrong length");
    for (const Operand& element : d) {
        wgmma.d.push_back(context.destination(element));
        if (wgmma.d.back() == kSinkSlot) context.fail(in, "an accumulator must be a register");
    }
    wgmma.a_in_registers = operands[1].kind == Operand::Kind::kVector;
    if (wgmma.a_in_registers) {
        if (operands[1].elements.size() != 4) context.fail(in, "A needs four registers");
        for (size_t i = 0; i < 4; ++i)
            wgmma.a[i] = context.source(operands[1].elements[i], ptx::Type::kB32);
    } else {
        wgmma.a_descriptor = context.source(operands[1], ptx::Type::kB64);
    }
    wgmma.b_descriptor = context.source(operands[2], ptx::Type::kB64);
    wgmma.scale_d = context.predicate(operands[3], &wgmma.scale_d_negated);
    size_t at = 4;
    const auto constant = [&](int64_t one, int64_t other) {
        if (at >= operands.size() || operands[at].kind != Operand::Kind::kImmediate)
            context.fail(in, "needs constant scales and transpositions");
        const auto value = static_cast<int64_t>(operands[at++].bits);
        if (value != one && value != other) context.fail(in, "a constant is out of range");
        return value;
    };
    if (!wgmma.integer) {
        wgmma.negate = constant(1, -1) != constant(1, -1);
        if (tensor::element_bytes(wgmma.a_element) == 2) {
            if (!wgmma.a_in_registers) wgmma.a_by_m = constant(0, 1) != 0;
            wgmma.b_by_n = constant(0, 1) != 0;
        }
    }
    if (at != operands.size()) context.fail(in, "too many operands");
    op.execute = run_wgmma;
    op.kind = OpKind::kWgmma;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void lower_fence(const ptx::Instruction& in, LowerContext& context, Op& op) {
    const std::string text = in.full_opcode();
    if (context.arch() < 90) context.fail(in, "needs sm_90a");
    op.flags |= Op::kOwnTaint;
    op.kind = OpKind::kBarrier;
    if (text == "wgmma.fence.sync.aligned" && in.operands.empty()) {
        op.execute = run_fence;
    } else if (text == "wgmma.commit_group.sync.aligned" && in.operands.empty()) {
        op.execute = run_commit;
    } else if (text == "wgmma.wait_group.sync.aligned" && in.operands.size() == 1 &&
               in.operands[0].kind == Operand::Kind::kImmediate) {
        op.imm = static_cast<int64_t>(in.operands[0].bits);
        op.execute = run_wait;
    } else {
        context.fail(in, "unknown form");
    }
}

}  // namespace

void register_wgmma(Registry& registry) {
    registry.add("wgmma.mma_async", lower_wgmma);
    registry.add("wgmma.fence", lower_fence);
    registry.add("wgmma.commit_group", lower_fence);
    registry.add("wgmma.wait_group", lower_fence);
}

}  // namespace emulator
