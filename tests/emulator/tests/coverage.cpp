// The table of covered instructions, COVERAGE.md, from what isa/ registers.
//   emulator_coverage            prints it
//   emulator_coverage <path>     compares it with a file: 0 if they are the same
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "tests/emulator/isa/groups.hpp"

namespace {

std::string table() {
    std::map<std::string, int> owners;
    std::ostringstream out;
    out << R"(# Covered instructions

Made by `emulator_coverage > tests/emulator/COVERAGE.md`; a test compares. An entry is a prefix: what follows it in an instruction (types,
shapes, scopes, orders, cache hints) is read by the file on its left, which refuses at load, with opcode and line, what it does not know.
Arithmetic opcodes are listed once and handed on by type: f32 and f64 to `isa/float.cpp`, f16 and bf16 to `isa/half.cpp`.

| file | instructions |
| --- | --- |
)";
    for (const emulator::OpGroup& group : emulator::op_groups()) {
        emulator::Registry registry;
        group.add(registry);
        std::vector<std::string> names = registry.prefixes();
        names.erase(std::unique(names.begin(), names.end()), names.end());
        out << "| `" << group.file << (names.empty() ? "` | by type, of the above" : "` |");
        for (const std::string& name : names) {
            out << " `" << name << '`';
            ++owners[name];
        }
        out << " |\n";
    }
    out << "\n" << owners.size() << " prefixes.\n";
    return out.str();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 1) {
        std::cout << table();
        return 0;
    }
    std::ifstream file(argv[1]);
    std::ostringstream committed;
    committed << file.rdbuf();
    if (file && committed.str() == table()) return 0;
    std::cerr << argv[1] << " is not what isa/ registers; run: emulator_coverage > " << argv[1]
              << "\n";
    return 1;
}
