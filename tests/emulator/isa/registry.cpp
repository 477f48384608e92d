// Which opcode is lowered by whom: the longest registered prefix of an instruction's text.
#include <algorithm>

#include "tests/emulator/isa/groups.hpp"

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

const std::vector<OpGroup>& op_groups() {
    static const std::vector<OpGroup> groups = {
        {"isa/integer.cpp", register_integer},
        {"isa/logic.cpp", register_logic},
        {"isa/compare.cpp", register_compare},
        {"isa/float.cpp", register_float},
        {"isa/half.cpp", register_half},
        {"isa/move.cpp", register_move},
        {"isa/convert.cpp", register_convert},
        {"isa/warp.cpp", register_warp},
        {"isa/control.cpp", register_control},
        {"isa/memory.cpp", register_memory},
        {"isa/atomic.cpp", register_atomic},
        {"isa/barrier.cpp", register_barrier},
        {"isa/matrix.cpp", register_matrix},
        {"isa/wgmma.cpp", register_wgmma},
        {"isa/async_copy.cpp", register_async_copy},
        {"isa/bulk_copy.cpp", register_bulk_copy},
        {"isa/mbarrier.cpp", register_mbarrier},
        {"isa/cluster.cpp", register_cluster},
    };
    return groups;
}

const Registry& Registry::all() {
    static const Registry registry = [] {
        Registry r;
        for (const OpGroup& group : op_groups())
            group.add(r);
        return r;
    }();
    return registry;
}

}  // namespace emulator
