"""libfp6llm for Python: 6-bit float weights for LLM inference."""
