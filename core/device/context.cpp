#include "core/device/context.hpp"

namespace fp6llm::cuda {
namespace {

/// Whether the thread's current context, if any, is of a device; `id` receives its id.
bool current_is_of(const Driver& cu, CUdevice wanted, unsigned long long* id) {
    CUcontext current = nullptr;
    check(cu.CtxGetCurrent(&current), "cuCtxGetCurrent");
    if (current == nullptr) return false;
    check(cu.CtxGetId(current, id), "cuCtxGetId of the current context");
    CUdevice device;
    check(cu.CtxGetDevice(&device), "cuCtxGetDevice");
    return device == wanted;
}

}  // namespace

PrimaryContext::PrimaryContext(int ordinal) {
    const Driver& cu = driver();
    check(cu.DeviceGet(&device_, ordinal), "cuDeviceGet");
    check(cu.DevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
    const CUresult result = cu.CtxGetId(context_, &id_);
    if (result != CUDA_SUCCESS) {
        cu.DevicePrimaryCtxRelease(device_);
        check(result, "cuCtxGetId of the primary context");
    }
}

PrimaryContext::~PrimaryContext() {
    const Driver* cu = loaded_driver();
    if (cu == nullptr) return;
    // After a reset our reference is gone with the old context; releasing it again would take
    // somebody else's reference to the new one. Errors mean that the driver is shutting down.
    unsigned flags = 0;
    int is_active = 0;
    if (cu->DevicePrimaryCtxGetState(device_, &flags, &is_active) != CUDA_SUCCESS) return;
    CUcontext now = nullptr;
    if (is_active == 0 || cu->DevicePrimaryCtxRetain(&now, device_) != CUDA_SUCCESS) return;
    unsigned long long id = 0;
    const bool is_ours = cu->CtxGetId(now, &id) == CUDA_SUCCESS && id == id_;
    cu->DevicePrimaryCtxRelease(device_);
    if (is_ours) cu->DevicePrimaryCtxRelease(device_);
}

CUdevice DeviceContext::device() {
    if (!is_device_known_) {
        check(driver().DeviceGet(&device_, ordinal_), "cuDeviceGet");
        is_device_known_ = true;
    }
    return device_;
}

const std::shared_ptr<PrimaryContext>& DeviceContext::primary() {
    if (primary_ == nullptr) primary_ = std::make_shared<PrimaryContext>(ordinal_);
    return primary_;
}

std::shared_ptr<PrimaryContext> DeviceContext::primary_if_active() {
    if (primary_ != nullptr) return primary_;
    unsigned flags = 0;
    int is_active = 0;
    check(driver().DevicePrimaryCtxGetState(device(), &flags, &is_active),
          "cuDevicePrimaryCtxGetState");
    return is_active != 0 ? primary() : nullptr;
}

ScopedContext::ScopedContext(DeviceContext& device) {
    const Driver& cu = driver();
    if (current_is_of(cu, device.device(), &id_)) {
        primary_ = device.primary_if_active();
        if (primary_ != nullptr && primary_->id() != id_) primary_.reset();
        return;
    }
    const std::shared_ptr<PrimaryContext>& primary = device.primary();
    // The id is asked anew: after cudaDeviceReset() the pointer may be another context's.
    unsigned long long id = 0;
    CUresult result = cu.CtxGetId(primary->get(), &id);
    if (result == CUDA_SUCCESS && id != primary->id()) result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (result == CUDA_SUCCESS) result = cu.CtxPushCurrent(primary->get());
    if (result != CUDA_SUCCESS) {
        device.forget();
        check(result, "the device's primary context");
    }
    primary_ = primary;
    id_ = id;
    is_pushed_ = true;
}

ScopedContext::~ScopedContext() {
    if (!is_pushed_) return;
    const Driver* cu = loaded_driver();
    CUcontext popped = nullptr;
    if (cu != nullptr) cu->CtxPopCurrent(&popped);
}

RelaxedCapture::RelaxedCapture() noexcept {
    const Driver* cu = loaded_driver();
    if (cu == nullptr || cu->ThreadExchangeStreamCaptureMode == nullptr ||
        cu->ThreadExchangeStreamCaptureMode(&mode_) != CUDA_SUCCESS) {
        mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
    }
}

RelaxedCapture::~RelaxedCapture() {
    const Driver* cu = loaded_driver();
    if (cu != nullptr && cu->ThreadExchangeStreamCaptureMode != nullptr) {
        cu->ThreadExchangeStreamCaptureMode(&mode_);
    }
}

}  // namespace fp6llm::cuda
