#include "tests/gpu/launch_report.hpp"

#include <stdexcept>

namespace fp6llm::gpu_test {
namespace {

/// Behind `"name": `, from `at` on; npos if there is none.
size_t find_value(const std::string& json, const std::string& name, size_t at = 0) {
    const std::string key = "\"" + name + "\": ";
    const size_t found = json.find(key, at);
    return found == std::string::npos ? found : found + key.size();
}

uint64_t number_at(const std::string& json, size_t at) {
    return std::stoull(json.substr(at, 20));
}

}  // namespace

std::string LaunchReport::kernel() const {
    const size_t at = find_value(json_, "kernel");
    return json_.substr(at + 1, json_.find('"', at + 1) - at - 1);
}

uint64_t LaunchReport::number(const std::string& name) const {
    const size_t at = find_value(json_, name);
    if (at == std::string::npos) throw std::runtime_error("a report without " + name);
    return number_at(json_, at);
}

int64_t LaunchReport::blocks() const {
    size_t at = find_value(json_, "grid");
    int64_t blocks = 1;
    for (int i = 0; i < 3; ++i) {
        blocks *= static_cast<int64_t>(number_at(json_, at + 1));
        at = json_.find_first_of(",]", at + 1);
    }
    return blocks;
}

std::map<std::string, uint64_t> LaunchReport::warp_instructions() const {
    std::map<std::string, uint64_t> kinds;
    size_t at = find_value(json_, "warp_instructions");
    const size_t end = json_.find('}', at);
    for (size_t quote = json_.find('"', at); quote < end; quote = json_.find('"', at)) {
        const size_t close = json_.find('"', quote + 1);
        kinds[json_.substr(quote + 1, close - quote - 1)] = number_at(json_, close + 2);
        at = close + 1;
    }
    return kinds;
}

namespace {

/// Traffic of the first allocation (base, bytes) that `is_it`.
template <typename Predicate>
LaunchReport::Traffic find_traffic(const std::string& json, const Predicate& is_it) {
    const size_t begin = find_value(json, "traffic"), end = json.find(']', begin);
    for (size_t at = find_value(json, "base", begin); at < end; at = find_value(json, "base", at)) {
        const auto number = [&](const char* name) {
            return number_at(json, find_value(json, name, at));
        };
        if (is_it(number_at(json, at), number("bytes")))
            return {number("loaded"), number("stored")};
    }
    return {};
}

}  // namespace

LaunchReport::Traffic LaunchReport::traffic(const void* inside) const {
    const auto address = reinterpret_cast<uint64_t>(inside);
    return find_traffic(json_, [&](uint64_t base, uint64_t bytes) {
        return address >= base && address - base < bytes;
    });
}

LaunchReport::Traffic LaunchReport::traffic_of_size(uint64_t size) const {
    return find_traffic(json_, [&](uint64_t, uint64_t bytes) { return bytes == size; });
}

}  // namespace fp6llm::gpu_test
