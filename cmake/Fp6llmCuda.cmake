# CUDA kernels: .cu files become fatbins, embedded in the library as data. Only nvcc is used: no CUDA
# library is linked, CMake's CUDA language is not enabled (Debian's CMake cannot find CUDA 13), and
# nothing asks a GPU. Sets FP6LLM_CUDA, whether kernels are built; then also FP6LLM_NVCC_VERSION and
# FP6LLM_CUDA_INCLUDE_DIR (cuda.h, for core/device and the cuda/ folders only).

set(FP6LLM_CUDA OFF)
if(FP6LLM_ENABLE_CUDA STREQUAL "OFF")
  return()
endif()

# Named ones first, then what script/bootstrap installed, then the system's. FP6LLM_NVCC decides.
file(GLOB _fp6llm_wheels ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/cu1[3-9])
find_program(FP6LLM_NVCC NAMES $ENV{CUDACXX} nvcc
  HINTS ENV CUDA_PATH ENV CUDA_HOME ${_fp6llm_wheels} /usr/local/cuda PATH_SUFFIXES bin
  DOC "CUDA compiler, 12.4 or newer")
mark_as_advanced(FP6LLM_NVCC)
set(FP6LLM_NVCC_FLAGS "" CACHE STRING "More flags for nvcc, a list")
mark_as_advanced(FP6LLM_NVCC_FLAGS)
if(NOT FP6LLM_NVCC)
  if(FP6LLM_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FP6LLM_ENABLE_CUDA=ON, but there is no nvcc: script/bootstrap cuda installs "
                        "one, FP6LLM_NVCC names one")
  endif()
  message(STATUS "CUDA backend: no, there is no nvcc")
  return()
endif()

execute_process(COMMAND ${FP6LLM_NVCC} --version
  OUTPUT_VARIABLE _fp6llm_nvcc_text ERROR_VARIABLE _fp6llm_nvcc_text RESULT_VARIABLE _fp6llm_result)
if(NOT _fp6llm_result EQUAL 0 OR NOT _fp6llm_nvcc_text MATCHES "release [0-9.]+, V([0-9.]+)")
  message(FATAL_ERROR "FP6LLM_NVCC=${FP6LLM_NVCC} does not tell its version: ${_fp6llm_result}")
endif()
set(FP6LLM_NVCC_VERSION ${CMAKE_MATCH_1})
if(FP6LLM_NVCC_VERSION VERSION_LESS 12.4)
  if(FP6LLM_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FP6LLM_NVCC=${FP6LLM_NVCC} is ${FP6LLM_NVCC_VERSION}; 12.4 or newer is needed")
  endif()
  message(STATUS "CUDA backend: no, ${FP6LLM_NVCC} is ${FP6LLM_NVCC_VERSION} < 12.4")
  return()
endif()

get_filename_component(_fp6llm_nvcc_real ${FP6LLM_NVCC} REALPATH)
get_filename_component(_fp6llm_cuda_root ${_fp6llm_nvcc_real}/../.. ABSOLUTE)
find_path(FP6LLM_CUDA_INCLUDE_DIR cuda.h
  HINTS ${_fp6llm_cuda_root}/include ${_fp6llm_cuda_root}/targets/${CMAKE_SYSTEM_PROCESSOR}-linux/include)
mark_as_advanced(FP6LLM_CUDA_INCLUDE_DIR)
if(NOT FP6LLM_CUDA_INCLUDE_DIR)
  message(FATAL_ERROR "${FP6LLM_NVCC} has no cuda.h beside it; FP6LLM_CUDA_INCLUDE_DIR may name its folder")
endif()

# "80" is a cubin and PTX, "80-real" a cubin, "80-virtual" PTX, as in CMAKE_CUDA_ARCHITECTURES. PTX of
# one architecture runs on all later GPUs, that of "90a" on 9.0 only; the emulated GPU runs any.
execute_process(COMMAND ${FP6LLM_NVCC} --list-gpu-code OUTPUT_VARIABLE _fp6llm_known)
foreach(arch ${FP6LLM_CUDA_ARCHITECTURES})
  string(REGEX REPLACE "^([0-9]+)[af]?(-real|-virtual)?$" "\\1" _fp6llm_number "${arch}")
  if(NOT _fp6llm_known MATCHES "sm_${_fp6llm_number}[ \n]")
    message(FATAL_ERROR "FP6LLM_CUDA_ARCHITECTURES: '${arch}' is unknown to nvcc ${FP6LLM_NVCC_VERSION}")
  endif()
endforeach()

# ccache caches nvcc's objects but not its fatbins. cmake/nvcc_fatbin makes a fatbin look like one to
# it; dependency mode, because nvcc -E shows ccache the source for one architecture only.
set(_fp6llm_nvcc_command ${PROJECT_SOURCE_DIR}/cmake/nvcc_fatbin)
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache$")
  set(_fp6llm_nvcc_command ${CMAKE_CXX_COMPILER_LAUNCHER} ${_fp6llm_nvcc_command})
endif()
set(_fp6llm_nvcc_command ${CMAKE_COMMAND} -E env FP6LLM_NVCC=${FP6LLM_NVCC} CCACHE_DEPEND=1
  CCACHE_COMPILERTYPE=nvcc CCACHE_COMPILERCHECK=string:${FP6LLM_NVCC_VERSION} ${_fp6llm_nvcc_command})

set(FP6LLM_CUDA ON)
message(STATUS "CUDA backend: nvcc ${FP6LLM_NVCC_VERSION}, architectures ${FP6LLM_CUDA_ARCHITECTURES}")

# Lets a target include cuda.h. Nothing of CUDA is linked.
function(fp6llm_use_cuda_headers target)
  target_include_directories(${target} SYSTEM PRIVATE ${FP6LLM_CUDA_INCLUDE_DIR})
endfunction()

# fp6llm_add_cuda_sources(<name> <source.cu>... [TARGET <target>] [ARCHITECTURES <arch>...]
#                         [OPTIONS <flag>...])
# Compiles each source to a fatbin and embeds it in <target> (fp6llm_core if not given), where C++ has
# it as `fp6llm::cuda::fatbin_<name>_<file name without .cu>` (core/device/fatbin.hpp). ARCHITECTURES
# narrows FP6LLM_CUDA_ARCHITECTURES, e.g. to 90a for wgmma; where nothing is left, the fatbin exists
# and is empty. The paths of all fatbins are in the global property FP6LLM_FATBINS, for gates.
# As in C++ sources, products are not contracted: write fmaf() where one rounding is meant.
function(fp6llm_add_cuda_sources name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TARGET" "ARCHITECTURES;OPTIONS")
  if(NOT arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "fp6llm_add_cuda_sources(${name}): no sources; they come before the keywords")
  endif()
  if(NOT arg_TARGET)
    set(arg_TARGET fp6llm_core)
  endif()
  set(gencode "")
  set(has_portable_ptx OFF)
  if(FP6LLM_CUDA_ARCHITECTURES MATCHES "(^|;)[0-9]+(-virtual)?(;|$)")
    set(has_portable_ptx ON)
  endif()
  foreach(arch ${FP6LLM_CUDA_ARCHITECTURES})
    string(REGEX MATCH "^[0-9]+[af]?" number ${arch})
    if(DEFINED arg_ARCHITECTURES AND NOT number IN_LIST arg_ARCHITECTURES)
      continue()
    endif()
    set(codes "")
    if(NOT arch MATCHES "-virtual$")
      list(APPEND codes sm_${number})
    endif()
    # PTX for 9.0 alone says nothing that portable PTX does not, unless the source asks for 9.0.
    if(NOT arch MATCHES "-real$" AND NOT (number MATCHES "[af]$" AND has_portable_ptx AND
                                          NOT DEFINED arg_ARCHITECTURES))
      list(APPEND codes compute_${number})
    endif()
    list(JOIN codes "," codes)
    list(APPEND gencode -gencode=arch=compute_${number},code=[${codes}])
  endforeach()

  set(embeddings "")
  foreach(source ${arg_UNPARSED_ARGUMENTS})
    get_filename_component(source ${source} ABSOLUTE)
    get_filename_component(stem ${source} NAME_WE)
    set(FATBIN_NAME ${name}_${stem})
    set(FATBIN_PATH ${CMAKE_CURRENT_BINARY_DIR}/${FATBIN_NAME}.fatbin)
    set(embedding ${CMAKE_CURRENT_BINARY_DIR}/${FATBIN_NAME}.fatbin.cpp)
    if(gencode)
      add_custom_command(OUTPUT ${FATBIN_PATH}
        COMMAND ${_fp6llm_nvcc_command} -c --no-compress $<$<BOOL:${FP6LLM_CUDA_LINE_INFO}>:-lineinfo>
          -std=c++17 -fmad=false
          $<$<BOOL:${FP6LLM_WERROR}>:-Werror=all-warnings> ${gencode} ${arg_OPTIONS}
          ${FP6LLM_NVCC_FLAGS} -I ${PROJECT_SOURCE_DIR}
          -MD -MF ${FATBIN_PATH}.d -MT ${FATBIN_PATH} -o ${FATBIN_PATH} ${source}
        DEPENDS ${source} ${PROJECT_SOURCE_DIR}/cmake/nvcc_fatbin DEPFILE ${FATBIN_PATH}.d
        COMMENT "Building fatbin ${FATBIN_NAME}" VERBATIM COMMAND_EXPAND_LISTS)
      set_property(GLOBAL APPEND PROPERTY FP6LLM_FATBINS ${FATBIN_PATH})
    else()
      file(WRITE ${FATBIN_PATH} "")
    endif()
    configure_file(${PROJECT_SOURCE_DIR}/cmake/fatbin.cpp.in ${embedding} @ONLY)
    set_source_files_properties(${embedding} PROPERTIES OBJECT_DEPENDS ${FATBIN_PATH})
    list(APPEND embeddings ${embedding})
    if(arg_TARGET STREQUAL "fp6llm_core")
      set_property(GLOBAL APPEND PROPERTY FP6LLM_LIBRARY_FATBINS ${FATBIN_NAME})
    endif()
  endforeach()
  # A library of objects, because only targets of this folder can depend on the fatbins made in it.
  # Without ccache, which would not see a new fatbin behind an unchanged source.
  set(objects ${arg_TARGET}_${name}_fatbins)
  add_library(${objects} OBJECT ${embeddings})
  fp6llm_set_target_defaults(${objects})
  set_target_properties(${objects} PROPERTIES CXX_COMPILER_LAUNCHER "")
  target_sources(${arg_TARGET} PRIVATE $<TARGET_OBJECTS:${objects}>)
endfunction()
