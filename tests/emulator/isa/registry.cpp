// Which opcode is lowered by whom: the longest registered prefix of an instruction's text.
#include <algorithm>

#include "tests/emulator/exec/op.hpp"

namespace emulator {

void Registry::add(const std::string& prefix, Lower lower) {
    entries_.emplace_back(prefix, std::move(lower));
}

const Lower* Registry::find(const ptx::Instruction& instruction) const {
    const std::string text = instruction.full_opcode();
    const Lower* best = nullptr;
    size_t best_length = 0;
    for (const auto& [prefix, lower] : entries_) {
        const bool matches = text.compare(0, prefix.size(), prefix) == 0 &&
                             (text.size() == prefix.size() || text[prefix.size()] == '.');
        if (matches && prefix.size() >= best_length) {
            best = &lower;
            best_length = prefix.size();
        }
    }
    return best;
}

std::vector<std::string> Registry::prefixes() const {
    std::vector<std::string> names;
    for (const auto& entry : entries_)
        names.push_back(entry.first);
    std::sort(names.begin(), names.end());
    return names;
}

const Registry& Registry::all() {
    static const Registry registry = [] {
        Registry r;
        register_integer(r);
        register_logic(r);
        register_compare(r);
        register_float(r);
        register_half(r);
        register_convert(r);
        register_warp(r);
        register_control(r);
        register_memory(r);
        register_atomic(r);
        register_barrier(r);
        register_matrix(r);
        register_wgmma(r);
        register_async_copy(r);
        register_bulk_copy(r);
        register_mbarrier(r);
        register_cluster(r);
        return r;
    }();
    return registry;
}

}  // namespace emulator
