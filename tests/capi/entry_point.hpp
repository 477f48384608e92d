// Bad input, by table. A row names a function and describes its arguments; from that follow the
// calls to make: all arguments valid but one, which takes each of its wrong values in turn.
//
//   row:   ROW(fp6llmGetBackend, w.handle(), w.out<fp6llmBackend_t>("backend"))
//   calls: (NULL, out)  (misaligned, out)  (no handle, out)  (handle, NULL)  (handle, misaligned)
//
// Each call must give the status that the argument says, a detail text that names the argument, and
// leave every output as it was.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/capi/support.hpp"

namespace fp6llm::capi_test {

/// One value of an argument, and what the call must answer. `names`: a regular expression that the
/// detail text must contain.
template <typename T>
struct Variant {
    T value;
    std::string what;
    fp6llmStatus_t status;
    std::string names;
};

/// An argument: a valid value, and others.
template <typename T>
struct Arg {
    T valid;
    std::vector<Variant<T>> variants;

    Arg with(T value, const std::string& what, fp6llmStatus_t status, const std::string& names) && {
        variants.push_back({value, what, status, names});
        return std::move(*this);
    }
    Arg accepts(T value, const std::string& what) && {
        return std::move(*this).with(value, what, FP6LLM_STATUS_SUCCESS, "");
    }
};

/// One call and its answer.
struct Case {
    std::string what;
    std::function<fp6llmStatus_t()> call;
    fp6llmStatus_t status;
    std::string names;
};

/// What follows from a row.
struct EntryPoint {
    std::function<fp6llmStatus_t()> valid;
    std::vector<Case> cases;
    bool takes_handle;
    bool takes_weight;
};

template <typename T>
struct Identity {
    using type = T;
};

template <size_t kIndex, typename Function, typename Tuple, typename T>
void add_cases(EntryPoint& entry, Function function, const Tuple& valid, const Arg<T>& arg) {
    for (const Variant<T>& variant : arg.variants) {
        Tuple arguments = valid;
        std::get<kIndex>(arguments) = variant.value;
        entry.cases.push_back({variant.what, [=] { return std::apply(function, arguments); },
                               variant.status, variant.names});
    }
}

template <typename... T, size_t... kIndices>
EntryPoint make_entry_point(std::index_sequence<kIndices...>, fp6llmStatus_t (*function)(T...),
                            const Arg<T>&... args) {
    const std::tuple<T...> valid(args.valid...);
    EntryPoint entry;
    entry.valid = [=] { return std::apply(function, valid); };
    entry.takes_handle = (std::is_same_v<T, fp6llmHandle_t> || ...);
    entry.takes_weight =
        ((std::is_same_v<T, fp6llmWeight_t> || std::is_same_v<T, const fp6llmWeight_t*>) || ...);
    (add_cases<kIndices>(entry, function, valid, args), ...);
    return entry;
}

/// The types of the arguments come from the function alone.
template <typename... T>
EntryPoint entry_point(fp6llmStatus_t (*function)(T...),
                       const typename Identity<Arg<T>>::type&... args) {
    return make_entry_point(std::index_sequence_for<T...>(), function, args...);
}

/// What a row's calls work on: a handle, data, a weight; and the making of arguments. Outputs are
/// filled with a pattern before each call.
class World {
  public:
    static constexpr int64_t kRows = 64, kCols = 128, kTokens = 5;

    World();
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// Fills all outputs anew, freeing objects that a successful call left there.
    void paint();
    /// Whether all outputs are as paint() left them.
    bool untouched() const;

    fp6llmHandle_t raw_handle() const { return handle_.get(); }
    fp6llmWeight_t raw_weight() const { return weight_.get(); }

    // Data that belongs together, for the in() arguments.
    const std::vector<float>& w() const { return w_; }
    const std::vector<float>& x() const { return x_; }
    const std::vector<uint8_t>& codes() const { return codes_; }
    const std::vector<float>& scales() const { return scales_; }
    const std::vector<uint8_t>& packed() const { return packed_; }  ///< TC_FPX
    void* blob() const { return blob_; }
    size_t blob_bytes() const { return blob_bytes_; }

    // Arguments. `name` is how detail texts call them.
    Arg<fp6llmHandle_t> handle();
    Arg<fp6llmWeight_t> weight(const std::string& name);
    /// A size: negative and overflowing values. `overflow_names` if another argument may be named.
    Arg<int64_t> size(const std::string& name, int64_t valid,
                      const std::string& overflow_names = "");
    /// A leading dimension whose least value is `valid`.
    Arg<int64_t> leading_dimension(const std::string& name, int64_t valid);
    /// An int in low..high.
    Arg<int> in_range(const std::string& name, int valid, int low, int high);
    /// W as an input: as it is, and with a NaN in it.
    Arg<const void*> weights_in();
    /// An input buffer.
    Arg<const void*> in(const std::string& name, const void* data, size_t alignment);
    /// An output buffer; `optional` ones may be NULL.
    Arg<void*> out_buffer(const std::string& name, size_t bytes, size_t alignment,
                          bool optional = false);
    /// fp32 alpha or beta.
    Arg<const void*> scalar(const std::string& name, float value);
    Arg<fp6llmDataType_t> float_type(const std::string& name);
    Arg<fp6llmComputeType_t> compute_type(const std::string& name);
    Arg<fp6llmPackedLayout_t> layout();
    Arg<int32_t> algo();
    enum class ConfigFor { kFloats, kCodes };
    Arg<const fp6llmQuantConfig_t*> quant_config(ConfigFor use);
    Arg<const fp6llmHandleConfig_t*> handle_config();
    Arg<const fp6llmEpilogue_t*> epilogue();
    Arg<const int64_t*> offsets();
    Arg<const fp6llmWeight_t*> weights();

    template <typename T>
    Arg<T> enumeration(const std::string& name, T valid) {
        Arg<T> arg{valid, {}};
        for (const int value : {-1, 1000, INT32_MAX, INT32_MIN}) {
            arg.variants.push_back({static_cast<T>(value), name + " = " + std::to_string(value),
                                    FP6LLM_STATUS_INVALID_VALUE, name});
        }
        return arg;
    }

    /// A pointer that receives one value.
    template <typename T>
    Arg<T*> out(const std::string& name, bool optional = false) {
        return typed<T*>(out_buffer(name, sizeof(T), alignof(T), optional));
    }
    /// A pointer that receives a new object.
    template <typename T>
    Arg<T*> created(const std::string& name) {
        Arg<void*> arg = out_buffer(name, sizeof(T), alignof(T));
        created_.push_back({arg.valid, [](void* slot) {
                                T object;
                                std::memcpy(&object, slot, sizeof object);
                                Destroy()(object);
                            }});
        return typed<T*>(std::move(arg));
    }
    /// An output struct: a good one, and ones with a wrong structSize.
    template <typename Struct>
    Arg<Struct*> out_struct(const std::string& name, bool optional = false) {
        const auto make = [this](size_t declared, size_t bytes, int tail) {
            void* memory = add_output(bytes, sizeof(Struct), declared);
            std::memset(static_cast<char*>(memory) + sizeof(Struct), tail, bytes - sizeof(Struct));
            return static_cast<Struct*>(memory);
        };
        Arg<Struct*> arg{make(sizeof(Struct), sizeof(Struct), 0), {}};
        add_pointer_variants(arg, name, alignof(Struct), optional);
        add_struct_size_variants(arg, name, sizeof(Struct), make);
        return arg;
    }

  private:
    struct Output {
        std::unique_ptr<unsigned char[]> memory;
        size_t bytes;
        size_t painted;                     ///< bytes that get the pattern; the rest stays
        std::optional<size_t> struct_size;  ///< what a struct starts with
        std::vector<unsigned char> before;  ///< contents after paint()
    };
    struct Created {
        void* slot;
        void (*destroy)(void* slot);
    };

    void* add_output(size_t bytes, size_t painted, std::optional<size_t> struct_size);
    /// Memory that lives as long as the world.
    void* keep(const void* data, size_t bytes);
    template <typename Struct>
    Struct* keep_struct(const Struct& value) {
        return static_cast<Struct*>(keep(&value, sizeof value));
    }

    template <typename To, typename From>
    static Arg<To> typed(Arg<From> arg) {
        Arg<To> result{static_cast<To>(arg.valid), {}};
        for (auto& v : arg.variants) {
            result.variants.push_back({static_cast<To>(v.value), v.what, v.status, v.names});
        }
        return result;
    }

    template <typename T>
    static void add_pointer_variants(Arg<T>& arg, const std::string& name, size_t alignment,
                                     bool optional) {
        arg.variants.push_back({nullptr, name + " = NULL",
                                optional ? FP6LLM_STATUS_SUCCESS : FP6LLM_STATUS_INVALID_VALUE,
                                name});
        if (alignment > 1) {
            const auto address = reinterpret_cast<uintptr_t>(arg.valid) + 1;
            arg.variants.push_back({reinterpret_cast<T>(address), name + " misaligned",
                                    FP6LLM_STATUS_INVALID_VALUE, name + ".*align"});
        }
    }

    /// `make(declared structSize, bytes of memory, byte of the tail)` gives a struct.
    template <typename T, typename Make>
    static void add_struct_size_variants(Arg<T>& arg, const std::string& name, size_t size,
                                         Make make) {
        const std::string field = name + "->structSize";
        const auto refuse = [&](T value, const std::string& what) {
            arg.variants.push_back({value, field + what, FP6LLM_STATUS_INVALID_VALUE, field});
        };
        refuse(make(0, size, 0), " = 0");
        refuse(make(sizeof(size_t) - 1, size, 0), " = 7");
        refuse(make(SIZE_MAX, size, 0), " = SIZE_MAX");
        refuse(make(size + 16, size + 16, 1), " larger, bytes beyond not 0");
        arg.variants.push_back({make(size + 16, size + 16, 0), field + " larger, bytes beyond 0",
                                FP6LLM_STATUS_SUCCESS, ""});
    }

    /// An input struct: wrong pointers and sizes, and each of the `wrong` contents.
    template <typename Struct>
    struct Wrong {
        std::string field;
        fp6llmStatus_t status;
        std::function<void(Struct&)> change;
    };
    template <typename Struct>
    Arg<const Struct*> in_struct(const std::string& name, const Struct& valid,
                                 const std::vector<Wrong<Struct>>& wrong, bool optional = false) {
        Arg<const Struct*> arg{keep_struct(valid), {}};
        add_pointer_variants(arg, name, alignof(Struct), optional);
        add_struct_size_variants(arg, name, sizeof(Struct),
                                 [&](size_t declared, size_t bytes, int tail) {
                                     std::vector<unsigned char> copy(bytes);
                                     std::memset(copy.data(), tail, bytes);
                                     std::memcpy(copy.data(), &valid, sizeof valid);
                                     std::memcpy(copy.data(), &declared, sizeof declared);
                                     return static_cast<const Struct*>(keep(copy.data(), bytes));
                                 });
        for (const Wrong<Struct>& w : wrong) {
            Struct changed = valid;
            w.change(changed);
            arg.variants.push_back(
                {keep_struct(changed), name + "->" + w.field, w.status, name + "->" + w.field});
        }
        return arg;
    }

    Handle handle_;
    Weight weight_;
    std::vector<float> w_, x_, scales_;
    std::vector<uint8_t> codes_, packed_;
    std::unique_ptr<unsigned char[]> blob_memory_;
    void* blob_ = nullptr;
    size_t blob_bytes_ = 0;
    std::vector<Output> outputs_;
    std::vector<Created> created_;
    std::vector<std::unique_ptr<unsigned char[]>> kept_;
};

/// A row of the table.
struct Row {
    const char* name;
    EntryPoint (*make)(World& world);
};
const std::vector<Row>& all_rows();

}  // namespace fp6llm::capi_test
