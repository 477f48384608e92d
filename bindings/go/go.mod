module fp6llm

go 1.24
