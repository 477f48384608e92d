#include "tests/emulator/check/report_json.hpp"

#include <cstdio>

namespace emulator {

namespace {

void append_string(std::string& out, const std::string& text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
            out += escaped;
        } else {
            out += c;
        }
    }
    out += '"';
}

void append_key(std::string& out, const char* key) {
    if (out.back() != '{') out += ", ";
    append_string(out, key);
    out += ": ";
}

void append_number(std::string& out, const char* key, uint64_t value) {
    append_key(out, key);
    out += std::to_string(value);
}

void append_text(std::string& out, const char* key, const std::string& value) {
    append_key(out, key);
    append_string(out, value);
}

template <typename T>
void append_triple(std::string& out, const char* key, const T (&values)[3]) {
    append_key(out, key);
    out += '[' + std::to_string(values[0]) + ", " + std::to_string(values[1]) + ", " +
           std::to_string(values[2]) + ']';
}

template <typename Kinds>
void append_kinds(std::string& out, const char* key, const Kinds& counts) {
    append_key(out, key);
    out += '{';
    for (size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] != 0) append_number(out, op_kind_name(static_cast<OpKind>(i)), counts[i]);
    }
    out += '}';
}

void append_counters(std::string& out, const Counters& c) {
    append_key(out, "counters");
    out += '{';
    append_kinds(out, "warp_instructions", c.warp_instructions);
    append_kinds(out, "lane_instructions", c.lane_instructions);
    append_number(out, "shared_requests", c.shared_requests);
    append_number(out, "shared_wavefronts", c.shared_wavefronts);
    append_number(out, "shared_ideal", c.shared_ideal);
    append_number(out, "shared_load_conflicts", c.shared_load_conflicts);
    append_number(out, "shared_store_conflicts", c.shared_store_conflicts);
    append_number(out, "global_load_requests", c.global_load_requests);
    append_number(out, "global_store_requests", c.global_store_requests);
    append_number(out, "global_load_sectors", c.global_load_sectors);
    append_number(out, "global_store_sectors", c.global_store_sectors);
    append_number(out, "global_load_bytes", c.global_load_bytes);
    append_number(out, "global_store_bytes", c.global_store_bytes);
    append_number(out, "atomic_requests", c.atomic_requests);
    append_number(out, "bulk_load_bytes", c.bulk_load_bytes);
    append_number(out, "bulk_store_bytes", c.bulk_store_bytes);
    append_number(out, "async_load_bytes", c.async_load_bytes);
    append_number(out, "async_source_bytes", c.async_source_bytes);
    append_number(out, "mma_operations", c.mma_operations);
    append_number(out, "wgmma_operations", c.wgmma_operations);
    append_number(out, "multiply_adds", c.multiply_adds);
    append_number(out, "barrier_waits", c.barrier_waits);
    append_number(out, "spin_retries", c.spin_retries);
    append_number(out, "max_async_bytes_in_flight", c.max_async_bytes_in_flight);
    append_key(out, "traffic");
    out += '[';
    for (const Counters::Traffic& traffic : c.traffic) {
        if (out.back() != '[') out += ", ";
        out += '{';
        append_number(out, "base", traffic.base);
        append_number(out, "bytes", traffic.bytes);
        append_number(out, "loaded", traffic.loaded);
        append_number(out, "stored", traffic.stored);
        out += '}';
    }
    out += "]}";
}

void append_finding(std::string& out, const Finding& finding) {
    out += '{';
    append_text(out, "kind", finding_name(finding.kind));
    append_text(out, "message", finding.message);
    append_number(out, "line", static_cast<uint64_t>(finding.line < 0 ? 0 : finding.line));
    append_text(out, "source", finding.source);
    append_text(out, "other_source", finding.other_source);
    append_triple(out, "block", finding.block);
    append_number(out, "warp", static_cast<uint64_t>(finding.warp < 0 ? 0 : finding.warp));
    append_number(out, "lanes", finding.lanes);
    append_number(out, "count", finding.count);
    out += '}';
}

}  // namespace

const char* op_kind_name(OpKind kind) noexcept {
    switch (kind) {
        case OpKind::kInteger:
            return "integer";
        case OpKind::kLogic:
            return "logic";
        case OpKind::kFloat:
            return "float";
        case OpKind::kDouble:
            return "double";
        case OpKind::kHalf:
            return "half";
        case OpKind::kConvert:
            return "convert";
        case OpKind::kMove:
            return "move";
        case OpKind::kControl:
            return "control";
        case OpKind::kLoadGlobal:
            return "load_global";
        case OpKind::kStoreGlobal:
            return "store_global";
        case OpKind::kLoadShared:
            return "load_shared";
        case OpKind::kStoreShared:
            return "store_shared";
        case OpKind::kLoadLocal:
            return "load_local";
        case OpKind::kStoreLocal:
            return "store_local";
        case OpKind::kLoadParam:
            return "load_param";
        case OpKind::kAtomic:
            return "atomic";
        case OpKind::kMatrixLoad:
            return "matrix_load";
        case OpKind::kMma:
            return "mma";
        case OpKind::kWgmma:
            return "wgmma";
        case OpKind::kAsyncCopy:
            return "async_copy";
        case OpKind::kBarrier:
            return "barrier";
        case OpKind::kWarp:
            return "warp";
        case OpKind::kOther:
            return "other";
        case OpKind::kCount:
            break;
    }
    return "unknown";
}

std::string report_json(const LaunchReport& report) {
    std::string out = "{";
    append_text(out, "kernel", report.kernel);
    append_triple(out, "grid", report.config.grid);
    append_triple(out, "block", report.config.block);
    append_triple(out, "cluster", report.config.cluster);
    append_number(out, "dynamic_shared", report.config.dynamic_shared);
    append_number(out, "seed", report.seed);
    append_counters(out, report.counters);
    append_key(out, "findings");
    out += '[';
    for (const Finding& finding : report.findings) {
        if (out.back() != '[') out += ", ";
        append_finding(out, finding);
    }
    out += ']';
    append_key(out, "fault");
    if (report.faulted)
        append_string(out, report.fault);
    else
        out += "null";
    out += '}';
    return out;
}

}  // namespace emulator
