//! The formats, the quantizer and the products, from their definitions alone: nothing here calls the library.
#![allow(dead_code)]

/// xorshift32: uniform in [-1, 1).
pub struct Generator(pub u32);

impl Generator {
    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / 8388608.0 - 1.0
    }

    pub fn fill(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// A format of one sign bit, `exponent` and `mantissa` bits.
#[derive(Clone, Copy)]
pub struct Bits {
    pub exponent: u32,
    pub mantissa: u32,
    pub bias: i32,
}

pub const E3M2: Bits = Bits {
    exponent: 3,
    mantissa: 2,
    bias: 3,
};
pub const E2M3: Bits = Bits {
    exponent: 2,
    mantissa: 3,
    bias: 1,
};
pub const E2M2: Bits = Bits {
    exponent: 2,
    mantissa: 2,
    bias: 1,
};
pub const E3M1: Bits = Bits {
    exponent: 3,
    mantissa: 1,
    bias: 3,
};
pub const E2M1: Bits = Bits {
    exponent: 2,
    mantissa: 1,
    bias: 1,
};

impl Bits {
    pub fn width(self) -> u32 {
        1 + self.exponent + self.mantissa
    }

    /// The value of a code without its sign.
    fn magnitude(self, code: u32) -> f64 {
        let exponent = (code >> self.mantissa) as i32;
        let fraction =
            f64::from(code & ((1 << self.mantissa) - 1)) / f64::from(1u32 << self.mantissa);
        match exponent {
            0 => fraction * 2f64.powi(1 - self.bias),
            _ => (1.0 + fraction) * 2f64.powi(exponent - self.bias),
        }
    }

    pub fn largest(self) -> f64 {
        self.magnitude((1 << (self.width() - 1)) - 1)
    }

    pub fn decode(self, code: u32) -> f64 {
        let sign = 1 << (self.width() - 1);
        let magnitude = self.magnitude(code & (sign - 1));
        if code & sign != 0 {
            -magnitude
        } else {
            magnitude
        }
    }

    /// The nearest code; of two equally near ones the even.
    pub fn encode(self, value: f32) -> u32 {
        let sign = 1 << (self.width() - 1);
        let target = f64::from(value).abs();
        let distance = |code: u32| (self.magnitude(code) - target).abs();
        let nearest = (0..sign)
            .min_by(|&a, &b| {
                let order = distance(a).total_cmp(&distance(b));
                order.then_with(|| (a % 2).cmp(&(b % 2)))
            })
            .unwrap();
        nearest | if value.is_sign_negative() { sign } else { 0 }
    }
}

/// Codes, one per element, and scales of groups of `group` columns.
pub fn quantize(w: &[f32], cols: usize, group: usize, bits: Bits) -> (Vec<u32>, Vec<f32>) {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    for row in w.chunks(cols) {
        for part in row.chunks(group) {
            let amax = part.iter().fold(0f32, |a, v| a.max(v.abs()));
            let scale = if amax == 0.0 {
                1.0
            } else {
                amax / bits.largest() as f32
            };
            scales.push(scale);
            codes.extend(part.iter().map(|v| bits.encode(v / scale)));
        }
    }
    (codes, scales)
}

/// MX with the floor rule: exponents of 32 columns each.
pub fn quantize_mx(w: &[f32], cols: usize, bits: Bits) -> (Vec<u32>, Vec<u8>) {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    let emax = bits.largest().log2().floor() as i32;
    for row in w.chunks(cols) {
        for part in row.chunks(32) {
            let amax = part.iter().fold(0f32, |a, v| a.max(v.abs()));
            let exponent = f64::from(amax).log2().floor() as i32 - emax;
            scales.push((exponent + 127) as u8);
            codes.extend(part.iter().map(|v| bits.encode(v / 2f32.powi(exponent))));
        }
    }
    (codes, scales)
}

/// Each row's codes as a bit stream, least significant bit first, padded to a byte.
pub fn pack(codes: &[u32], cols: usize, bits: Bits) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in codes.chunks(cols) {
        let (mut held, mut count) = (0u32, 0);
        for code in row {
            held |= code << count;
            count += bits.width();
            while count >= 8 {
                bytes.push(held as u8);
                held >>= 8;
                count -= 8;
            }
        }
        if count > 0 {
            bytes.push(held as u8);
        }
    }
    bytes
}

/// The matrix that codes and scales stand for, in fp64.
pub fn dequantize(
    codes: &[u32],
    scales: &[f64],
    cols: usize,
    group: usize,
    bits: Bits,
) -> Vec<f64> {
    let groups = cols.div_ceil(group);
    codes
        .iter()
        .enumerate()
        .map(|(i, &code)| bits.decode(code) * scales[i / cols * groups + i % cols / group])
        .collect()
}

/// `[n, k] x [m, k]^T` in fp64, and the sum of magnitudes that rounding errors scale with.
pub fn product(x: &[f64], w: &[f64], k: usize) -> Vec<(f64, f64)> {
    x.chunks(k)
        .flat_map(|x| {
            w.chunks(k).map(move |w| {
                let terms = x.iter().zip(w).map(|(x, w)| x * w);
                terms.fold((0.0, 0.0), |(sum, size), term| {
                    (sum + term, size + term.abs())
                })
            })
        })
        .collect()
}

/// fp32 sums of `k` exact products, scaled once: at most k + 4 roundings of relative size 2^-24.
pub fn tolerance(k: usize, size: f64) -> f64 {
    (k as f64 + 4.0) * 2f64.powi(-24) * size + 1e-30
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}
