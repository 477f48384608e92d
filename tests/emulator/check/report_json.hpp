// A launch's report as one line of JSON, for EMU_REPORT and emulatorGetReport().
#pragma once

#include <string>

#include "tests/emulator/device.hpp"

namespace emulator {

/// Name of a kind of instructions in reports: "integer", "load_global".
const char* op_kind_name(OpKind kind) noexcept;

/// {"kernel": ..., "grid": [x, y, z], "block", "cluster", "dynamic_shared", "seed",
///  "counters": {name: number, "warp_instructions": {kind: n}, "lane_instructions": {kind: n},
///               "traffic": [{"base", "bytes", "loaded", "stored"}]},
///  "findings": [{"kind", "message", "line", "source", "other_source", "block", "warp", "lanes",
///                "count"}], "fault": null or a sentence}
std::string report_json(const LaunchReport& report);

}  // namespace emulator
