// fp6llm_gpu_bench: measures libfp6llm on a GPU beside cuBLAS, in one run; docs/gpu.md says how to read
// it. An emulated GPU is only ever asked for results, never for a time.
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

#include "tests/bench/gpu/counters.hpp"
#include "tests/bench/gpu/report.hpp"

namespace fp6llm::bench {
namespace {

void write(const std::string& file, const std::string& text) {
    if (file.empty()) return;
    std::ofstream out(file);
    out << text;
    out.close();
    if (!out) throw std::runtime_error("cannot write " + file);
}

int report_findings(Gpu& gpu) {
    if (gpu.findings() == 0) return 0;
    std::printf("the emulator's detectors found %llu faults; the last launch: %s\n",
                static_cast<unsigned long long>(gpu.findings()), gpu.last_report().c_str());
    return 1;
}

int count(Gpu& gpu, const GpuOptions& options) {
    const Machine machine = describe_machine();
    std::printf("counted on %s, no times; commit %s\n", gpu.name().c_str(), machine.commit.c_str());
    if (options.slices > 1)
        std::printf("%d times what 1/%d of the rows make of 1/%d of the multiprocessors\n",
                    options.slices, options.slices, options.slices);
    print_counted_header();
    count_cases(gpu, options, [&](const std::vector<CountedCase>& cases) {
        print_counted(cases.back());
        write(options.json, counters_json(machine, gpu, options, cases));
    });
    return report_findings(gpu);
}

int run(const GpuOptions& options) {
    Gpu gpu(options.device);
    if (options.counters) return count(gpu, options);
    if (gpu.is_emulated() && !options.dry) {
        std::fprintf(stderr,
                     "fp6llm_gpu_bench: %s is an emulated GPU: its times say nothing of any "
                     "other; --dry checks results only\n",
                     gpu.name().c_str());
        return 3;
    }
    GpuIdentity identity{device_info(FP6LLM_BACKEND_CUDA, options.device), gpu.is_emulated(),
                         "not used", "unknown", "unknown"};
    std::unique_ptr<CublasLt> cublas;
    if (!gpu.is_emulated()) {
        cublas = CublasLt::load(&identity.cublas);
        if (cublas != nullptr) identity.cublas = cublas->name();
        identity.before = describe_clocks(options.device);
    }
    const Machine machine = describe_machine();
    std::printf("%s, %s, %d multiprocessors, driver %d; %s; commit %s\n", identity.device.name,
                identity.device.isa, identity.device.multiprocessorCount,
                identity.device.driverVersion, identity.cublas.c_str(), machine.commit.c_str());
    if (!gpu.is_emulated()) std::printf("clocks: %s\n", identity.before.c_str());

    const GpuSweep sweep = run_sweep(gpu, options, cublas.get(), print_case);
    if (!gpu.is_emulated()) {
        identity.after = describe_clocks(options.device);
        std::printf("clocks: %s\n", identity.after.c_str());
    }
    print_summary(sweep);
    write(options.json, to_json(machine, identity, sweep));
    return report_findings(gpu);
}

}  // namespace
}  // namespace fp6llm::bench

int main(int argc, char** argv) {
    using namespace fp6llm::bench;
    try {
        const GpuOptions options = parse_gpu_options(argc, argv);
        if (options.help) {
            std::fputs(gpu_usage(), stdout);
            return 0;
        }
        return run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "fp6llm_gpu_bench: %s\n", error.what());
        return 1;
    }
}
