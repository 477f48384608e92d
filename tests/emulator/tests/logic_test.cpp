// Bit instructions against bit-by-bit loops in the words of the PTX ISA.
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

uint64_t mask_of(int bits) {
    return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}
std::string bit_type(int bits) {
    return "b" + std::to_string(bits);
}

TEST(Logic, Words) {
    for (int bits : {16, 32, 64}) {
        const std::string t = bit_type(bits);
        expect_op("and." + t + " %d0, %a0, %a1;\nor." + t + " %d1, %a0, %a1;\nxor." + t +
                      " %d2, %a0, %a1;\nnot." + t + " %d3, %a0;\ncnot." + t + " %d4, %a0;",
                  {t, t, t, t, t}, {t, t}, pairs(integer_values(bits), integer_values(bits)),
                  [&](const uint64_t* a, uint64_t* d) {
                      d[0] = a[0] & a[1];
                      d[1] = a[0] | a[1];
                      d[2] = a[0] ^ a[1];
                      d[3] = ~a[0] & mask_of(bits);
                      d[4] = a[0] == 0;
                  });
    }
    expect_refused("and.u32 %d0, %a0, %a1;", {"u32"}, {"u32", "u32"});
}

TEST(Logic, Predicates) {
    expect_op(
        "and.pred %d0, %a0, %a1;\nor.pred %d1, %a0, !%a1;\nxor.pred %d2, %a0, %a1;\n"
        "not.pred %d3, %a0;\nmov.pred %d4, !%a1;\nand.pred %d5, %a0, 1;",
        {"pred", "pred", "pred", "pred", "pred", "pred"}, {"pred", "pred"}, pairs({0, 1}, {0, 1}),
        [](const uint64_t* a, uint64_t* d) {
            d[0] = a[0] && a[1];
            d[1] = a[0] || !a[1];
            d[2] = a[0] != a[1];
            d[3] = !a[0];
            d[4] = !a[1];
            d[5] = a[0];
        });
}

TEST(Logic, EveryTableOfThreeInputs) {
    const Cases cases = triples(integer_values(32), integer_values(32), integer_values(32), 300);
    for (int first = 0; first < 256; first += 8) {
        std::string text;
        for (int i = 0; i < 8; ++i)
            text += "lop3.b32 %d" + std::to_string(i) + ", %a0, %a1, %a2, " +
                    std::to_string(first + i) + ";\n";
        expect_op(text, Types(8, "b32"), Types(3, "b32"), cases,
                  [&](const uint64_t* a, uint64_t* d) {
                      for (int i = 0; i < 8; ++i)
                          for (int bit = 0; bit < 32; ++bit) {
                              const uint64_t row =
                                  (a[0] >> bit & 1) * 4 + (a[1] >> bit & 1) * 2 + (a[2] >> bit & 1);
                              d[i] |= (uint64_t(first + i) >> row & 1) << bit;
                          }
                  });
    }
    expect_refused("lop3.b32 %d0, %a0, %a1, %a2, 256;", {"b32"}, Types(3, "b32"));
}

TEST(Logic, LookUpWithPredicate) {
    Cases cases;
    for (uint64_t q : {0, 1})
        for (uint64_t x : {uint64_t{0}, uint64_t{1}, uint64_t{0xF0}})
            for (uint64_t y : {uint64_t{0}, uint64_t{1}, uint64_t{0x0F}})
                cases.push_back({x, y, q});
    expect_op(
        "lop3.or.b32 %d0|%d1, %a0, %a1, 0, 0xC0, %a2;\n"
        "lop3.and.b32 %d2|%d3, %a0, %a1, 0, 0xFC, !%a2;\n"
        "lop3.and.b32 _|%d4, %a0, %a1, 0, 0xC0, %a2;",
        {"b32", "pred", "b32", "pred", "pred"}, {"b32", "b32", "pred"}, cases,
        [](const uint64_t* a, uint64_t* d) {
            d[0] = a[0] & a[1];
            d[1] = d[0] != 0 || a[2];
            d[2] = a[0] | a[1];
            d[3] = d[2] != 0 && !a[2];
            d[4] = d[0] != 0 && a[2];
        });
}

Case counts() {
    Case values;
    for (uint64_t i = 0; i < 70; ++i)
        values.push_back(i);
    for (uint64_t big : {128u, 255u, 256u, 65536u, 0x80000000u, 0xFFFFFFFFu})
        values.push_back(big);
    return values;
}

TEST(Logic, ShiftsClamp) {
    for (int bits : {16, 32, 64}) {
        const Cases cases = pairs(integer_values(bits), counts());
        const std::string n = std::to_string(bits);
        expect_op("shl.b" + n + " %d0, %a0, %a1;\nshr.u" + n + " %d1, %a0, %a1;\nshr.s" + n +
                      " %d2, %a0, %a1;\nshr.b" + n + " %d3, %a0, %a1;",
                  Types(4, "b" + n), {"b" + n, "u32"}, cases, [&](const uint64_t* a, uint64_t* d) {
                      const bool negative = a[0] >> (bits - 1) & 1;
                      for (int i = 0; i < bits; ++i) {
                          const uint64_t bit = a[0] >> i & 1;
                          if (i + a[1] < uint64_t(bits)) d[0] |= bit << (i + a[1]);
                          const uint64_t from = uint64_t(i) + a[1];
                          const uint64_t shifted = from < uint64_t(bits) ? a[0] >> from & 1 : 0;
                          d[1] |= shifted << i;
                          d[2] |= (from < uint64_t(bits) ? shifted : negative) << i;
                      }
                      d[3] = d[1];
                  });
    }
    expect_refused("shl.s32 %d0, %a0, %a1;", {"b32"}, {"b32", "u32"});
    expect_refused("shl.b64 %d0, %a0, %a1;", {"b64"}, {"b64", "b64"});  // the count has 32 bits
}

TEST(Logic, FunnelShift) {
    Cases cases;
    for (const Case& pair : pairs(integer_values(32, 3), integer_values(32, 3)))
        for (uint64_t count : {0, 1, 15, 31, 32, 33, 63, 64, 255})
            cases.push_back({pair[0], pair[1], count});
    expect_op(
        "shf.l.clamp.b32 %d0, %a0, %a1, %a2;\nshf.r.clamp.b32 %d1, %a0, %a1, %a2;\n"
        "shf.l.wrap.b32 %d2, %a0, %a1, %a2;\nshf.r.wrap.b32 %d3, %a0, %a1, %a2;",
        Types(4, "b32"), {"b32", "b32", "u32"}, cases, [](const uint64_t* a, uint64_t* d) {
            for (int wrap = 0; wrap < 2; ++wrap) {
                const uint64_t n = wrap ? a[2] & 31 : a[2] > 32 ? 32 : a[2];
                for (uint64_t i = 0; i < 32; ++i) {
                    // Bit i of the upper half after n steps to the left came from i - n.
                    const uint64_t up = i >= n ? a[1] >> (i - n) & 1 : a[0] >> (32 + i - n) & 1;
                    const uint64_t down =
                        i + n < 32 ? a[0] >> (i + n) & 1 : a[1] >> (i + n - 32) & 1;
                    d[2 * wrap] |= up << i;
                    d[2 * wrap + 1] |= down << i;
                }
            }
        });
}

uint64_t permute(uint64_t a, uint64_t b, uint64_t selectors) {
    uint64_t d = 0;
    for (int i = 0; i < 4; ++i) {
        const uint64_t selector = selectors >> 4 * i & 15;
        const int index = int(selector & 7);
        uint64_t byte = (index < 4 ? a >> 8 * index : b >> 8 * (index - 4)) & 0xFF;
        if (selector & 8) byte = byte & 0x80 ? 0xFF : 0;
        d |= byte << 8 * i;
    }
    return d;
}

TEST(Logic, Permute) {
    Cases cases = triples(integer_values(32, 30), integer_values(32, 30), integer_values(32, 60));
    std::mt19937_64 random(5);
    for (Case& values : cases)
        values[2] = random() & 0xFFFF;
    expect_op("prmt.b32 %d0, %a0, %a1, %a2;", {"b32"}, Types(3, "b32"), cases,
              [](const uint64_t* a, uint64_t* d) { d[0] = permute(a[0], a[1], a[2]); });
    for (uint64_t selector :
         {0x3210u, 0x7632u, 0x5410u, 0x0123u, 0x9876u, 0xFEDCu, 0xBA98u, 0x4F0Eu})
        expect_op("prmt.b32 %d0, %a0, %a1, " + std::to_string(selector) + ";", {"b32"},
                  Types(2, "b32"), pairs(integer_values(32), integer_values(32)),
                  [&](const uint64_t* a, uint64_t* d) { d[0] = permute(a[0], a[1], selector); });

    const struct {
        const char* name;
        uint64_t selectors[4];
    } modes[] = {
        {"f4e", {0x3210, 0x4321, 0x5432, 0x6543}}, {"b4e", {0x5670, 0x6701, 0x7012, 0x0123}},
        {"rc8", {0x0000, 0x1111, 0x2222, 0x3333}}, {"ecl", {0x3210, 0x3211, 0x3222, 0x3333}},
        {"ecr", {0x0000, 0x1110, 0x2210, 0x3210}}, {"rc16", {0x1010, 0x3232, 0x1010, 0x3232}}};
    for (const auto& mode : modes)
        expect_op(std::string("prmt.b32.") + mode.name + " %d0, %a0, %a1, %a2;", {"b32"},
                  Types(3, "b32"), cases, [&](const uint64_t* a, uint64_t* d) {
                      d[0] = permute(a[0], a[1], mode.selectors[a[2] & 3]);
                  });
}

TEST(Logic, BitFieldExtract) {
    Case places = {0,  1,  2,  7,  8,  15,  16,  30,  31,  32,   33,
                   47, 62, 63, 64, 65, 200, 255, 256, 257, 0x1FF};
    for (int bits : {32, 64})
        for (bool is_signed : {false, true}) {
            Cases cases = triples(integer_values(bits, 20), places, places);
            const std::string t = (is_signed ? "s" : "u") + std::to_string(bits);
            expect_op("bfe." + t + " %d0, %a0, %a1, %a2;", {t}, {t, "u32", "u32"}, cases,
                      [&](const uint64_t* a, uint64_t* d) {
                          const int msb = bits - 1, pos = int(a[1] & 0xFF), len = int(a[2] & 0xFF);
                          const int last = pos + len - 1 < msb ? pos + len - 1 : msb;
                          const uint64_t sign = !is_signed || len == 0 ? 0 : a[0] >> last & 1;
                          for (int i = 0; i <= msb; ++i)
                              d[0] |= (i < len && pos + i <= msb ? a[0] >> (pos + i) & 1 : sign)
                                      << i;
                      });
        }
}

TEST(Logic, BitFieldInsert) {
    const Case places = {0,  1,  2,  7,  8,  15, 16,  30,  31,  32,
                         33, 47, 62, 63, 64, 65, 200, 255, 256, 257};
    std::mt19937_64 random(9);
    for (int bits : {32, 64}) {
        const Case values = integer_values(bits, 20);
        Cases cases;
        const auto pick = [&](const Case& from) { return from[random() % from.size()]; };
        for (int i = 0; i < 6000; ++i)
            cases.push_back({pick(values), pick(values), pick(places), pick(places)});
        const std::string t = bit_type(bits);
        expect_op("bfi." + t + " %d0, %a0, %a1, %a2, %a3;", {t}, {t, t, "u32", "u32"}, cases,
                  [&](const uint64_t* a, uint64_t* d) {
                      const int msb = bits - 1, pos = int(a[2] & 0xFF), len = int(a[3] & 0xFF);
                      d[0] = a[1];
                      for (int i = 0; i < len && pos + i <= msb; ++i) {
                          const uint64_t one = uint64_t{1} << (pos + i);
                          d[0] = (a[0] >> i & 1) ? d[0] | one : d[0] & ~one;
                      }
                  });
    }
}

}  // namespace
}  // namespace emulator
