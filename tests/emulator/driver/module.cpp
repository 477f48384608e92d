// Modules, libraries, functions: from images to kernels, with their attributes.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/emulator/driver/fatbin.hpp"
#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr int kDefaultSharedPerBlock = 48 * 1024;

/// Names behind `.entry` in a PTX text, sorted.
std::vector<std::string> kernel_names(std::string_view ptx) {
    constexpr std::string_view kEntry = ".entry";
    std::set<std::string> names;
    for (size_t at = ptx.find(kEntry); at != std::string_view::npos; at = ptx.find(kEntry, at)) {
        at += kEntry.size();
        size_t begin = ptx.find_first_not_of(" \t\r\n", at);
        if (begin == at || begin == std::string_view::npos) continue;
        const size_t end = ptx.find_first_of(" \t\r\n({;", begin);
        if (end == std::string_view::npos) break;
        names.insert(std::string(ptx.substr(begin, end - begin)));
    }
    return {names.begin(), names.end()};
}

CUresult result_of(FatbinError::Kind kind) {
    switch (kind) {
        case FatbinError::Kind::kNoBinary:
        case FatbinError::Kind::kCompressed:
            return CUDA_ERROR_NO_BINARY_FOR_GPU;
        default:
            return CUDA_ERROR_INVALID_IMAGE;
    }
}

/// The reason goes to the caller's log buffer and, because few give one, to stderr.
[[noreturn]] void fail_load(CUresult result, const std::string& why, std::string* log) {
    std::fprintf(stderr, "emulated GPU: cannot load a module: %s\n", why.c_str());
    if (log != nullptr) *log = why;
    fail(result);
}

std::string_view choose_ptx(Driver& driver, const void* image, std::string* log) {
    try {
        return select_ptx(image, driver.arch());
    } catch (const FatbinError& error) {
        fail_load(result_of(error.kind), error.what(), log);
    }
}

Module* load_ptx(Driver& driver, Context& context, std::string_view ptx, std::string* log) {
    std::shared_ptr<LoadedModule> loaded;
    try {
        loaded = driver.device().load(ptx);
    } catch (const std::runtime_error& error) {
        fail_load(CUDA_ERROR_INVALID_PTX, error.what(), log);
    }
    auto* module = driver.make<Module>(&context);
    module->loaded = std::move(loaded);
    module->kernel_names = kernel_names(ptx);
    module->arch = ptx_target(ptx).first;
    context.modules.insert(module);
    return module;
}

/// The log buffers among JIT options; the other options do not change what PTX means.
struct JitLog {
    char* buffer = nullptr;
    size_t bytes = 0;

    JitLog(unsigned count, const CUjit_option* options, void** values) {
        require(count == 0 || (options != nullptr && values != nullptr));
        for (unsigned i = 0; i < count; ++i) {
            require(options[i] >= 0 && options[i] < CU_JIT_NUM_OPTIONS);
            if (options[i] == CU_JIT_ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[i]);
            if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
                bytes = reinterpret_cast<size_t>(values[i]);
        }
        if (buffer != nullptr && bytes > 0) buffer[0] = '\0';
    }
    void write(const std::string& text) const {
        if (buffer != nullptr && bytes > 0) std::snprintf(buffer, bytes, "%s", text.c_str());
    }
};

void load(CUmodule* module, const void* image, unsigned count, const CUjit_option* options,
          void** values) {
    Driver& driver = Driver::instance();
    require(module != nullptr && image != nullptr);
    Context& context = driver.current();
    const JitLog jit_log(count, options, values);
    driver.forbid_capture();
    std::string log;
    try {
        *module = load_module(driver, context, image, &log);
    } catch (const Failure&) {
        jit_log.write(log);
        throw;
    }
}

Module& module_in(Driver& driver, Context& context, Library& library) {
    Module*& module = context.libraries[&library];
    if (module == nullptr) {
        driver.forbid_capture();
        module = load_ptx(driver, context, library.ptx, nullptr);
    }
    return *module;
}

Function& function_in(Driver& driver, Context& context, Kernel& kernel) {
    Function& function =
        find_function(driver, module_in(driver, context, *kernel.library), kernel.name);
    return function;
}

int get_attribute(Driver& driver, const Function& function, CUfunction_attribute attribute) {
    switch (attribute) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
            return function.facts.max_threads;
        case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
            return function.facts.static_shared;
        case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
            return 0;
        case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
            return function.facts.local_bytes;
        case CU_FUNC_ATTRIBUTE_NUM_REGS:
            return function.facts.registers;
        case CU_FUNC_ATTRIBUTE_PTX_VERSION:
            return function.module->arch;
        case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
            return driver.arch();
        case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
            return 0;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
            return function.max_dynamic_shared;
        case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
            return function.carveout;
        case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
            return 0;
        case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
            return function.facts.required_cluster[0];
        case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
            return function.facts.required_cluster[1];
        case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
            return function.facts.required_cluster[2];
        case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
            return function.non_portable_cluster ? 1 : 0;
        case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
            return function.cluster_policy;
    }
    fail(CUDA_ERROR_INVALID_VALUE);
}

void set_attribute(Driver& driver, Function& function, CUfunction_attribute attribute, int value) {
    switch (attribute) {
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: {
            const int optin =
                device_attribute(driver, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
            require(value >= 0 && value <= optin - function.facts.static_shared);
            function.max_dynamic_shared = value;
            return;
        }
        case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
            require(value >= -1 && value <= 100);
            function.carveout = value;
            return;
        case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
            require(driver.arch() >= 90, CUDA_ERROR_NOT_SUPPORTED);
            function.non_portable_cluster = value != 0;
            return;
        case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
            require(driver.arch() >= 90, CUDA_ERROR_NOT_SUPPORTED);
            require(value >= 0 && value <= 2);
            function.cluster_policy = value;
            return;
        default:
            fail(CUDA_ERROR_INVALID_VALUE);
    }
}

void parameter_info(const Function& function, size_t index, size_t* offset, size_t* bytes) {
    require(offset != nullptr && index < function.facts.parameters.size());
    *offset = function.facts.parameters[index].first;
    if (bytes != nullptr) *bytes = function.facts.parameters[index].second;
}

void global_of(Driver& driver, Module& module, const char* name, CUdeviceptr* address,
               size_t* bytes) {
    require(name != nullptr && (address != nullptr || bytes != nullptr));
    uint64_t size = 0;
    const uint64_t found = driver.device().global(*module.loaded, name, &size);
    require(found != 0, CUDA_ERROR_NOT_FOUND);
    if (address != nullptr) *address = found;
    if (bytes != nullptr) *bytes = size;
}

}  // namespace

Module* load_module(Driver& driver, Context& context, const void* image, std::string* log) {
    return load_ptx(driver, context, choose_ptx(driver, image, log), log);
}

Function& find_function(Driver& driver, Module& module, const std::string& name) {
    const auto it = module.functions.find(name);
    if (it != module.functions.end()) return *it->second;
    const LoadedFunction* loaded = driver.device().function(*module.loaded, name);
    require(loaded != nullptr, CUDA_ERROR_NOT_FOUND);
    auto* function = driver.make<Function>(module.context);
    function->module = &module;
    function->name = name;
    function->loaded = loaded;
    function->facts = facts(*loaded);
    function->max_dynamic_shared =
        std::max(0, kDefaultSharedPerBlock - function->facts.static_shared);
    module.functions.emplace(name, function);
    return *function;
}

Function& function_of(Driver& driver, Context& context, CUfunction handle) {
    require(handle != nullptr, CUDA_ERROR_INVALID_HANDLE);
    if (Function* function = driver.find(handle)) {
        require(function->context == &context, CUDA_ERROR_INVALID_HANDLE);
        return *function;
    }
    Kernel& kernel = driver.get(reinterpret_cast<CUkernel>(handle));
    return function_in(driver, context, kernel);
}

extern "C" {

CUresult cuModuleLoad(CUmodule* module, const char* path) {
    return guard([&](Driver&) {
        require(path != nullptr);
        std::ifstream file(path, std::ios::binary);
        require(file.good(), CUDA_ERROR_FILE_NOT_FOUND);
        const std::string image{std::istreambuf_iterator<char>(file), {}};
        load(module, image.c_str(), 0, nullptr, nullptr);
    });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    return guard([&](Driver&) { load(module, image, 0, nullptr, nullptr); });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count,
                            CUjit_option* options, void** values) {
    return guard([&](Driver&) { load(module, image, count, options, values); });
}

CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
    return guard([&](Driver&) {
        require(image != nullptr);
        require(is_fatbin(image), CUDA_ERROR_INVALID_IMAGE);
        load(module, image, 0, nullptr, nullptr);
    });
}

CUresult cuModuleUnload(CUmodule module) {
    return guard([&](Driver& driver) {
        Module& doomed = driver.get(module);
        Context& context = driver.current();
        require(doomed.context == &context, CUDA_ERROR_INVALID_HANDLE);
        driver.forbid_capture();
        for (auto& [name, function] : doomed.functions)
            function->alive = false;
        doomed.alive = false;
        doomed.loaded.reset();
        context.modules.erase(&doomed);
    });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    return guard([&](Driver& driver) {
        require(function != nullptr && name != nullptr);
        driver.current();
        *function = &find_function(driver, driver.get(module), name);
    });
}

CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule module) {
    return guard([&](Driver& driver) {
        require(count != nullptr);
        *count = static_cast<unsigned>(driver.get(module).kernel_names.size());
    });
}

CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned count, CUmodule module) {
    return guard([&](Driver& driver) {
        require(functions != nullptr);
        Module& known = driver.get(module);
        for (unsigned i = 0; i < count && i < known.kernel_names.size(); ++i)
            functions[i] = &find_function(driver, known, known.kernel_names[i]);
    });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* bytes, CUmodule module,
                              const char* name) {
    return guard([&](Driver& driver) {
        driver.current();
        global_of(driver, driver.get(module), name, address, bytes);
    });
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
    return guard([&](Driver&) {
        require(mode != nullptr);
        *mode = CU_MODULE_LAZY_LOADING;
    });
}

// ---- Libraries ----

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit_options,
                           void** jit_values, unsigned jit_count, CUlibraryOption* options,
                           void** values, unsigned count) {
    return guard([&](Driver& driver) {
        require(library != nullptr && code != nullptr);
        const JitLog jit_log(jit_count, jit_options, jit_values);
        require(count == 0 || (options != nullptr && values != nullptr));
        for (unsigned i = 0; i < count; ++i)
            require(options[i] >= 0 && options[i] < CU_LIBRARY_NUM_OPTIONS);
        std::string log;
        std::string_view ptx;
        try {
            ptx = choose_ptx(driver, code, &log);
        } catch (const Failure&) {
            jit_log.write(log);
            throw;
        }
        auto* made = driver.make<Library>(nullptr);
        made->ptx = ptx;
        made->kernel_names = kernel_names(made->ptx);
        *library = made;
    });
}

CUresult cuLibraryUnload(CUlibrary library) {
    return guard([&](Driver& driver) {
        Library& doomed = driver.get(library);
        for (auto& [name, kernel] : doomed.kernels)
            kernel->alive = false;
        driver.for_objects([&](Object& object) {
            auto* context = dynamic_cast<Context*>(&object);
            if (context == nullptr) return;
            const auto it = context->libraries.find(&doomed);
            if (it == context->libraries.end()) return;
            Module& module = *it->second;
            for (auto& [name, function] : module.functions)
                function->alive = false;
            module.alive = false;
            module.loaded.reset();
            context->modules.erase(&module);
            context->libraries.erase(it);
        });
        doomed.alive = false;
    });
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
    return guard([&](Driver& driver) {
        require(kernel != nullptr && name != nullptr);
        Library& known = driver.get(library);
        require(std::binary_search(known.kernel_names.begin(), known.kernel_names.end(), name),
                CUDA_ERROR_NOT_FOUND);
        Kernel*& entry = known.kernels[name];
        if (entry == nullptr) {
            entry = driver.make<Kernel>(nullptr);
            entry->library = &known;
            entry->name = name;
        }
        *kernel = entry;
    });
}

CUresult cuLibraryGetKernelCount(unsigned* count, CUlibrary library) {
    return guard([&](Driver& driver) {
        require(count != nullptr);
        *count = static_cast<unsigned>(driver.get(library).kernel_names.size());
    });
}

CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned count, CUlibrary library) {
    return guard([&](Driver& driver) {
        require(kernels != nullptr);
        const std::vector<std::string>& names = driver.get(library).kernel_names;
        for (unsigned i = 0; i < count && i < names.size(); ++i) {
            const CUresult result = cuLibraryGetKernel(&kernels[i], library, names[i].c_str());
            require(result == CUDA_SUCCESS, result);
        }
    });
}

CUresult cuLibraryGetModule(CUmodule* module, CUlibrary library) {
    return guard([&](Driver& driver) {
        require(module != nullptr);
        Library& known = driver.get(library);
        *module = &module_in(driver, driver.current(), known);
    });
}

CUresult cuLibraryGetGlobal(CUdeviceptr* address, size_t* bytes, CUlibrary library,
                            const char* name) {
    return guard([&](Driver& driver) {
        Library& known = driver.get(library);
        global_of(driver, module_in(driver, driver.current(), known), name, address, bytes);
    });
}

CUresult cuLibraryGetManaged(CUdeviceptr* address, size_t* bytes, CUlibrary library,
                             const char* name) {
    return cuLibraryGetGlobal(address, bytes, library, name);
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
    return guard([&](Driver& driver) {
        require(function != nullptr);
        Kernel& known = driver.get(kernel);
        *function = &function_in(driver, driver.current(), known);
    });
}

CUresult cuKernelGetLibrary(CUlibrary* library, CUkernel kernel) {
    return guard([&](Driver& driver) {
        require(library != nullptr);
        *library = driver.get(kernel).library;
    });
}

CUresult cuKernelGetName(const char** name, CUkernel kernel) {
    return guard([&](Driver& driver) {
        require(name != nullptr);
        *name = driver.get(kernel).name.c_str();
    });
}

CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute, CUkernel kernel,
                              CUdevice device) {
    return guard([&](Driver& driver) {
        require(value != nullptr);
        driver.check_device(device);
        Kernel& known = driver.get(kernel);
        *value = get_attribute(driver, function_in(driver, driver.current(), known), attribute);
    });
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel,
                              CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        Kernel& known = driver.get(kernel);
        set_attribute(driver, function_in(driver, driver.current(), known), attribute, value);
    });
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        driver.get(kernel);
        require(config >= CU_FUNC_CACHE_PREFER_NONE && config <= CU_FUNC_CACHE_PREFER_EQUAL);
    });
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset, size_t* bytes) {
    return guard([&](Driver& driver) {
        Kernel& known = driver.get(kernel);
        parameter_info(function_in(driver, driver.current(), known), index, offset, bytes);
    });
}

// ---- Functions ----

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
    return guard([&](Driver& driver) {
        require(value != nullptr);
        *value = get_attribute(driver, function_of(driver, driver.current(), function), attribute);
    });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    return guard([&](Driver& driver) {
        set_attribute(driver, function_of(driver, driver.current(), function), attribute, value);
    });
}

CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config) {
    return guard([&](Driver& driver) {
        function_of(driver, driver.current(), function);
        require(config >= CU_FUNC_CACHE_PREFER_NONE && config <= CU_FUNC_CACHE_PREFER_EQUAL);
    });
}

CUresult cuFuncSetSharedMemConfig(CUfunction function, CUsharedconfig config) {
    return guard([&](Driver& driver) {
        function_of(driver, driver.current(), function);
        require(config >= 0 && config <= 2);
    });
}

CUresult cuFuncGetName(const char** name, CUfunction function) {
    return guard([&](Driver& driver) {
        require(name != nullptr);
        *name = function_of(driver, driver.current(), function).name.c_str();
    });
}

CUresult cuFuncGetModule(CUmodule* module, CUfunction function) {
    return guard([&](Driver& driver) {
        require(module != nullptr);
        *module = function_of(driver, driver.current(), function).module;
    });
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t* offset, size_t* bytes) {
    return guard([&](Driver& driver) {
        parameter_info(function_of(driver, driver.current(), function), index, offset, bytes);
    });
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState* state, CUfunction function) {
    return guard([&](Driver& driver) {
        require(state != nullptr);
        function_of(driver, driver.current(), function);
        *state = CU_FUNCTION_LOADING_STATE_LOADED;
    });
}

CUresult cuFuncLoad(CUfunction function) {
    return guard([&](Driver& driver) { function_of(driver, driver.current(), function); });
}

}  // extern "C"

}  // namespace emulator::cu
