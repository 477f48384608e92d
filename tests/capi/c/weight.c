/* Weight objects: from floats, codes, packed layouts and blobs; export; info. */
#include <stdlib.h>
#include <string.h>

#include "problem.h"

/* E3M2, 6 bits. */
enum { CODE_BYTES = OC * ((IC * 6 + 7) / 8) };

typedef struct plain_t {
    uint8_t codes[CODE_BYTES];
    float scales[OC];
} plain_t;

static void quantize(fp6llmHandle_t handle, const problem_t* problem, plain_t* plain) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    CHECK_OK(fp6llmQuantize(handle, &config, OC, IC, problem->w, FP6LLM_R_32F, IC, plain->codes,
                            plain->scales, NULL));
}

/* Whether a weight gives back these codes and scales, together and one by one. */
static int exports(fp6llmHandle_t handle, fp6llmWeight_t weight, const plain_t* expected) {
    plain_t got;
    int equal;
    memset(&got, 0xA5, sizeof(got));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, got.codes, got.scales));
    equal = memcmp(&got, expected, sizeof(got)) == 0;
    memset(&got, 0xA5, sizeof(got));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, got.codes, NULL));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, NULL, got.scales));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, NULL, NULL));
    return equal && memcmp(&got, expected, sizeof(got)) == 0;
}

static int multiplies(fp6llmHandle_t handle, fp6llmWeight_t weight, const problem_t* problem) {
    static float y[TOKENS][OC];
    memset(y, 0xA5, sizeof(y));
    CHECK_OK(fp6llmLinear(handle, TOKENS, problem->x, FP6LLM_R_32F, IC, weight, NULL, y,
                          FP6LLM_R_32F, OC));
    return memcmp(y, problem->y, sizeof(y)) == 0;
}

static void test_create(fp6llmHandle_t handle, const problem_t* problem) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    fp6llmWeight_t from_floats = make_weight(handle, problem), from_codes = NULL;
    plain_t plain;
    size_t bytes = 0;
    quantize(handle, problem, &plain);
    CHECK(exports(handle, from_floats, &plain));
    CHECK(multiplies(handle, from_floats, problem));

    CHECK_OK(fp6llmWeightCreateFromCodes(handle, &config, OC, IC, plain.codes, plain.scales,
                                         &from_codes));
    CHECK(exports(handle, from_codes, &plain));
    CHECK(multiplies(handle, from_codes, problem));

    CHECK_OK(fp6llmWeightGetInfo(from_floats, &info));
    CHECK(info.structSize == sizeof(info));
    CHECK(info.rows == OC && info.cols == IC);
    CHECK(info.format == FP6LLM_R_6F_E3M2 && info.scaleMode == FP6LLM_SCALE_ROW);
    CHECK(info.groupSize == 0 && info.scaleType == FP6LLM_R_32F);
    CHECK(info.backend == FP6LLM_BACKEND_CPU && info.device == 0 && info.isView == 0);
    CHECK(info.codeBytes == CODE_BYTES && info.scaleBytes == OC * sizeof(float));
    CHECK(info.bytes >= info.codeBytes + info.scaleBytes);
    CHECK_OK(fp6llmWeightGetBlobSize(handle, &config, OC, IC, &bytes));
    CHECK(info.bytes == bytes); /* all that it holds */
    CHECK(strncmp(info.layout, "cpu-", 4) == 0 && strchr(info.layout, '/') != NULL);

    CHECK_OK(fp6llmWeightDestroy(from_floats));
    CHECK_OK(fp6llmWeightDestroy(from_codes));
    CHECK_OK(fp6llmWeightDestroy(NULL));
}

static void test_weight_outlives_its_handle(const problem_t* problem) {
    fp6llmHandle_t maker = make_handle(), user;
    fp6llmWeight_t weight = make_weight(maker, problem);
    CHECK_OK(fp6llmDestroy(maker));
    user = make_handle();
    CHECK(multiplies(user, weight, problem));
    CHECK_OK(fp6llmWeightDestroy(weight));
    CHECK_OK(fp6llmDestroy(user));
}

/* Codes whose last byte has padding bits set come back with the padding zero. */
static void test_padding_bits(fp6llmHandle_t handle) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmWeight_t weight = NULL;
    const uint8_t codes[2] = {0xFF, 0xFF}; /* two codes of 6 bits, 4 bits of padding */
    const float scale = 1.0f;
    uint8_t back[2] = {0, 0};
    CHECK_OK(fp6llmWeightCreateFromCodes(handle, &config, 1, 2, codes, &scale, &weight));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, back, NULL));
    CHECK(back[0] == 0xFF && back[1] == 0x0F);
    CHECK_OK(fp6llmWeightDestroy(weight));
}

static void test_blob(fp6llmHandle_t handle, const problem_t* problem) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    fp6llmWeight_t view = NULL, another = NULL;
    plain_t plain;
    uint8_t *memory, *blob, *copy;
    size_t bytes = 0;
    quantize(handle, problem, &plain);
    CHECK_OK(fp6llmWeightGetBlobSize(handle, &config, OC, IC, &bytes));
    CHECK(bytes >= CODE_BYTES + sizeof(plain.scales));

    memory = malloc(bytes + 2 * FP6LLM_BLOB_ALIGNMENT);
    memset(memory, 0xA5, bytes + 2 * FP6LLM_BLOB_ALIGNMENT);
    blob = memory + FP6LLM_BLOB_ALIGNMENT - (uintptr_t)memory % FP6LLM_BLOB_ALIGNMENT;
    CHECK_OK(fp6llmWeightPackBlob(handle, &config, OC, IC, plain.codes, plain.scales, blob, bytes));
    CHECK(blob[-1] == 0xA5 && blob[bytes] == 0xA5);

    copy = malloc(bytes);
    memcpy(copy, blob, bytes);
    CHECK_OK(fp6llmWeightCreateView(handle, blob, bytes, &view));
    CHECK_OK(fp6llmWeightCreateView(handle, blob, bytes + 1, &another)); /* room to spare */
    CHECK_OK(fp6llmWeightGetInfo(view, &info));
    CHECK(info.isView == 1 && info.rows == OC && info.cols == IC && info.bytes == bytes);
    CHECK(exports(handle, view, &plain));
    CHECK(multiplies(handle, view, problem));
    CHECK_OK(fp6llmWeightDestroy(view));
    CHECK(memcmp(copy, blob, bytes) == 0); /* the blob stays the caller's */
    CHECK(multiplies(handle, another, problem));
    CHECK_OK(fp6llmWeightDestroy(another));

    /* A blob is position independent and holds all there is: another process may map it. */
    memset(blob, 0, bytes);
    memcpy(blob, copy, bytes);
    CHECK_OK(fp6llmWeightCreateView(handle, blob, bytes, &view));
    CHECK(multiplies(handle, view, problem));
    CHECK_OK(fp6llmWeightDestroy(view));

    /* Its header is checked, never trusted. */
    CHECK_STATUS(fp6llmWeightCreateView(handle, blob, bytes - 1, &view),
                 FP6LLM_STATUS_INVALID_VALUE);
    CHECK_STATUS(fp6llmWeightCreateView(handle, blob, 0, &view), FP6LLM_STATUS_INVALID_VALUE);
    CHECK_STATUS(fp6llmWeightCreateView(handle, blob, 8, &view), FP6LLM_STATUS_INVALID_VALUE);
    free(copy);
    free(memory);
}

static void test_packed(fp6llmHandle_t handle, fp6llmPackedLayout_t layout, int32_t format,
                        int64_t rows, int64_t cols, size_t expected_bytes) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmWeight_t weight = NULL, again = NULL;
    size_t packed_bytes = 0, scale_bytes = 0, code_bytes = 0, i;
    uint8_t *codes, *packed, *codes_again, *packed_again;
    float *scales, *scales_again;
    config.format = format;
    CHECK_OK(fp6llmPackedGetSizes(layout, &config, rows, cols, &packed_bytes, &scale_bytes));
    CHECK(packed_bytes == expected_bytes && scale_bytes == (size_t)rows * sizeof(float));
    CHECK_OK(fp6llmPackedGetSizes(layout, &config, rows, cols, NULL, NULL));
    CHECK_OK(fp6llmQuantGetSizes(&config, rows, cols, &code_bytes, NULL));

    codes = malloc(code_bytes);
    codes_again = malloc(code_bytes);
    packed = malloc(packed_bytes);
    packed_again = malloc(packed_bytes);
    scales = malloc(scale_bytes);
    scales_again = malloc(scale_bytes);
    for (i = 0; i < code_bytes; ++i)
        codes[i] = (uint8_t)(i * 37 + (i >> 8));
    for (i = 0; i < (size_t)rows; ++i)
        scales[i] = 1.0f + (float)i;

    CHECK_OK(fp6llmWeightCreateFromCodes(handle, &config, rows, cols, codes, scales, &weight));
    CHECK_OK(fp6llmWeightExportCodes(handle, weight, codes, NULL)); /* padding bits now zero */
    memset(packed, 0xA5, packed_bytes);
    CHECK_OK(fp6llmWeightExportPacked(handle, weight, layout, packed, scales_again));
    CHECK(memcmp(scales_again, scales, scale_bytes) == 0);
    CHECK_OK(
        fp6llmWeightCreateFromPacked(handle, layout, &config, rows, cols, packed, scales, &again));
    CHECK_OK(fp6llmWeightExportCodes(handle, again, codes_again, scales_again));
    CHECK(memcmp(codes_again, codes, code_bytes) == 0);
    CHECK(memcmp(scales_again, scales, scale_bytes) == 0);
    CHECK_OK(fp6llmWeightExportPacked(handle, again, layout, packed_again, NULL));
    CHECK_OK(fp6llmWeightExportPacked(handle, again, layout, NULL, scales_again));
    CHECK(memcmp(packed_again, packed, packed_bytes) == 0);

    CHECK_OK(fp6llmWeightDestroy(weight));
    CHECK_OK(fp6llmWeightDestroy(again));
    free(codes);
    free(codes_again);
    free(packed);
    free(packed_again);
    free(scales);
    free(scales_again);
}

/* What a layout cannot hold is NOT_SUPPORTED, of every function that takes one. */
static void test_packed_not_supported(fp6llmHandle_t handle, const problem_t* problem) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    fp6llmWeight_t weight = make_weight(handle, problem), none = NULL;
    static uint8_t packed[64 * 64];
    static float scales[64];
    CHECK_STATUS(fp6llmPackedGetSizes(FP6LLM_LAYOUT_TC_FPX, &config, OC, IC, NULL, NULL),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    CHECK_STATUS(fp6llmWeightExportPacked(handle, weight, FP6LLM_LAYOUT_TC_FPX, packed, scales),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    CHECK_STATUS(fp6llmWeightCreateFromPacked(handle, FP6LLM_LAYOUT_TC_FPX, &config, 64, 63, packed,
                                              scales, &none),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    config.format = FP6LLM_R_4F_E2M1;
    CHECK_STATUS(fp6llmPackedGetSizes(FP6LLM_LAYOUT_TC_FPX, &config, 64, 64, NULL, NULL),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    config.format = FP6LLM_R_5F_E2M2;
    CHECK_STATUS(fp6llmPackedGetSizes(FP6LLM_LAYOUT_SPLIT_4_2, &config, 64, 64, NULL, NULL),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    CHECK(none == NULL);
    CHECK_OK(fp6llmWeightDestroy(weight));
}

void test_weight(void) {
    static problem_t problem;
    fp6llmHandle_t handle = make_handle();
    make_problem(&problem, 2);
    test_create(handle, &problem);
    test_weight_outlives_its_handle(&problem);
    test_padding_bits(handle);
    test_blob(handle, &problem);
    test_packed(handle, FP6LLM_LAYOUT_TC_FPX, FP6LLM_R_6F_E3M2, 128, 64, 128 * 64 * 6 / 8);
    test_packed(handle, FP6LLM_LAYOUT_TC_FPX, FP6LLM_R_6F_E2M3, 64, 192, 64 * 192 * 6 / 8);
    test_packed(handle, FP6LLM_LAYOUT_TC_FPX, FP6LLM_R_5F_E2M2, 64, 128, 64 * 128 * 5 / 8);
    test_packed(handle, FP6LLM_LAYOUT_TC_FPX, FP6LLM_R_5F_E3M1, 64, 64, 64 * 64 * 5 / 8);
    test_packed(handle, FP6LLM_LAYOUT_SPLIT_4_2, FP6LLM_R_6F_E3M2, 128, 64, 128 * 64 * 6 / 8);
    test_packed(handle, FP6LLM_LAYOUT_SPLIT_4_2, FP6LLM_R_6F_E2M3, 17, 5, 64 + 17 * 2);
    test_packed_not_supported(handle, &problem);
    CHECK_OK(fp6llmDestroy(handle));
}
