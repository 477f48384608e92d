// Small helpers of the PTX tree: types and the spelling of opcodes.
#include "tests/emulator/ptx/ast.hpp"

#include <stdexcept>

namespace emulator::ptx {

namespace {

struct TypeRow {
    std::string_view name;
    Type type;
    int bytes;
};

constexpr TypeRow kTypes[] = {
    {"pred", Type::kPred, 0}, {"b8", Type::kB8, 1},       {"u8", Type::kU8, 1},
    {"s8", Type::kS8, 1},     {"b16", Type::kB16, 2},     {"u16", Type::kU16, 2},
    {"s16", Type::kS16, 2},   {"f16", Type::kF16, 2},     {"bf16", Type::kBF16, 2},
    {"b32", Type::kB32, 4},   {"u32", Type::kU32, 4},     {"s32", Type::kS32, 4},
    {"f32", Type::kF32, 4},   {"f16x2", Type::kF16x2, 4}, {"bf16x2", Type::kBF16x2, 4},
    {"b64", Type::kB64, 8},   {"u64", Type::kU64, 8},     {"s64", Type::kS64, 8},
    {"f64", Type::kF64, 8},   {"b128", Type::kB128, 16},
};

}  // namespace

int type_bytes(Type type) noexcept {
    for (const TypeRow& row : kTypes) {
        if (row.type == type) return row.bytes;
    }
    return 0;
}

Type parse_type(std::string_view name) {
    for (const TypeRow& row : kTypes) {
        if (row.name == name) return row.type;
    }
    throw std::invalid_argument("'" + std::string(name) + "' is no register type");
}

bool Instruction::has(std::string_view modifier) const noexcept {
    for (const std::string& each : modifiers) {
        if (each == modifier) return true;
    }
    return false;
}

std::string_view Instruction::last(size_t k) const noexcept {
    return k < modifiers.size() ? std::string_view(modifiers[modifiers.size() - 1 - k])
                                : std::string_view();
}

std::string Instruction::full_opcode() const {
    std::string text = opcode;
    for (const std::string& modifier : modifiers)
        text += "." + modifier;
    return text;
}

}  // namespace emulator::ptx
