/* Control of the emulated GPU by tests: found by dlsym() in libcuda.so.1, so that a test runs unchanged
 * where the driver is a real one (dlsym then answers NULL). C, and no type of CUDA's. */
#ifndef EMULATOR_DRIVER_CONTROL_H
#define EMULATOR_DRIVER_CONTROL_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(EMULATOR_DRIVER_BUILD)
#define EMULATOR_API __attribute__((visibility("default")))
#else
#define EMULATOR_API
#endif

/* The seed of schedules, of the order of a graph's nodes, ... from the next launch on. */
EMULATOR_API void emulatorSetSeed(unsigned long long seed);

/* 0: plain execution without detectors; else: with them (the default, and EMU_CHECKS). */
EMULATOR_API void emulatorSetChecks(int on);

/* 0: findings are only reported (the default); else a launch with findings fails as a faulting one
 * does, with CUDA_ERROR_LAUNCH_FAILED (EMU_FINDINGS=fail). */
EMULATOR_API void emulatorSetFindingsFail(int on);

/* Launches since the start or the last clear; the first 65536 are kept. */
EMULATOR_API int emulatorReportCount(void);

/* JSON of one launch, 0 <= index < emulatorReportCount(): {"kernel", "grid", "block", "cluster",
 * "dynamic_shared", "seed", "counters": {...}, "findings": [...], "fault"}. NULL for a bad index; valid
 * until the calling thread's next call. */
EMULATOR_API const char* emulatorGetReport(int index);

EMULATOR_API void emulatorClearReports(void);

/* Findings of all launches since the start or the last clear. */
EMULATOR_API unsigned long long emulatorFindingCount(void);

/* What emulatorInjectFailure() makes fail. */
enum emulatorFailure {
    EMULATOR_FAIL_ALLOCATION = 0, /* allocations of device and pinned memory return the code */
    EMULATOR_FAIL_LAUNCH = 1,     /* launches return the code, nothing runs, the context lives on */
    EMULATOR_FAIL_EXECUTION = 2,  /* a launch returns success and faults: the code surfaces at the
                                       next synchronizing call and the context is unusable */
    EMULATOR_FAIL_DEVICE = 3,     /* every call that needs the device returns the code, for good */
    EMULATOR_FAIL_COPY = 4        /* copies and memsets return the code */
};

/* The next `after` operations of the kind succeed, then one (EMULATOR_FAIL_DEVICE: all) fails with the
 * CUresult `code`. after < 0 takes the failure back. By environment: EMU_FAIL=allocation:3:2,device:10:46
 * (kind:after:code, kinds as above in lower case). */
EMULATOR_API void emulatorInjectFailure(int kind, int after, int code);

/* Forgets injected failures. */
EMULATOR_API void emulatorClearFailures(void);

#ifdef __cplusplus
}
#endif

#endif
