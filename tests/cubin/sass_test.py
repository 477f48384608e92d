# sass.py finds the way through a loop that it should: a listing written by hand.
import re
import unittest

import sass

LISTING = """
0x00 MOV R1, c[0x0][0x28]
0x10 BAR.SYNC 0x0
0x20 @P0 BRA 0x60
0x30 IADD3 R2, R2, 0x1, RZ
0x40 LDGSTS.E [R2], [R4.64]
0x50 @!P3 BRA 0x30
0x60 LDS.128 R8, [R2]
0x70 HMMA.16816.F32 R4, R8, R12, R4
0x80 BRA P0, P1, 0xd0
0x90 IMAD R1, R1, R2, R3
0xa0 STG.E [R2.64], R4
0xb0 @P4 BRA 0xa0
0xc0 MOV R9, RZ
0xd0 @P2 BRA 0x10
0xe0 EXIT
"""


def code():
    parsed = []
    for line in LISTING.strip().splitlines():
        address, text = line.split(" ", 1)
        name = re.sub(sass.PREDICATE, "", text).split()[0].split(".")[0]
        parsed.append(sass.Instruction(int(address, 16), name, text))
    return parsed


class SteadyPath(unittest.TestCase):
    def test_loop_is_the_outermost_around_the_products(self):
        loop = sass.main_loop(code())
        self.assertEqual((loop[0].address, loop[-1].address), (0x10, 0xd0))

    def test_path_loads_multiplies_and_leaves_out_what_is_rare(self):
        path = sass.steady_path(sass.main_loop(code()), {"HMMA", "LDGSTS"})
        self.assertEqual([x.address for x in path],
                         [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0xd0])

    def test_without_products_there_is_no_loop(self):
        with self.assertRaises(ValueError):
            sass.main_loop([x for x in code() if x.address != 0xd0])


def lines(*texts):
    return [sass.Instruction(16 * i, re.sub(sass.PREDICATE, "", text).split()[0].split(".")[0], text)
            for i, text in enumerate(texts)]


class UniformRegisters(unittest.TestCase):
    def test_registers_that_something_sets_are_fine(self):
        self.assertEqual(sass.reads_of_unset_uniform_registers(lines(
            "ULDC.64 UR4, c[0x0][0x208]", "@UP0 UMOV UR6, 0x400", "UIADD3 UP0, UR9, UR5, UR6, URZ",
            "UIMAD.WIDE UR10, UR4, UR5, UR6", "LDGSTS.E.BYPASS.128 [R5+UR6], desc[UR4][R2.64], !P0",
            "LDG.E R7, desc[UR10][R2.64]", "STS [R5+UR9], R7", "LDS R7, [URZ]")), [])

    def test_registers_that_nothing_sets_are_found(self):
        # What ptxas 12.8 and 13.0 make of cp.async with L2::cache_hint for sm_90; UR6 should be there.
        bad = "LDGSTS.E.BYPASS.128 [R5+UR0], desc[UR1][R2.64]"
        found = sass.reads_of_unset_uniform_registers(lines("ULDC.64 UR6, c[0x0][0x220]", bad))
        self.assertEqual([x.text for x in found], [bad])


if __name__ == "__main__":
    unittest.main()
