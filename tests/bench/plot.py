"""Draws results of fp6llm_bench as SVG, for report.py: speed over tokens, roofline, scaling over threads.

Colours and greys are such that they read on a light and on a dark page; the background is the page's.
"""

import math
import statistics
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 300, 250  # of a panel's axes
LEFT, TOP, BOTTOM, GAP, LEGEND = 52, 34, 44, 62, 190
GREY = "#808080"
COLOURS = ["#2f81d6", "#e0661b", "#239e6e", "#c84c8e", "#8a6fd6", "#ad8a12", "#2aa0a8", "#d14b4b", "#7f9a3b",
           "#a0705a", "#5f87a8", "#b05fc9"]
# What the plots call by name where it is there; tables hold the rest.
PLOTTED_FORMATS = ("e2m3-row", "e2m3-mx")


class Line:
    """Points of one contender; dashed where it is not ours."""

    def __init__(self, name, points, ours=True):
        self.name, self.points, self.ours = name, sorted(points), ours


def ticks(low, high):
    """Round numbers on a logarithmic axis: powers of 2 where they are few, else 1, 2 and 5, else powers of 10."""
    for steps in ([2.0**i for i in range(-12, 40)],
                  [m * 10.0**i for i in range(-4, 9) for m in (1, 2, 5)],
                  [10.0**i for i in range(-4, 9)]):
        found = [s for s in steps if low * 0.999 <= s <= high * 1.001]
        if len(found) <= 7:
            break
    return found


def label(value):
    return f"{value:g}" if value >= 0.01 else f"{value:.0e}"


class Panel:
    """Logarithmic axes with lines, at a place on the page."""

    def __init__(self, left, title, x_label, y_label, xs, ys, at=None):
        self.left, self.out = left, []
        self.x_range = min(xs) / 1.15, max(xs) * 1.15
        self.y_range = min(ys) / 1.15, max(ys) * 1.15
        self.text(left + WIDTH / 2, TOP - 14, title, "middle", weight="bold")
        self.text(left + WIDTH / 2, TOP + HEIGHT + 36, x_label, "middle")
        self.text(left - 40, TOP + HEIGHT / 2, y_label, "middle", turned=True)
        for x in at or ticks(*self.x_range):
            self.rule(self.x(x), TOP, self.x(x), TOP + HEIGHT)
            self.text(self.x(x), TOP + HEIGHT + 16, label(x), "middle")
        for y in ticks(*self.y_range):
            self.rule(left, self.y(y), left + WIDTH, self.y(y))
            self.text(left - 6, self.y(y) + 4, label(y), "end")
        self.out.append(f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" '
                        f'stroke="{GREY}"/>')

    def x(self, value):
        low, high = (math.log(v) for v in self.x_range)
        return self.left + WIDTH * (math.log(value) - low) / (high - low)

    def y(self, value):
        low, high = (math.log(v) for v in self.y_range)
        return TOP + HEIGHT * (1 - (math.log(value) - low) / (high - low))

    def text(self, x, y, text, anchor="start", weight="normal", colour=GREY, turned=False):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
                        f'fill="{colour}"{turn}>{escape(text)}</text>')

    def rule(self, x1, y1, x2, y2, opacity=0.25, width=1, dash=""):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GREY}" '
                        f'stroke-width="{width}" stroke-opacity="{opacity}"'
                        + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def draw(self, line, colour):
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in line.points)
        dash = "" if line.ours else ' stroke-dasharray="5 3"'
        self.out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                        f'stroke-width="{2 if line.ours else 1.5}"{dash}/>')
        for x, y in line.points:
            self.out.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="2.5" fill="{colour}"/>')


def page(title, panels, names, ours):
    """The SVG: panels and, at their right, which colour is whose."""
    left = LEFT + len(panels) * (WIDTH + GAP) - GAP + 24
    width, height = left + LEGEND, TOP + HEIGHT + BOTTOM + 8
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
           f'height="{height}" font-family="sans-serif" font-size="12" role="img">',
           f"<title>{escape(title)}</title>"]
    for panel in panels:
        out += panel.out
    for i, name in enumerate(names):
        y = TOP + 10 + 19 * i
        dash = "" if ours[name] else ' stroke-dasharray="5 3"'
        out.append(f'<line x1="{left}" y1="{y}" x2="{left + 24}" y2="{y}" stroke="{colour_of(names, name)}" '
                   f'stroke-width="2"{dash}/>')
        out.append(f'<text x="{left + 30}" y="{y + 4}" fill="{GREY}">{escape(name)}</text>')
    return "\n".join(out + ["</svg>", ""])


def colour_of(names, name):
    return COLOURS[names.index(name) % len(COLOURS)]


def time(contender):
    return statistics.median(contender["samples_ms"])


def medians(result, threads, value):
    """{name: {tokens: median over the shapes of value(case, contender)}}, where that is not None."""
    found = {}
    for case in result["gemm"]:
        for contender in case["contenders"]:
            number = value(case, contender) if case["threads"] == threads else None
            if number is not None:
                found.setdefault(contender["name"], {}).setdefault(case["tokens"], []).append(number)
    return {name: {m: statistics.median(v) for m, v in by_m.items()} for name, by_m in found.items()}


def plotted(result):
    """{name: whether it is ours}: the contenders that the plots show, OpenBLAS as one."""
    kinds = {c["name"]: c["kind"] for case in result["gemm"] for c in case["contenders"]}
    own = [n for n, kind in kinds.items() if kind == "fp6"]
    chosen = [n for n in own if n.split()[0] in PLOTTED_FORMATS] or own[:2]
    others = [n for n, kind in kinds.items() if kind == "peer"]
    return {**{n: True for n in chosen}, **{n: False for n in others}, "OpenBLAS": False}


def joined(by_name):
    """OpenBLAS's two functions as one line."""
    lines = {}
    for name, points in by_name.items():
        lines.setdefault("OpenBLAS" if name.startswith("OpenBLAS") else name, {}).update(points)
    return lines


def thread_counts(result):
    return sorted({case["threads"] for case in result["gemm"]})


def title_of(threads):
    return f"{threads} thread{'s' * (threads > 1)}"


def left_of(index):
    return LEFT + index * (WIDTH + GAP)


def panels_of_lines(result, ours, lines_of, x_label, y_label, roofs=None):
    """A panel for each number of threads, all on the same scale."""
    by_threads = {}
    for threads in thread_counts(result):
        lines = lines_of(threads)
        by_threads[threads] = [Line(name, lines[name], ours[name]) for name in ours if name in lines]
    names = [n for n in ours if any(line.name == n for lines in by_threads.values() for line in lines)]
    points = [p for lines in by_threads.values() for line in lines for p in line.points]
    roof_ys = [y for threads in by_threads for y in (roofs(threads)[1].values() if roofs else [])]
    panels = []
    for i, (threads, lines) in enumerate(by_threads.items()):
        at = None if roofs else sorted({x for x, _ in points})
        panel = Panel(left_of(i), title_of(threads), x_label, y_label, [x for x, _ in points],
                      [y for _, y in points] + [1.4 * y for y in roof_ys], at)
        if roofs:
            draw_roofs(panel, *roofs(threads))
        for line in lines:
            panel.draw(line, colour_of(names, line.name))
        panels.append(panel)
    return panels, names


def draw_roofs(panel, bandwidth, peaks):
    """The stream's slope up to the highest peak, and each peak from where the slope meets it."""
    low, high = panel.x_range
    if bandwidth and peaks:
        start = max(low, panel.y_range[0] / bandwidth)
        end = min(high, max(peaks.values()) / bandwidth)
        panel.rule(panel.x(start), panel.y(start * bandwidth), panel.x(end), panel.y(end * bandwidth), 0.9, 1.5)
        panel.text(panel.left + 8, TOP + 18, f"read {bandwidth:.0f} GB/s")
    above = math.inf
    for name, peak in sorted(peaks.items(), key=lambda row: row[1]):
        start = max(low, peak / bandwidth) if bandwidth else low
        panel.rule(panel.x(start), panel.y(peak), panel.x(high), panel.y(peak), 0.9, 1.5)
        above = min(panel.y(peak) - 5, above - 13)  # no label on another
        panel.text(panel.x(high) - 4, above, f"{name} {peak:.0f}", "end")


def speed(result):
    """How many times as fast as OpenBLAS on fp32 weights; None where there is none."""
    if not any(c["kind"] == "openblas" for case in result["gemm"] for c in case["contenders"]):
        return None

    def ratio(case, own):
        base = next((c for c in case["contenders"] if c["kind"] == "openblas"), None)
        if not base or own["kind"] not in ("fp6", "peer", "openblas"):
            return None
        return statistics.median(b / a for a, b in zip(own["samples_ms"], base["samples_ms"]))

    panels, names = panels_of_lines(result, plotted(result), lambda t: {
        name: points.items() for name, points in joined(medians(result, t, ratio)).items()},
        "tokens M", "times as fast as OpenBLAS, fp32")
    return page("Speed over tokens", panels, names, plotted(result))


def roofline(result):
    """GFLOP/s over operations per byte of weights, under what the machine reads and multiplies at best."""
    def lines(threads):
        rates = joined(medians(result, threads, lambda _, c: c["flops"] / time(c) / 1e6
                               if c["kind"] in ("fp6", "peer", "openblas") else None))
        work = joined(medians(result, threads, lambda _, c: c["flops"] / c["bytes"]
                              if c["kind"] in ("fp6", "peer", "openblas") else None))
        return {name: [(work[name][m], rate) for m, rate in by_m.items()] for name, by_m in rates.items()}

    def roofs(threads):
        cases = [case for case in result["gemm"] if case["threads"] == threads]
        read = [c["bytes"] / time(c) / 1e6 for case in cases for c in case["contenders"] if c["kind"] == "stream"]
        peaks = {}
        for case in cases:
            for c in case["contenders"]:
                if c["kind"] == "peak":
                    peaks.setdefault(c["name"], []).append(c["flops"] / time(c) / 1e6)
        return statistics.median(read) if read else None, {n: statistics.median(p) for n, p in peaks.items()}

    panels, names = panels_of_lines(result, plotted(result), lines, "operations per byte of weights", "GFLOP/s",
                                    roofs)
    return page("Roofline", panels, names, plotted(result))


def scaling(result):
    """Speed over one thread's, by tokens; None where only one number of threads was measured."""
    counts = thread_counts(result)
    if counts[0] != 1 or len(counts) < 2:
        return None
    shown = [n for n, ours in plotted(result).items() if ours][:1]
    shown += [n for n, ours in plotted(result).items() if not ours and n in ("ggml Q6_K", "OpenBLAS")]
    times = {t: joined(medians(result, t, lambda _, c: time(c))) for t in counts}
    by_name = {name: {m: [(t, times[1][name][m] / times[t][name][m]) for t in counts]
                      for m in sorted(times[1][name])} for name in shown}
    all_ms = sorted({m for by_m in by_name.values() for m in by_m})
    names = [f"M = {m}" for m in all_ms]
    ys = [y for by_m in by_name.values() for points in by_m.values() for _, y in points] + [1, counts[-1]]
    panels = []
    for i, (name, by_m) in enumerate(by_name.items()):
        panel = Panel(left_of(i), name, "threads", "times as fast as one thread", counts, ys, counts)
        panel.rule(panel.x(1), panel.y(1), panel.x(counts[-1]), panel.y(counts[-1]), 0.9, 1, "2 3")
        for m, points in by_m.items():
            panel.draw(Line(f"M = {m}", points), colour_of(names, f"M = {m}"))
        panels.append(panel)
    return page("Scaling over threads", panels, names, dict.fromkeys(names, True))


def plots(result):
    """{kind: SVG} of what a result holds."""
    if not result["gemm"]:
        return {}
    drawn = {"speed": speed(result), "roofline": roofline(result), "scaling": scaling(result)}
    return {kind: svg for kind, svg in drawn.items() if svg}
