# CTest's view of these tests, included by tests/bindings. Without pytest, NumPy and ml_dtypes they are left out,
# and said so; in CI they are there.
set(python_tests ${bindings_dir}/python/tests)
# Each test its own temporary folder: pytest clears what is left of others' while they run.
set(pytest ${Python3_EXECUTABLE} -m pytest -q --basetemp)
set(python_environment "PYTHONPATH=${PROJECT_BINARY_DIR}/python;PYTHONDONTWRITEBYTECODE=1")
execute_process(COMMAND ${Python3_EXECUTABLE} -c "import pytest, numpy, ml_dtypes"
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
if(NOT result EQUAL 0)
  message(STATUS "No pytest, numpy or ml_dtypes: the Python package is not tested")
  return()
endif()

set(checkpoint_tests test_safetensors_file.py test_checkpoint.py test_quantize_model.py test_quantize_resume.py
  test_gguf.py)
set(elsewhere test_cuda.py test_torch.py test_quark.py ${checkpoint_tests})
list(TRANSFORM elsewhere PREPEND --ignore=)
fp6llm_add_bindings_test(python_api DIRECTORY ${python_tests}
  COMMAND ${pytest} ${CMAKE_CURRENT_BINARY_DIR}/python_api ${elsewhere}
  PROPERTIES ENVIRONMENT "${python_environment}")
execute_process(COMMAND ${Python3_EXECUTABLE} -c "import gguf, safetensors"
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
if(result EQUAL 0)
  fp6llm_add_bindings_test(python_checkpoints DIRECTORY ${python_tests}
    COMMAND ${pytest} ${CMAKE_CURRENT_BINARY_DIR}/python_checkpoints ${checkpoint_tests}
    PROPERTIES ENVIRONMENT "${python_environment}")
else()
  message(STATUS "No gguf or safetensors: Python's checkpoints are not tested")
endif()
if(FP6LLM_CUDA AND TARGET emulated_cuda)
  fp6llm_add_bindings_test(python_cuda DIRECTORY ${python_tests}
    COMMAND ${pytest} ${CMAKE_CURRENT_BINARY_DIR}/python_cuda test_cuda.py
    PROPERTIES ENVIRONMENT
      "${python_environment};LD_LIBRARY_PATH=${EMULATED_CUDA_FOLDER};FP6LLM_TEST_NEEDS_GPU=1")
endif()
# The wheel takes the library that the test consumer.install left.
execute_process(COMMAND ${Python3_EXECUTABLE} -c "import auditwheel, scikit_build_core"
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
if(result EQUAL 0)
  fp6llm_add_bindings_test(python_wheel DIRECTORY ${python_tests}
    COMMAND ${Python3_EXECUTABLE} check_wheel.py --prefix ${PROJECT_BINARY_DIR}/tests/consumer/moved
            --work ${CMAKE_CURRENT_BINARY_DIR}/wheel
    PROPERTIES FIXTURES_REQUIRED installed_tree)
else()
  message(STATUS "No auditwheel or scikit-build-core: the Python wheel is not tested")
endif()
