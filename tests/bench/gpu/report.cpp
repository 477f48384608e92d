// See report.hpp.
#include "tests/bench/gpu/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "tests/bench/measure.hpp"

namespace fp6llm::bench {
namespace {

/// Up to so many tokens a multiplication should be bound by memory, and is told in bytes.
constexpr int64_t kMemoryBound = 64;

/// Median over the rounds, in which they took turns, of other / own: above 1 where own is faster.
double ratio(const GpuContender& own, const GpuContender& other) {
    std::vector<double> ratios;
    for (size_t i = 0; i < std::min(own.samples.size(), other.samples.size()); ++i)
        ratios.push_back(other.samples[i] / own.samples[i]);
    return median(ratios);
}

const GpuContender* find(const GpuCase& result, GpuKind kind, const std::string& type) {
    for (const GpuContender& c : result.contenders)
        if (c.kind == kind && c.type == type) return &c;
    return nullptr;
}

bool is_70b(const Shape& s) {
    return (s.rows == 10240 && s.cols == 8192) || (s.rows == 8192 && s.cols == 8192) ||
           (s.rows == 57344 && s.cols == 8192) || (s.rows == 8192 && s.cols == 28672);
}

void print_ratio(const GpuContender& own, const GpuContender* other) {
    if (other == nullptr)
        std::printf("      -");
    else
        std::printf(" %6.2f", ratio(own, *other));
}

}  // namespace

std::string describe_clocks(int device) {
    const std::string command = "nvidia-smi -i " + std::to_string(device) +
                                " --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks."
                                "mem,power.draw,power.limit,"
                                "temperature.gpu --format=csv,noheader 2>/dev/null";
    std::string text;
    if (std::FILE* pipe = popen(command.c_str(), "r")) {
        char line[256];
        if (std::fgets(line, sizeof line, pipe) != nullptr) text = line;
        if (pclose(pipe) != 0) text.clear();
    }
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text.empty() ? "unknown" : text;
}

void print_case(const GpuSweep& sweep, const GpuCase& result) {
    for (const GpuContender& own : result.contenders) {
        std::printf(
            "%6lld x %-5lld %5lld  %-15s %-4s error %.1e",  // aligned with print_summary()
            static_cast<long long>(result.shape.rows), static_cast<long long>(result.shape.cols),
            static_cast<long long>(result.tokens), own.name.c_str(), own.type.c_str(), own.error);
        if (own.samples.empty()) {
            std::printf("  %s\n", own.detail.c_str());
            continue;
        }
        const double seconds = median(own.samples) * 1e-6;
        std::printf(" %9.2f us +-%2.0f%%", seconds * 1e6, 100 * spread(own.samples));
        if (result.tokens <= kMemoryBound) {
            const double speed = own.weight_bytes / seconds;
            std::printf(" %6.0f GB/s %3.0f%% of copy", speed * 1e-9,
                        100 * speed / sweep.copy_bytes_per_second);
        } else {
            std::printf(" %6.0f TFLOP/s             ", result.flops() / seconds * 1e-12);
        }
        if (own.kind == GpuKind::kFp6) {
            std::printf("  x cublas");
            print_ratio(own, find(result, GpuKind::kDense, own.type));
            std::printf(" swapped");
            print_ratio(own, find(result, GpuKind::kDenseSwapped, own.type));
            for (const GpuContender& peer : result.contenders) {
                if (peer.kind != GpuKind::kPeer || peer.type != own.type) continue;
                std::printf(" %s", peer.name.c_str());
                print_ratio(own, &peer);
            }
        }
        std::printf("  %s\n", own.detail.c_str());
    }
    std::fflush(stdout);
}

void print_summary(const GpuSweep& sweep) {
    const bool is_timed = sweep.copy_bytes_per_second > 0;
    if (sweep.left_out > 0) std::printf("no time was left for %d cases\n", sweep.left_out);
    if (!is_timed) {
        size_t checked = 0;
        for (const GpuCase& result : sweep.cases)
            checked += result.contenders.size();
        std::printf(
            "dry run: %zu products of %zu cases are right, called and replayed from a "
            "graph; nothing was timed\n",
            checked, sweep.cases.size());
        return;
    }
    std::printf("\nmeasured copy: %.0f GB/s read + written\n", sweep.copy_bytes_per_second * 1e-9);
    for (const GpuQuantizeCase& q : sweep.quantize) {
        const double speed = q.bytes / (median(q.samples) * 1e-6);
        std::printf("quantize + prepack %6lld x %-5lld %-10s %6.0f GB/s of fp16, %3.0f%% of copy\n",
                    static_cast<long long>(q.shape.rows), static_cast<long long>(q.shape.cols),
                    q.format.c_str(), speed * 1e-9, 100 * speed / sweep.copy_bytes_per_second);
    }

    // Ratios to cuBLAS by tokens: geometric means over the 70B shapes and over all, the lowest.
    struct Row {
        double log_70b = 0, log_all = 0, lowest = INFINITY, percent = 0;
        int count_70b = 0, count = 0;
    };
    std::map<std::string, std::map<int64_t, Row>> tables;
    for (const GpuCase& result : sweep.cases) {
        for (const GpuContender& own : result.contenders) {
            const GpuContender* dense = find(result, GpuKind::kDense, own.type);
            if (own.kind != GpuKind::kFp6 || dense == nullptr) continue;
            const double r = ratio(own, *dense);
            Row& row = tables[own.name + " " + own.type][result.tokens];
            row.log_all += std::log(r);
            ++row.count;
            row.lowest = std::min(row.lowest, r);
            if (own.weight_bytes >= 50e6) {
                row.percent =
                    std::max(row.percent, 100 * own.weight_bytes / (median(own.samples) * 1e-6) /
                                              sweep.copy_bytes_per_second);
            }
            if (is_70b(result.shape)) row.log_70b += std::log(r), ++row.count_70b;
        }
    }
    for (const auto& [name, rows] : tables) {
        std::printf(
            "\n%s, ratio to cuBLAS of the same type\n"
            "| tokens | 70B shapes | all shapes | lowest | %% of copy, best >= 50 MB |\n"
            "|---|---|---|---|---|\n",
            name.c_str());
        for (const auto& [tokens, row] : rows) {
            std::printf("| %lld | ", static_cast<long long>(tokens));
            if (row.count_70b > 0)
                std::printf("%.2f", std::exp(row.log_70b / row.count_70b));
            else
                std::printf("-");
            std::printf(" | %.2f (%d) | %.2f | ", std::exp(row.log_all / row.count), row.count,
                        row.lowest);
            if (tokens <= kMemoryBound && row.percent > 0)
                std::printf("%.0f", row.percent);
            else
                std::printf("-");
            std::printf(" |\n");
        }
    }
}

std::string to_json(const Machine& machine, const GpuIdentity& gpu, const GpuSweep& sweep) {
    JsonWriter json;
    json.begin("", '{');
    write_machine(json, machine);
    json.begin("gpu", '{');
    json.string("name", gpu.device.name);
    json.raw("emulated", gpu.is_emulated ? "true" : "false");
    json.string("isa", gpu.device.isa);
    json.number("multiprocessors", gpu.device.multiprocessorCount);
    json.number("driver", gpu.device.driverVersion);
    json.number("memory_bytes", static_cast<double>(gpu.device.totalMemory));
    json.number("l2_bytes", static_cast<double>(gpu.device.l2CacheBytes));
    json.string("cublas", gpu.cublas);
    json.string("before", gpu.before);
    json.string("after", gpu.after);
    json.number("copy_bytes_per_second", sweep.copy_bytes_per_second);
    json.end('}');
    json.number("cases_left_out", sweep.left_out);
    json.begin("gemm", '[');
    for (const GpuCase& result : sweep.cases) {
        json.begin("", '{');
        json.number("rows", static_cast<double>(result.shape.rows));
        json.number("cols", static_cast<double>(result.shape.cols));
        json.number("tokens", static_cast<double>(result.tokens));
        json.number("flops", result.flops());
        json.begin("contenders", '[');
        for (const GpuContender& c : result.contenders) {
            json.begin("", '{');
            json.string("kind", kind_name(c.kind));
            json.string("name", c.name);
            json.string("type", c.type);
            json.string("detail", c.detail);
            json.number("weight_bytes", c.weight_bytes);
            json.number("error", c.error);
            json.numbers("samples_us", c.samples);
            json.end('}');
        }
        json.end(']');
        json.end('}');
    }
    json.end(']');
    json.begin("quantize", '[');
    for (const GpuQuantizeCase& q : sweep.quantize) {
        json.begin("", '{');
        json.number("rows", static_cast<double>(q.shape.rows));
        json.number("cols", static_cast<double>(q.shape.cols));
        json.string("format", q.format);
        json.number("input_bytes", q.bytes);
        json.numbers("samples_us", q.samples);
        json.end('}');
    }
    json.end(']');
    json.end('}');
    return json.text() + "\n";
}

}  // namespace fp6llm::bench
