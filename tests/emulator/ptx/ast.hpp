// A parsed PTX module: what the text says, names resolved, nothing interpreted. The parser
// (parser.hpp) makes it; isa/ lowers its instructions to operations that exec/ runs.
//
// Source: "Parallel Thread Execution ISA", versions up to 9.0 (CUDA 13.0), chapters 4, 5, 9 and 11.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace emulator::ptx {

/// Fundamental types of registers and variables; packed and narrow float types appear only as
/// instruction modifiers and keep their spelling there.
enum class Type : uint8_t {
    kPred,
    kB8,
    kU8,
    kS8,
    kB16,
    kU16,
    kS16,
    kF16,
    kBF16,
    kB32,
    kU32,
    kS32,
    kF32,
    kF16x2,
    kBF16x2,
    kB64,
    kU64,
    kS64,
    kF64,
    kB128,
};

/// Bytes of one element; 0 for kPred.
int type_bytes(Type type) noexcept;
/// From "u32" (no dot); throws std::invalid_argument for anything that is no register type.
Type parse_type(std::string_view name);

enum class Space : uint8_t { kGeneric, kGlobal, kShared, kLocal, kParam, kConst };

/// Where an instruction comes from.
struct Location {
    int line = 0;         ///< line of the PTX text, from 1
    int file = -1;        ///< index in Module::files, from `.loc`; -1: none
    int source_line = 0;  ///< line of that file
    /// Where an inlined function's code was called from (`inlined_at`); -1 and 0: not inlined.
    int caller_file = -1;
    int caller_line = 0;
};

struct Operand {
    enum class Kind : uint8_t {
        kRegister,   ///< reg; `negated` for "!p"; `pair` for "p|q"
        kImmediate,  ///< bits
        kAddress,    ///< [base + offset]; elements: coordinates of a tensor address
        kVector,     ///< {a, b, ...}: elements
        kSymbol,     ///< name of a variable or function, plus offset; brx.idx: of a branch table
        kLabel,      ///< target: index of an instruction of the same function
        kSpecial,    ///< name: "%tid.x", "%laneid", "%clock64"
        kSink,       ///< "_"
    };
    /// How an immediate was written; the instruction's type says what to make of it.
    enum class Literal : uint8_t { kInteger, kF32, kF64, kPredicate };

    Kind kind = Kind::kSink;
    Literal literal = Literal::kInteger;
    bool negated = false;
    int reg = -1;  ///< kRegister; kAddress: base register, -1 if the base is `name` or absolute
    int pair =
        -1;  ///< register behind "|"; -1: none; kPairSink for "p|_"; kSink may have one: "_|p"
    int target = -1;
    /// kImmediate: integers in two's complement, 0f and 0d literals as their IEEE bits (kF32, kF64),
    /// decimal floating literals as binary64 bits.
    uint64_t bits = 0;
    int64_t offset = 0;
    std::string name;
    std::vector<Operand> elements;

    static constexpr int kPairSink = -2;
};

struct Instruction {
    int guard = -1;  ///< predicate register of "@p"; -1: none
    bool guard_negated = false;
    std::string opcode;                  ///< "ld", "mma", "cp"
    std::vector<std::string> modifiers;  ///< "async", "global", "L2::128B", "v4", "u32", in order
    std::vector<Operand> operands;  ///< as written; a call: (returns), function, (arguments), as
                                    ///< kVector, kSymbol (or kRegister), kVector
    Location location;

    bool has(std::string_view modifier) const noexcept;
    /// The k-th modifier from the end (0 = last); "" beyond.
    std::string_view last(size_t k = 0) const noexcept;
    /// The text in normal form, for messages: "ld.global.v4.u32".
    std::string full_opcode() const;
};

/// A variable of module or function scope, or a parameter.
struct Variable {
    std::string name;  ///< unique in the module: function-scope names are prefixed by the parser
    Space space = Space::kGlobal;
    Type type = Type::kB8;
    int64_t align = 1;
    int64_t bytes = 0;  ///< 0 with is_extern: dynamic shared memory
    bool is_extern = false;
    std::vector<uint8_t> init;  ///< empty: zero
    /// Addresses of other symbols inside the initializer.
    struct Relocation {
        int64_t at;
        std::string symbol;
        int64_t addend;
        bool generic;
    };
    std::vector<Relocation> relocations;
};

struct Register {
    std::string name;  ///< as written, for messages
    Type type;
};

struct Function {
    std::string name;
    bool is_entry = false;
    bool is_declaration = false;
    std::vector<Variable> returns;     ///< param space, in order
    std::vector<Variable> parameters;  ///< param space, in order
    std::vector<Variable> locals;      ///< shared, local and param variables of the body
    std::vector<Register> registers;
    /// A body that can fall off its end, or has a label there, gets a final "ret" by the parser.
    std::vector<Instruction> instructions;
    std::vector<int>
        label_targets;  ///< instruction indices that some branch or label names, sorted
    int max_threads[3] = {0, 0, 0};       ///< .maxntid; 0: none
    int required_threads[3] = {0, 0, 0};  ///< .reqntid; 0: none
    int min_blocks = 0;                   ///< .minnctapersm
    int cluster[3] = {0, 0, 0};           ///< .reqnctapercluster; 0: none
    bool explicit_cluster = false;        ///< .explicitcluster
    /// `.branchtargets` and brx.idx: a table name to instruction indices.
    std::map<std::string, std::vector<int>> branch_targets;
};

struct Module {
    int version_major = 0, version_minor = 0;
    std::string target;              ///< "sm_80", "sm_90a"
    std::vector<std::string> files;  ///< by the number that `.file` gives; unused numbers are ""
    std::vector<Variable> variables;
    std::vector<Function> functions;
};

}  // namespace emulator::ptx
