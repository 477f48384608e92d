//go:build !race && !asan

package fp6llm

const instrumented = false
