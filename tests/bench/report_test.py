"""Tests of report.py and plot.py on a small result with known times."""

import re
import unittest
import xml.etree.ElementTree

import plot
import report

SVG = "{http://www.w3.org/2000/svg}"


def contender(kind, name, ms, **more):
    return {"kind": kind, "name": name, "bytes": 1e6, "flops": 4e6, "error": 0, "samples_ms": ms, **more}


def case(threads, tokens, *contenders, shape=(64, 32)):
    return {"rows": shape[0], "cols": shape[1], "threads": threads, "tokens": tokens,
            "contenders": list(contenders)}


def result(*cases):
    return {"schema": "fp6llm-bench/1", "date": "2026-01-02T00:00:00Z", "commit": "abc", "openblas": "OpenBLAS 1",
            "machine": {"cpu": "CPU", "isa": "isa", "cores": 2, "kernel": "Linux", "compiler": "cc"},
            "remarks": ["peer: ggml 1", "oneDNN is left out: none"], "gemm": list(cases), "quantize": []}


def beside_peers(threads, tokens, ms):
    """Twice as fast as ggml, eight times as fast as OpenBLAS, 0.25 of the stream, half of it with
    prefetches and of the int8 peak."""
    return case(threads, tokens,
                contender("fp6", "e2m3-row 8i", [ms, 10 * ms, ms], peak="int8 peak", operations=4e6, error=0.01),
                contender("openblas", "OpenBLAS sgemv" if tokens == 1 else "OpenBLAS sgemm",
                          [8 * ms, 80 * ms, 8 * ms]),
                contender("peer", "ggml Q6_K", [2 * ms, 20 * ms, 2 * ms], error=0.05),
                contender("stream", "read of the same bytes", [ms / 4, ms * 2.5, ms / 4]),
                contender("prefetched", "the same, prefetched", [ms / 2, ms * 5, ms / 2]),
                contender("peak", "fp32 peak", [ms, ms, ms], flops=1e9),
                contender("peak", "int8 peak", [ms / 2, ms * 5, ms / 2]))


class ReportTest(unittest.TestCase):
    def test_ratios_pair_the_rounds_and_take_the_kernels_own_peak(self):
        one = beside_peers(1, 1, 1.0)
        ratios = report.gemm_ratios(one, one["contenders"][0])
        self.assertEqual(ratios, {"of stream": 0.25, "of stream, prefetched": 0.5, "x OpenBLAS": 8,
                                  "of peak": 0.5, "over row scales": None, "x best 6-bit peer": None,
                                  "x ggml Q6_K": 2})

    def test_the_best_of_several_six_bit_peers_and_scales_against_a_rows(self):
        own = contender("fp6", "e2m3-mx 8i", [2, 20, 2])
        beside = case(1, 16, contender("fp6", "e2m3-row 16i", [9, 9, 9]), own,
                      contender("fp6", "e2m3-row 8i", [1, 10, 1]), contender("fp6", "e3m2-row 8i", [9, 9, 9]),
                      contender("peer", "ggml Q4_0", [1, 1, 1]), contender("peer", "ggml Q6_K", [8, 80, 8]),
                      contender("peer", "ik Q6_0_R4", [6, 60, 6]))
        ratios = report.gemm_ratios(beside, own)
        self.assertEqual((ratios["over row scales"], ratios["x best 6-bit peer"]), (0.5, 3))

    def test_threads_are_held_against_one(self):
        text = "\n".join(report.report("name.json", result(
            beside_peers(1, 1, 3.0), beside_peers(1, 4, 3.0), beside_peers(2, 1, 2.0), beside_peers(2, 4, 1.5),
            beside_peers(2, 16, 1.0))))
        self.assertIn("| 2 | e2m3-row 8i | 1.50 | 2.00 |  |", text)
        self.assertIn("| 2 | OpenBLAS | 1.50 | 2.00 |  |", text)
        alone = "\n".join(report.report("name.json", result(beside_peers(2, 1, 2.0))))
        self.assertNotIn("over one thread", alone)

    def test_results_of_before_there_were_other_peaks_are_held_against_fp32(self):
        own = contender("fp6", "e2m3-row 32f", [1, 1], flops=3e6)
        old = case(1, 1, own, contender("peak", "fp32 peak", [0.5, 0.5], flops=2e6))
        self.assertEqual(report.gemm_ratios(old, own)["of peak"], 0.75)

    def test_tables_have_a_row_for_each_peer_and_say_who_is_left_out(self):
        text = "\n".join(report.report("name.json", result(beside_peers(1, 1, 1.0), beside_peers(1, 4, 2.0))))
        self.assertIn("| e2m3-row 8i | x ggml Q6_K | 2.00 | 2.00 |", text)
        self.assertIn("OneDNN is left out: none.", text)
        self.assertIn("e2m3-row 8i 1.0e-02, ggml Q6_K 5.0e-02", text)
        self.assertIn("(benchmark/name-speed.svg)", text)
        self.assertNotIn("scaling", text)

    def test_checks_and_a_token_have_tables(self):
        with_all = result(beside_peers(1, 1, 1.0))
        with_all["token"] = [{"model": "Model", "threads": 1, "multiplications": 3,
                              "contenders": beside_peers(1, 1, 1.0)["contenders"]}]
        with_all["checks"] = [{"name": "a call", "kernel": "k", "threads": 1, "unit": "ns", "value": 431.4,
                               "limit": 1000, "result": "pass", "samples": [431.4]}]
        text = "\n".join(report.report("name.json", with_all))
        self.assertIn("| 1 | e2m3-row 8i | 0.25 | 8.00 |", text)
        self.assertIn("| 1 | a call | 431 ns | 1000 | pass |", text)


class PlotTest(unittest.TestCase):
    def parse(self, svg):
        self.assertIsNone(re.search(r"\b(nan|inf)\b", svg))
        page = xml.etree.ElementTree.fromstring(svg)
        width, height = float(page.get("width")), float(page.get("height"))
        for circle in page.iter(SVG + "circle"):
            self.assertTrue(0 < float(circle.get("cx")) < width and 0 < float(circle.get("cy")) < height)
        return page

    def test_every_plot_is_xml_with_a_line_for_each_contender_and_number_of_threads(self):
        drawn = plot.plots(result(*(beside_peers(t, m, m / t) for t in (1, 2, 8) for m in (1, 4, 512))))
        self.assertEqual(set(drawn), {"speed", "roofline", "scaling"})
        for svg in drawn.values():
            page = self.parse(svg)
            self.assertEqual(len(list(page.iter(SVG + "polyline"))), 9)
        texts = [text.text for text in self.parse(drawn["speed"]).iter(SVG + "text")]
        self.assertTrue({"e2m3-row 8i", "ggml Q6_K", "OpenBLAS", "8 threads", "512"} <= set(texts))

    def test_faster_is_higher(self):
        page = self.parse(plot.speed(result(beside_peers(1, 1, 1.0), beside_peers(1, 4, 1.0))))
        ours, ggml, openblas = (
            [float(point.split(",")[1]) for point in line.get("points").split()]
            for line in page.iter(SVG + "polyline"))
        self.assertTrue(ours[0] == ours[1] < ggml[0] < openblas[0])

    def test_without_openblas_or_one_thread_there_is_less_to_draw(self):
        one = beside_peers(2, 1, 1.0)
        one["contenders"] = [c for c in one["contenders"] if c["kind"] != "openblas"]
        self.assertEqual(set(plot.plots(result(one))), {"roofline"})
        self.assertEqual(plot.plots(result()), {})


if __name__ == "__main__":
    unittest.main()
