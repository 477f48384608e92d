//go:build !race

package fp6llm

const raceEnabled = false
