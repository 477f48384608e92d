// See report.hpp.
#include "tests/bench/report.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace fp6llm::bench {
namespace {

// The first of a kind, or that of a name.
const Contender* find(const std::vector<Contender>& contenders, Kind kind,
                      const std::string& name = "") {
    for (const Contender& contender : contenders) {
        if (contender.kind == kind && (name.empty() || contender.name == name)) return &contender;
    }
    return nullptr;
}

double gigabytes_per_second(const Contender& contender) {
    return contender.bytes / median(contender.samples) / 1e6;
}
double gigaflops(const Contender& contender) {
    return contender.flops / median(contender.samples) / 1e6;
}

// The three ratios that say how good a multiplication is; NaN where there is no such contender.
struct Ratios {
    double stream;    // 1 = as fast as reading the same bytes
    double openblas;  // above 1 = faster
    double peak;      // 1 = the processor's multiply-adds in the kernel's arithmetic
};
Ratios ratios_of(const Contender& own, const std::vector<Contender>& contenders) {
    const Contender* stream = find(contenders, Kind::kStream);
    const Contender* blas = find(contenders, Kind::kOpenBlas);
    const Contender* peak = find(contenders, Kind::kPeak, own.peak);
    Ratios ratios{NAN, NAN, NAN};
    // The stream reads the first format's bytes: per byte, so that formats of other sizes compare.
    if (stream) ratios.stream = speed_ratio(own, *stream) * own.bytes / stream->bytes;
    if (blas) ratios.openblas = speed_ratio(own, *blas);
    if (peak) ratios.peak = speed_ratio(own, *peak) * own.operations / peak->flops;
    return ratios;
}

std::string number(double value, int digits) {
    if (std::isnan(value)) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

void write_contenders(JsonWriter& json, const std::vector<Contender>& contenders) {
    json.begin("contenders", '[');
    for (const Contender& contender : contenders) {
        json.begin("", '{');
        json.string("kind", kind_name(contender.kind));
        json.string("name", contender.name);
        if (!contender.detail.empty()) json.string("detail", contender.detail);
        json.number("bytes", contender.bytes);
        json.number("flops", contender.flops);
        json.number("error", contender.error);
        if (!contender.peak.empty()) {
            json.string("peak", contender.peak);
            json.number("operations", contender.operations);
        }
        json.numbers("samples_ms", contender.samples);
        json.end('}');
    }
    json.end(']');
}

void write_shape(JsonWriter& json, const Shape& shape, int threads) {
    json.number("rows", static_cast<double>(shape.rows));
    json.number("cols", static_cast<double>(shape.cols));
    json.number("threads", threads);
}

}  // namespace

void print_gemm_header() {
    std::printf(
        "\nMultiplication. of stream: against reading the same bytes; x OpenBLAS: above 1 is "
        "faster; "
        "of peak: of the multiply-adds of the kernel's arithmetic.\n"
        "       OC x IC  threads    M  contender               ms     +-    GB/s  GFLOP/s  of "
        "stream  "
        "x OpenBLAS  of peak    error  kernel\n");
}

void print_gemm_case(const GemmCase& result) {
    for (const Contender& contender : result.contenders) {
        std::printf("%6lld x %-6lld %7d %4lld  %-22s", static_cast<long long>(result.shape.rows),
                    static_cast<long long>(result.shape.cols), result.threads,
                    static_cast<long long>(result.tokens), contender.name.c_str());
        std::printf("%9.4g %5.1f%% %7s %8s", median(contender.samples),
                    100 * spread(contender.samples),
                    contender.bytes > 0 ? number(gigabytes_per_second(contender), 1).c_str() : "",
                    contender.flops > 0 ? number(gigaflops(contender), 1).c_str() : "");
        if (contender.kind == Kind::kFp6) {
            const Ratios ratios = ratios_of(contender, result.contenders);
            std::printf(" %10s %11s %8s", number(ratios.stream, 2).c_str(),
                        number(ratios.openblas, 2).c_str(), number(ratios.peak, 2).c_str());
        } else {
            std::printf(" %10s %11s %8s", "", "", "");
        }
        if (contender.error > 0) {
            std::printf("  %.1e", contender.error);
        } else {
            std::printf("  %7s", "");
        }
        std::printf("  %s\n", contender.detail.c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
}

void print_gemm_summary(const std::vector<GemmCase>& cases) {
    using Key = std::tuple<int, std::string, int64_t>;
    std::map<Key, std::vector<Ratios>> all;
    for (const GemmCase& result : cases) {
        for (const Contender& contender : result.contenders) {
            if (contender.kind != Kind::kFp6) continue;
            all[{result.threads, contender.name, result.tokens}].push_back(
                ratios_of(contender, result.contenders));
        }
    }
    std::printf(
        "Medians over the shapes.\nthreads  contender              M  shapes  of stream  "
        "x OpenBLAS  of peak\n");
    for (const auto& [key, ratios] : all) {
        const auto middle = [&values = ratios](double Ratios::*field) {
            std::vector<double> list;
            for (const Ratios& value : values)
                list.push_back(value.*field);
            return number(median(std::move(list)), 2);
        };
        const auto& [threads, name, tokens] = key;
        std::printf("%7d  %-18s %5lld  %6zu  %9s  %10s  %7s\n", threads, name.c_str(),
                    static_cast<long long>(tokens), ratios.size(), middle(&Ratios::stream).c_str(),
                    middle(&Ratios::openblas).c_str(), middle(&Ratios::peak).c_str());
    }
}

void print_peer_summary(const std::vector<GemmCase>& cases) {
    using Key = std::tuple<int, std::string, int64_t>;
    std::map<Key, std::map<std::string, std::vector<double>>> all;
    std::vector<std::string> peers;
    for (const GemmCase& result : cases) {
        for (const Contender& peer : result.contenders) {
            if (peer.kind != Kind::kPeer) continue;
            if (std::find(peers.begin(), peers.end(), peer.name) == peers.end()) {
                peers.push_back(peer.name);
            }
            for (const Contender& own : result.contenders) {
                if (own.kind != Kind::kFp6) continue;
                all[{result.threads, own.name, result.tokens}][peer.name].push_back(
                    speed_ratio(own, peer));
            }
        }
    }
    if (peers.empty()) return;
    std::printf("\nTimes as fast as each peer, medians over the shapes.\nthreads  contender%14s",
                "M");
    for (const std::string& peer : peers)
        std::printf("  %s", peer.c_str());
    std::printf("\n");
    for (const auto& [key, ratios] : all) {
        const auto& [threads, name, tokens] = key;
        std::printf("%7d  %-18s %5lld", threads, name.c_str(), static_cast<long long>(tokens));
        for (const std::string& peer : peers) {
            const auto found = ratios.find(peer);
            const double ratio = found == ratios.end() ? NAN : median(found->second);
            std::printf("  %*s", static_cast<int>(peer.size()), number(ratio, 2).c_str());
        }
        std::printf("\n");
    }
}

void print_quantize_header() {
    std::printf(
        "\nQuantization, GB/s of fp16 weights; in brackets, of the goal: 2 per thread to quantize "
        "and prepack,\n"
        "1 with AUTO, 3 to dequantize.\n"
        "threads  format        quantize   +-    + prepack   +-           dequantize   +-          "
        " "
        "read   +-\n");
}

void print_quantize_case(const QuantizeCase& result) {
    std::printf("%7d  %-12s", result.threads, result.format.c_str());
    for (size_t i = 0; i < result.contenders.size(); ++i) {
        const Contender& contender = result.contenders[i];
        const double rate = gigabytes_per_second(contender);
        std::printf("%10.2f %4.0f%%", rate, 100 * spread(contender.samples));
        if (result.goals[i] > 0) {
            std::printf(" (%3.0f%%)", 100 * rate / (result.goals[i] * result.threads));
        }
        std::printf("  ");
    }
    std::printf("\n");
    std::fflush(stdout);
}

void print_token_case(const TokenCase& result) {
    std::printf(
        "\nAll %d multiplications of a token of SmolLM2-135M, %d thread%s.\n"
        "contender                  us     +-    GB/s  of stream  x OpenBLAS    error  kernel of "
        "the "
        "head\n",
        result.multiplications, result.threads, result.threads > 1 ? "s" : "");
    for (const Contender& contender : result.contenders) {
        std::printf("%-22s %8.0f %5.1f%% %7.1f", contender.name.c_str(),
                    1000 * median(contender.samples), 100 * spread(contender.samples),
                    gigabytes_per_second(contender));
        const bool own = contender.kind == Kind::kFp6;
        const Ratios ratios = ratios_of(contender, result.contenders);
        std::printf(" %10s %11s", own ? number(ratios.stream, 2).c_str() : "",
                    own ? number(ratios.openblas, 2).c_str() : "");
        if (contender.error > 0) {
            std::printf("  %.1e", contender.error);
        } else {
            std::printf("  %7s", "");
        }
        std::printf("  %s\n", contender.detail.c_str());
    }
    std::fflush(stdout);
}

void print_check_header() {
    std::printf(
        "\nChecks: time of a call, and times against each other.\n"
        "        threads      value    limit   +-     check\n");
}

void print_check(const Check& check) {
    std::printf("%s  %7d  %7.*f %-2s %7.*f %4.0f%%  %s (%s)\n",
                check.passes() ? "pass  " : "FAIL  ", check.threads, check.unit == "ns" ? 0 : 2,
                check.value, check.unit.c_str(), check.unit == "ns" ? 0 : 2, check.limit,
                100 * spread(check.samples), check.name.c_str(), check.kernel.c_str());
    std::fflush(stdout);
}

std::string to_json(const Machine& machine, const Results& results) {
    JsonWriter json;
    json.begin("", '{');
    json.string("schema", "fp6llm-bench/1");
    write_machine(json, machine);
    json.string("openblas", results.openblas);
    json.begin("remarks", '[');
    for (const std::string& remark : results.remarks)
        json.string("", remark);
    json.end(']');
    json.begin("gemm", '[');
    for (const GemmCase& result : results.gemm) {
        json.begin("", '{');
        write_shape(json, result.shape, result.threads);
        json.number("tokens", static_cast<double>(result.tokens));
        write_contenders(json, result.contenders);
        json.end('}');
    }
    json.end(']');
    json.begin("quantize", '[');
    for (const QuantizeCase& result : results.quantize) {
        json.begin("", '{');
        json.string("format", result.format);
        write_shape(json, result.shape, result.threads);
        write_contenders(json, result.contenders);
        json.end('}');
    }
    json.end(']');
    json.begin("token", '[');
    for (const TokenCase& result : results.token) {
        json.begin("", '{');
        json.string("model", "SmolLM2-135M");
        json.number("threads", result.threads);
        json.number("multiplications", result.multiplications);
        write_contenders(json, result.contenders);
        json.end('}');
    }
    json.end(']');
    json.begin("checks", '[');
    for (const Check& check : results.checks) {
        json.begin("", '{');
        json.string("name", check.name);
        json.string("kernel", check.kernel);
        json.number("threads", check.threads);
        json.string("unit", check.unit);
        json.number("value", check.value);
        json.number("limit", check.limit);
        json.string("result", check.passes() ? "pass" : "fail");
        json.numbers("samples", check.samples);
        json.end('}');
    }
    json.end(']');
    json.end('}');
    return json.text() + "\n";
}

}  // namespace fp6llm::bench
