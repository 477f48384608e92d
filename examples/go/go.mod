module quickstart

go 1.24

require fp6llm v0.0.0

replace fp6llm => ../../bindings/go
