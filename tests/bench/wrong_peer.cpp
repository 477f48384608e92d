// A library that says it is MKL and multiplies right for one token only: fp6llm_bench must time its
// sgemv and refuse its sgemm.
#include <cstring>

extern "C" {

void MKL_Set_Num_Threads(int) {}
void MKL_Set_Dynamic(int) {}
void MKL_Get_Version_String(char* text, int) {
    std::strcpy(text, "A Math Kernel Library Version 0.1-Product");
}

void cblas_sgemv(int, int, int m, int n, float, const float* a, int lda, const float* x, int, float,
                 float* y, int) {
    for (int r = 0; r < m; ++r) {
        double sum = 0;
        for (int c = 0; c < n; ++c)
            sum += static_cast<double>(a[r * lda + c]) * x[c];
        y[r] = static_cast<float>(sum);
    }
}

// All but the last term of each sum.
void cblas_sgemm(int, int, int, int m, int n, int k, float, const float* a, int lda, const float* b,
                 int ldb, float, float* c, int ldc) {
    for (int i = 0; i < m; ++i)
        cblas_sgemv(0, 0, n, k - 1, 1, b, ldb, a + i * lda, 1, 0, c + i * ldc, 1);
}

}  // extern "C"
