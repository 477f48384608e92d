//go:build race || asan

package fp6llm

// instrumented is whether a detector is built in, which costs time and memory of its own.
const instrumented = true
