#include <stdio.h>

#include "check.h"

int main(void) {
    static const struct {
        const char* name;
        void (*run)(void);
    } tests[] = {
        {"library", test_library}, {"handle", test_handle},     {"quantize", test_quantize},
        {"weight", test_weight},   {"multiply", test_multiply},
    };
    size_t i;
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); ++i) {
        const int failed = failed_checks(), checks = all_checks();
        tests[i].run();
        printf("%s %s: %d checks\n", failed_checks() == failed ? "ok    " : "FAILED", tests[i].name,
               all_checks() - checks);
    }
    return failed_checks() != 0;
}
