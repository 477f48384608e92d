// Which machine, library and commit a result belongs to.
#pragma once

#include "fp6llm/fp6llm.hpp"
#include "tests/bench/json.hpp"

namespace fp6llm::bench {

struct Machine {
    std::string cpu;  ///< model name
    std::string isa;  ///< kernels that the library uses
    int cores;        ///< CPUs this process may use
    double memory_bytes;
    double cache_bytes;    ///< last-level cache, 0 if unknown
    std::string kernel;    ///< "Linux 6.1.0"
    std::string compiler;  ///< of this program
    std::string commit;    ///< of the current directory, "+" if changed since, or "unknown"
    std::string date;      ///< UTC, ISO 8601
    std::string library;   ///< fp6llmGetBuildInfo(), JSON
};

Machine describe_machine();
void write_machine(JsonWriter& json, const Machine& machine);

}  // namespace fp6llm::bench
