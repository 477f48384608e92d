# Runs one consumer: cmake -DCASE=<case> -DSOURCE=.. -DBUILD=.. -DWORK=.. -D... -P run.cmake
# `install` goes first: it installs the build and moves the tree, so that a path of the build machine
# in it is found out.

set(prefix ${WORK}/moved)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "answered ${result}: ${command}")
  endif()
endfunction()

function(build_and_run_cmake_consumer source)
  set(build ${WORK}/${CASE})
  file(REMOVE_RECURSE ${build})
  run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${source} -B ${build} -DCMAKE_C_COMPILER=${C_COMPILER} ${ARGN})
  run(${CMAKE_COMMAND} --build ${build} --target consumer)
  run(${build}/consumer)
endfunction()

file(GLOB libdir ${prefix}/lib*)
set(strict -Wall -Wextra -Wpedantic -Werror)

if(CASE STREQUAL "install")
  file(REMOVE_RECURSE ${WORK}/staged ${prefix})
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/staged)
  file(RENAME ${WORK}/staged ${prefix})
  file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.pc)
  foreach(text ${texts})
    file(STRINGS ${text} lines)
    foreach(path ${SOURCE} ${BUILD} ${WORK}/staged)
      if(lines MATCHES "${path}")
        message(FATAL_ERROR "${text} names ${path}")
      endif()
    endforeach()
  endforeach()
elseif(CASE STREQUAL "find_package")
  build_and_run_cmake_consumer(${SOURCE}/tests/consumer/cmake_package -DCMAKE_PREFIX_PATH=${prefix})
elseif(CASE STREQUAL "add_subdirectory")
  # Without CUDA, which saves minutes and sees that the CPU-only library stays whole.
  build_and_run_cmake_consumer(${SOURCE}/tests/consumer/subproject -DFP6LLM_SOURCE=${SOURCE}
    -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DFP6LLM_WERROR=${WERROR}
    -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_LAUNCHER} -DFP6LLM_ENABLE_CUDA=OFF)
elseif(CASE STREQUAL "pkg_config")
  set(ENV{PKG_CONFIG_PATH} ${libdir}/pkgconfig)
  execute_process(COMMAND ${PKG_CONFIG} --cflags --libs fp6llm
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(${C_COMPILER} -std=c99 ${strict} ${SOURCE}/tests/consumer/linked.c -o ${WORK}/pkg_config ${flags})
  run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${libdir} ${WORK}/pkg_config)
  run(${CXX_COMPILER} -std=c++17 ${strict} ${SOURCE}/tests/consumer/linked.cpp
    -o ${WORK}/pkg_config_cpp ${flags})
  run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${libdir} ${WORK}/pkg_config_cpp)
elseif(CASE STREQUAL "dlopen")
  run(${C_COMPILER} -std=c99 ${strict} -D_POSIX_C_SOURCE=200809L -I${prefix}/include
    ${SOURCE}/tests/consumer/loaded.c -o ${WORK}/dlopen)
  run(${WORK}/dlopen ${libdir}/libfp6llm.so.0)
elseif(CASE STREQUAL "refused_options")
  foreach(option FP6LLM_NVCC=/no/nvcc FP6LLM_ENABLE_CUDA=maybe FP6LLM_CUDA_ARCHITECTURES=77)
    execute_process(COMMAND ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE} -B ${WORK}/${CASE}/${option}
        -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -D${option}
      RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE message)
    string(REGEX MATCH "[^=]+" name ${option})
    if(result EQUAL 0 OR NOT message MATCHES "${name}")
      message(FATAL_ERROR "${option} was not refused by name: ${message}")
    endif()
  endforeach()
else()
  message(FATAL_ERROR "no such case: ${CASE}")
endif()
