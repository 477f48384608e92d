// See options.hpp.
#include "tests/bench/options.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace fp6llm::bench {
namespace {

struct ShapeSet {
    const char* name;
    std::vector<Shape> shapes;
};

// Fused QKV, attention output, gate+up, down; the rest as named.
const std::vector<ShapeSet>& shape_sets() {
    static const std::vector<ShapeSet> sets{
        {"llama3-8b", {{6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}}},
        {"llama2-7b", {{12288, 4096}, {4096, 4096}, {22016, 4096}, {4096, 11008}}},
        {"llama-70b", {{10240, 8192}, {8192, 8192}, {57344, 8192}, {8192, 28672}}},
        {"llama-65b", {{24576, 8192}, {8192, 8192}, {22016, 8192}, {8192, 22016}}},
        {"opt-30b", {{21504, 7168}, {7168, 7168}, {28672, 7168}, {7168, 28672}}},
        {"qwen2.5-32b", {{7168, 5120}, {55296, 5120}, {5120, 27648}}},
        {"smollm2", {{576, 576}, {1536, 576}, {576, 1536}}},
        {"awkward", {{5120, 13824}, {151936, 896}}},
        {"quick", {{4096, 4096}, {576, 1536}}},
    };
    return sets;
}

constexpr const char* kAllTokens =
    "1,2,3,4,6,8,12,16,24,32,48,64,96,128,192,256,384,512,1024,2048,4096,8192";

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> parts;
    std::istringstream in(list);
    for (std::string part; std::getline(in, part, ',');) {
        if (!part.empty()) parts.push_back(part);
    }
    if (parts.empty()) throw std::runtime_error("an empty list");
    return parts;
}

int64_t positive(const std::string& text) {
    char* end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    if (*end != '\0' || value < 1 || value > (1 << 28)) {
        throw std::runtime_error("'" + text + "' is not a positive number");
    }
    return value;
}

/// The shapes of a set, or of all but the quick one, which repeats.
std::vector<Shape> named_shapes(const std::string& name) {
    std::vector<Shape> shapes;
    for (const ShapeSet& set : shape_sets()) {
        const bool wanted = name == "all" ? set.name != std::string("quick") : name == set.name;
        if (wanted) shapes.insert(shapes.end(), set.shapes.begin(), set.shapes.end());
    }
    return shapes;
}

/// What one of `parts` devices holds when outputs are split, and when inputs are.
std::vector<Shape> slices(const std::vector<Shape>& shapes, int64_t parts) {
    std::vector<Shape> sliced;
    for (const Shape& shape : shapes) {
        if (shape.rows % parts != 0 || shape.cols % parts != 0) {
            throw std::runtime_error(std::to_string(shape.rows) + "x" + std::to_string(shape.cols) +
                                     " cannot be cut into " + std::to_string(parts));
        }
        sliced.push_back({shape.rows / parts, shape.cols});
        sliced.push_back({shape.rows, shape.cols / parts});
    }
    return sliced;
}

std::vector<Shape> parse_shape(const std::string& text) {
    const size_t slash = text.find('/');
    const std::string name = text.substr(0, slash);
    std::vector<Shape> shapes = named_shapes(name);
    if (shapes.empty()) {
        const size_t x = name.find('x');
        if (x == std::string::npos) throw std::runtime_error("no shapes named '" + name + "'");
        shapes.push_back({positive(name.substr(0, x)), positive(name.substr(x + 1))});
    }
    return slash == std::string::npos ? shapes : slices(shapes, positive(text.substr(slash + 1)));
}

}  // namespace

/// Each shape once: models share some.
std::vector<Shape> parse_shapes(const std::string& list) {
    std::vector<Shape> shapes;
    for (const std::string& part : split(list)) {
        for (const Shape& shape : parse_shape(part)) {
            const auto same = [&](const Shape& other) {
                return other.rows == shape.rows && other.cols == shape.cols;
            };
            if (std::none_of(shapes.begin(), shapes.end(), same)) shapes.push_back(shape);
        }
    }
    return shapes;
}

namespace {

Format parse_format(const std::string& name) {
    Format format{name, FP6LLM_QUANT_CONFIG_INIT};
    const size_t dash = name.find('-');
    const std::string type = name.substr(0, dash);
    const std::string scale = dash == std::string::npos ? "" : name.substr(dash + 1);
    bool known = false;
    const struct {
        const char* name;
        fp6llmDataType_t type;
    } types[] = {{"e3m2", FP6LLM_R_6F_E3M2}, {"e2m3", FP6LLM_R_6F_E2M3},
                 {"e2m2", FP6LLM_R_5F_E2M2}, {"e3m1", FP6LLM_R_5F_E3M1},
                 {"e2m1", FP6LLM_R_4F_E2M1}, {"auto", FP6LLM_R_6F_AUTO}};
    for (const auto& row : types) {
        if (type != row.name) continue;
        format.config.format = row.type;
        known = true;
    }
    if (scale == "mx") {
        format.config.scaleMode = FP6LLM_SCALE_MX;
    } else if (scale.size() > 1 && scale[0] == 'g') {
        format.config.scaleMode = FP6LLM_SCALE_GROUP;
        format.config.groupSize = static_cast<int32_t>(positive(scale.substr(1)));
    } else if (scale != "row") {
        known = false;
    }
    if (!known) throw std::runtime_error("no format named '" + name + "'");
    return format;
}

Compute parse_compute(const std::string& name) {
    // Activations rounded to 24, 11 and 8 bits of mantissa, int8 of a group's largest, 4 bits, and int16:
    // a sum of such errors, over the rms of the product.
    const Compute known[] = {{"32f", FP6LLM_COMPUTE_32F, 0},
                             {"16f", FP6LLM_COMPUTE_32F_FAST_16F, 4e-3},
                             {"16bf", FP6LLM_COMPUTE_32F_FAST_16BF, 3e-2},
                             {"8i", FP6LLM_COMPUTE_32F_FAST_8I, 1e-1},
                             {"8f", FP6LLM_COMPUTE_32F_FAST_8F, 5e-1},
                             {"16i", FP6LLM_COMPUTE_32F_FAST_16I, 1e-3}};
    for (const Compute& compute : known) {
        if (compute.name == name) return compute;
    }
    throw std::runtime_error("no compute type named '" + name + "'");
}

template <typename T>
std::vector<T> parse_list(const std::string& list, T (*parse)(const std::string&)) {
    std::vector<T> values;
    for (const std::string& part : split(list))
        values.push_back(parse(part));
    return values;
}

int parse_threads(const std::string& text) {
    return text == "all" ? 0 : static_cast<int>(positive(text));
}

}  // namespace

std::vector<int64_t> parse_tokens(const std::string& list) {
    return parse_list(list == "all" ? kAllTokens : list, positive);
}

std::vector<Format> parse_formats(const std::string& list) {
    return parse_list(list, parse_format);
}

namespace {

void choose_parts(const std::string& list, Options& options) {
    options.gemm = options.quantize = false;
    for (const std::string& part : split(list)) {
        if (part == "gemm")
            options.gemm = true;
        else if (part == "quantize")
            options.quantize = true;
        else if (part == "token")
            options.token = true;
        else if (part == "checks")
            options.checks = true;
        else
            throw std::runtime_error("nothing named '" + part + "' to measure");
    }
}

}  // namespace

const char* usage() noexcept {
    return "usage: fp6llm_bench [OPTION...]\n"
           "  --quick            two shapes, two formats, M = 1, 16, 64, fewer rounds\n"
           "  --json FILE        results with the machine's identity and raw samples\n"
           "  --shapes LIST      of llama3-8b, llama2-7b, llama-70b, llama-65b, opt-30b, "
           "qwen2.5-32b,\n"
           "                     smollm2, awkward, all, quick, OCxIC (default llama3-8b,smollm2); "
           "with /N\n"
           "                     the slices that one of N devices holds, split by OC and by IC\n"
           "  --m LIST           tokens, or all: 1 2 3 4 6 8 12 ... 8192 (default 1,4,16,64,512)\n"
           "  --formats LIST     e3m2, e2m3, e2m2, e3m1, e2m1, auto (the better of the first two) "
           "with\n"
           "                     -row, -gN or -mx (default e3m2-row,e2m3-row,e2m3-g128,e2m3-mx; "
           "quantize:\n"
           "                     also auto-row,auto-g128,auto-mx)\n"
           "  --quantize LIST    formats that are only quantized, too\n"
           "  --compute LIST     32f, 16f, 16bf, 8i, 8f, 16i; what is not supported is left out\n"
           "                     (default 32f,16bf,16i,8i)\n"
           "  --threads LIST     numbers or all (default 1,all)\n"
           "  --rounds N         turns each contender gets (default 9)\n"
           "  --seconds N        most that a case may take, but three rounds (default 20)\n"
           "  --only LIST        of gemm, quantize (the default two), token: all multiplications "
           "of a\n"
           "                     token of SmolLM2-135M; checks: time per call, odd sizes, small "
           "matrices\n"
           "  --peers LIST       folders with libggml-cpu.so, libdnnl.so.3, libmkl_rt.so.3 "
           "(script/bench\n"
           "                     peers gets them) or ik_llama.cpp's libggml.so, to measure beside; "
           "more\n"
           "                     than once: all of them\n"
           "  --openblas best|environment   whether to look for its best kernels (default) or to "
           "take\n"
           "                     those that OPENBLAS_CORETYPE names\n";
}

Options parse_options(int argc, char** argv) {
    std::string shapes = "llama3-8b,smollm2", tokens = "1,4,16,64,512";
    std::string formats = "e3m2-row,e2m3-row,e2m3-g128,e2m3-mx", computes = "32f,16bf,16i,8i";
    std::string more_to_quantize = "auto-row,auto-g128,auto-mx", asked_to_quantize;
    std::string threads = "1,all";
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--help" || name == "-h") {
            options.help = true;
            return options;
        }
        if (name == "--quick") {
            shapes = "quick";
            tokens = "1,16,64";
            formats = "e3m2-row,e2m3-mx";
            more_to_quantize = "auto-row";
            options.rounds = 5;
            options.quick = true;
            continue;
        }
        if (i + 1 == argc) throw std::runtime_error(name + " needs a value, or is no option");
        const std::string value = argv[++i];
        if (name == "--json")
            options.json = value;
        else if (name == "--shapes")
            shapes = value;
        else if (name == "--m")
            tokens = value;
        else if (name == "--formats")
            formats = value, more_to_quantize = "";
        else if (name == "--quantize")
            asked_to_quantize = value;
        else if (name == "--compute")
            computes = value;
        else if (name == "--threads")
            threads = value;
        else if (name == "--rounds")
            options.rounds = static_cast<int>(positive(value));
        else if (name == "--seconds")
            options.seconds_per_case = static_cast<double>(positive(value));
        else if (name == "--only")
            choose_parts(value, options);
        else if (name == "--peers")
            for (std::string& folder : split(value))
                options.peers.push_back(std::move(folder));
        else if (name == "--openblas" && value == "best")
            options.blas_core = examples::BlasCore::kBest;
        else if (name == "--openblas" && value == "environment")
            options.blas_core = examples::BlasCore::kEnvironment;
        else
            throw std::runtime_error("unknown option: " + name + " " + value);
    }
    options.shapes = parse_shapes(shapes);
    options.tokens = parse_tokens(tokens);
    options.formats = parse_formats(formats);
    if (!asked_to_quantize.empty()) more_to_quantize = asked_to_quantize;
    options.quantize_formats = options.formats;
    if (!more_to_quantize.empty()) {
        for (Format& format : parse_formats(more_to_quantize))
            options.quantize_formats.push_back(std::move(format));
    }
    options.computes = parse_list(computes, parse_compute);
    options.threads = parse_list(threads, parse_threads);
    return options;
}

}  // namespace fp6llm::bench
