/* loaded.c - a consumer that knows the library's types only and finds its functions by dlopen().
 * usage: loaded libfp6llm.so.0
 * Also sees that neither loading nor multiplying brought a CUDA driver or a C++ runtime in. */
#include <dlfcn.h>
#include <string.h>

#include "fp6llm/fp6llm.h"

/* dlsym() gives an object pointer; C allows no cast from it to a function, POSIX means the bytes.
 */
static void* library;
#define DECLARE(name) static __typeof__(&fp6llm##name) loaded_##name
#define LOAD(name)                                                    \
    do {                                                              \
        void* symbol = dlsym(library, "fp6llm" #name);                \
        if (symbol == NULL) return printf("no fp6llm" #name "\n"), 1; \
        memcpy(&loaded_##name, &symbol, sizeof(symbol));              \
    } while (0)

DECLARE(GetVersion);
DECLARE(GetStatusName);
DECLARE(GetDeviceCount);
DECLARE(CreateWithConfig);
DECLARE(Destroy);
DECLARE(WeightCreate);
DECLARE(WeightDestroy);
DECLARE(GemmEx);

#define FP6LLM(name) loaded_##name
#include "multiply.h"

/* Whether a library with this name is mapped into the process. */
static int is_mapped(const char* name) {
    char line[4096];
    int found = 0;
    FILE* maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return 0;
    while (fgets(line, sizeof(line), maps) != NULL)
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    LOAD(GetVersion);
    LOAD(GetStatusName);
    LOAD(GetDeviceCount);
    LOAD(CreateWithConfig);
    LOAD(Destroy);
    LOAD(WeightCreate);
    LOAD(WeightDestroy);
    LOAD(GemmEx);
    if (multiply() != 0) return 1;
    if (is_mapped("libcuda") || is_mapped("libcudart") || is_mapped("libstdc++")) {
        printf("a CUDA library or libstdc++ was loaded\n");
        return 1;
    }
    return 0;
}
