// From a parsed function to operations: slots, constants, the layout of variables, and the questions
// that groups of instructions ask while they are lowered (LowerContext).
#include <cstring>
#include <deque>
#include <stdexcept>
#include <unordered_map>

#include "tests/emulator/exec/kernel.hpp"
#include "tests/emulator/memory/memory.hpp"

namespace emulator {
namespace {

using ptx::Function;
using ptx::Instruction;
using ptx::Operand;
using ptx::Space;
using ptx::Type;
using ptx::Variable;

uint64_t align_up(uint64_t value, uint64_t to) {
    return (value + to - 1) / to * to;
}

const std::unordered_map<std::string, Special>& specials_by_name() {
    static const std::unordered_map<std::string, Special> names = {
        {"%tid.x", Special::kTidX},
        {"%tid.y", Special::kTidY},
        {"%tid.z", Special::kTidZ},
        {"%ntid.x", Special::kNtidX},
        {"%ntid.y", Special::kNtidY},
        {"%ntid.z", Special::kNtidZ},
        {"%ctaid.x", Special::kCtaidX},
        {"%ctaid.y", Special::kCtaidY},
        {"%ctaid.z", Special::kCtaidZ},
        {"%nctaid.x", Special::kNctaidX},
        {"%nctaid.y", Special::kNctaidY},
        {"%nctaid.z", Special::kNctaidZ},
        {"%laneid", Special::kLaneid},
        {"%warpid", Special::kWarpid},
        {"%nwarpid", Special::kNwarpid},
        {"%smid", Special::kSmid},
        {"%nsmid", Special::kNsmid},
        {"%gridid", Special::kGridid},
        {"%lanemask_eq", Special::kLanemaskEq},
        {"%lanemask_le", Special::kLanemaskLe},
        {"%lanemask_lt", Special::kLanemaskLt},
        {"%lanemask_ge", Special::kLanemaskGe},
        {"%lanemask_gt", Special::kLanemaskGt},
        {"%clusterid.x", Special::kClusteridX},
        {"%clusterid.y", Special::kClusteridY},
        {"%clusterid.z", Special::kClusteridZ},
        {"%nclusterid.x", Special::kNclusteridX},
        {"%nclusterid.y", Special::kNclusteridY},
        {"%nclusterid.z", Special::kNclusteridZ},
        {"%cluster_ctaid.x", Special::kClusterCtaidX},
        {"%cluster_ctaid.y", Special::kClusterCtaidY},
        {"%cluster_ctaid.z", Special::kClusterCtaidZ},
        {"%cluster_nctaid.x", Special::kClusterNctaidX},
        {"%cluster_nctaid.y", Special::kClusterNctaidY},
        {"%cluster_nctaid.z", Special::kClusterNctaidZ},
        {"%cluster_ctarank", Special::kClusterCtarank},
        {"%cluster_nctarank", Special::kClusterNctarank},
        {"%is_explicit_cluster", Special::kIsExplicitCluster},
        {"%dynamic_smem_size", Special::kDynamicSharedBytes},
        {"%total_smem_size", Special::kTotalSharedBytes},
        {"%aggr_smem_size", Special::kTotalSharedBytes},
        {"%reserved_smem_offset_begin", Special::kZero},
        {"%reserved_smem_offset_end", Special::kReservedSharedBytes},
    };
    return names;
}

/// Literals as the bits of a type; false if the type cannot have that literal.
bool literal_bits(const Operand& operand, Type as, uint64_t* bits) {
    using Literal = Operand::Literal;
    double value = 0;
    if (operand.literal == Literal::kF32) {
        float narrow;
        const auto low = static_cast<uint32_t>(operand.bits);
        std::memcpy(&narrow, &low, 4);
        value = narrow;
    } else if (operand.literal == Literal::kF64) {
        std::memcpy(&value, &operand.bits, 8);
    }
    const bool integer =
        operand.literal == Literal::kInteger || operand.literal == Literal::kPredicate;
    switch (as) {
        case Type::kF32:
            if (integer) return false;
            if (operand.literal == Literal::kF32) {
                *bits = operand.bits & 0xFFFFFFFFu;
            } else {
                const auto narrow = static_cast<float>(value);
                uint32_t low;
                std::memcpy(&low, &narrow, 4);
                *bits = low;
            }
            return true;
        case Type::kF64:
            if (integer) return false;
            if (operand.literal == Literal::kF64)
                *bits = operand.bits;
            else
                std::memcpy(bits, &value, 8);
            return true;
        case Type::kB32:
            // mov.b32 %r, 0f3F800000 is allowed.
            if (operand.literal == Literal::kF64) return false;
            *bits = operand.bits;
            return true;
        case Type::kB64:
            if (operand.literal == Literal::kF32) return false;
            *bits = operand.bits;
            return true;
        default:
            if (!integer) return false;
            *bits = operand.bits;
            return true;
    }
}

class Lowering : public LowerContext {
  public:
    Lowering(const Linkage& linkage, Program& program,
             const std::map<std::string, uint32_t>& shared_at, Kernel& kernel, bool is_entry)
        : linkage_(linkage), program_(program), shared_at_(shared_at), kernel_(kernel) {
        const Function& function = *kernel.function;
        slots_ = assign_slots(function, kFirstRegisterSlot, &kernel.first_constant);
        kernel.slots = kernel.first_constant;
        kernel.register_slots = slots_;
        if (!is_entry) {
            for (const Variable& variable : function.returns)
                kernel.returns.push_back(place_parameter(variable));
            for (const Variable& variable : function.parameters)
                kernel.arguments.push_back(place_parameter(variable));
        } else {
            uint32_t at = 0;
            for (const Variable& variable : function.parameters) {
                at = align_up(at, variable.align);
                entry_parameters_[variable.name] = {at, static_cast<uint32_t>(variable.bytes)};
                program.parameters.push_back({at, static_cast<uint32_t>(variable.bytes)});
                at += variable.bytes;
            }
            program.parameter_bytes = at;
            if (at > kParameterBytes)
                throw std::runtime_error(function.name + ": too many parameter bytes");
        }
        for (const Variable& variable : function.locals) {
            if (variable.space == Space::kParam) place_parameter(variable);
            if (variable.space == Space::kLocal) {
                kernel.local_bytes = align_up(kernel.local_bytes, variable.align);
                locals_[variable.name] = kernel.local_bytes;
                kernel.local_bytes += variable.bytes;
            }
        }
        kernel.local_bytes = align_up(kernel.local_bytes, 16);
    }

    void run() {
        const Function& function = *kernel_.function;
        std::unordered_map<std::string, const Lower*> memo;
        kernel_.ops.reserve(function.instructions.size());
        for (const Instruction& instruction : function.instructions) {
            instruction_ = &instruction;
            Op op;
            op.index = static_cast<uint32_t>(kernel_.ops.size());
            if (instruction.guard >= 0) {
                op.has_guard = true;
                op.guard = reg(instruction.guard);
                if (instruction.guard_negated) op.flags |= Op::kGuardNegated;
            }
            const std::string name = instruction.full_opcode();
            auto found = memo.find(name);
            if (found == memo.end())
                found = memo.emplace(name, Registry::all().find(instruction)).first;
            if (found->second == nullptr) fail(instruction, "unknown instruction");
            const Op guarded = op;
            (*found->second)(instruction, *this, op);
            op.has_guard = guarded.has_guard;
            op.guard = guarded.guard;
            op.flags |= guarded.flags;
            if (op.execute == nullptr) fail(instruction, "not lowered");
            kernel_.ops.push_back(op);
        }
        if (kernel_.ops.empty())
            throw std::runtime_error(function.name + ": a function without instructions");
    }

    Slot reg(int index) override { return slots_.at(index); }
    Type reg_type(int index) const override { return kernel_.function->registers.at(index).type; }

    Slot source(const Operand& operand, Type as) override { return read(operand, as, false); }
    Slot source_any(const Operand& operand, Type as) override { return read(operand, as, true); }

    Slot destination(const Operand& operand) override {
        if (operand.kind == Operand::Kind::kSink) return kSinkSlot;
        if (operand.kind != Operand::Kind::kRegister)
            fail(*instruction_, "the destination is no register");
        return reg(operand.reg);
    }

    Slot predicate(const Operand& operand, bool* negated) override {
        *negated = operand.negated;
        if (operand.kind == Operand::Kind::kImmediate)
            return operand.bits != 0 ? constant32(kAllLanes) : kZeroSlot;
        if (operand.kind != Operand::Kind::kRegister || reg_type(operand.reg) != Type::kPred)
            fail(*instruction_, "needs a predicate");
        return reg(operand.reg);
    }

    Slot constant32(uint32_t value) override {
        const auto found = constants32_.find(value);
        if (found != constants32_.end()) return found->second;
        const Slot slot = add_slots(1);
        auto* lanes = reinterpret_cast<uint32_t*>(image(slot));
        for (int lane = 0; lane < kWarpLanes; ++lane)
            lanes[lane] = value;
        constants32_[value] = slot;
        return slot;
    }

    Slot constant64(uint64_t value) override {
        const auto found = constants64_.find(value);
        if (found != constants64_.end()) return found->second;
        const Slot slot = add_slots(2);
        auto* lanes = reinterpret_cast<uint64_t*>(image(slot));
        for (int lane = 0; lane < kWarpLanes; ++lane)
            lanes[lane] = value;
        constants64_[value] = slot;
        return slot;
    }

    Slot carry() override { return kCarrySlot; }

    void address(const Operand& operand, Slot* base, bool* base_is_32, int64_t* offset) override {
        if (operand.kind != Operand::Kind::kAddress) fail(*instruction_, "needs an address");
        *base = kZeroSlot;
        *base_is_32 = false;
        *offset = operand.offset;
        if (operand.reg >= 0) {
            const int bytes = ptx::type_bytes(reg_type(operand.reg));
            if (bytes != 4 && bytes != 8)
                fail(*instruction_, "an address register has 32 or 64 bits");
            *base = reg(operand.reg);
            *base_is_32 = bytes == 4;
            return;
        }
        if (operand.name.empty()) {
            *offset = static_cast<int64_t>(operand.bits) + operand.offset;
            return;
        }
        Special base_special;
        int64_t address;
        if (!symbol(operand.name, &base_special, &address))
            fail(*instruction_, "unknown symbol " + operand.name);
        if (base_special == Special::kZero) {
            *offset += address;
        } else {
            *base = special(base_special, 0, true);
            *offset += address;
        }
    }

    const std::vector<int>& branch_targets(const Operand& operand) override {
        const auto found = kernel_.function->branch_targets.find(operand.name);
        if (found == kernel_.function->branch_targets.end())
            fail(*instruction_, "unknown branch table " + operand.name);
        return found->second;
    }

    /// Functions whose addresses stand in initializers.
    void take_addressed_functions() {
        for (const Variable& variable : linkage_.module->variables)
            for (const Variable::Relocation& relocation : variable.relocations)
                function_number(relocation.symbol);
    }

    int function(const Operand& operand) override {
        if (operand.kind == Operand::Kind::kRegister) return -1;
        const int number = function_number(operand.name);
        if (number < 0) fail(*instruction_, "unknown function " + operand.name);
        return number;
    }

    bool parameter(const Operand& operand, uint32_t* offset, uint32_t* bytes) override {
        if (operand.name.empty()) return false;
        const auto found = parameters_.find(operand.name);
        if (found == parameters_.end()) return false;
        *offset = found->second.offset;
        *bytes = found->second.bytes;
        return true;
    }

    Type type_of(const Operand& operand, Type otherwise) override {
        return operand.kind == Operand::Kind::kRegister ? reg_type(operand.reg) : otherwise;
    }

    int arch() const override { return linkage_.arch; }

    [[noreturn]] void fail(const Instruction& instruction, const std::string& what) const override {
        throw std::runtime_error("line " + std::to_string(instruction.location.line) + ": " +
                                 instruction.full_opcode() + ": " + what);
    }

    const OpDetail* keep(std::unique_ptr<OpDetail> detail) override {
        kernel_.details.push_back(std::move(detail));
        return kernel_.details.back().get();
    }

  private:
    uint8_t* image(Slot slot) {
        return kernel_.constants.data() + size_t{slot - kernel_.first_constant} * 128;
    }

    Slot add_slots(int count) {
        const Slot slot = kernel_.slots;
        kernel_.slots += count;
        kernel_.constants.resize(size_t{kernel_.slots - kernel_.first_constant} * 128);
        return slot;
    }

    ParameterPlace place_parameter(const Variable& variable) {
        kernel_.parameter_bytes =
            align_up(kernel_.parameter_bytes, std::max<int64_t>(variable.align, 4));
        const ParameterPlace place{kernel_.parameter_bytes, static_cast<uint32_t>(variable.bytes)};
        parameters_[variable.name] = place;
        kernel_.parameter_bytes += variable.bytes;
        return place;
    }

    Slot special(Special what, int64_t addend, bool wide) {
        for (const ThreadConstant& known : kernel_.specials)
            if (known.what == what && known.addend == addend && known.wide == wide)
                return known.slot;
        const Slot slot = add_slots(wide ? 2 : 1);
        kernel_.specials.push_back({slot, what, addend, wide});
        return slot;
    }

    int function_number(const std::string& name) {
        const auto found = program_.numbers.find(name);
        if (found != program_.numbers.end()) return found->second;
        const auto& functions = linkage_.module->functions;
        for (size_t index = 0; index < functions.size(); ++index) {
            const Function& function = functions[index];
            if (function.name != name || function.is_entry || function.is_declaration) continue;
            const int number = static_cast<int>(program_.functions.size());
            program_.numbers[name] = number;
            program_.by_module_index[static_cast<int>(index)] = number;
            auto kernel = std::make_unique<Kernel>();
            kernel->function = &function;
            kernel->name = name;
            kernel->number = number;
            program_.functions.push_back(std::move(kernel));
            return number;
        }
        return -1;
    }

    /// A symbol's address: *base + *address.
    bool symbol(const std::string& name, Special* base, int64_t* address) {
        *base = Special::kZero;
        if (const auto found = linkage_.addresses.find(name); found != linkage_.addresses.end()) {
            *address = static_cast<int64_t>(found->second);
            return true;
        }
        if (const auto found = shared_at_.find(name); found != shared_at_.end()) {
            *base = Special::kSharedBase;
            *address = found->second;
            return true;
        }
        if (const auto found = locals_.find(name); found != locals_.end()) {
            *base = Special::kLocalBase;
            *address = found->second;
            return true;
        }
        if (const auto found = entry_parameters_.find(name); found != entry_parameters_.end()) {
            *address = static_cast<int64_t>(program_.parameter_address + found->second.offset);
            return true;
        }
        if (parameters_.count(name) != 0)
            fail(*instruction_, "the address of a function's parameter is not supported");
        if (function_number(name) < 0) return false;
        *address = static_cast<int64_t>(function_address(*linkage_.module, name));
        return true;
    }

    Slot read(const Operand& operand, Type as, bool wider) {
        const int bytes = ptx::type_bytes(as);
        switch (operand.kind) {
            case Operand::Kind::kRegister: {
                const int have = ptx::type_bytes(reg_type(operand.reg));
                if (reg_type(operand.reg) == Type::kPred || operand.negated ||
                    (wider ? have < bytes : have != bytes)) {
                    fail(*instruction_, "the register " +
                                            kernel_.function->registers[operand.reg].name +
                                            " has the wrong size");
                }
                return reg(operand.reg);
            }
            case Operand::Kind::kImmediate: {
                uint64_t bits = 0;
                if (!literal_bits(operand, as, &bits))
                    fail(*instruction_, "a literal of the wrong kind");
                if (bytes == 16) {
                    const Slot slot = add_slots(4);
                    for (int lane = 0; lane < kWarpLanes; ++lane)
                        std::memcpy(image(slot) + 16 * lane, &bits, 8);
                    return slot;
                }
                if (bytes == 8) return constant64(bits);
                if (bytes < 4) bits &= (uint64_t{1} << (8 * bytes)) - 1;
                return constant32(static_cast<uint32_t>(bits));
            }
            case Operand::Kind::kSymbol: {
                Special base;
                int64_t address;
                if (!symbol(operand.name, &base, &address))
                    fail(*instruction_, "unknown symbol " + operand.name);
                address += operand.offset;
                if (base == Special::kZero) {
                    if (bytes != 8) fail(*instruction_, "an address needs 64 bits");
                    return constant64(static_cast<uint64_t>(address));
                }
                if (bytes != 8 && bytes != 4) fail(*instruction_, "an address needs 32 or 64 bits");
                return special(base, address, bytes == 8);
            }
            case Operand::Kind::kSpecial: {
                const auto& names = specials_by_name();
                const auto found = names.find(operand.name);
                if (found != names.end()) return special(found->second, 0, bytes == 8);
                if (operand.name == "WARP_SZ") return constant32(kWarpLanes);
                fail(*instruction_, "the special register " + operand.name + " is not supported");
            }
            default:
                fail(*instruction_, "an operand of the wrong kind");
        }
    }

    const Linkage& linkage_;
    Program& program_;
    const std::map<std::string, uint32_t>& shared_at_;
    Kernel& kernel_;
    const Instruction* instruction_ = nullptr;
    std::vector<Slot> slots_;
    std::map<std::string, ParameterPlace> parameters_, entry_parameters_;
    std::map<std::string, uint32_t> locals_;
    std::unordered_map<uint32_t, Slot> constants32_;
    std::unordered_map<uint64_t, Slot> constants64_;
};

/// Names that a function's operands mention.
void mentioned(const Operand& operand, std::vector<std::string>& names) {
    if (!operand.name.empty()) names.push_back(operand.name);
    for (const Operand& element : operand.elements)
        mentioned(element, names);
}

/// Offsets of the shared variables that the entry and what it reaches mention: static ones in order,
/// then dynamic shared memory, aligned as its strictest declaration.
std::map<std::string, uint32_t> lay_out_shared(const ptx::Module& module, const Function& entry,
                                               Program& program) {
    std::map<std::string, const Function*> functions;
    for (const Function& function : module.functions)
        if (!function.is_declaration) functions[function.name] = &function;
    std::map<std::string, const Variable*> variables;
    for (const Variable& variable : module.variables)
        if (variable.space == Space::kShared) variables[variable.name] = &variable;

    std::map<std::string, uint32_t> places;
    std::vector<const Variable*> dynamic;
    uint64_t end = 0;
    const auto place = [&](const Variable& variable) {
        if (places.count(variable.name) != 0) return;
        if (variable.is_extern || variable.bytes == 0) {
            dynamic.push_back(&variable);
            places[variable.name] = 0;
            return;
        }
        end = align_up(end, std::max<int64_t>(variable.align, 1));
        places[variable.name] = kSharedFirst + static_cast<uint32_t>(end);
        end += variable.bytes;
    };
    std::map<std::string, bool> visited;
    std::deque<const Function*> queue{&entry};
    visited[entry.name] = true;
    while (!queue.empty()) {
        const Function& function = *queue.front();
        queue.pop_front();
        for (const Variable& variable : function.locals)
            if (variable.space == Space::kShared) place(variable);
        std::vector<std::string> names;
        for (const Instruction& instruction : function.instructions)
            for (const Operand& operand : instruction.operands)
                mentioned(operand, names);
        for (const std::string& name : names) {
            if (const auto found = variables.find(name); found != variables.end())
                place(*found->second);
            const auto callee = functions.find(name);
            if (callee != functions.end() && !visited[name]) {
                visited[name] = true;
                queue.push_back(callee->second);
            }
        }
    }
    program.static_shared = static_cast<uint32_t>(end);
    int64_t align = 16;
    for (const Variable* variable : dynamic)
        align = std::max(align, variable->align);
    // kSharedFirst is a multiple of 1024, the strictest alignment that PTX allows for shared memory
    // in practice.
    program.dynamic_shared_at = static_cast<uint32_t>(align_up(end, align));
    for (const Variable* variable : dynamic)
        places[variable->name] = kSharedFirst + program.dynamic_shared_at;
    return places;
}

/// Bytes of one element of an access, from the type that ends an opcode; 0 if it names none.
uint32_t access_bytes(const Instruction& instruction) {
    const std::string_view last = instruction.last();
    if (last.size() < 2) return 0;
    const std::string_view digits = last.substr(last.find_first_of("0123456789"));
    if (last.find_first_of("0123456789") == std::string_view::npos) return 0;
    if (digits == "8") return 1;
    if (digits.substr(0, 2) == "16" && digits != "16x2") return 2;
    return 4;
}

/// What the scheduler and the detectors want to know beforehand.
void look_over(const Function& function, Program& program) {
    for (const Instruction& i : function.instructions) {
        const auto begins = [&](const char* prefix) { return i.opcode == prefix; };
        bool shared = i.has("shared") || i.has("shared::cta") || i.has("shared::cluster");
        const bool generic =
            !shared && !i.has("global") && !i.has("local") && !i.has("param") && !i.has("const");
        if (begins("ld") || begins("st") || begins("atom") || begins("red")) {
            if (shared || generic) {
                const uint32_t bytes = access_bytes(i);
                if (bytes != 0 && bytes < program.shared_granule) program.shared_granule = bytes;
            }
            const bool strong = begins("atom") || begins("red") || i.has("volatile") ||
                                i.has("relaxed") || i.has("acquire") || i.has("release") ||
                                i.has("mmio");
            if (strong && !shared) program.talks_between_blocks = true;
        }
        if (begins("membar") || begins("fence"))
            if (!i.has("cta") && !i.has("proxy") && !i.has("mbarrier_init") && !i.has("cluster"))
                program.talks_between_blocks = true;
        if (begins("wgmma") || begins("mbarrier") || i.has("bulk") || i.has("proxy"))
            program.uses_async = true;
        if (begins("stmatrix") && i.has("b8")) program.shared_granule = 1;
    }
}

}  // namespace

std::string Program::source(const ptx::Location& location) const {
    if (location.file < 0 || location.file >= static_cast<int>(module->files.size())) return "";
    return module->files[location.file] + ":" + std::to_string(location.source_line);
}

uint64_t function_address(const ptx::Module& module, const std::string& name) {
    for (size_t i = 0; i < module.functions.size(); ++i)
        if (module.functions[i].name == name && !module.functions[i].is_declaration)
            return kFunctionWindow + 16 * i;
    return 0;
}

std::unique_ptr<Program> lower_entry(const Linkage& linkage, const Function& entry,
                                     uint64_t parameter_address) {
    auto program = std::make_unique<Program>();
    program->module = linkage.module;
    program->parameter_address = parameter_address;
    const auto shared_at = lay_out_shared(*linkage.module, entry, *program);
    auto kernel = std::make_unique<Kernel>();
    kernel->function = &entry;
    kernel->name = entry.name;
    program->functions.push_back(std::move(kernel));
    program->numbers[entry.name] = 0;
    // Lowering a function appends those that it mentions.
    for (size_t i = 0; i < program->functions.size(); ++i) {
        Kernel& current = *program->functions[i];
        look_over(*current.function, *program);
        Lowering lowering(linkage, *program, shared_at, current, i == 0);
        if (i == 0) lowering.take_addressed_functions();
        lowering.run();
    }
    return program;
}

}  // namespace emulator
