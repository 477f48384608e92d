# Target helpers: the flags every target of ours gets, and sources compiled for one instruction set.

# Warnings, hidden symbols, sanitizers, and no contraction: products round where the source says so.
function(fp6llm_set_target_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_17)
  set_target_properties(${target} PROPERTIES
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wshadow $<$<BOOL:${FP6LLM_WERROR}>:-Werror>
    $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
  if(FP6LLM_SANITIZE)
    # clang: checking pointers for wrapping around makes a file of intrinsics take 50 s instead of 18;
    # vptr and function need a C++ runtime, which C programs over the library lack.
    target_compile_options(${target} PRIVATE
      -fsanitize=${FP6LLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
      $<$<C_COMPILER_ID:Clang>:-fno-sanitize=pointer-overflow,vptr,function>)
    target_link_options(${target} PRIVATE -fsanitize=${FP6LLM_SANITIZE})
  endif()
endfunction()

# For what libfp6llm.a is made of: static variables of the standard library's templates get symbols that objcopy
# can make local (gcc's "unique" ones it cannot).
function(fp6llm_keep_symbols_weak target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
endfunction()

# Compiler flags of an instruction set; only its own translation units get them (core/common/cpu.hpp
# decides at run time which are called). Such a unit must keep everything in its own namespace and
# instantiate no shared inline function, lest the linker pick its copy for every processor.
set(FP6LLM_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(FP6LLM_ISA_FLAGS_avx512
    ${FP6LLM_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(FP6LLM_ISA_FLAGS_avx512vnni ${FP6LLM_ISA_FLAGS_avx512} -mavx512vnni -mavx512vbmi)
set(FP6LLM_ISA_FLAGS_avx512bf16 ${FP6LLM_ISA_FLAGS_avx512vnni} -mavx512bf16)

# fp6llm_add_isa_sources(<isa> <name> <source>...): compiles sources for <isa> into fp6llm_core. Does
# nothing on other processors than x86-64.
function(fp6llm_add_isa_sources isa name)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  set(object fp6llm_${name}_${isa})
  add_library(${object} OBJECT ${ARGN})
  fp6llm_set_target_defaults(${object})
  # Kernels from the start of a cache line on, whatever is compiled before them: Zen 5 took 2 to 4 % longer for
  # one that was moved by half a line (int8, MX scales, 64 tokens).
  target_compile_options(${object} PRIVATE ${FP6LLM_ISA_FLAGS_${isa}} -falign-functions=64)
  target_sources(fp6llm_core PRIVATE $<TARGET_OBJECTS:${object}>)
endfunction()
