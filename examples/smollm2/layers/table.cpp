// See table.hpp.
#include "examples/smollm2/layers/table.hpp"

#include <cmath>
#include <cstdio>

namespace fp6llm::examples {
namespace {

double decibels(const ErrorSum& sum) {
    return 10 * std::log10(sum.signal / sum.error);
}
double bits_per_weight(const LayerResult& result) {
    return 8.0 * static_cast<double>(result.plain_bytes) / static_cast<double>(result.elements);
}
double megabytes(size_t bytes) {
    return static_cast<double>(bytes) / 1e6;
}
size_t fp16_bytes(const LayerResult& result) {
    return static_cast<size_t>(result.elements) * 2;
}

// A time and a ratio, or "-" where there is nothing to compare with.
std::string number(double value, int digits, const char* unit = "") {
    if (std::isnan(value)) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.*f%s", digits, value, unit);
    return text;
}

std::string formats(const TableLine& line) {
    const int64_t e3m2 = line.result.e3m2_layers, e2m3 = line.layers - e3m2;
    if (e3m2 == 0) return "E2M3";
    if (e2m3 == 0) return "E3M2";
    return "E2M3:" + std::to_string(e2m3) + " E3M2:" + std::to_string(e3m2);
}

void print_times(const LineTimes& times, int digits) {
    std::printf(" |%7s%8s%7s", number(times.ours, digits).c_str(),
                number(times.blas, digits).c_str(),
                number(times.blas / times.ours, 2, "x").c_str());
}

}  // namespace

void print_table_header() {
    std::printf(
        "                             AUTO     bits/ |       SNR of the weights, dB      |   "
        "megabytes   "
        "|     one token, ms     |     64 tokens, ms     | error of product\n"
        "layer         n  OC x IC     format  weight |   E3M2   E2M3   E2M3   E2M3   AUTO |  fp16  "
        "packed "
        "|    fp6   sgemv  ratio |    fp6   sgemm  ratio |  kernel  quantized\n"
        "                                            |    row    row   g128     MX    row |        "
        "       "
        "|                       |                       |     max        rms\n");
}

void print_table_line(const TableLine& line) {
    std::printf("%-11s%4lld  %-11s %-8s%6.2f |", line.name.c_str(),
                static_cast<long long>(line.layers), line.shape.c_str(), formats(line).c_str(),
                bits_per_weight(line.result));
    for (const ErrorSum& sum : line.result.quantization)
        std::printf("%7.1f", decibels(sum));
    std::printf(" |%6.1f%8.1f", megabytes(fp16_bytes(line.result)),
                megabytes(line.result.packed_bytes));
    print_times(line.one_token, 2);
    print_times(line.many_tokens, 1);
    std::printf(" | %.1e  %9.2e\n", line.result.kernel_error,
                std::sqrt(line.result.product.error / line.result.product.signal));
    std::fflush(stdout);
}

void print_totals(const TableLine& model) {
    const LayerResult& result = model.result;
    const auto times = [](const LineTimes& line, double tokens, const char* peer) {
        std::string text =
            number(line.ours, 1) + " ms (" + number(1000 * tokens / line.ours, 0) + " tokens/s)";
        if (!std::isnan(line.blas)) {
            text += std::string(", OpenBLAS ") + peer + " " + number(line.blas, 1) + " ms (" +
                    number(1000 * tokens / line.blas, 0) + "), " +
                    number(line.blas / line.ours, 2, "x");
        }
        return text;
    };
    std::printf("%s: %.1f MB of fp16 -> %.1f MB, %.2fx smaller; one token %s; 64 tokens %s\n",
                model.name.c_str(), megabytes(fp16_bytes(result)), megabytes(result.packed_bytes),
                static_cast<double>(fp16_bytes(result)) / static_cast<double>(result.packed_bytes),
                times(model.one_token, 1, "sgemv").c_str(),
                times(model.many_tokens, kTokens, "sgemm").c_str());
}

}  // namespace fp6llm::examples
