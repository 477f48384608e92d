// The operation that the interpreter runs, and how one file per group of instructions plugs in.
//
// A kernel is lowered once, at load: every PTX instruction becomes one Op with a function that does
// it for the active lanes of a warp. All operands are *slots* of the warp's register file: registers,
// and immediates and special registers that do not change while a thread runs, which are laid down
// as constant slots when the frame is made. So an executor never asks what kind of operand it has.
//
//   slot s = 128 bytes = 32 lanes x 32 bits at registers + 128 s
//     types of up to 32 bits   one slot, lane l at u32[l], narrow values zero-extended
//     64-bit types             two slots, lane l at u64[l]
//     128-bit                  four slots, lane l at 16 l bytes
//     predicates               one slot, bit l of u32[0]; the rest unused
//   slot kZeroSlot             always 0 (u32, u64, predicate false); the source that is absent
//   slot kSinkSlot             the destination that is absent; 4 slots wide, may be written
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/ptx/ast.hpp"

namespace emulator {

using LaneMask = uint32_t;
using Slot = uint32_t;
constexpr int kWarpLanes = 32;
constexpr LaneMask kAllLanes = 0xFFFFFFFFu;
constexpr Slot kZeroSlot = 0;  // 4 slots wide
constexpr Slot kSinkSlot = 4;  // 4 slots wide
constexpr Slot kFirstFreeSlot = 8;

class Warp;
struct Op;

/// What an executor tells the scheduler.
enum class Outcome : uint8_t {
    kNext,     ///< go on with the next operation
    kJumped,   ///< the executor set the pc (branch, call, return, exit)
    kBlocked,  ///< nothing happened yet: run me again later (Group::token tells it is a retry)
};

/// Does `op` for `lanes` (the group's active lanes that pass the guard; may be 0 only for operations
/// with Op::kRunsEmpty).
using Execute = Outcome (*)(Warp& warp, const Op& op, LaneMask lanes);

/// Kinds of instructions that the counters tell apart.
enum class OpKind : uint8_t {
    kInteger,  ///< add, mad, setp, min, ...
    kLogic,    ///< and, or, xor, lop3, shl, shf, prmt, bfe, ...
    kFloat,    ///< f32 arithmetic
    kDouble,
    kHalf,  ///< f16, bf16 and packed arithmetic
    kConvert,
    kMove,
    kControl,
    kLoadGlobal,
    kStoreGlobal,
    kLoadShared,
    kStoreShared,
    kLoadLocal,
    kStoreLocal,
    kLoadParam,
    kAtomic,
    kMatrixLoad,  ///< ldmatrix, stmatrix
    kMma,
    kWgmma,
    kAsyncCopy,  ///< cp.async, cp.async.bulk
    kBarrier,    ///< bar, mbarrier, fences, waits
    kWarp,       ///< shfl, vote, match, redux, elect
    kOther,
    kCount
};

/// What one instruction needs beyond Op's fixed fields; each group of instructions derives its own.
struct OpDetail {
    virtual ~OpDetail() = default;
};

struct Op {
    enum Flags : uint8_t {
        kGuardNegated = 1,
        kOwnTaint = 2,   ///< the executor keeps the taint of what it writes; else: the interpreter
                         ///< gives dst the union of src's taint for the active lanes
        kRunsEmpty = 4,  ///< is executed even when no lane passes the guard
    };

    Execute execute = nullptr;
    const OpDetail* detail = nullptr;
    Slot dst = kSinkSlot;
    Slot src[4] = {kZeroSlot, kZeroSlot, kZeroSlot, kZeroSlot};
    Slot guard = kZeroSlot;  ///< kZeroSlot with no guard, then has_guard is false
    bool has_guard = false;
    uint8_t flags = 0;
    OpKind kind = OpKind::kOther;
    uint8_t width = 0;   ///< free for the executor: bytes of an element
    uint32_t mode = 0;   ///< free for the executor
    int64_t imm = 0;     ///< free for the executor: offsets, branch targets
    uint32_t index = 0;  ///< this operation's pc = index of its ptx::Instruction
};

/// What a lowering function may ask for while it turns one instruction into an Op.
class LowerContext {
  public:
    virtual ~LowerContext() = default;

    /// Slot of a register (first of its slots).
    virtual Slot reg(int index) = 0;
    virtual ptx::Type reg_type(int index) const = 0;
    /// Slot of a source operand read as `bytes` bytes per lane (1, 2, 4, 8, 16): a register as it is,
    /// an immediate laid down as a constant (floating literals converted to `as`), a special register
    /// that is constant for a thread, or a symbol's address (generic or of its space, as PTX says).
    /// With bytes == 8 a narrower register is an error unless the caller asked for it with
    /// source_any().
    virtual Slot source(const ptx::Operand& operand, ptx::Type as) = 0;
    /// The same, but the register may be wider than `as` (ld, st and cvt allow that).
    virtual Slot source_any(const ptx::Operand& operand, ptx::Type as) = 0;
    /// Slot of a destination register; kSinkSlot for "_".
    virtual Slot destination(const ptx::Operand& operand) = 0;
    /// Slot of a predicate source; a negated "!p" gives `negated` = true. The constant predicates
    /// "1" and "0" are slots, too.
    virtual Slot predicate(const ptx::Operand& operand, bool* negated) = 0;
    /// Slot that holds the same value in every lane.
    virtual Slot constant32(uint32_t value) = 0;
    virtual Slot constant64(uint64_t value) = 0;
    /// Slot of the function's condition code register (add.cc, addc, ...): bit l of u32[0], as a
    /// predicate.
    virtual Slot carry() = 0;
    /// Address operand: *base = slot of a 64-bit base (32-bit registers hold shared addresses: then
    /// *base_is_32 = true), *offset = the constant part, with a symbol's address added in.
    virtual void address(const ptx::Operand& operand, Slot* base, bool* base_is_32,
                         int64_t* offset) = 0;
    /// Lane-dependent and thread-constant special registers and symbols end up in slots by source().
    /// %clock, %clock64, %clock_hi, %globaltimer[_lo|_hi] change while a thread runs: source() refuses
    /// them; `mov` reads them with Warp::clock().
    /// Targets of the `.branchtargets` list of this name.
    virtual const std::vector<int>& branch_targets(const ptx::Operand& operand) = 0;
    /// Number of a function that is named directly, for Warp::call(); -1 for a register operand.
    virtual int function(const ptx::Operand& operand) = 0;
    /// Offset of a param variable in the frame's parameter area and its bytes (ld.param, st.param and
    /// call); false if `operand` names none: kernel parameters lie in constant memory, see address().
    virtual bool parameter(const ptx::Operand& operand, uint32_t* offset, uint32_t* bytes) = 0;
    /// Type of an operand's register; what a literal would be asked as otherwise.
    virtual ptx::Type type_of(const ptx::Operand& operand, ptx::Type otherwise) = 0;
    /// Compute capability that the launch device claims, 80 or 90.
    virtual int arch() const = 0;
    /// Refuses the module: "line 12: ld.global.foo: <what>".
    [[noreturn]] virtual void fail(const ptx::Instruction& instruction,
                                   const std::string& what) const = 0;
    /// Keeps an OpDetail alive as long as the kernel.
    virtual const OpDetail* keep(std::unique_ptr<OpDetail> detail) = 0;
};

/// Fills `op` (all fields but guard, has_guard and index, which are set already). Every modifier must
/// be understood or refused with context.fail(): an unknown one silently ignored is a wrong answer.
using Lower =
    std::function<void(const ptx::Instruction& instruction, LowerContext& context, Op& op)>;

/// opcode -> Lower. Names of two words where the second decides: "mma", "wgmma.mma_async",
/// "cp.async", "cp.async.bulk", "mbarrier.try_wait"; the longest registered prefix of
/// opcode + "." + modifiers wins.
class Registry {
  public:
    void add(const std::string& prefix, Lower lower);
    /// nullptr if unknown.
    const Lower* find(const ptx::Instruction& instruction) const;
    /// Every registered prefix, for the table of what is covered.
    std::vector<std::string> prefixes() const;
    /// All groups of isa/ registered.
    static const Registry& all();

  private:
    std::vector<std::pair<std::string, Lower>> entries_;
};

// One of these per file of isa/.
void register_integer(Registry& registry);  // add sub mul mad mul24 sad div rem abs neg min max ...
void register_logic(Registry& registry);  // and or xor not lop3 shl shr shf prmt bfe bfi bfind ...
void register_compare(Registry& registry);  // setp set selp slct
void register_float(Registry& registry);  // f32, f64: add sub mul fma div rcp sqrt ex2 lg2 sin ...
void register_half(Registry& registry);   // f16, f16x2, bf16, bf16x2
void register_move(Registry& registry);   // mov (incl. pack/unpack vectors) cvta
void register_convert(Registry& registry);  // cvt cvt.pack
void register_warp(Registry& registry);     // shfl vote match redux activemask elect
void register_control(Registry& registry);  // bra brx call ret exit trap brkpt nanosleep
void register_memory(Registry& registry);   // ld st ldu prefetch isspacep createpolicy discard
void register_atomic(Registry& registry);   // atom red (every scope, order, vector forms) cas exch
void register_barrier(Registry& registry);  // bar barrier bar.warp fence membar griddepcontrol
void register_matrix(Registry& registry);   // ldmatrix stmatrix movmatrix mma.sync
void register_wgmma(Registry& registry);    // wgmma.*
void register_async_copy(Registry& registry);  // cp.async.* (non-bulk)
void register_bulk_copy(Registry& registry);   // cp.async.bulk.*, cp.reduce.async.bulk, tensor maps
void register_mbarrier(Registry& registry);    // mbarrier.*
void register_cluster(Registry& registry);     // mapa getctarank barrier.cluster, setmaxnreg

}  // namespace emulator
