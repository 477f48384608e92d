// See machine.hpp.
#include "tests/bench/machine.hpp"

#include <sys/utsname.h>

#include <cstdlib>
#include <ctime>

namespace fp6llm::bench {
namespace {

// First line that a command prints, or "" if it fails.
std::string output_of(const char* command) {
    std::string text;
    std::FILE* pipe = popen(command, "r");
    if (!pipe) return text;
    char line[256];
    if (std::fgets(line, sizeof line, pipe)) text = line;
    if (pclose(pipe) != 0) return "";
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

/// Of the checkout, or of the one that a packed program was built from.
std::string commit() {
    if (const char* packed = std::getenv("FP6LLM_BENCH_COMMIT")) return packed;
    const std::string hash = output_of("git rev-parse --short=12 HEAD 2>/dev/null");
    if (hash.empty()) return "unknown";
    const bool clean = output_of("git diff --quiet HEAD 2>/dev/null && echo clean") == "clean";
    return clean ? hash : hash + "+";
}

std::string library_info() {
    size_t bytes = 0;
    check(fp6llmGetBuildInfo(nullptr, 0, &bytes));
    std::string text(bytes, '\0');
    check(fp6llmGetBuildInfo(text.data(), text.size(), nullptr));
    text.pop_back();
    return text;
}

}  // namespace

Machine describe_machine() {
    fp6llmDeviceInfo_t device = FP6LLM_DEVICE_INFO_INIT;
    check(fp6llmGetDeviceInfo(FP6LLM_BACKEND_CPU, 0, &device));
    utsname system{};
    uname(&system);
    char date[32] = "";
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    return {
        device.name, device.isa, device.multiprocessorCount,
            static_cast<double>(device.totalMemory), static_cast<double>(device.l2CacheBytes),
            std::string(system.sysname) + " " + system.release,
#if defined(__clang__)
            "clang " __clang_version__,
#else
            "gcc " __VERSION__,
#endif
            commit(), date, library_info()
    };
}

void write_machine(JsonWriter& json, const Machine& machine) {
    json.string("date", machine.date);
    json.string("commit", machine.commit);
    json.begin("machine", '{');
    json.string("cpu", machine.cpu);
    json.string("isa", machine.isa);
    json.number("cores", machine.cores);
    json.number("memory_bytes", machine.memory_bytes);
    json.number("last_level_cache_bytes", machine.cache_bytes);
    json.string("kernel", machine.kernel);
    json.string("compiler", machine.compiler);
    json.end('}');
    json.raw("library", machine.library);
}

}  // namespace fp6llm::bench
