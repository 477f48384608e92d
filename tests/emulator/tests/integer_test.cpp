// Integer instructions against arithmetic in 128 bits and the PTX ISA's own loops.
#include "tests/emulator/tests/one_op.hpp"

namespace emulator {
namespace {

using Wide = __int128;

uint64_t mask_of(int bits) {
    return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}
Wide as_signed(uint64_t value, int bits) {
    const Wide v = value & mask_of(bits);
    return v >> (bits - 1) & 1 ? v - (Wide(1) << bits) : v;
}
/// The value that a lane of an integer type holds.
Wide value_of(uint64_t lane, bool is_signed, int bits) {
    return is_signed ? as_signed(lane, bits) : Wide(lane & mask_of(bits));
}
std::string type_name(bool is_signed, int bits) {
    return (is_signed ? "s" : "u") + std::to_string(bits);
}
int32_t clamp32(Wide value) {
    return int32_t(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}

template <typename Fn>
void for_integer_types(Fn&& fn) {
    for (int bits : {16, 32, 64})
        for (bool is_signed : {false, true})
            fn(is_signed, bits);
}

struct Binary {
    const char* name;
    Wide (*of)(Wide a, Wide b, int bits);
};

TEST(Integer, TwoOperands) {
    const Binary operations[] = {
        {"add", [](Wide a, Wide b, int) { return a + b; }},
        {"sub", [](Wide a, Wide b, int) { return a - b; }},
        {"mul.lo",
         [](Wide a, Wide b, int) { return Wide((unsigned __int128)(a) * (unsigned __int128)(b)); }},
        {"mul.hi", [](Wide a, Wide b, int bits) { return a * b >> bits; }},
        {"min", [](Wide a, Wide b, int) { return a < b ? a : b; }},
        {"max", [](Wide a, Wide b, int) { return a > b ? a : b; }},
        {"div", [](Wide a, Wide b, int) { return b == 0 ? Wide(-1) : a / b; }},
        {"rem", [](Wide a, Wide b, int) { return b == 0 ? a : a % b; }},
    };
    for_integer_types([&](bool is_signed, int bits) {
        const std::string type = type_name(is_signed, bits);
        for (const Binary& operation : operations) {
            if (bits == 64 && !is_signed && std::string(operation.name) == "mul.hi") continue;
            expect_op(std::string(operation.name) + "." + type + " %d0, %a0, %a1;", {type},
                      {type, type}, pairs(integer_values(bits), integer_values(bits)),
                      [&](const uint64_t* a, uint64_t* d) {
                          d[0] = uint64_t(operation.of(value_of(a[0], is_signed, bits),
                                                       value_of(a[1], is_signed, bits), bits)) &
                                 mask_of(bits);
                      });
        }
    });
    // Products of 64 unsigned bits do not fit a signed 128-bit number.
    expect_op("mul.hi.u64 %d0, %a0, %a1;", {"u64"}, {"u64", "u64"},
              pairs(integer_values(64), integer_values(64)), [](const uint64_t* a, uint64_t* d) {
                  const uint64_t ah = a[0] >> 32, al = uint32_t(a[0]), bh = a[1] >> 32,
                                 bl = uint32_t(a[1]);
                  const uint64_t middle = ah * bl + (al * bl >> 32);
                  const uint64_t other = al * bh + uint32_t(middle);
                  d[0] = ah * bh + (middle >> 32) + (other >> 32);
              });
}

TEST(Integer, DivisionOfTheMostNegativeDoesNotTrap) {
    expect_op("div.s32 %d0, %a0, %a1;\nrem.s32 %d1, %a0, %a1;", {"s32", "s32"}, {"s32", "s32"},
              {{0x80000000, 0xFFFFFFFF}}, [](const uint64_t*, uint64_t* d) {
                  d[0] = 0x80000000;
                  d[1] = 0;
              });
    expect_op("div.s64 %d0, %a0, %a1;\nrem.s64 %d1, %a0, %a1;", {"s64", "s64"}, {"s64", "s64"},
              {{uint64_t{1} << 63, ~uint64_t{0}}}, [](const uint64_t*, uint64_t* d) {
                  d[0] = uint64_t{1} << 63;
                  d[1] = 0;
              });
}

TEST(Integer, MultiplyWideAndAdd) {
    for (int bits : {16, 32})
        for (bool is_signed : {false, true}) {
            const std::string type = type_name(is_signed, bits),
                              wide = type_name(is_signed, 2 * bits);
            expect_op("mul.wide." + type + " %d0, %a0, %a1;", {wide}, {type, type},
                      pairs(integer_values(bits), integer_values(bits)),
                      [&](const uint64_t* a, uint64_t* d) {
                          d[0] = uint64_t(value_of(a[0], is_signed, bits) *
                                          value_of(a[1], is_signed, bits)) &
                                 mask_of(2 * bits);
                      });
            expect_op("mad.wide." + type + " %d0, %a0, %a1, %a2;", {wide}, {type, type, wide},
                      triples(integer_values(bits), integer_values(bits), integer_values(2 * bits)),
                      [&](const uint64_t* a, uint64_t* d) {
                          d[0] = (uint64_t(value_of(a[0], is_signed, bits) *
                                           value_of(a[1], is_signed, bits)) +
                                  a[2]) &
                                 mask_of(2 * bits);
                      });
        }
    for_integer_types([&](bool is_signed, int bits) {
        const std::string type = type_name(is_signed, bits);
        expect_op(
            "mad.lo." + type + " %d0, %a0, %a1, %a2;", {type}, {type, type, type},
            triples(integer_values(bits), integer_values(bits), integer_values(bits)),
            [&](const uint64_t* a, uint64_t* d) { d[0] = (a[0] * a[1] + a[2]) & mask_of(bits); });
        if (bits == 64 && !is_signed) return;
        expect_op("mad.hi." + type + " %d0, %a0, %a1, %a2;", {type}, {type, type, type},
                  triples(integer_values(bits), integer_values(bits), integer_values(bits)),
                  [&](const uint64_t* a, uint64_t* d) {
                      const Wide product =
                          value_of(a[0], is_signed, bits) * value_of(a[1], is_signed, bits);
                      d[0] = uint64_t((product >> bits) + a[2]) & mask_of(bits);
                  });
    });
}

TEST(Integer, Saturation) {
    const Cases two = pairs(integer_values(32), integer_values(32));
    expect_op("add.sat.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s32"}, two,
              [](const uint64_t* a, uint64_t* d) {
                  d[0] = uint32_t(clamp32(as_signed(a[0], 32) + as_signed(a[1], 32)));
              });
    expect_op("sub.sat.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s32"}, two,
              [](const uint64_t* a, uint64_t* d) {
                  d[0] = uint32_t(clamp32(as_signed(a[0], 32) - as_signed(a[1], 32)));
              });
    const Cases three = triples(integer_values(32), integer_values(32), integer_values(32));
    expect_op("mad.hi.sat.s32 %d0, %a0, %a1, %a2;", {"s32"}, {"s32", "s32", "s32"}, three,
              [](const uint64_t* a, uint64_t* d) {
                  const Wide product = as_signed(a[0], 32) * as_signed(a[1], 32);
                  d[0] = uint32_t(clamp32((product >> 32) + as_signed(a[2], 32)));
              });
    expect_refused("add.sat.u32 %d0, %a0, %a1;", {"u32"}, {"u32", "u32"});
    expect_refused("add.sat.s64 %d0, %a0, %a1;", {"s64"}, {"s64", "s64"});
}

TEST(Integer, TwentyFourBits) {
    for (bool is_signed : {false, true}) {
        const std::string type = type_name(is_signed, 32);
        const auto product = [is_signed](const uint64_t* a) {
            return value_of(a[0], is_signed, 24) * value_of(a[1], is_signed, 24);
        };
        const Types two = {type, type}, three = {type, type, type};
        const Cases cases = triples(integer_values(32), integer_values(32), integer_values(32));
        expect_op("mul24.lo." + type + " %d0, %a0, %a1;", {type}, two,
                  pairs(integer_values(32), integer_values(32)),
                  [&](const uint64_t* a, uint64_t* d) { d[0] = uint32_t(product(a)); });
        expect_op("mul24.hi." + type + " %d0, %a0, %a1;", {type}, two,
                  pairs(integer_values(32), integer_values(32)),
                  [&](const uint64_t* a, uint64_t* d) { d[0] = uint32_t(product(a) >> 16); });
        expect_op("mad24.lo." + type + " %d0, %a0, %a1, %a2;", {type}, three, cases,
                  [&](const uint64_t* a, uint64_t* d) { d[0] = uint32_t(product(a) + a[2]); });
        expect_op(
            "mad24.hi." + type + " %d0, %a0, %a1, %a2;", {type}, three, cases,
            [&](const uint64_t* a, uint64_t* d) { d[0] = uint32_t((product(a) >> 16) + a[2]); });
    }
}

TEST(Integer, CarriesRunThrough128Bits) {
    const Case v = integer_values(64, 4);
    Cases cases;
    std::mt19937_64 random(3);
    const auto pick = [&] { return v[random() % v.size()]; };
    for (int i = 0; i < 4000; ++i)
        cases.push_back({pick(), pick(), pick(), pick()});
    const Types four = {"u64", "u64", "u64", "u64"};
    using Big = unsigned __int128;
    const auto big = [](uint64_t high, uint64_t low) { return Big(high) << 64 | low; };
    expect_op("add.cc.u64 %d0, %a0, %a2;\naddc.cc.u64 %d1, %a1, %a3;\naddc.u64 %d2, 0, 0;",
              {"u64", "u64", "u64"}, four, cases, [&](const uint64_t* a, uint64_t* d) {
                  const Big x = big(a[1], a[0]), y = big(a[3], a[2]);
                  d[0] = uint64_t(x + y);
                  d[1] = uint64_t((x + y) >> 64);
                  d[2] = x + y < x;
              });
    expect_op("sub.cc.u64 %d0, %a0, %a2;\nsubc.cc.u64 %d1, %a1, %a3;\nsubc.u64 %d2, 0, 0;",
              {"u64", "u64", "u64"}, four, cases, [&](const uint64_t* a, uint64_t* d) {
                  const Big x = big(a[1], a[0]), y = big(a[3], a[2]);
                  d[0] = uint64_t(x - y);
                  d[1] = uint64_t((x - y) >> 64);
                  d[2] = x < y ? ~uint64_t{0} : 0;
              });
    // The flag behind a subtraction is the carry of a + ~b + 1: one if nothing was borrowed.
    expect_op(
        "sub.cc.u64 %d0, %a0, %a1;\naddc.u32 %d1, 0, 0;\n"
        "add.cc.u64 %d0, %a0, %a1;\nsubc.u32 %d2, 7, 2;",
        {"u64", "u32", "u32"}, {"u64", "u64"}, pairs(v, v), [&](const uint64_t* a, uint64_t* d) {
            d[0] = a[0] + a[1];
            d[1] = a[0] >= a[1];
            d[2] = d[0] < a[0] ? 5 : 4;
        });
    // A 64-bit product from 32-bit pieces, added to a 64-bit number, as nvcc does it.
    expect_op(
        ".reg .b32 %l<4>, %r<4>;\n.reg .u32 %c;\n"
        "mov.b64 {%l0, %l1}, %a0;\nmov.b64 {%l2, %l3}, %a1;\n"
        "mad.lo.cc.u32 %r0, %l0, %l2, 0xFFFFFFFF;\nmadc.hi.cc.u32 %r1, %l0, %l2, 5;\n"
        "addc.u32 %c, 0, 0;\nmov.b64 %d0, {%r0, %r1};\nmov.u32 %d1, %c;",
        {"b64", "u32"}, {"b64", "b64"}, pairs(v, v), [](const uint64_t* a, uint64_t* d) {
            const Big sum =
                Big(uint64_t(uint32_t(a[0])) * uint32_t(a[1])) + 0xFFFFFFFFu + (Big(5) << 32);
            d[0] = uint64_t(sum);
            d[1] = uint64_t(sum >> 64);
        });
    expect_op("mad.hi.cc.s32 %d0, %a0, %a1, %a2;\naddc.u32 %d1, 0, 0;", {"s32", "u32"},
              {"s32", "s32", "s32"},
              triples(integer_values(32), integer_values(32), integer_values(32)),
              [](const uint64_t* a, uint64_t* d) {
                  const uint32_t high = uint32_t(as_signed(a[0], 32) * as_signed(a[1], 32) >> 32);
                  d[0] = uint32_t(high + uint32_t(a[2]));
                  d[1] = (uint64_t{high} + uint32_t(a[2])) >> 32;
              });
    expect_refused("addc.u16 %d0, %a0, %a1;", {"u16"}, {"u16", "u16"});
}

TEST(Integer, OneOperand) {
    for (int bits : {16, 32, 64}) {
        const std::string type = type_name(true, bits);
        expect_op("neg." + type + " %d0, %a0;\nabs." + type + " %d1, %a0;", {type, type}, {type},
                  singles(integer_values(bits, 60)), [&](const uint64_t* a, uint64_t* d) {
                      const Wide v = as_signed(a[0], bits);
                      d[0] = uint64_t(-v) & mask_of(bits);
                      d[1] = uint64_t(v < 0 ? -v : v) & mask_of(bits);
                  });
    }
    for (int bits : {32, 64}) {
        const std::string b = ".b" + std::to_string(bits), type = "b" + std::to_string(bits);
        expect_op("popc" + b + " %d0, %a0;\nclz" + b + " %d1, %a0;\nbrev" + b + " %d2, %a0;",
                  {"u32", "u32", type}, {type}, singles(integer_values(bits, 60)),
                  [&](const uint64_t* a, uint64_t* d) {
                      uint64_t ones = 0, zeros = 0, reversed = 0;
                      for (int i = 0; i < bits; ++i) {
                          ones += a[0] >> i & 1;
                          reversed |= (a[0] >> i & 1) << (bits - 1 - i);
                      }
                      while (zeros < uint64_t(bits) && (a[0] >> (bits - 1 - zeros) & 1) == 0)
                          ++zeros;
                      d[0] = ones;
                      d[1] = zeros;
                      d[2] = reversed;
                  });
        for (bool is_signed : {false, true}) {
            const std::string t = type_name(is_signed, bits);
            expect_op("bfind." + t + " %d0, %a0;\nbfind.shiftamt." + t + " %d1, %a0;",
                      {"u32", "u32"}, {t}, singles(integer_values(bits, 60)),
                      [&](const uint64_t* a, uint64_t* d) {
                          // The PTX ISA's loop.
                          const bool negative = is_signed && (a[0] >> (bits - 1) & 1) != 0;
                          const uint64_t v = negative ? ~a[0] & mask_of(bits) : a[0];
                          d[0] = d[1] = 0xFFFFFFFF;
                          for (int i = bits - 1; i >= 0; --i)
                              if (v >> i & 1) {
                                  d[0] = uint32_t(i);
                                  d[1] = uint32_t(bits - 1 - i);
                                  break;
                              }
                      });
        }
    }
    expect_refused("neg.u32 %d0, %a0;", {"u32"}, {"u32"});
}

TEST(Integer, SumOfAbsoluteDifferences) {
    for_integer_types([&](bool is_signed, int bits) {
        const std::string type = type_name(is_signed, bits);
        expect_op("sad." + type + " %d0, %a0, %a1, %a2;", {type}, {type, type, type},
                  triples(integer_values(bits), integer_values(bits), integer_values(bits)),
                  [&](const uint64_t* a, uint64_t* d) {
                      const Wide x = value_of(a[0], is_signed, bits),
                                 y = value_of(a[1], is_signed, bits);
                      d[0] = uint64_t((x < y ? y - x : x - y) + a[2]) & mask_of(bits);
                  });
    });
}

TEST(Integer, PackedAndRelu) {
    const Cases cases = pairs(integer_values(32, 30), integer_values(32, 30));
    const Types two = {"b32", "b32"};
    const auto halves = [](const uint64_t* a, bool is_signed, auto fn) {
        uint64_t d = 0;
        for (int i = 0; i < 2; ++i)
            d |= (uint64_t(fn(value_of(a[0] >> 16 * i, is_signed, 16),
                              value_of(a[1] >> 16 * i, is_signed, 16))) &
                  0xFFFF)
                 << 16 * i;
        return d;
    };
    const auto sum = [](Wide x, Wide y) { return x + y; };
    const auto smaller = [](Wide x, Wide y) { return x < y ? x : y; };
    const auto larger = [](Wide x, Wide y) { return x > y ? x : y; };
    for (bool s : {false, true}) {
        const std::string type = s ? "s16x2" : "u16x2";
        expect_op("add." + type + " %d0, %a0, %a1;\nmin." + type + " %d1, %a0, %a1;\nmax." + type +
                      " %d2, %a0, %a1;",
                  {"b32", "b32", "b32"}, two, cases, [&](const uint64_t* a, uint64_t* d) {
                      d[0] = halves(a, s, sum);
                      d[1] = halves(a, s, smaller);
                      d[2] = halves(a, s, larger);
                  });
        expect_refused("add." + type + " %d0, %a0, %a1;", {"b32"}, two, 80);
    }
    const auto positive = [](Wide x) { return x < 0 ? Wide(0) : x; };
    expect_op(
        "min.relu.s16x2 %d0, %a0, %a1;\nmax.relu.s16x2 %d1, %a0, %a1;\n"
        "min.relu.s32 %d2, %a0, %a1;\nmax.relu.s32 %d3, %a0, %a1;",
        {"b32", "b32", "b32", "b32"}, two, cases, [&](const uint64_t* a, uint64_t* d) {
            d[0] = halves(a, true, [&](Wide x, Wide y) { return positive(smaller(x, y)); });
            d[1] = halves(a, true, [&](Wide x, Wide y) { return positive(larger(x, y)); });
            const Wide x = as_signed(a[0], 32), y = as_signed(a[1], 32);
            d[2] = uint32_t(positive(smaller(x, y)));
            d[3] = uint32_t(positive(larger(x, y)));
        });
    expect_refused("min.relu.u32 %d0, %a0, %a1;", {"b32"}, two);
}

TEST(Integer, DotProducts) {
    const Cases cases = triples(integer_values(32, 40), integer_values(32, 40), integer_values(32));
    const Types three = {"b32", "b32", "b32"};
    for (bool sa : {false, true})
        for (bool sb : {false, true}) {
            const std::string types = std::string(sa ? ".s32" : ".u32") + (sb ? ".s32" : ".u32");
            const auto byte = [](uint64_t v, int i, bool s) { return value_of(v >> 8 * i, s, 8); };
            expect_op("dp4a" + types + " %d0, %a0, %a1, %a2;", {"b32"}, three, cases,
                      [&](const uint64_t* a, uint64_t* d) {
                          Wide sum = a[2];
                          for (int i = 0; i < 4; ++i)
                              sum += byte(a[0], i, sa) * byte(a[1], i, sb);
                          d[0] = uint32_t(sum);
                      });
            for (int half : {0, 1})
                expect_op(
                    std::string("dp2a.") + (half ? "hi" : "lo") + types + " %d0, %a0, %a1, %a2;",
                    {"b32"}, three, cases, [&](const uint64_t* a, uint64_t* d) {
                        Wide sum = a[2];
                        for (int i = 0; i < 2; ++i)
                            sum += value_of(a[0] >> 16 * i, sa, 16) * byte(a[1], i + 2 * half, sb);
                        d[0] = uint32_t(sum);
                    });
        }
}

TEST(Integer, BitFieldsAndMasks) {
    Case counts;
    for (uint64_t i = 0; i < 70; ++i)
        counts.push_back(i);
    counts.push_back(255);
    counts.push_back(0x80000000);
    const Cases cases = pairs(integer_values(32), counts);
    for (bool wrap : {false, true}) {
        const std::string mode = wrap ? ".wrap" : ".clamp";
        for (bool s : {false, true})
            expect_op("szext" + mode + (s ? ".s32" : ".u32") + " %d0, %a0, %a1;", {"b32"},
                      {"b32", "u32"}, cases, [&](const uint64_t* a, uint64_t* d) {
                          const uint64_t n = wrap ? a[1] % 32 : a[1] > 32 ? 32 : a[1];
                          d[0] = n == 0 ? 0 : uint32_t(value_of(a[0], s, int(n)));
                      });
        expect_op("bmsk" + mode + ".b32 %d0, %a0, %a1;", {"b32"}, {"u32", "u32"},
                  pairs(counts, counts), [&](const uint64_t* a, uint64_t* d) {
                      const uint64_t start = wrap ? a[0] % 32 : a[0], n = wrap ? a[1] % 32 : a[1];
                      d[0] = 0;
                      for (uint64_t i = start; i < 32 && i < start + n; ++i)
                          d[0] |= uint64_t{1} << i;
                  });
    }
}

TEST(Integer, FindNthSet) {
    const Case offsets = {0,  1,  2,          3,          5,          31,
                          32, 33, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFE0, 0x80000000};
    Case bases;
    for (uint64_t i = 0; i < 32; ++i)
        bases.push_back(i);
    expect_op("fns.b32 %d0, %a0, %a1, %a2;", {"b32"}, {"b32", "b32", "s32"},
              triples(integer_values(32, 40), bases, offsets), [](const uint64_t* a, uint64_t* d) {
                  const int64_t offset = int32_t(a[2]);
                  d[0] = 0xFFFFFFFF;
                  if (offset == 0) {
                      if (a[0] >> a[1] & 1) d[0] = a[1];
                      return;
                  }
                  int64_t count = (offset < 0 ? -offset : offset) - 1;
                  for (int64_t at = int64_t(a[1]); at >= 0 && at < 32; at += offset < 0 ? -1 : 1) {
                      if ((a[0] >> at & 1) == 0) continue;
                      if (count == 0) {
                          d[0] = uint64_t(at);
                          return;
                      }
                      --count;
                  }
              });
}

TEST(Integer, PartsOfWords) {
    const Cases cases = triples(integer_values(32, 60), integer_values(32, 60), integer_values(32));
    const Binary operations[] = {
        {"vadd", [](Wide a, Wide b, int) { return a + b; }},
        {"vsub", [](Wide a, Wide b, int) { return a - b; }},
        {"vabsdiff", [](Wide a, Wide b, int) { return a < b ? b - a : a - b; }},
        {"vmin", [](Wide a, Wide b, int) { return a < b ? a : b; }},
        {"vmax", [](Wide a, Wide b, int) { return a > b ? a : b; }},
        {"vavrg",
         [](Wide a, Wide b, int) {
             // Half a step away from zero for sums that are not negative.
             const Wide sum = a + b, up = sum + (sum >= 0 ? 1 : 0);
             return up >= 0 ? up / 2 : -((-up + 1) / 2);
         }},
    };
    for (const Binary& operation : operations)
        for (int bits : {8, 16})
            for (bool s : {false, true})
                for (const std::string mode : {"", ".sat", ".add"}) {
                    const std::string type = s ? ".s32" : ".u32";
                    expect_op(operation.name + std::to_string(32 / bits) + type + type + type +
                                  mode + " %d0, %a0, %a1, %a2;",
                              {"b32"}, Types(3, "b32"), cases, [&](const uint64_t* a, uint64_t* d) {
                                  Wide total = a[2];
                                  for (int i = 0; i < 32; i += bits) {
                                      Wide v = operation.of(value_of(a[0] >> i, s, bits),
                                                            value_of(a[1] >> i, s, bits), bits);
                                      const Wide low = s ? -(Wide(1) << (bits - 1)) : 0;
                                      const Wide high = low + (Wide(1) << bits) - 1;
                                      if (mode == ".sat") v = v < low ? low : v > high ? high : v;
                                      v = value_of(uint64_t(v), s, bits);
                                      total += v;
                                      d[0] |= (uint64_t(v) & mask_of(bits)) << i;
                                  }
                                  if (mode == ".add") d[0] = uint32_t(total);
                              });
                }
    expect_refused("vadd4.u32.u32.u32.sat.add %d0, %a0, %a0, %a0;", {"b32"}, {"b32"});
}

TEST(Integer, RefusesWhatItDoesNotKnow) {
    expect_refused("add.s32 %d0, %a0, %a1;", {"s64"}, {"s32", "s32"});
    expect_refused("add.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s16"});
    expect_refused("add.ftz.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s32"});
    expect_refused("mul.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s32"});
    expect_refused("mul.wide.s64 %d0, %a0, %a1;", {"s64"}, {"s64", "s64"});
    expect_refused("popc.u32 %d0, %a0;", {"u32"}, {"u32"});
    expect_refused("dp2a.s32.s32 %d0, %a0, %a1, %a2;", {"b32"}, {"b32", "b32", "b32"});
}

}  // namespace
}  // namespace emulator
