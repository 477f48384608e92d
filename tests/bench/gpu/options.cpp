// See options.hpp.
#include "tests/bench/gpu/options.hpp"

#include <cstdlib>
#include <stdexcept>

namespace fp6llm::bench {
namespace {

std::vector<fp6llmDataType_t> parse_types(const std::string& list) {
    if (list == "f16") return {FP6LLM_R_16F};
    if (list == "bf16") return {FP6LLM_R_16BF};
    if (list == "f16,bf16") return {FP6LLM_R_16F, FP6LLM_R_16BF};
    throw std::runtime_error("--types " + list + ": f16, bf16 or f16,bf16");
}

double parse_number(const std::string& name, const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= 0) || value > 1e6)
        throw std::runtime_error(name + " " + text + ": not a number");
    return value;
}

}  // namespace

const char* gpu_usage() noexcept {
    return "usage: fp6llm_gpu_bench [OPTION...]\n"
           "  --dry            tiny shapes, results checked, nothing timed; all that an emulated "
           "GPU\n"
           "                   may be asked\n"
           "  --counters N     bytes, bank conflicts and instructions, on the emulated GPU only; "
           "of each\n"
           "                   shape 1/N of the rows on 1/N of the multiprocessors, times N\n"
           "  --shapes LIST    as fp6llm_bench has them (default all)\n"
           "  --m LIST         tokens, or all (default all)\n"
           "  --formats LIST   e3m2, e2m3, e2m2, e3m1, e2m1 with -row, -gN or -mx (default "
           "e3m2-row)\n"
           "  --types LIST     of activations and outputs: f16, bf16, f16,bf16 (default f16,bf16)\n"
           "  --all-algos      every kernel that can run a case, not only the one that is chosen\n"
           "  --no-quantize    do not time quantizing and prepacking\n"
           "  --rounds N       turns that each contender gets (default 9)\n"
           "  --seconds N      for all; the most telling cases come first (default: no limit)\n"
           "  --device N       (default 0)\n"
           "  --json FILE      results with the machine's identity and raw samples\n";
}

GpuOptions parse_gpu_options(int argc, char** argv) {
    std::string shapes, tokens, formats, types;
    GpuOptions options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--help" || name == "-h") {
            options.help = true;
            return options;
        }
        if (name == "--dry" || name == "--all-algos" || name == "--no-quantize") {
            (name == "--dry"         ? options.dry
             : name == "--all-algos" ? options.all_algos
                                     : options.quantize) = name != "--no-quantize";
            continue;
        }
        if (i + 1 == argc) throw std::runtime_error(name + " needs a value, or is no option");
        const std::string value = argv[++i];
        if (name == "--shapes")
            shapes = value;
        else if (name == "--m")
            tokens = value;
        else if (name == "--formats")
            formats = value;
        else if (name == "--types")
            types = value;
        else if (name == "--rounds")
            options.rounds = static_cast<int>(parse_number(name, value));
        else if (name == "--seconds")
            options.seconds = parse_number(name, value);
        else if (name == "--device")
            options.device = static_cast<int>(parse_number(name, value));
        else if (name == "--counters")
            options.counters = true, options.slices = static_cast<int>(parse_number(name, value));
        else if (name == "--json")
            options.json = value;
        else
            throw std::runtime_error("unknown option: " + name + " " + value);
    }
    if (options.rounds < 1) throw std::runtime_error("--rounds must be at least 1");
    if (options.slices < 1) throw std::runtime_error("--counters must be at least 1");
    if (options.counters) {
        if (shapes.empty()) shapes = "llama3-8b,llama-70b";
        if (tokens.empty()) tokens = "1,8,16,32,64,128,512";
        if (types.empty()) types = "f16";
    }
    const auto or_default = [&](const std::string& text, const char* real, const char* dry) {
        return !text.empty() ? text : std::string(options.dry ? dry : real);
    };
    options.shapes = parse_shapes(or_default(shapes, "all", "128x256,200x392,72x136"));
    options.tokens = parse_tokens(or_default(tokens, "all", "1,7,16,33,70"));
    options.formats =
        parse_formats(or_default(formats, "e3m2-row", "e3m2-row,e2m3-row,e2m2-g64,e2m3-mx"));
    options.types = parse_types(or_default(types, "f16,bf16", "f16,bf16"));
    return options;
}

}  // namespace fp6llm::bench
