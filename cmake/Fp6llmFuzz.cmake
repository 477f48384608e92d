# Fuzz targets: sources that define LLVMFuzzerTestOneInput().

# fp6llm_add_fuzz_target(<name> CORPUS <dir> SOURCES <source>... [LIBRARIES <target>...])
# With FP6LLM_BUILD_FUZZERS (clang) a libFuzzer program in bin/fuzz/<name>, which script/fuzz runs;
# else the same with a main() that only replays inputs. The test <name> replays the committed corpus.
function(fp6llm_add_fuzz_target name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  fp6llm_set_target_defaults(${name})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES})
  if(FP6LLM_BUILD_FUZZERS)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/fuzz)
    # script/fuzz reads where the seeds are.
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/bin/fuzz/${name}.corpus CONTENT "${arg_CORPUS}\n")
    set(replay_options -runs=0 -verbosity=0)
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
  endif()
  if(FP6LLM_BUILD_TESTS)
    add_test(NAME ${name} COMMAND ${name} ${replay_options} ${arg_CORPUS})
  endif()
endfunction()
