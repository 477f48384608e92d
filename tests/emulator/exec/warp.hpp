// The state that executors see: a warp and its block.
//
// A warp's lanes are in *groups*: lanes at the same pc in the same frame. Without divergence there is
// one. The scheduler runs one group at a time; groups that meet at a pc in the same frame merge.
// An executor sees the group that runs it as `warp.group()`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/check/counters.hpp"
#include "tests/emulator/check/finding.hpp"
#include "tests/emulator/exec/op.hpp"

namespace emulator {

class Block;
class Kernel;
class Memory;
class Worker;
struct Launch;
struct Ordering;

/// What a group of instructions keeps per warp between operations (pending copies, ...).
struct WarpState {
    virtual ~WarpState() = default;
    /// The last lanes of the warp exit.
    virtual void on_exit(Warp& /*warp*/) {}
};

/// One activation of a function for some lanes: its registers and parameters.
struct Frame {
    const Kernel* code = nullptr;  ///< the function it runs
    std::vector<uint8_t> storage;
    uint8_t* registers = nullptr;           ///< 64-byte aligned; slot s at registers + 128 s
    std::vector<LaneMask> taint;            ///< per slot: lanes whose value is suspicious
    std::vector<uint32_t> causes;           ///< per slot: why, an index into the worker's causes
    uint32_t local_base = 0;                ///< of this activation's variables in local memory
    std::vector<uint8_t> parameters;        ///< param space of calls, lane after lane
    std::vector<LaneMask> parameter_taint;  ///< per byte of a lane's part
    std::shared_ptr<Frame> caller;
    uint32_t return_pc = 0;
    uint64_t call_site = 0;  ///< index of the call in the caller's code
    uint32_t depth = 0;      ///< callers below
};

struct Group {
    LaneMask lanes = 0;
    uint32_t pc = 0;
    std::shared_ptr<Frame> frame;
    /// 0 when an operation is executed for the first time; an executor that returns kBlocked may set
    /// it to remember that it has arrived; cleared by kNext and kJumped. Two blocked groups of one pc
    /// merge only if their tokens are equal.
    uint64_t token = 0;
    uint32_t spins = 0;    ///< backward jumps since other groups last had a turn: demotion
    bool blocked = false;  ///< returned kBlocked in this round
    LaneMask missing = 0;  ///< lanes that gather() waits for
};

/// The latest operations of a warp, for check/replay.hpp; kept with checks on.
struct Trace {
    static constexpr uint32_t kLength = 2048;
    static constexpr uint32_t kTick = 0x80000000u;  ///< | a tick of its clock that begins here
    static constexpr uint32_t kFrameChange = 0xFFFFFFFFu;
    std::vector<uint32_t> entries;  ///< pcs
    uint32_t at = 0;

    void add(uint32_t entry) noexcept { entries[at++ % kLength] = entry; }
    uint32_t entry(uint32_t i) const noexcept { return entries[i % kLength]; }
};

class Warp {
  public:
    Block& block() noexcept { return *block_; }
    int index() const noexcept { return index_; }  ///< within the block
    Group& group() noexcept { return *group_; }
    Trace& trace() noexcept { return trace_; }
    std::vector<Group>& groups() noexcept { return groups_; }
    /// Lanes that exist and have not exited, over all groups.
    LaneMask live() const noexcept { return live_; }

    /// Registers of the running group's frame.
    template <typename T>
    T* lanes(Slot slot) noexcept {
        return reinterpret_cast<T*>(registers_ + size_t{slot} * 128);
    }
    uint32_t* u32(Slot slot) noexcept { return lanes<uint32_t>(slot); }
    uint64_t* u64(Slot slot) noexcept { return lanes<uint64_t>(slot); }
    LaneMask& predicate(Slot slot) noexcept { return *lanes<LaneMask>(slot); }
    LaneMask& taint(Slot slot) noexcept { return taint_[slot]; }
    /// For executors with Op::kOwnTaint: the result of `lanes` is suspicious in `suspicious`.
    void set_taint(Slot slot, LaneMask lanes, LaneMask suspicious) noexcept {
        taint_[slot] = (taint_[slot] & ~lanes) | (suspicious & lanes);
        if ((suspicious & lanes) != 0) causes_[slot] = cause_;
    }

    /// The same with the cause of the taint of `from`.
    void pass_taint(Slot slot, LaneMask lanes, LaneMask suspicious, Slot from) noexcept {
        taint_[slot] = (taint_[slot] & ~lanes) | (suspicious & lanes);
        if ((suspicious & lanes) != 0) causes_[slot] = causes_[from];
    }

    Memory& memory() noexcept;      ///< device memory, shared memory, checks (memory/memory.hpp)
    Counters& counters() noexcept;  ///< of this host thread
    bool checks() const noexcept;   ///< detectors on?

    /// For operations with `.sync` and a member mask (masks[lane] for each lane of `lanes`), or with
    /// `.aligned` (masks = live()): the lanes of `lanes` that may go on now, because every live lane
    /// that their mask names is at this operation. The others stay behind at this operation as a
    /// group of their own and are asked again when more lanes have arrived. 0: return
    /// Outcome::kBlocked. A mask without the lane itself is reported. Lanes that never come are
    /// reported by the scheduler when nothing else can run.
    LaneMask gather(const Op& op, LaneMask lanes, const uint32_t* masks);
    LaneMask gather(const Op& op, LaneMask lanes, LaneMask mask);

    /// Grows by one with every operation of the host thread; for %clock and %globaltimer.
    uint64_t clock() const noexcept;
    /// Random bits from the launch's seed.
    uint64_t random() noexcept;
    /// Function that the running group executes.
    const Kernel& code() const noexcept;
    Launch& launch() noexcept;
    Worker& worker() noexcept { return *worker_; }  ///< the host thread that runs this warp
    /// Happens-before state; nullptr with checks off (check/clocks.hpp).
    Ordering* ordering() noexcept { return ordering_.get(); }
    /// Lanes that this warp was started with.
    LaneMask started() const noexcept { return started_; }

    /// State of kind T (derived from WarpState) at one of kStates places, made on first use.
    static constexpr int kStates = 8;
    template <typename T>
    T& state(int which) {
        if (!states_[which]) states_[which] = std::make_unique<T>();
        return static_cast<T&>(*states_[which]);
    }

    /// Control flow, for executors that return kJumped. Lanes of the group that are not in `taken`
    /// go on behind the operation.
    void branch(LaneMask taken, uint32_t target);
    void branch_each(LaneMask lanes, const uint32_t* targets);  ///< [32]
    /// Calls function number `function` (LowerContext::function) with arguments copied from the
    /// parameter area of the running frame; see isa/control.cpp.
    void call(const Op& op, LaneMask lanes, int function);
    void return_from(LaneMask lanes);
    void exit(LaneMask lanes);
    /// Takes lanes out of the running group, to go on at `pc` as a group of their own.
    void split_off(LaneMask lanes, uint32_t pc);

    /// Reports a fault of the running operation. `fatal` ends the launch with an error (as a fault
    /// does on hardware); else the launch goes on.
    void report(const Op& op, LaneMask lanes, FindingKind kind, std::string message,
                bool fatal = false);

    /// Reports `suspicious` lanes of a source (its taint) that reach a store, an address or a branch,
    /// with where the value came from. `what`: "address", "value stored", ...
    void report_taint(const Op& op, Slot slot, LaneMask suspicious, const char* what);
    /// Where the suspicion of the value that is being loaded comes from: set by Memory, taken by
    /// set_taint() and kept with the register, for the report.
    void set_cause(uint32_t cause) noexcept { cause_ = cause; }
    uint32_t cause() const noexcept { return cause_; }
    uint32_t cause_of(Slot slot) const noexcept { return causes_[slot]; }
    /// As report_taint(), for the cause that was set last.
    void report_cause(const Op& op, LaneMask suspicious, const char* what);

  private:
    friend class Scheduler;
    friend class Block;
    friend class Worker;

    Block* block_ = nullptr;
    int index_ = 0;
    LaneMask live_ = 0;
    Group* group_ = nullptr;
    uint8_t* registers_ = nullptr;
    LaneMask* taint_ = nullptr;
    uint32_t* causes_ = nullptr;  ///< per slot: where its taint comes from
    uint32_t cause_ = 0;
    LaneMask started_ = 0;
    Worker* worker_ = nullptr;
    std::vector<Group> groups_;  ///< room for 32 is reserved: references stay valid
    std::unique_ptr<Ordering> ordering_;
    Trace trace_;
    std::array<std::unique_ptr<WarpState>, kStates> states_;
};

/// Calls fn(lane) for each set bit.
template <typename Fn>
inline void for_lanes(LaneMask lanes, Fn&& fn) {
    if (lanes == kAllLanes) {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            fn(lane);
        return;
    }
    for (; lanes != 0; lanes &= lanes - 1)
        fn(__builtin_ctz(lanes));
}

/// Elementwise executors in one line: D = fn(A, B, C) per lane over slots of the given types; the
/// all-lanes case is a plain loop that the compiler vectorizes.
template <typename D, typename A, typename B, typename C, typename Fn>
inline void map_lanes(Warp& warp, const Op& op, LaneMask lanes, Fn&& fn) {
    D* __restrict__ d = warp.lanes<D>(op.dst);
    const A* a = warp.lanes<A>(op.src[0]);
    const B* b = warp.lanes<B>(op.src[1]);
    const C* c = warp.lanes<C>(op.src[2]);
    alignas(64) D result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        result[lane] = fn(a[lane], b[lane], c[lane]);
    if (lanes == kAllLanes) {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            d[lane] = result[lane];
    } else {
        for (int lane = 0; lane < kWarpLanes; ++lane)
            d[lane] = (lanes >> lane & 1) ? result[lane] : d[lane];
    }
}

}  // namespace emulator
