/* A test harness of a few lines, so that the C ABI is tested by nothing but C. A failed check
 * prints where and what, and the test goes on. */
#ifndef FP6LLM_TESTS_CAPI_CHECK_H_
#define FP6LLM_TESTS_CAPI_CHECK_H_

#include "fp6llm/fp6llm.h"

/* Counts a check and prints it if it failed; returns `ok`. */
int check(int ok, const char* file, int line, const char* what);
int check_status(fp6llmStatus_t got, fp6llmStatus_t expected, const char* file, int line,
                 const char* call);
int check_text(const char* got, const char* expected, const char* file, int line, const char* what);
int failed_checks(void);
int all_checks(void);

#define CHECK(condition) check(!!(condition), __FILE__, __LINE__, #condition)
#define CHECK_STATUS(call, status) check_status((call), (status), __FILE__, __LINE__, #call)
#define CHECK_OK(call) CHECK_STATUS(call, FP6LLM_STATUS_SUCCESS)
#define CHECK_TEXT(got, expected) check_text((got), (expected), __FILE__, __LINE__, #got)

/* The tests, by file. */
void test_library(void);
void test_handle(void);
void test_quantize(void);
void test_weight(void);
void test_multiply(void);

#endif
