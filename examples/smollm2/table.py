"""Prints the demo's table: a line for each kind of linear layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from linear import Fp6
from measure import Quality, Speed
from model import Llama


@dataclass(frozen=True)
class Row:
    """A model and what was measured of it; `reference` is the quality it is compared with."""

    name: str
    model: Llama
    speed: Speed
    quality: Quality
    reference: Quality

    @property
    def formats(self) -> str:
        """How many layers have which 6-bit format."""
        chosen = Counter(
            linear.weight.format.name.removeprefix("R_6F_")
            for linear in self.model.linears
            if isinstance(linear, Fp6)
        )
        return " ".join(f"{name}:{count}" for name, count in sorted(chosen.items())) or "-"

    @property
    def bits(self) -> float:
        """Bits per weight, with everything that is stored beside them."""
        linears = self.model.linears
        return 8 * sum(linear.nbytes for linear in linears) / sum(linear.weights for linear in linears)


def print_table(rows: list[Row]) -> None:
    """Prints rows; the first is what the others' speed is compared with."""
    print(
        f"\n{'linear layers':<17}{'formats':<16}{'bits/weight':>11}{'MB':>8}{'tokens/s':>10}{'ratio':>8}"
        f"{'first token':>13}{'perplexity':>12}{'same next token':>17}"
    )
    base = rows[0].speed.tokens_per_second
    for row in rows:
        megabytes = sum(linear.nbytes for linear in row.model.linears) / 1e6
        rate = row.speed.tokens_per_second
        print(
            f"{row.name:<17}{row.formats:<16}{row.bits:>11.2f}{megabytes:>8.1f}"
            f"{rate:>10.1f}{rate / base:>7.2f}x{row.speed.first_ms:>10.0f} ms{row.quality.perplexity:>12.3f}"
            f"{100 * row.quality.agreement(row.reference):>15.1f} %"
        )
