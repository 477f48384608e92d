// Builds without CUDA: there is no device, and the answer says so.
#include "core/backend/backend.hpp"
#include "core/common/error.hpp"

namespace fp6llm {
namespace {

constexpr const char* kWhy = "this build of libfp6llm has no CUDA backend";

}  // namespace

bool cuda_is_built() noexcept {
    return false;
}

int cuda_device_count(std::string* why) {
    if (why != nullptr) *why = kWhy;
    return 0;
}

DeviceDescription cuda_device_description(int) {
    fail(Status::kNotSupported, "%s; CPU is supported", kWhy);
}

std::unique_ptr<DeviceBackend> make_cuda_backend(int) {
    fail(Status::kNotSupported, "backend CUDA: %s; CPU is supported", kWhy);
}

void check_host_pointer(const void*, const char*, const char*) {}

}  // namespace fp6llm
