// The PTX parser on hand-written text: every construct that nvcc 13 and CUTLASS's inline assembly
// write, and every mistake it must name with its line.
#include "tests/emulator/ptx/parser.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace emulator::ptx {
namespace {

using Kind = Operand::Kind;
using Literal = Operand::Literal;

const std::string kHeader = ".version 9.0\n.target sm_90a\n.address_size 64\n";

/// A module with one kernel `k(.u64 p, .u32 n)` of the given body; its first line is line 6.
Module kernel(const std::string& body, const std::string& before = "") {
    return parse(kHeader + before + ".visible .entry k(.param .u64 p, .param .u32 n)\n{\n" + body +
                 "\n}\n");
}

/// The instructions of such a kernel that declares p0..p3, r0..r19, d0..d9, f0..f9.
std::vector<Instruction> body(const std::string& text, const std::string& before = "") {
    return kernel(
               ".reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<10>; .reg .f32 %f<10>;\n" + text,
               before)
        .functions.back()
        .instructions;
}

/// Register numbers that body() gives.
constexpr int kP = 0, kR = 4, kRd = 24, kF = 34;

Instruction one(const std::string& text, const std::string& before = "") {
    const std::vector<Instruction> all = body(text, before);
    EXPECT_EQ(all.size(), 2u) << text;  // it and the final ret
    return all.front();
}

void expect_error(const std::string& text, const std::string& line, const std::string& what) {
    try {
        parse(text);
        ADD_FAILURE() << "parsed: " << text;
    } catch (const ParseError& error) {
        const std::string message = error.what();
        EXPECT_EQ(message.rfind("line " + line + ": ", 0), 0u) << message;
        EXPECT_NE(message.find(what), std::string::npos) << message;
    }
}

/// An error in a kernel's body, whose first line is line 6 (after a line of registers).
void expect_body_error(const std::string& text, const std::string& what, int line = 7) {
    expect_error(kHeader +
                     ".visible .entry k(.param .u64 p, .param .u32 n)\n{\n"
                     ".reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<10>; .reg .f32 %f<10>;\n" +
                     text + "\n}\n",
                 std::to_string(line), what);
}

const Variable& variable(const Module& module, const std::string& name) {
    for (const Variable& each : module.variables) {
        if (each.name == name) return each;
    }
    throw std::runtime_error("no variable " + name);
}

// ---- Header, files, lines ----

TEST(Parser, ReadsTheHeader) {
    const Module module = parse(
        "// comment\n/* and\nanother */ .version 8.5\n.target sm_120a, debug\n"
        ".address_size 64\n");
    EXPECT_EQ(module.version_major, 8);
    EXPECT_EQ(module.version_minor, 5);
    EXPECT_EQ(module.target, "sm_120a");
    EXPECT_TRUE(module.functions.empty());
}

TEST(Parser, IgnoresTrailingZerosOfAFatbin) {
    EXPECT_EQ(parse(kHeader + std::string(5, '\0')).target, "sm_90a");
}

TEST(Parser, AttachesSourceLines) {
    const Module module = kernel(
        ".reg .b32 %r<3>;\n"
        "mov.u32 %r0, 1;\n"
        ".loc 1 28 0\n"
        "mov.u32 %r1, 2;\n"
        ".loc\t2 566 1, function_name $L__info_string0, inlined_at 1 46 5\n"
        "mov.u32 %r2, 3; mov.u32 %r2, 4;\n"
        ".loc 1 30 7\n"
        "ret;",
        ".file\t1 \"a/b.cu\"\n.file 3 \"c \\\"d\\\".h\", 123, 456\n");
    ASSERT_EQ(module.files.size(), 4u);
    EXPECT_EQ(module.files[1], "a/b.cu");
    EXPECT_EQ(module.files[2], "");
    EXPECT_EQ(module.files[3], "c \"d\".h");
    const auto& code = module.functions[0].instructions;
    ASSERT_EQ(code.size(), 5u);
    EXPECT_EQ(code[0].location.file, -1);
    EXPECT_EQ(code[0].location.line, 9);
    EXPECT_EQ(code[1].location.file, 1);
    EXPECT_EQ(code[1].location.source_line, 28);
    EXPECT_EQ(code[1].location.caller_file, -1);
    EXPECT_EQ(code[2].location.file, 2);
    EXPECT_EQ(code[2].location.source_line, 566);
    EXPECT_EQ(code[2].location.caller_file, 1);
    EXPECT_EQ(code[2].location.caller_line, 46);
    EXPECT_EQ(code[3].location.source_line, 566);
    EXPECT_EQ(code[3].location.line, 13);
    EXPECT_EQ(code[4].location.source_line, 30);
    EXPECT_EQ(code[4].location.caller_file, -1);
}

TEST(Parser, SkipsDebugSections) {
    const Module module = parse(kHeader +
                                ".section .debug_str\n{\n$L__info_string0:\n.b8 95,90,0\n"
                                "$L1:\n.b32 $L__info_string0+4\n.b8 \"}\"\n}\n"
                                ".section\t.debug_loc\t{ { } }\n"
                                ".global .b32 x;\n");
    EXPECT_EQ(module.variables.size(), 1u);
}

// ---- Functions and parameters ----

TEST(Parser, ReadsKernelsWithTheirLimits) {
    const Module module = parse(kHeader +
                                ".visible .entry k(\n"
                                "  .param .u64 .ptr .global .align 16 k_param_0,\n"
                                "  .param .align 64 .b8 k_param_1[128],\n"
                                "  .param .u64 .ptr k_param_2, .param .f32 k_param_3\n)\n"
                                ".maxntid 128, 2, 1\n.minnctapersm 2\n.maxnreg 96\n"
                                ".explicitcluster\n.reqnctapercluster 2, 1, 1\n"
                                "{ ret; }\n"
                                ".weak .entry l() .reqntid 64 { ret; }\n");
    ASSERT_EQ(module.functions.size(), 2u);
    const Function& k = module.functions[0];
    EXPECT_TRUE(k.is_entry);
    EXPECT_FALSE(k.is_declaration);
    ASSERT_EQ(k.parameters.size(), 4u);
    EXPECT_EQ(k.parameters[0].bytes, 8);
    EXPECT_EQ(k.parameters[0].type, Type::kU64);
    EXPECT_EQ(k.parameters[0].align, 8);
    EXPECT_EQ(k.parameters[0].space, Space::kParam);
    EXPECT_EQ(k.parameters[1].bytes, 128);
    EXPECT_EQ(k.parameters[1].align, 64);
    EXPECT_EQ(k.parameters[2].bytes, 8);
    EXPECT_EQ(k.parameters[3].type, Type::kF32);
    EXPECT_EQ(k.max_threads[0], 128);
    EXPECT_EQ(k.max_threads[1], 2);
    EXPECT_EQ(k.min_blocks, 2);
    EXPECT_EQ(k.cluster[0], 2);
    EXPECT_EQ(k.cluster[2], 1);
    EXPECT_TRUE(k.explicit_cluster);
    const Function& l = module.functions[1];
    EXPECT_EQ(l.required_threads[0], 64);
    EXPECT_EQ(l.required_threads[1], 1);
    EXPECT_EQ(l.cluster[0], 0);
    EXPECT_TRUE(l.parameters.empty());
}

TEST(Parser, ReadsFunctionsAndCalls) {
    const Module module = parse(
        kHeader +
        ".func  (.param .b32 func_retval0) f\n(\n.param .b32 f_param_0\n)\n;\n"
        ".extern .func (.param .b32 func_retval0) vprintf\n(\n.param .b64 a, .param .b64 b\n)\n;\n"
        ".func g() .noreturn ;\n"
        ".func (.param .align 4 .b8 func_retval0[40]) big(.param .align 4 .b8 x[40])\n"
        "{ .reg .b32 %r<2>; ld.param.b32 %r0, [x+8]; st.param.b32 [func_retval0+4], %r0; ret; }\n"
        ".visible .entry k()\n{\n.reg .b32 %r<4>; .reg .b64 %rd<2>;\n"
        "{ // callseq 0, 0\n.reg .b32 temp_param_reg;\n.param .b32 param0;\n"
        "st.param.b32 [param0+0], %r1;\n.param .b32 retval0;\n"
        "call.uni (retval0), \nf, \n(\nparam0\n);\nld.param.b32 %r2, [retval0];\n}\n"
        "{ .param .b32 param0; .param .b32 retval0;\n"
        "prototype_0 : .callprototype (.param .b32 _) _ (.param .b32 _);\n"
        "call (retval0), %rd1, (param0), prototype_0;\n}\n"
        "call g;\ncall.uni (_), f, (7);\n"
        "targets: .calltargets f, g;\ncall (%r1), %rd1, (%r2), targets;\n}\n"
        ".func (.param .b32 func_retval0) f(.param .b32 f_param_0)\n{ ret; }\n");
    ASSERT_EQ(module.functions.size(), 5u);
    const Function& f = module.functions[0];
    EXPECT_EQ(f.name, "f");
    EXPECT_FALSE(f.is_entry);
    EXPECT_FALSE(f.is_declaration);  // declared first, defined last
    ASSERT_EQ(f.returns.size(), 1u);
    EXPECT_EQ(f.returns[0].bytes, 4);
    EXPECT_TRUE(module.functions[1].is_declaration);
    EXPECT_EQ(module.functions[1].parameters.size(), 2u);
    const Function& big = module.functions[3];
    EXPECT_EQ(big.instructions[0].operands[1].kind, Kind::kAddress);
    EXPECT_EQ(big.instructions[0].operands[1].name, big.parameters[0].name);
    EXPECT_EQ(big.instructions[0].operands[1].offset, 8);
    EXPECT_EQ(big.instructions[1].operands[0].name, big.returns[0].name);

    const Function& k = module.functions[4];
    ASSERT_EQ(k.locals.size(), 4u);
    EXPECT_NE(k.locals[0].name, k.locals[2].name);  // param0 of two scopes
    const Instruction& call = k.instructions[1];
    EXPECT_EQ(call.full_opcode(), "call.uni");
    ASSERT_EQ(call.operands.size(), 3u);
    ASSERT_EQ(call.operands[0].elements.size(), 1u);
    EXPECT_EQ(call.operands[0].elements[0].kind, Kind::kSymbol);
    EXPECT_EQ(call.operands[0].elements[0].name, k.locals[1].name);
    EXPECT_EQ(call.operands[1].kind, Kind::kSymbol);
    EXPECT_EQ(call.operands[1].name, "f");
    EXPECT_EQ(call.operands[2].elements[0].name, k.locals[0].name);
    EXPECT_EQ(k.instructions[0].operands[0].name, k.locals[0].name);

    const Instruction& indirect = k.instructions[3];
    EXPECT_EQ(indirect.operands[1].kind, Kind::kRegister);
    EXPECT_EQ(indirect.operands[2].elements[0].name, k.locals[2].name);
    const Instruction& bare = k.instructions[4];
    ASSERT_EQ(bare.operands.size(), 3u);
    EXPECT_TRUE(bare.operands[0].elements.empty());
    EXPECT_EQ(bare.operands[1].name, "g");
    EXPECT_TRUE(bare.operands[2].elements.empty());
    const Instruction& immediate = k.instructions[5];
    EXPECT_EQ(immediate.operands[0].elements[0].kind, Kind::kSink);
    EXPECT_EQ(immediate.operands[2].elements[0].bits, 7u);
    EXPECT_EQ(k.instructions[6].operands[0].elements[0].kind, Kind::kRegister);
}

TEST(Parser, FunctionsMayCallThemselves) {
    const Module module = parse(kHeader + ".func f() { call f; ret; }\n");
    EXPECT_EQ(module.functions[0].instructions[0].operands[1].name, "f");
}

TEST(Parser, ReplacesAliases) {
    const Module module =
        parse(kHeader +
              ".func a() ;\n.func b() { ret; }\n"
              ".visible .entry k() { .reg .b64 %rd<2>; call a; mov.u64 %rd1, a; }\n"
              ".global .u64 table[1] = {a};\n.alias a, b;\n");
    ASSERT_EQ(module.functions.size(), 2u);
    EXPECT_EQ(module.functions[0].name, "b");
    EXPECT_EQ(module.functions[1].instructions[0].operands[1].name, "b");
    EXPECT_EQ(module.functions[1].instructions[1].operands[1].name, "b");
    EXPECT_EQ(module.variables[0].relocations[0].symbol, "b");
}

TEST(Parser, EndsABodyThatCanFallOff) {
    EXPECT_EQ(body("exit;").size(), 1u);
    EXPECT_EQ(body("@%p1 exit;").size(), 2u);
    EXPECT_EQ(body("").size(), 1u);
    const auto code = body("bra END;\nEND:");
    ASSERT_EQ(code.size(), 2u);
    EXPECT_EQ(code[1].opcode, "ret");
    EXPECT_EQ(code[0].operands[0].target, 1);
}

// ---- Variables and initializers ----

TEST(Parser, ReadsVariables) {
    const Module module =
        parse(kHeader +
              ".extern .shared .align 128 .b8 smem[];\n"
              ".visible .global .align 4 .u32 counter;\n"
              ".const .align 4 .b8 coef[12] = {0, 0, 128, 63, 0, 0, 32, 64};\n"
              ".weak .global .f32 half_[2] = {0f3F000000, 1.5};\n"
              ".global .f64 d[2] = {0d3FF0000000000000, -2};\n"
              ".global .attribute(.managed) .align 8 .b8 m[2][3] = {{1, 2}, {0x1F, 0b101, 017}};\n"
              ".global .v4 .f32 v;\n.global .u16 open[] = {1, 2, 3}, second;\n"
              ".common .global .s32 negative = -2;\n"
              ".extern .global .b32 later;\n.global .b32 later;\n"
              ".global .b32 zero[100] = {0};\n");
    ASSERT_EQ(module.variables.size(), 12u);
    const Variable& smem = variable(module, "smem");
    EXPECT_EQ(smem.space, Space::kShared);
    EXPECT_TRUE(smem.is_extern);
    EXPECT_EQ(smem.bytes, 0);
    EXPECT_EQ(smem.align, 128);
    EXPECT_EQ(variable(module, "counter").bytes, 4);
    EXPECT_TRUE(variable(module, "counter").init.empty());
    const Variable& coef = variable(module, "coef");
    EXPECT_EQ(coef.space, Space::kConst);
    ASSERT_EQ(coef.init.size(), 12u);
    float values[3];
    std::memcpy(values, coef.init.data(), 12);
    EXPECT_EQ(values[0], 1.0f);
    EXPECT_EQ(values[1], 2.5f);
    EXPECT_EQ(values[2], 0.0f);
    std::memcpy(values, variable(module, "half_").init.data(), 8);
    EXPECT_EQ(values[0], 0.5f);
    EXPECT_EQ(values[1], 1.5f);
    double doubles[2];
    std::memcpy(doubles, variable(module, "d").init.data(), 16);
    EXPECT_EQ(doubles[0], 1.0);
    EXPECT_EQ(doubles[1], -2.0);
    EXPECT_EQ(variable(module, "m").init, (std::vector<uint8_t>{1, 2, 0, 31, 5, 15}));
    EXPECT_EQ(variable(module, "m").align, 8);
    EXPECT_EQ(variable(module, "v").bytes, 16);
    EXPECT_EQ(variable(module, "v").align, 16);
    EXPECT_EQ(variable(module, "open").bytes, 6);
    EXPECT_EQ(variable(module, "open").init, (std::vector<uint8_t>{1, 0, 2, 0, 3, 0}));
    EXPECT_EQ(variable(module, "second").bytes, 2);
    EXPECT_EQ(variable(module, "negative").init, (std::vector<uint8_t>{0xFE, 255, 255, 255}));
    EXPECT_FALSE(variable(module, "later").is_extern);
    EXPECT_EQ(variable(module, "zero").bytes, 400);
    EXPECT_TRUE(variable(module, "zero").init.empty());
}

TEST(Parser, ReadsAddressesInInitializers) {
    const Module module = parse(kHeader +
                                ".func f() ;\n.global .b32 a[4];\n"
                                ".global .align 8 .u64 t[4] = {8589934593, generic(a)+8, a-4, f};\n"
                                ".global .u64 s = generic(a);\n");
    const Variable& t = variable(module, "t");
    ASSERT_EQ(t.init.size(), 32u);
    uint64_t first;
    std::memcpy(&first, t.init.data(), 8);
    EXPECT_EQ(first, 8589934593u);
    ASSERT_EQ(t.relocations.size(), 3u);
    EXPECT_EQ(t.relocations[0].at, 8);
    EXPECT_EQ(t.relocations[0].symbol, "a");
    EXPECT_EQ(t.relocations[0].addend, 8);
    EXPECT_TRUE(t.relocations[0].generic);
    EXPECT_EQ(t.relocations[1].addend, -4);
    EXPECT_FALSE(t.relocations[1].generic);
    EXPECT_EQ(t.relocations[2].symbol, "f");
    EXPECT_EQ(variable(module, "s").relocations.size(), 1u);
}

TEST(Parser, PrefixesVariablesOfFunctions) {
    const Module module =
        parse(kHeader +
              ".visible .entry a() { .shared .align 16 .b8 buf[64]; .reg .b32 %r<2>;\n"
              "mov.u32 %r1, buf; mov.u32 %r1, buf+4; st.shared.u32 [buf+8], %r1; }\n"
              ".visible .entry b() { .shared .b32 buf; .local .align 8 .b8 __local_depot0[16];\n"
              ".global .u32 seen = 5; .reg .b64 %rd<2>; mov.u64 %rd1, __local_depot0;\n"
              "ld.global.u32 %rd1, [seen]; }\n");
    const Function& a = module.functions[0];
    const Function& b = module.functions[1];
    ASSERT_EQ(a.locals.size(), 1u);
    EXPECT_NE(a.locals[0].name, b.locals[0].name);
    EXPECT_EQ(a.instructions[0].operands[1].kind, Kind::kSymbol);
    EXPECT_EQ(a.instructions[0].operands[1].name, a.locals[0].name);
    EXPECT_EQ(a.instructions[1].operands[1].offset, 4);
    EXPECT_EQ(a.instructions[2].operands[0].name, a.locals[0].name);
    EXPECT_EQ(a.instructions[2].operands[0].offset, 8);
    EXPECT_EQ(b.locals[1].space, Space::kLocal);
    EXPECT_EQ(b.instructions[0].operands[1].name, b.locals[1].name);
    ASSERT_EQ(module.variables.size(), 1u);
    EXPECT_EQ(b.instructions[1].operands[1].name, module.variables[0].name);
}

// ---- Registers, scopes, labels ----

TEST(Parser, ReadsRegisters) {
    const Module module = kernel(
        ".reg .pred %p<3>; .reg .b16 x, y; .reg .f16x2 h; .reg .b128 q;\n"
        ".reg .b64 %SP;\nret;");
    const auto& registers = module.functions[0].registers;
    ASSERT_EQ(registers.size(), 8u);
    EXPECT_EQ(registers[0].name, "%p0");
    EXPECT_EQ(registers[2].name, "%p2");
    EXPECT_EQ(registers[2].type, Type::kPred);
    EXPECT_EQ(registers[4].name, "y");
    EXPECT_EQ(registers[5].type, Type::kF16x2);
    EXPECT_EQ(registers[6].type, Type::kB128);
    EXPECT_EQ(registers[7].name, "%SP");
}

TEST(Parser, ScopesOfInlineAssemblyRepeatNames) {
    const std::string scope =
        "{ .reg .pred p; .reg .b32 t; setp.eq.s32 p, %r3, 3; LAB: @p bra DONE; add.s32 t, %r3, 1; "
        "bra LAB; DONE: }\n";
    const auto code = body(scope + scope + "DONE: ret;");
    ASSERT_EQ(code.size(), 9u);
    EXPECT_EQ(code[1].operands[0].target, 4);
    EXPECT_EQ(code[3].operands[0].target, 1);
    EXPECT_EQ(code[5].operands[0].target, 8);
    EXPECT_EQ(code[7].operands[0].target, 5);
    EXPECT_NE(code[1].guard, code[5].guard);
    EXPECT_NE(code[2].operands[0].reg, code[6].operands[0].reg);
}

TEST(Parser, InnerNamesHideOuterOnesAndOuterLabelsAreSeen) {
    const Module module = kernel(
        ".reg .b32 x;\n{ .reg .b64 x; mov.u64 x, 1; { mov.u64 x, 2; bra OUT; } }\nmov.u32 x, 3;\n"
        "OUT: ret;");
    const Function& k = module.functions[0];
    EXPECT_EQ(k.instructions[0].operands[0].reg, 1);
    EXPECT_EQ(k.instructions[1].operands[0].reg, 1);
    EXPECT_EQ(k.instructions[3].operands[0].reg, 0);
    EXPECT_EQ(k.instructions[2].operands[0].target, 4);
    EXPECT_EQ(k.label_targets, (std::vector<int>{4}));
}

TEST(Parser, ReadsBranchTables) {
    const Module module = kernel(
        ".reg .b32 %r<3>; .reg .pred %p;\nts: .branchtargets A, B, A;\n@!%p bra.uni B;\n"
        "A: brx.idx %r1, ts;\nB: exit;\nC:");
    const Function& k = module.functions[0];
    EXPECT_EQ(k.branch_targets.at("ts"), (std::vector<int>{1, 2, 1}));
    EXPECT_EQ(k.instructions[1].full_opcode(), "brx.idx");
    EXPECT_EQ(k.instructions[1].operands[1].kind, Kind::kSymbol);
    EXPECT_EQ(k.instructions[1].operands[1].name, "ts");
    EXPECT_TRUE(k.instructions[0].guard_negated);
    EXPECT_EQ(k.label_targets, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(k.instructions.size(), 4u);
}

// ---- Operands ----

TEST(Parser, ReadsGuards) {
    Instruction plain = one("mov.u32 %r1, 1;");
    EXPECT_EQ(plain.guard, -1);
    Instruction guarded = one("@%p2 mov.u32 %r1, 1;");
    EXPECT_EQ(guarded.guard, kP + 2);
    EXPECT_FALSE(guarded.guard_negated);
    Instruction negated = one("@!%p3\n mov.u32 %r1, 1;");
    EXPECT_EQ(negated.guard, kP + 3);
    EXPECT_TRUE(negated.guard_negated);
    EXPECT_EQ(negated.location.line, 8);
}

TEST(Parser, ReadsIntegerImmediates) {
    const auto bits = [](const std::string& text) {
        const Instruction code = one("mov.b64 %rd1, " + text + ";");
        EXPECT_EQ(code.operands[1].kind, Kind::kImmediate) << text;
        EXPECT_EQ(code.operands[1].literal, Literal::kInteger) << text;
        return code.operands[1].bits;
    };
    EXPECT_EQ(bits("0"), 0u);
    EXPECT_EQ(bits("-5"), ~uint64_t{4});
    EXPECT_EQ(bits("0x989680"), 10000000u);
    EXPECT_EQ(bits("0XfU"), 15u);
    EXPECT_EQ(bits("017"), 15u);
    EXPECT_EQ(bits("0b1011"), 11u);
    EXPECT_EQ(bits("18446744073709551615"), ~uint64_t{0});
    EXPECT_EQ(bits("-9223372036854775808"), uint64_t{1} << 63);
    EXPECT_EQ(bits("WARP_SZ"), 32u);
    EXPECT_EQ(bits("WARP_SZ*2"), 64u);
    EXPECT_EQ(bits("(1+2)*3"), 9u);
    EXPECT_EQ(bits("1 + 2*3 - 4/2"), 5u);
    EXPECT_EQ(bits("10-3-2"), 5u);
    EXPECT_EQ(bits("1<<4|1"), 17u);
    EXPECT_EQ(bits("~0"), ~uint64_t{0});
    EXPECT_EQ(bits("!0"), 1u);
    EXPECT_EQ(bits("!5"), 0u);
    EXPECT_EQ(bits("-7/2"), static_cast<uint64_t>(-3));
    EXPECT_EQ(bits("-7%3"), static_cast<uint64_t>(-1));
    EXPECT_EQ(bits("-1 < 0"), 1u);
    EXPECT_EQ(bits("(.u64)-1 < 0"), 0u);
    EXPECT_EQ(bits("-16 >> 2"), static_cast<uint64_t>(-4));
    EXPECT_EQ(bits("(.u64)-16 >> 60"), 15u);
    EXPECT_EQ(bits("3 >= 3 && 2 != 2 || 6 == 6"), 1u);
    EXPECT_EQ(bits("5 > 4 ? 0xA ^ 3 : 7 & 2"), 9u);
}

TEST(Parser, ReadsFloatingImmediates) {
    const auto operand = [](const std::string& text) {
        return one("mov.f32 %f1, " + text + ";").operands[1];
    };
    EXPECT_EQ(operand("0f3F800000").literal, Literal::kF32);
    EXPECT_EQ(operand("0f3F800000").bits, 0x3F800000u);
    EXPECT_EQ(operand("0Fff800000").bits, 0xFF800000u);
    EXPECT_EQ(operand("-0f3F800000").bits, 0xBF800000u);
    EXPECT_EQ(operand("0d3FF8000000000000").literal, Literal::kF64);
    EXPECT_EQ(operand("0d3FF8000000000000").bits, 0x3FF8000000000000u);
    EXPECT_EQ(operand("1.5").literal, Literal::kF64);
    EXPECT_EQ(operand("1.5").bits, 0x3FF8000000000000u);
    EXPECT_EQ(operand("-1.5e0").bits, 0xBFF8000000000000u);
    EXPECT_EQ(operand("15e-1").bits, 0x3FF8000000000000u);
    EXPECT_EQ(operand("1.").bits, 0x3FF0000000000000u);
}

TEST(Parser, ReadsAddresses) {
    const auto address = [](const std::string& text) {
        const Operand operand =
            one("ld.global.u32 %r1, " + text + ";", ".global .b32 sym[8];\n").operands[1];
        EXPECT_EQ(operand.kind, Kind::kAddress) << text;
        return operand;
    };
    EXPECT_EQ(address("[%rd1]").reg, kRd + 1);
    EXPECT_EQ(address("[%rd1]").offset, 0);
    EXPECT_EQ(address("[%rd1+16]").offset, 16);
    EXPECT_EQ(address("[%rd1+-16]").offset, -16);
    EXPECT_EQ(address("[%rd1-16]").offset, -16);
    EXPECT_EQ(address("[ %rd1 + 4*4 ]").offset, 16);
    EXPECT_EQ(address("[sym+8]").name, "sym");
    EXPECT_EQ(address("[sym+8]").reg, -1);
    EXPECT_EQ(address("[sym+8]").offset, 8);
    EXPECT_EQ(address("[0x100]").offset, 256);
    EXPECT_EQ(address("[0x100]").reg, -1);
    EXPECT_EQ(address("[0x100]").name, "");
    const Operand parameter = address("[p]");
    EXPECT_NE(parameter.name.find("p"), std::string::npos);
}

TEST(Parser, ReadsTensorAddresses) {
    const Instruction code =
        one("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
            ".multicast::cluster.L2::cache_hint [%r1], [%rd2, {%r3, 4}], [%r5+8], %r6, %rd7;");
    EXPECT_EQ(code.opcode, "cp");
    EXPECT_EQ(code.modifiers,
              (std::vector<std::string>{"async", "bulk", "tensor", "2d", "shared::cluster",
                                        "global", "mbarrier::complete_tx::bytes",
                                        "multicast::cluster", "L2::cache_hint"}));
    EXPECT_TRUE(code.has("mbarrier::complete_tx::bytes"));
    EXPECT_FALSE(code.has("mbarrier"));
    EXPECT_EQ(code.last(), "L2::cache_hint");
    EXPECT_EQ(code.last(8), "async");
    EXPECT_EQ(code.last(9), "");
    ASSERT_EQ(code.operands.size(), 5u);
    const Operand& map = code.operands[1];
    EXPECT_EQ(map.kind, Kind::kAddress);
    EXPECT_EQ(map.reg, kRd + 2);
    ASSERT_EQ(map.elements.size(), 2u);
    EXPECT_EQ(map.elements[0].reg, kR + 3);
    EXPECT_EQ(map.elements[1].bits, 4u);
    EXPECT_EQ(code.operands[2].offset, 8);
}

TEST(Parser, ReadsVectorsWithoutASpace) {
    const Instruction code = one(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32{ %f0, %f1, %f2, %f3},{ %r0, %r1, %r2, "
        "%r3 },{ %r4, %r5 },\n{%f0,_,%f2,0f00000000};");
    EXPECT_EQ(code.full_opcode(), "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32");
    ASSERT_EQ(code.operands.size(), 4u);
    EXPECT_EQ(code.operands[0].kind, Kind::kVector);
    EXPECT_EQ(code.operands[0].elements.size(), 4u);
    EXPECT_EQ(code.operands[2].elements[1].reg, kR + 5);
    EXPECT_EQ(code.operands[3].elements[1].kind, Kind::kSink);
    EXPECT_EQ(code.operands[3].elements[3].literal, Literal::kF32);
}

TEST(Parser, ReadsPairsSinksAndNegations) {
    const Instruction shuffle = one("shfl.sync.bfly.b32 %r1|%p1, %r2, 0x1, 31, -1;");
    EXPECT_EQ(shuffle.operands[0].reg, kR + 1);
    EXPECT_EQ(shuffle.operands[0].pair, kP + 1);
    const Instruction compare = one("setp.eq.and.s32 %p0|_, %r1, %r2, !%p2;");
    EXPECT_EQ(compare.operands[0].reg, kP + 0);
    EXPECT_EQ(compare.operands[0].pair, Operand::kPairSink);
    EXPECT_TRUE(compare.operands[3].negated);
    EXPECT_EQ(compare.operands[3].reg, kP + 2);
    const Instruction elect = one("elect.sync _|%p1, 0xffffffff;");
    EXPECT_EQ(elect.operands[0].kind, Kind::kSink);
    EXPECT_EQ(elect.operands[0].pair, kP + 1);
    EXPECT_EQ(elect.operands[1].bits, 0xFFFFFFFFu);
    const Instruction sink = one("mbarrier.arrive.shared.b64 _, [%r1];");
    EXPECT_EQ(sink.operands[0].kind, Kind::kSink);
    EXPECT_EQ(sink.operands[0].pair, -1);
}

TEST(Parser, ReadsSpecialRegisters) {
    for (const char* special : {"%tid.x",
                                "%ntid.y",
                                "%ctaid.z",
                                "%nctaid.w",
                                "%cluster_ctaid.x",
                                "%nclusterid.x",
                                "%laneid",
                                "%warpid",
                                "%smid",
                                "%nsmid",
                                "%gridid",
                                "%clock",
                                "%clock64",
                                "%lanemask_lt",
                                "%cluster_ctarank",
                                "%cluster_nctarank",
                                "%is_explicit_cluster",
                                "%dynamic_smem_size",
                                "%total_smem_size",
                                "%globaltimer",
                                "%envreg3",
                                "%pm7_64"}) {
        const Instruction code = one(std::string("mov.u32 %r1, ") + special + ";");
        EXPECT_EQ(code.operands[1].kind, Kind::kSpecial) << special;
        EXPECT_EQ(code.operands[1].name, special);
    }
}

TEST(Parser, ReadsModifiersThatStandApart) {
    EXPECT_EQ(one("ld.global.L2::128B\n .v2 .u32 {%r1, %r2}, [%rd1];").full_opcode(),
              "ld.global.L2::128B.v2.u32");
    EXPECT_EQ(one("barrier.cluster.arrive.release.aligned;").operands.size(), 0u);
    EXPECT_EQ(one("createpolicy.fractional.L2::evict_first.b64 %rd1, 1.0;").operands.size(), 2u);
}

TEST(Parser, ReadsFunctionAddresses) {
    const Instruction code = one("mov.u64 %rd1, f;", ".func f() ;\n");
    EXPECT_EQ(code.operands[1].kind, Kind::kSymbol);
    EXPECT_EQ(code.operands[1].name, "f");
}

TEST(Parser, AcceptsPragmasAndEmptyStatements) {
    EXPECT_EQ(one(".pragma \"nounroll\";\n;;mov.u32 %r1, 1;").opcode, "mov");
    EXPECT_EQ(parse(kHeader + ".pragma \"enable_smem_spilling\";").functions.size(), 0u);
}

// ---- Mistakes ----

TEST(ParserError, NamesTheLineAndItsText) {
    try {
        kernel("ret;\n  mov.u32 %r99, 1;  // here");
        ADD_FAILURE();
    } catch (const ParseError& error) {
        EXPECT_STREQ(error.what(), "line 7: unknown register '%r99' : mov.u32 %r99, 1;  // here");
    }
}

TEST(ParserError, InTheHeader) {
    expect_error("", "1", "expected .version");
    expect_error("int main() {}", "1", "expected .version first, found 'int'");
    expect_error(".version 10.0\n", "1", "versions beyond 9");
    expect_error(".version 9.0\n.target compute_80\n", "2", "sm_");
    expect_error(".version 9.0\n.target sm_80, fast\n", "2", "unknown target option 'fast'");
    expect_error(".version 9.0\n.target sm_80\n.address_size 32\n", "3", "64-bit");
    expect_error(".version 9.0\n.target sm_80\n.global .b32 x;\n", "3", "expected .address_size");
}

TEST(ParserError, InModuleScope) {
    expect_error(kHeader + ".texture x;", "4", "unknown directive '.texture'");
    expect_error(kHeader + ".global .texref t;", "4", "'.texref' is no type");
    expect_error(kHeader + ".global .pred t;", "4", "no variable is a predicate");
    expect_error(kHeader + ".global .b32 x;\n.global .b32 x;", "5", "'x' is defined twice");
    expect_error(kHeader + ".extern .global .b32 x;\n.shared .b32 x;", "5", "changes its space");
    expect_error(kHeader + ".global .b32 x[];", "4", "size of 'x' is not given");
    expect_error(kHeader + ".global .b32 x[-1];", "4", "not negative");
    expect_error(kHeader + ".global .b32 x[2] = {1, 2, 3};", "4", "too many initial values");
    expect_error(kHeader + ".global .b32 x[2] = 1;", "4", "expected '{'");
    expect_error(kHeader + ".global .b64 x = y;", "4", "unknown name 'y'");
    expect_error(kHeader + ".global .b8 y;\n.global .b8 x = y;", "5", "an address needs 8 bytes");
    expect_error(kHeader + ".global .b8 y;\n.global .b8 x = 0xFF(y);", "5", "mask operators");
    expect_error(kHeader + ".global .u32 x = 1.5;", "4", "floating initial value");
    expect_error(kHeader + ".shared .u32 x = 1;", "4", "have initializers");
    expect_error(kHeader + ".extern .global .u32 x = 1;", "4", "no initializer");
    expect_error(kHeader + ".global .align 3 .b8 x;", "4", "power of two");
    expect_error(kHeader + ".global .b8 x", "4", "expected ';'");
    expect_error(kHeader + ".section .debug {\n.b8 1\n", "4", "section without end");
    expect_error(kHeader + "/* comment\n", "4", "comment without end");
    expect_error(kHeader + ".file 1 \"abc\n", "4", "string without end");
    expect_error(kHeader + "mov.u32 a, b;", "4", "expected a directive, found 'mov'");
    expect_error(kHeader + ".alias a, b;", "4", "'a' is no declared function");
}

TEST(ParserError, InFunctions) {
    expect_error(kHeader + ".entry k(.reg .u32 x) { ret; }", "4", ".reg parameters");
    expect_error(kHeader + ".entry k(.param .u32 x, .param .u32 x) { ret; }", "4", "twice");
    expect_error(kHeader + ".entry k() .foo { ret; }", "4", "unknown directive '.foo'");
    expect_error(kHeader + ".entry k()\nret;", "5", "expected '{' or ';'");
    expect_error(kHeader + ".entry k()\n{ ret;\n", "5", "'{' without end");
    expect_error(kHeader + ".entry k() { ret; }\n.entry k() { ret; }", "5", "'k' is defined twice");
    expect_error(kHeader + ".func f(.param .b32 a) ;\n.func f(.param .b64 a) { ret; }", "5",
                 "declared differently");
    expect_error(kHeader + ".global .b32 f;\n.func f() { ret; }", "5", "is a variable already");
}

TEST(ParserError, InBodies) {
    expect_body_error("mov.u32 %r99, 1;", "unknown register '%r99'");
    expect_body_error("mov.u32 x, 1;", "unknown name 'x'");
    expect_body_error("ld.global.u32 %r1, [x];", "unknown name 'x' in an address");
    expect_body_error("bra NOWHERE;", "unknown name 'NOWHERE'");
    expect_body_error("{ A: ret; }\nbra A;", "unknown name 'A'", 8);
    expect_body_error("{ .reg .b32 t; }\nmov.u32 t, 1;", "unknown name 't'", 8);
    expect_body_error("A: A: ret;", "the label 'A' stands twice");
    expect_body_error(".reg .b32 %r3;", "'%r3' is declared twice");
    expect_body_error(".reg .v2 .b32 x;", "vector registers");
    expect_body_error(".reg .e4m3 x;", "'.e4m3' is no type");
    expect_body_error("@%r1 ret;", "'%r1' is no predicate");
    expect_body_error("@%q ret;", "unknown predicate '%q'");
    expect_body_error("mov.u32 %r1, 1", "expected ',' or ';', found '}'", 8);
    expect_body_error("mov.u32 %r1 1;", "expected ',' or ';'");
    expect_body_error("mov.u32 %r1, ;", "expected a number, found ';'");
    expect_body_error("mov.u32 %r1, %tid;", "read by component");
    expect_body_error("mov.u32 %r1, %tid.q;", "expected .x");
    expect_body_error("mov.u32 %r1, %r2.x;", "components of registers");
    expect_body_error("mov.u32 %r1, %envreg32;", "unknown register '%envreg32'");
    expect_body_error("mov.f32 %f1, 0f3F80;", "eight hexadecimal digits");
    expect_body_error("mov.f32 %f1, 0f3F8000000;", "too many digits");
    expect_body_error("mov.u32 %r1, 12ab;", "malformed number");
    expect_body_error("mov.u32 %r1, 089;", "malformed number");
    expect_body_error("mov.u32 %r1, 0x;", "expected a number");
    expect_body_error("mov.u64 %rd1, 18446744073709551616;", "does not fit 64 bits");
    expect_body_error("mov.u64 %rd1, 1/0;", "division by zero");
    expect_body_error("mov.u64 %rd1, 1<<64;", "shift count");
    expect_body_error("mov.f32 %f1, 1.0+1.0;", "floating constants");
    expect_body_error("ld.global.u32 %r1, [%rd1;", "expected ']'");
    expect_body_error("ld.global.u32 %r1, [%rd1+%r2];", "expected a number");
    expect_body_error("and.pred %p1, %p2, !5.0;", "takes integers");
    expect_body_error("and.pred %p1, %p2, !n;", "'!' stands before predicates");
    expect_body_error("call nothing;", "unknown name 'nothing'");
    expect_body_error("call n;", "'k::n' is no function");
    expect_body_error("call %rd1, (), proto;", "unknown prototype 'proto'");
    expect_body_error("mov.u32. %r1, 1;", "expected a name behind '.'");
    expect_body_error(".loc 1 2 3, foo 4", "unknown part 'foo'");
    expect_body_error("ts: .branchtargets A;", "unknown name 'A'");
    expect_body_error("brx.idx %r1, ts;", "unknown name 'ts'");
    expect_body_error(".entry x() { }", "unknown directive '.entry'");
}

}  // namespace
}  // namespace emulator::ptx
