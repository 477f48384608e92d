"""script/demo: SmolLM2 answers a prompt with its linear layers in 6 bits, then a table of cost and quality.

The table compares fp32 (NumPy with its BLAS) with five ways to quantize, on the same number of threads, taking
turns. Options: --help.
"""

from __future__ import annotations

import argparse
import os
import sys
import time


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a Llama as GGUF with SmolLM2's tokenizer")
    parser.add_argument("text", help="an English text file to measure perplexity on")
    parser.add_argument("--prompt", default="Explain in two sentences why the sky is blue.")
    parser.add_argument("--tokens", type=int, default=100, help="longest answer (default: 100)")
    # One by default: on a machine that others use too, OpenBLAS waits for its second thread at every product.
    parser.add_argument("--threads", type=int, default=1, help="of NumPy and of libfp6llm (default: 1)")
    parser.add_argument("--no-table", action="store_true", help="only answer the prompt")
    options = parser.parse_args(arguments)
    if not 1 <= options.threads <= 64:
        parser.error("--threads takes 1 to 64")
    if options.tokens < 1:
        parser.error("--tokens takes 1 or more")
    try:
        options.prompt.encode()
    except UnicodeEncodeError:
        parser.error("--prompt is not text in this locale's encoding")
    return options


options = parse(sys.argv[1:]) if __name__ == "__main__" else None
if options is not None:
    # OpenBLAS reads it when NumPy is loaded.
    os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)

import fp6llm  # noqa: E402
import numpy as np  # noqa: E402

import loader  # noqa: E402
from linear import Dense, Fp6  # noqa: E402
from measure import judge, time_in_turns  # noqa: E402
from model import Llama  # noqa: E402
from table import Row, print_table  # noqa: E402
from tokenizer import Tokenizer  # noqa: E402

# The ways to quantize that the table compares; the first one answers the prompt.
SCHEMES = {
    "AUTO row": {"format": "auto", "scale": "row"},
    "E3M2 row": {"format": "e3m2", "scale": "row"},
    "E2M3 row": {"format": "e2m3", "scale": "row"},
    "AUTO group 128": {"format": "auto", "scale": "group", "group_size": 128},
    "AUTO MX": {"format": "auto", "scale": "mx"},
}
TURNS = 5
TOKENS_A_TURN = 8
SECONDS = 20
TEXT_TOKENS = 512


def progress(work: str, done: int, all: int) -> None:
    """Overwrites one line on a terminal; silent elsewhere."""
    if sys.stderr.isatty():
        end = "\r\033[K" if done == all else ""
        print(f"\r\033[K{work} {done} / {all}{end}", end="", file=sys.stderr, flush=True)


def describe_blas() -> str:
    """Name and version of the BLAS that NumPy was built with."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"NumPy {np.__version__} with {blas['name']} {blas['version']}"


def introduce(model: loader.Model, handle: fp6llm.Handle) -> None:
    """Prints what runs, on what, and where the weights come from."""
    origins = " and ".join(
        f"{count / 1e6:.1f} million weights as {origin}" for origin, count in model.origins.items()
    )
    device = fp6llm.devices()[0]
    print(f"{model.name}: {model.shape.layers} blocks of width {model.shape.width}; {origins}")
    print(
        f"libfp6llm {fp6llm.version()} on {device.name}, {device.isa} kernels; "
        f"{describe_blas()}; {handle.threads} thread(s) each"
    )
    if "Q4_1" in model.origins:
        print(
            "These weights were 4-bit before: Q4_1 holds 16 levels per block of 32, which fp32 repeats and"
            " 6 bits hold nearly.\nA model that was never 4-bit has more to lose and to keep."
        )


def answer(model: Llama, tokenizer: Tokenizer, prompt: list[int], tokens: int) -> None:
    """Prints the model's answer as it comes."""
    start, times = time.perf_counter(), []

    def timed():
        for token in model.generate(prompt, tokens, tokenizer.end):
            times.append(time.perf_counter() - start)
            yield token

    for piece in tokenizer.stream(timed()):
        print(piece, end="", flush=True)
    if not times:
        print("(the answer is empty)")
        return
    rate = f", then {(len(times) - 1) / (times[-1] - times[0]):.1f} tokens/s" if times[1:] else ""
    print(f"\n\n({len(times)} tokens; the first after {1e3 * times[0]:.0f} ms{rate})")


def quantize(content: loader.Model, handle: fp6llm.Handle, scheme: str) -> Llama:
    """The model with its linear layers in 6 bits."""
    layers = 4 * content.shape.layers + 1
    done = 0

    def make(matrix: np.ndarray) -> Fp6:
        nonlocal done
        done += 1
        linear = Fp6(matrix, handle, **SCHEMES[scheme])
        progress(f"quantizing, {scheme}, layer", done, layers)
        return linear

    return Llama(content.shape, content.weights, make)


def compare(models: dict[str, Llama], prompt: list[int], text: list[int], source: str) -> None:
    """Measures models and prints the table; the first is fp32. `source` is where the text is from."""
    speeds = time_in_turns(
        list(models.values()),
        prompt,
        TOKENS_A_TURN,
        TURNS,
        SECONDS,
        lambda done, all: progress("timing, turn", done, all),
    )
    qualities = []
    for model in models.values():
        qualities.append(judge(model, text))
        progress("perplexity, model", len(qualities), len(models))
    print_table(
        [
            Row(name, model, speed, quality, qualities[0])
            for (name, model), speed, quality in zip(models.items(), speeds, qualities)
        ]
    )
    print(
        f"\nMB: what a token reads of the weights, scales and padding included; embeddings are looked up in"
        f" fp32 by all.\nSpeed: medians of {len(speeds[0].first)} turns of {TOKENS_A_TURN} tokens after a"
        f" prompt of {len(prompt)}, the models taking turns.\nPerplexity, and how often the likeliest next"
        f" token is fp32's: the first {len(text)} tokens\nof {source}, white space joined."
    )


def run(options: argparse.Namespace) -> None:
    """The demo."""
    with open(options.text, encoding="utf-8") as file:
        text = " ".join(file.read().split())
    content = loader.load(options.model, lambda done, all: progress("loading block", done, all))
    tokenizer = Tokenizer(content.vocabulary)
    prompt = tokenizer.chat(options.prompt)
    if len(prompt) + options.tokens > content.shape.context:
        raise ValueError(f"prompt and answer are longer than {content.shape.context} tokens")
    text_tokens = tokenizer.encode(text)[:TEXT_TOKENS]
    if len(text_tokens) < 2:
        raise ValueError(f"{options.text} is too short to measure perplexity on")
    handle = fp6llm.Handle("cpu", threads=options.threads)
    introduce(content, handle)

    first, *others = SCHEMES
    start = time.perf_counter()
    six = quantize(content, handle, first)
    took = time.perf_counter() - start
    print(f"Quantized and prepacked ({first}) in {took:.1f} s; all linear layers in 6 bits, it answers:\n")
    print(f"> {options.prompt}\n")
    answer(six, tokenizer, prompt, options.tokens)
    if options.no_table:
        return
    models = {"fp32, NumPy": Llama(content.shape, content.weights, Dense), first: six}
    for scheme in others:
        models[scheme] = quantize(content, handle, scheme)
    compare(models, prompt, text_tokens, os.path.join(*os.path.abspath(options.text).split(os.sep)[-2:]))


def main(options: argparse.Namespace) -> int:
    """Runs the demo; the exit status."""
    try:
        run(options)
    except (OSError, ValueError, fp6llm.Fp6llmError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(options))
