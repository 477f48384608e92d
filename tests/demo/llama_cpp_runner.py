"""Runs a GGUF file with llama-cpp-python, in that package's environment, and writes what came out as an .npz.

usage: llama_cpp_runner.py REQUEST.json OUT.npz. The request: model, texts, messages (of a chat), tokens (to
take logits of), prompt and answer_length (for greedy generation), threads.
"""

import json
import sys

import numpy as np
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

GGML_F32 = 0


def main(request_path: str, out: str) -> None:
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    # Every position's logits kept; keys in fp32. This version takes values in fp16 alone, and rounds what it
    # multiplies them with to fp16 too.
    llama = Llama(
        request["model"],
        n_ctx=1024,
        n_batch=128,
        n_threads=request["threads"],
        n_threads_batch=request["threads"],
        logits_all=True,
        type_k=GGML_F32,
        verbose=False,
    )
    formatter = Jinja2ChatFormatter(
        llama.metadata["tokenizer.chat_template"], eos_token="<|im_end|>", bos_token="<|im_start|>"
    )
    chat = formatter(messages=request["messages"]).prompt
    found = {"chat": llama.tokenize(chat.encode(), add_bos=False, special=True)}
    for number, text in enumerate(request["texts"]):
        found[f"text{number}"] = llama.tokenize(text.encode(), add_bos=False, special=False)
    llama.eval(request["tokens"])
    logits = llama.scores[: len(request["tokens"])].copy()

    llama.reset()
    llama.eval(request["prompt"])
    answer = []
    for _ in range(request["answer_length"]):
        answer.append(int(np.argmax(llama.scores[llama.n_tokens - 1])))
        llama.eval(answer[-1:])
    arrays = {name: np.array(tokens, np.int64) for name, tokens in found.items()}
    np.savez(out, logits=logits, answer=np.array(answer, np.int64), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
