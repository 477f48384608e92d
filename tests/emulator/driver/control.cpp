// Control functions: seeds, reports, injected failures. They work before cuInit, too.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/emulator/check/report_json.hpp"
#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr size_t kMostReports = 65536;

struct FailureName {
    const char* name;
    emulatorFailure kind;
};
constexpr FailureName kFailures[] = {
    {"allocation", EMULATOR_FAIL_ALLOCATION},
    {"launch", EMULATOR_FAIL_LAUNCH},
    {"execution", EMULATOR_FAIL_EXECUTION},
    {"device", EMULATOR_FAIL_DEVICE},
    {"copy", EMULATOR_FAIL_COPY},
};

/// One "kind:after:code" of EMU_FAIL; false if it is none.
bool parse_failure(Driver& driver, const std::string& text) {
    char name[16] = "";
    long after = 0;
    int code = 0, used = 0;
    if (std::sscanf(text.c_str(), "%15[a-z]:%ld:%d%n", name, &after, &code, &used) != 3 ||
        static_cast<size_t>(used) != text.size() || after < 0)
        return false;
    for (const FailureName& failure : kFailures) {
        if (std::strcmp(failure.name, name) != 0) continue;
        driver.injections[failure.kind] = {after, static_cast<CUresult>(code),
                                           failure.kind == EMULATOR_FAIL_DEVICE};
        return true;
    }
    return false;
}

}  // namespace

void Driver::read_environment() {
    if (const char* findings = std::getenv("EMU_FINDINGS"))
        findings_fail = std::strcmp(findings, "fail") == 0;
    const char* failures = std::getenv("EMU_FAIL");
    if (failures == nullptr) return;
    const std::string all = failures;
    for (size_t begin = 0; begin < all.size();) {
        const size_t end = std::min(all.find(',', begin), all.size());
        const std::string one = all.substr(begin, end - begin);
        if (!parse_failure(*this, one))
            std::fprintf(stderr, "emulated GPU: EMU_FAIL holds '%s', not kind:after:code\n",
                         one.c_str());
        begin = end + 1;
    }
}

CUresult Driver::injected(emulatorFailure kind) {
    const auto it = injections.find(kind);
    if (it == injections.end()) return CUDA_SUCCESS;
    Injection& injection = it->second;
    if (injection.after > 0) {
        --injection.after;
        return CUDA_SUCCESS;
    }
    const CUresult code = injection.code;
    if (!injection.forever) injections.erase(it);
    return code;
}

void Driver::record(const LaunchReport& report) {
    ++report_count;
    finding_count += report.findings.size();
    const std::string& path = device().options().report_path;
    const bool keep = reports.size() < kMostReports;
    if (!keep && path.empty()) return;
    std::string json = report_json(report);
    if (!path.empty()) {
        if (std::FILE* file = std::fopen(path.c_str(), "a")) {
            std::fprintf(file, "%s\n", json.c_str());
            std::fclose(file);
        } else {
            std::fprintf(stderr, "emulated GPU: cannot write EMU_REPORT=%s\n", path.c_str());
        }
    }
    if (keep) reports.push_back(std::move(json));
}

}  // namespace emulator::cu

namespace {

/// Runs `body` under the driver's lock; control functions have no result to report errors in.
template <typename Fn>
void locked(Fn&& body) noexcept {
    try {
        emulator::cu::Driver& driver = emulator::cu::Driver::instance();
        const std::lock_guard<std::recursive_mutex> lock(driver.mutex);
        body(driver);
    } catch (...) {
        std::fprintf(stderr, "emulated GPU: a control function failed\n");
    }
}

}  // namespace

extern "C" {

void emulatorSetSeed(unsigned long long seed) {
    locked([&](emulator::cu::Driver& driver) {
        driver.device().set_seed(seed);
        driver.seed = seed;
    });
}

void emulatorSetChecks(int on) {
    locked([&](emulator::cu::Driver& driver) { driver.device().set_checks(on != 0); });
}

void emulatorSetFindingsFail(int on) {
    locked([&](emulator::cu::Driver& driver) { driver.findings_fail = on != 0; });
}

int emulatorReportCount(void) {
    int count = 0;
    locked([&](emulator::cu::Driver& driver) { count = static_cast<int>(driver.reports.size()); });
    return count;
}

const char* emulatorGetReport(int index) {
    static thread_local std::string report;
    const char* found = nullptr;
    locked([&](emulator::cu::Driver& driver) {
        if (index < 0 || static_cast<size_t>(index) >= driver.reports.size()) return;
        report = driver.reports[static_cast<size_t>(index)];
        found = report.c_str();
    });
    return found;
}

void emulatorClearReports(void) {
    locked([&](emulator::cu::Driver& driver) {
        driver.reports.clear();
        driver.report_count = 0;
        driver.finding_count = 0;
    });
}

unsigned long long emulatorFindingCount(void) {
    unsigned long long count = 0;
    locked([&](emulator::cu::Driver& driver) { count = driver.finding_count; });
    return count;
}

void emulatorInjectFailure(int kind, int after, int code) {
    locked([&](emulator::cu::Driver& driver) {
        if (after < 0)
            driver.injections.erase(kind);
        else
            driver.injections[kind] = {after, static_cast<emulator::cu::CUresult>(code),
                                       kind == EMULATOR_FAIL_DEVICE};
    });
}

void emulatorClearFailures(void) {
    locked([&](emulator::cu::Driver& driver) { driver.injections.clear(); });
}

}  // extern "C"
