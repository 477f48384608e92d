/* Handles: making and freeing them, their settings, their error texts. */
#include <string.h>

#include "problem.h"

static void test_create(void) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    fp6llmBackend_t backend = FP6LLM_BACKEND_AUTO;
    fp6llmHandle_t handle = NULL;
    int gpus = 0, threads = 0;
    CHECK_OK(fp6llmGetDeviceCount(FP6LLM_BACKEND_CUDA, &gpus));

    CHECK_OK(fp6llmCreate(&handle));
    CHECK(handle != NULL);
    CHECK_OK(fp6llmGetBackend(handle, &backend));
    CHECK(backend == (gpus > 0 ? FP6LLM_BACKEND_CUDA : FP6LLM_BACKEND_CPU));
    CHECK_OK(fp6llmDestroy(handle));

    config.backend = FP6LLM_BACKEND_CPU;
    config.numThreads = 3;
    CHECK_OK(fp6llmCreateWithConfig(&handle, &config));
    CHECK_OK(fp6llmGetBackend(handle, &backend));
    CHECK(backend == FP6LLM_BACKEND_CPU);
    CHECK_OK(fp6llmGetNumThreads(handle, &threads));
    CHECK(threads == 3);
    CHECK_OK(fp6llmDestroy(handle));

    CHECK_OK(fp6llmDestroy(NULL));
}

static void test_settings(void) {
    fp6llmHandle_t handle = make_handle();
    fp6llmPointerMode_t mode = FP6LLM_POINTER_MODE_DEVICE;
    fp6llmStream_t stream = (fp6llmStream_t)&mode, given;
    int threads = 0, other = 0;

    CHECK_OK(fp6llmGetStream(handle, &stream));
    CHECK(stream == NULL);
    given = (fp6llmStream_t)&threads; /* the CPU only stores it */
    CHECK_OK(fp6llmSetStream(handle, given));
    CHECK_OK(fp6llmGetStream(handle, &stream));
    CHECK(stream == given);
    CHECK_OK(fp6llmSetStream(handle, NULL));

    CHECK_OK(fp6llmGetPointerMode(handle, &mode));
    CHECK(mode == FP6LLM_POINTER_MODE_HOST);
    CHECK_OK(fp6llmSetPointerMode(handle, FP6LLM_POINTER_MODE_HOST));
    CHECK_STATUS(fp6llmSetPointerMode(handle, FP6LLM_POINTER_MODE_DEVICE),
                 FP6LLM_STATUS_NOT_SUPPORTED);
    CHECK_OK(fp6llmGetPointerMode(handle, &mode));
    CHECK(mode == FP6LLM_POINTER_MODE_HOST);

    CHECK_OK(fp6llmGetNumThreads(handle, &threads));
    CHECK(threads >= 1 && threads <= 256);
    CHECK_OK(fp6llmSetNumThreads(handle, 256));
    CHECK_OK(fp6llmGetNumThreads(handle, &other));
    CHECK(other == 256);
    CHECK_OK(fp6llmSetNumThreads(handle, 0));
    CHECK_OK(fp6llmGetNumThreads(handle, &other));
    CHECK(other == threads);
    CHECK_OK(fp6llmDestroy(handle));
}

static void test_error_text(void) {
    fp6llmHandle_t handle = make_handle(), another = make_handle();
    char text[256] = "#", thread_text[256] = "#", small[5];
    size_t needed = 0;
    int threads = 0;

    CHECK_OK(fp6llmGetErrorString(handle, text, sizeof(text), &needed));
    CHECK_TEXT(text, "");
    CHECK(needed == 1);

    CHECK_STATUS(fp6llmSetNumThreads(handle, 257), FP6LLM_STATUS_INVALID_VALUE);
    CHECK_OK(fp6llmGetErrorString(handle, text, sizeof(text), &needed));
    CHECK(strstr(text, "threads") != NULL && strstr(text, "257") != NULL);
    CHECK(needed == strlen(text) + 1);
    CHECK_OK(fp6llmGetLastErrorString(thread_text, sizeof(thread_text), &needed));
    CHECK_TEXT(thread_text, text);

    /* A success leaves both, another handle's failure leaves the first handle's. */
    CHECK_OK(fp6llmGetNumThreads(handle, &threads));
    CHECK_STATUS(fp6llmSetNumThreads(another, -7), FP6LLM_STATUS_INVALID_VALUE);
    CHECK_OK(fp6llmGetErrorString(handle, text, sizeof(text), NULL));
    CHECK_TEXT(text, thread_text);
    CHECK_OK(fp6llmGetLastErrorString(thread_text, sizeof(thread_text), NULL));
    CHECK(strstr(thread_text, "-7") != NULL);

    CHECK_OK(fp6llmGetErrorString(handle, small, sizeof(small), &needed));
    CHECK(needed == strlen(text) + 1);
    CHECK(strncmp(small, text, 4) == 0 && small[4] == '\0');

    CHECK_STATUS(fp6llmGetNumThreads(NULL, &threads), FP6LLM_STATUS_NOT_INITIALIZED);
    CHECK_OK(fp6llmGetLastErrorString(thread_text, sizeof(thread_text), NULL));
    CHECK(strstr(thread_text, "handle") != NULL);
    CHECK_OK(fp6llmDestroy(another));
    CHECK_OK(fp6llmDestroy(handle));
}

void test_handle(void) {
    test_create();
    test_settings();
    test_error_text();
}
