// Memory as executors see it. Every access goes through here, so every check is here, too.
//
// Generic addresses. Device allocations lie at their host addresses (identity), so a host pointer is
// recognized by not being in a live allocation. Two windows are reserved:
//   kSharedWindow + rank * kSharedWindowStride + offset   shared memory of the block of that cluster rank
//   kLocalWindow + offset                                 the lane's own local memory
// In the shared space itself addresses are 32-bit: rank * 2^24 + offset, rank = the own block's
// cluster rank (so shared::cta addresses are valid shared::cluster addresses, as PTX demands);
// offset 0 stays invalid, the first variable lies at 1024.
#pragma once

#include <cstdint>

#include "tests/emulator/check/clocks.hpp"
#include "tests/emulator/exec/warp.hpp"

namespace emulator {

constexpr uint64_t kSharedWindow = 0x0000'1000'0000'0000;
constexpr uint64_t kSharedWindowStride = uint64_t{1} << 24;
constexpr uint64_t kLocalWindow = 0x0000'2000'0000'0000;
constexpr uint32_t kSharedFirst = 1024;
constexpr uint32_t kLocalFirst = 256;  ///< the first valid offset of local memory

/// How an access takes part in ordering.
enum class Order : uint8_t { kWeak, kRelaxed, kAcquire, kRelease, kAcqRel, kVolatile };
enum class Scope : uint8_t { kCta, kCluster, kGpu, kSys };
/// Which proxy makes the access.
enum class Proxy : uint8_t { kGeneric, kAsync };

/// One access by lanes of a warp: `bytes` consecutive bytes at addresses[lane] each (1..16; vectors
/// of 32 bytes as two accesses).
struct Access {
    const Op* op;
    LaneMask lanes;
    const uint64_t* addresses;  ///< [32]
    int bytes;
    ptx::Space space = ptx::Space::kGeneric;  ///< kShared: 32-bit shared addresses (see above)
    Order order = Order::kWeak;
    Scope scope = Scope::kGpu;
    bool count = true;         ///< feed the counters (bank conflicts, sectors)
    bool noncoherent = false;  ///< ld.global.nc: nobody may have written it in this launch
};

/// Per-thread view of the device's memory; a host thread that runs blocks has one.
class Memory {
  public:
    virtual ~Memory() = default;

    /// Loads into out[lane * stride .. + bytes); returns the lanes whose bytes were not all
    /// initialized (the caller puts them into its destination's taint). Lanes that fault read zeros.
    virtual LaneMask load(Warp& warp, const Access& access, uint8_t* out, int stride) = 0;

    /// Stores in[lane * stride ..). `suspicious`: lanes whose value is tainted, which is reported.
    virtual void store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                       LaneMask suspicious) = 0;

    /// Read-modify-write, lane by lane in an order that depends on the seed: old values go to
    /// old[lane * stride]. `modify(old, lane, result)` computes the new bytes.
    virtual LaneMask atomic(
        Warp& warp, const Access& access, uint8_t* old, int stride,
        const std::function<void(const uint8_t* old, int lane, uint8_t* result)>& modify) = 0;

    /// Host pointer to `bytes` bytes at an address for bulk engines (cp.async, TMA, wgmma operands);
    /// checks bounds and liveness, reports and returns nullptr on a fault. Ordering and
    /// initialization are checked by the note_ functions below.
    virtual uint8_t* resolve(Warp& warp, const Op& op, ptx::Space space, uint64_t address,
                             int64_t bytes, bool write) = 0;

    /// Tells the checks of a read or write that resolve() was used for. Reads return false if some
    /// byte was not initialized. An asynchronous write (cp.async, bulk copies) is noted when issued
    /// with `complete` = false, which poisons the bytes (reading them is a kUnfinishedCopy finding),
    /// and again when it lands.
    virtual bool note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                           Proxy proxy) = 0;
    virtual void note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                            bool complete) = 0;

    /// The same for operations of an engine (begin_async(), land_async()): a read counts as going on
    /// until finish_async(); a write with `complete` = false poisons the bytes as above. `lanes`: who
    /// does it; 0 = the running group.
    virtual bool note_read(Warp& warp, const Op& op, const uint8_t* where, int64_t bytes,
                           Proxy proxy, Moment moment, LaneMask lanes = 0) = 0;
    virtual void note_write(Warp& warp, const Op& op, uint8_t* where, int64_t bytes, Proxy proxy,
                            bool complete, Moment moment, LaneMask lanes = 0) = 0;

    /// cp.async of a warp in one go (the fast way; generic proxy). issue_store() checks the
    /// destination (an Access to shared memory), counts it, and poisons the bytes; land_store() puts
    /// the data there when the program may rely on it. `moment`: default = it lands for the running
    /// warp (wait_group); from land_async() = it completes on an mbarrier. Lanes of `suspicious` carry
    /// uninitialized or racy data: their bytes become uninitialized.
    virtual void issue_store(Warp& warp, const Access& access) = 0;
    virtual void land_store(Warp& warp, const Access& access, const uint8_t* in, int stride,
                            LaneMask suspicious, Moment moment = {}) = 0;

    /// A remote reduction that completes on an mbarrier lands: as note_write(..., true, moment), but
    /// reductions are no races among themselves.
    virtual void note_reduction(Warp& warp, const Op& op, uint8_t* where, int64_t bytes,
                                Proxy proxy, Moment moment) = 0;

    /// A function is entered: its variables in local memory were never written.
    virtual void forget_local(Warp& warp, LaneMask lanes, uint32_t from, uint32_t bytes) = 0;

    /// Bytes that a bulk copy brought from where nothing was ever written: they stay uninitialized.
    virtual void mark_uninitialized(Warp& /*warp*/, uint8_t* /*where*/, int64_t /*bytes*/) {}

    /// Host pointer to a shared address (rank * 2^24 + offset), nullptr beyond; no checks, no report.
    virtual uint8_t* shared_pointer(Warp& warp, uint64_t address, int64_t bytes) = 0;
    /// Space and address in it of a generic address: kShared with a shared address, kLocal with an
    /// offset, or kGlobal.
    static ptx::Space classify(uint64_t generic, uint64_t* address) noexcept {
        if (generic >= kLocalWindow && generic < kLocalWindow + (uint64_t{1} << 32)) {
            *address = generic - kLocalWindow;
            return ptx::Space::kLocal;
        }
        if (generic >= kSharedWindow && generic < kSharedWindow + (uint64_t{1} << 32)) {
            *address = generic - kSharedWindow;
            return ptx::Space::kShared;
        }
        *address = generic;
        return ptx::Space::kGlobal;
    }

    /// fence.*: what the running warp has seen and done becomes ordered as PTX chapter 8 says.
    virtual void fence(Warp& warp, Order order, Scope scope) = 0;
    /// fence.proxy.async: generic writes of the warp become visible to the async proxy and back.
    virtual void fence_proxy_async(Warp& warp) = 0;
};

}  // namespace emulator
