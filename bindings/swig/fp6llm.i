/* The interface of every binding: fp6llm.h, and per language the typemaps that turn C's conventions
 * into the language's. generate.py runs SWIG over it, once with FP6LLM_TREE and no typemaps for the
 * parse tree that Rust, the structs of Go and the stubs of Python are made from. */
%module(package="fp6llm", threads="1") capi

%{
#include "fp6llm/fp6llm.h"
%}

/* The types of stdint.h by name: SWIG's own stdint.i would guess whether int64_t is long or long long. */
%apply int { int32_t }
%apply long long { int64_t }
%apply unsigned long long { uint64_t }

#if defined(FP6LLM_TREE)
/* Nothing: the declarations as they stand. */
#elif defined(SWIGPYTHON)
%include "python.i"
#elif defined(SWIGGO)
%include "go.i"
#endif

%include "fp6llm/fp6llm.h"
