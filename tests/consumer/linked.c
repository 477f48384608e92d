/* linked.c - a consumer that links the library. */
#define FP6LLM(name) fp6llm##name
#include "multiply.h"

int main(void) {
    return multiply();
}
