// What the emulated GPU counted in one launch (tests/emulator/check/report_json.hpp), read back.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace fp6llm::gpu_test {

class LaunchReport {
  public:
    explicit LaunchReport(std::string json) : json_(std::move(json)) {}

    std::string kernel() const;
    /// A number by name: "shared_load_conflicts". Throws std::runtime_error if there is none.
    uint64_t number(const std::string& name) const;
    int64_t blocks() const;
    /// Warp-level instructions by kind.
    std::map<std::string, uint64_t> warp_instructions() const;

    struct Traffic {
        uint64_t loaded = 0, stored = 0;  ///< bytes that the lanes asked for
    };
    /// Of the allocation that `inside` lies in.
    Traffic traffic(const void* inside) const;
    /// Of the one allocation of so many bytes.
    Traffic traffic_of_size(uint64_t bytes) const;

    bool has_findings() const { return json_.find("\"findings\": []") == std::string::npos; }
    const std::string& json() const noexcept { return json_; }

  private:
    std::string json_;
};

}  // namespace fp6llm::gpu_test
