#include "check.h"

#include <stdio.h>
#include <string.h>

static int failed, checks;

int failed_checks(void) {
    return failed;
}
int all_checks(void) {
    return checks;
}

int check(int ok, const char* file, int line, const char* what) {
    ++checks;
    if (ok) return 1;
    ++failed;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    return 0;
}

int check_status(fp6llmStatus_t got, fp6llmStatus_t expected, const char* file, int line,
                 const char* call) {
    char detail[512] = "";
    if (check(got == expected, file, line, call)) return 1;
    fp6llmGetLastErrorString(detail, sizeof(detail), NULL);
    fprintf(stderr, "    expected %s\n    got      %s\n    last error: %s\n",
            fp6llmGetStatusName(expected), fp6llmGetStatusName(got), detail);
    return 0;
}

int check_text(const char* got, const char* expected, const char* file, int line,
               const char* what) {
    if (check(strcmp(got, expected) == 0, file, line, what)) return 1;
    fprintf(stderr, "    expected \"%s\"\n    got      \"%s\"\n", expected, got);
    return 0;
}
