// Running a loop on several threads. Work is always split statically by index, so that what a
// result is never depends on how many threads computed it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace fp6llm {

/// A non-owning reference to a callable `void(int64_t)`; valid while the callable is.
class TaskRef {
  public:
    template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, TaskRef>>>
    TaskRef(F&& f) noexcept  // NOLINT(google-explicit-constructor)
        : object_(const_cast<void*>(static_cast<const void*>(&f))),
          call_([](void* object, int64_t index) {
              (*static_cast<std::remove_reference_t<F>*>(object))(index);
          }) {}
    void operator()(int64_t index) const { call_(object_, index); }

  private:
    void* object_;
    void (*call_)(void*, int64_t);
};

/// Where a handle's loops run: the library's pool or the caller's executor.
class Executor {
  public:
    virtual ~Executor() = default;
    /// Threads that run() may use at once; >= 1.
    virtual int concurrency() const noexcept = 0;
    /// Calls task(i) exactly once for each i in [0, count), and returns when all have returned.
    /// Tasks must not throw. Throws Error(kExecutionFailed) if the caller's executor skips a task.
    virtual void run(int64_t count, TaskRef task) = 0;
};

/// Runs everything on the calling thread.
class SerialExecutor final : public Executor {
  public:
    int concurrency() const noexcept override { return 1; }
    void run(int64_t count, TaskRef task) override {
        for (int64_t i = 0; i < count; ++i)
            task(i);
    }
};

/// The half-open part `part` of `parts` nearly equal parts of [0, count).
struct IndexRange {
    int64_t begin;
    int64_t end;
};
constexpr IndexRange split_range(int64_t count, int64_t part, int64_t parts) noexcept {
    const int64_t each = count / parts, more = count % parts;
    const int64_t begin = part * each + (part < more ? part : more);
    return {begin, begin + each + (part < more ? 1 : 0)};
}
/// The part that index `at` of [0, count) is in.
constexpr int64_t part_of_index(int64_t count, int64_t at, int64_t parts) noexcept {
    const int64_t each = count / parts, more = count % parts, long_parts = more * (each + 1);
    return at < long_parts ? at / (each + 1) : more + (at - long_parts) / each;
}

}  // namespace fp6llm
