// A function made ready to run, and the program of an entry: all functions that it can reach, with
// the layout of their variables.
//
// Every entry lowers its own copy of the functions it calls: shared variables have fixed offsets per
// entry that way, dynamic shared memory included, as a linker would lay them out.
//
// Registers file of a frame:   zero | sink | carry | registers | constants and specials
// Registers share slots by linear scan over their live ranges, because the caches feel the
// difference: kernels from nvcc have thousands of registers and a few hundred of them alive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/exec/op.hpp"

namespace emulator {

constexpr Slot kCarrySlot = kFirstFreeSlot;
constexpr Slot kFirstRegisterSlot = kCarrySlot + 1;

/// Code addresses: kFunctionWindow + 16 * index in Module::functions.
constexpr uint64_t kFunctionWindow = 0x0000'3000'0000'0000;

/// What is constant for a thread, or for an activation of a function, but not for a kernel.
enum class Special : uint8_t {
    kTidX,
    kTidY,
    kTidZ,
    kNtidX,
    kNtidY,
    kNtidZ,
    kCtaidX,
    kCtaidY,
    kCtaidZ,
    kNctaidX,
    kNctaidY,
    kNctaidZ,
    kLaneid,
    kWarpid,
    kNwarpid,
    kSmid,
    kNsmid,
    kGridid,
    kLanemaskEq,
    kLanemaskLe,
    kLanemaskLt,
    kLanemaskGe,
    kLanemaskGt,
    kClusteridX,
    kClusteridY,
    kClusteridZ,
    kNclusteridX,
    kNclusteridY,
    kNclusteridZ,
    kClusterCtaidX,
    kClusterCtaidY,
    kClusterCtaidZ,
    kClusterNctaidX,
    kClusterNctaidY,
    kClusterNctaidZ,
    kClusterCtarank,
    kClusterNctarank,
    kIsExplicitCluster,
    kDynamicSharedBytes,
    kTotalSharedBytes,
    kReservedSharedBytes,
    kZero,
    kSharedBase,  ///< rank << 24, the addend is the variable's offset
    kLocalBase,   ///< of the activation, the addend is the variable's offset
};

struct ThreadConstant {
    Slot slot;
    Special what;
    int64_t addend;
    bool wide;  ///< 64 bits
};

struct ParameterPlace {
    uint32_t offset, bytes;
};

/// Where a call takes its arguments from and puts what comes back, in the caller's parameter area.
struct CallDetail : OpDetail {
    std::vector<ParameterPlace> arguments, returns;
};

class Kernel {
  public:
    const ptx::Function* function = nullptr;
    std::string name;
    int number = 0;  ///< in its Program
    std::vector<Op> ops;
    uint32_t slots = 0;
    Slot first_constant = 0;         ///< slots from here on hold constants
    std::vector<uint8_t> constants;  ///< their image; specials are filled in by who makes a frame
    std::vector<ThreadConstant> specials;
    std::vector<ParameterPlace> arguments, returns;  ///< in the frame's parameter area (no entry)
    uint32_t parameter_bytes = 0;                    ///< of that area, per lane
    uint32_t local_bytes = 0;                        ///< of an activation, per lane
    std::vector<std::unique_ptr<OpDetail>> details;
    std::vector<Slot> register_slots;
};

/// Where the variables of module scope lie.
struct Linkage {
    const ptx::Module* module = nullptr;
    int arch = 90;
    std::map<std::string, uint64_t> addresses;  ///< global and const variables
};

struct Program {
    const ptx::Module* module = nullptr;
    std::vector<std::unique_ptr<Kernel>> functions;  ///< [0] is the entry
    std::map<std::string, int> numbers;
    std::map<int, int> by_module_index;      ///< number of a function by its index in the module
    std::vector<ParameterPlace> parameters;  ///< of the entry
    uint32_t parameter_bytes = 0;
    uint64_t parameter_address = 0;  ///< where launches put them
    uint32_t static_shared = 0;      ///< bytes from kSharedFirst on
    uint32_t dynamic_shared_at = 0;  ///< offset of dynamic shared memory from kSharedFirst
    uint32_t shared_granule = 4;     ///< bytes of the smallest access to shared memory, at most 4
    bool talks_between_blocks = false;  ///< atomics, fences or strong accesses of global memory
    bool uses_async = false;
    std::string source(const ptx::Location& location) const;  ///< "file:line", "" if unknown

    const Kernel& entry() const noexcept { return *functions[0]; }
};

/// Lowers an entry and what it reaches. `parameter_address`: kParameterBytes bytes of constant memory
/// of its own. Throws std::runtime_error, "line 12: <opcode>: what".
std::unique_ptr<Program> lower_entry(const Linkage& linkage, const ptx::Function& entry,
                                     uint64_t parameter_address);
constexpr uint32_t kParameterBytes = 32768;
/// 0 if there is no such function.
uint64_t function_address(const ptx::Module& module, const std::string& name);

/// Registers that an instruction reads and writes. What a guarded instruction writes counts as read.
void register_effects(const ptx::Instruction& instruction, std::vector<int>* uses,
                      std::vector<int>* touched);

/// Slots for the registers of a function, from `first` on; *end = the first free slot behind.
std::vector<Slot> assign_slots(const ptx::Function& function, Slot first, Slot* end);

}  // namespace emulator
