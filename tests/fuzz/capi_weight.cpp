// See capi_session.hpp: weights from floats, codes, published layouts and blobs, and back.
#include "core/prepack/blob.hpp"
#include "tests/fuzz/capi_session.hpp"

namespace fp6llm::fuzz {
namespace {

// Small positive scales in whatever type the config has.
void fill_scales(const fp6llmQuantConfig_t& config, const GuardedBuffer& scales, uint8_t seed) {
    if (config.scaleMode == FP6LLM_SCALE_MX) {
        for (size_t i = 0; i < scales.size(); ++i) {
            scales.data()[i] = static_cast<uint8_t>(120 + (seed + i) % 6);
        }
    } else if (config.scaleType == FP6LLM_R_16F) {
        for (size_t i = 0; i < scales.size() / 2; ++i)
            scales.as<uint16_t>()[i] = 0x2C00;  // 1/16
    } else {
        for (size_t i = 0; i < scales.size() / 4; ++i) {
            scales.as<float>()[i] = static_cast<float>((seed + i) % 16) * 0x1p-7f;
        }
    }
}

}  // namespace

void Session::create_from_floats() {
    const Config config = this->config(true);
    bool wrong = config.wrong, sizes_wrong = false;
    const auto [rows, cols] = shape(70, 140, sizes_wrong);
    sizes_wrong = fp6llmQuantGetSizes(config.get(), rows, cols, nullptr, nullptr) != 0;
    const Matrix w = matrix(rows, cols, sizes_wrong);
    const bool tame = !choices_.rarely(16);
    fill(w, tame);
    wrong = wrong || sizes_wrong || w.wrong || w.misaligned;
    const auto handle = this->handle(wrong);
    const void* data = pointer(w.data(), rows != 0 && cols != 0, wrong);
    fp6llmWeight_t weight = nullptr;
    if (succeeded(fp6llmWeightCreate(handle, config.get(), rows, cols, data,
                                     static_cast<fp6llmDataType_t>(w.type), w.ld, &weight),
                  wrong)) {
        keep({weight, rows, cols, tame});
    } else {
        require(weight == nullptr);
    }
}

void Session::create_from_codes() {
    const Config config = this->config(false);
    bool wrong = config.wrong, sizes_wrong = false;
    const auto [rows, cols] = shape(70, 140, sizes_wrong);
    size_t code_bytes = 0, scale_bytes = 0;
    sizes_wrong = fp6llmQuantGetSizes(config.get(), rows, cols, &code_bytes, &scale_bytes) != 0;
    const bool off_by_one = !sizes_wrong && scale_bytes > 1 && choices_.rarely(2);
    const GuardedBuffer codes(code_bytes), scales(scale_bytes, off_by_one);
    for (size_t i = 0; i < code_bytes; ++i)
        codes.data()[i] = static_cast<uint8_t>(i * 101 + 7);
    const bool tame = !choices_.rarely(32) && !off_by_one;
    if (!sizes_wrong && tame) {
        fp6llmQuantConfig_t known{};  // a shorter struct's missing fields are 0
        std::memcpy(&known, config.get(), std::min(sizeof known, config.get()->structSize));
        fill_scales(known, scales, choices_.byte());
    }
    wrong = wrong || sizes_wrong;
    const auto handle = this->handle(wrong);
    const auto* code_data = pointer(codes.data(), code_bytes != 0, wrong);
    fp6llmWeight_t weight = nullptr;
    if (!succeeded(fp6llmWeightCreateFromCodes(handle, config.get(), rows, cols, code_data,
                                               scales.data(), &weight),
                   wrong)) {
        require(weight == nullptr);
        return;
    }
    keep({weight, rows, cols, tame});
    // Scales come back bit for bit, even NaN.
    const GuardedBuffer scales_back(scale_bytes);
    if (succeeded(fp6llmWeightExportCodes(handle_, weight, nullptr, scales_back.data()), false)) {
        require(scales_back.equals(scales.copy()));
    }
}

void Session::export_call() {
    LiveWeight* live = some_weight();
    if (!live) return;
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    require(fp6llmWeightGetInfo(live->weight, &info) == FP6LLM_STATUS_SUCCESS);
    const GuardedBuffer codes(info.codeBytes), scales(info.scaleBytes);
    bool wrong = false;
    const auto handle = this->handle(wrong);
    const auto weight = pointer(live->weight, true, wrong);
    const bool done =
        succeeded(fp6llmWeightExportCodes(handle, weight, codes.data(), scales.data()), wrong);
    if (!done || live->rows == 0) return;
    // A weight made of them is the same weight.
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.format = info.format;
    config.scaleMode = info.scaleMode;
    config.groupSize = info.groupSize;
    config.scaleType = info.scaleType;
    fp6llmWeight_t again = nullptr;
    if (!succeeded(fp6llmWeightCreateFromCodes(handle_, &config, info.rows, info.cols, codes.data(),
                                               scales.data(), &again),
                   false)) {
        return;
    }
    const GuardedBuffer codes_again(info.codeBytes);
    if (succeeded(fp6llmWeightExportCodes(handle_, again, codes_again.data(), nullptr), false)) {
        require(codes_again.equals(codes.copy()));
    }
    keep({again, info.rows, info.cols, live->tame});
}

void Session::round_trip_packed() {
    LiveWeight* live = some_weight();
    if (!live) return;
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    require(fp6llmWeightGetInfo(live->weight, &info) == FP6LLM_STATUS_SUCCESS);
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.format = info.format;
    config.scaleMode = info.scaleMode;
    config.groupSize = info.groupSize;
    config.scaleType = info.scaleType;
    const auto layout = static_cast<fp6llmPackedLayout_t>(choices_.one_of({2, 1, 0, 3}));
    size_t packed_bytes = 0, scale_bytes = 0;
    if (!succeeded(fp6llmPackedGetSizes(layout, &config, info.rows, info.cols, &packed_bytes,
                                        &scale_bytes),
                   false)) {
        succeeded(fp6llmWeightExportPacked(handle_, live->weight, layout, nullptr, nullptr), true);
        return;
    }
    const GuardedBuffer packed(packed_bytes), scales(scale_bytes);
    if (!succeeded(
            fp6llmWeightExportPacked(handle_, live->weight, layout, packed.data(), scales.data()),
            false)) {
        return;
    }
    fp6llmWeight_t weight = nullptr;
    if (succeeded(fp6llmWeightCreateFromPacked(handle_, layout, &config, info.rows, info.cols,
                                               packed.data(), scales.data(), &weight),
                  false)) {
        keep({weight, info.rows, info.cols, live->tame});
    }
}

void Session::blob_calls() {
    const Config config = this->config(false);
    bool wrong = config.wrong, sizes_wrong = false;
    const auto [rows, cols] = shape(70, 140, sizes_wrong);
    size_t bytes = 0, code_bytes = 0, scale_bytes = 0;
    if (!succeeded(fp6llmWeightGetBlobSize(handle_, config.get(), rows, cols, &bytes),
                   wrong || sizes_wrong)) {
        require(bytes == 0);
        return;
    }
    require(!fp6llmQuantGetSizes(config.get(), rows, cols, &code_bytes, &scale_bytes));
    const GuardedBuffer codes(code_bytes), scales(scale_bytes);
    for (size_t i = 0; i < scale_bytes; ++i)
        scales.data()[i] = choices_.byte();
    const bool off_by_one = choices_.rarely(2), too_short = choices_.rarely(2);
    GuardedBuffer blob(bytes - too_short, off_by_one);
    if (!succeeded(fp6llmWeightPackBlob(handle_, config.get(), rows, cols, codes.data(),
                                        scales.data(), blob.data(), blob.size()),
                   off_by_one || too_short)) {
        return;
    }
    // A damaged header, now and then with a checksum that fits it, and damaged contents.
    BlobHeader header;
    std::memcpy(&header, blob.data(), sizeof header);
    const bool damaged = choices_.rarely(128);
    for (int64_t n = damaged ? 1 + choices_.below(4) : 0; n > 0; --n) {
        reinterpret_cast<uint8_t*>(&header)[choices_.below(sizeof header)] = choices_.byte();
    }
    if (choices_.rarely(128)) header.checksum = blob_checksum(header);
    std::memcpy(blob.data(), &header, sizeof header);
    for (int64_t n = choices_.rarely(64) ? choices_.below(16) : 0; n > 0; --n) {
        const size_t at = sizeof header + static_cast<size_t>(choices_.byte()) * 67;
        if (at < bytes) blob.data()[at] = choices_.byte();
    }
    const size_t told = choices_.rarely() ? static_cast<size_t>(choices_.byte()) : bytes;

    fp6llmWeight_t weight = nullptr;
    const auto handle = this->handle(wrong);
    if (succeeded(fp6llmWeightCreateView(handle, blob.data(), told, &weight),
                  wrong || told < sizeof header)) {
        // A header that was accepted says what the weight is, which may not be what was packed.
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        require(fp6llmWeightGetInfo(weight, &info) == FP6LLM_STATUS_SUCCESS);
        require(info.isView == 1 && info.bytes <= bytes);
        keep({weight, info.rows, info.cols, false, std::move(blob)});
    } else {
        require(weight == nullptr);
    }
}

}  // namespace fp6llm::fuzz
