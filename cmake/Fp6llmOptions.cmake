# Refuses options this version cannot honour, rather than ignore them.

if(NOT FP6LLM_ENABLE_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FP6LLM_ENABLE_CUDA is '${FP6LLM_ENABLE_CUDA}'; it must be AUTO, ON or OFF")
endif()
