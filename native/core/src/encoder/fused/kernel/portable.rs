//! Plain Rust: every machine, and the measure for all other families.

use super::{Family, LANES, Lanes, TILE_STRIDE, Tile};

pub(in super::super) struct Portable;

#[derive(Clone, Copy)]
pub(in super::super) struct F32x16([f32; LANES]);

impl F32x16 {
    #[inline(always)]
    fn zip(self, other: Self, with: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| with(self.0[lane], other.0[lane])))
    }

    #[inline(always)]
    fn fold(self, with: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = self.0;
        for distance in [8, 4, 2, 1] {
            for lane in 0..distance {
                lanes[lane] = with(lanes[lane], lanes[lane + distance]);
            }
        }
        lanes[0]
    }
}

// SAFETY comments of this impl: each pointer is good for 16 elements, by the trait's contract.
impl Lanes for F32x16 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 writable values.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn from_i32(from: *const i32) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { from.cast::<[i32; LANES]>().read_unaligned() }.map(|value| value as f32))
    }

    #[inline(always)]
    unsafe fn from_i8(from: *const i8) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { from.cast::<[i8; LANES]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // f32::mul_add calls a library function where the baseline has no such instruction. In float64 the
        // product is exact, and rounding the sum twice differs from rounding it once about once in 2^29 times.
        Self(std::array::from_fn(|lane| {
            (f64::from(self.0[lane]) * f64::from(factor.0[lane]) + f64::from(addend.0[lane])) as f32
        }))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no bits for a fraction; right for |x| < 2^22, all that is asked here.
        const SHIFT: f32 = 12_582_912.0;
        Self(self.0.map(|value| (value + SHIFT) - SHIFT))
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, exponent: Self) -> Self {
        self.zip(exponent, |value, exponent| {
            f32::from_bits(value.to_bits().wrapping_add_signed((exponent as i32) << 23))
        })
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut u8, flip: u8) {
        // SAFETY: no pointer is used.
        let whole = unsafe { self.round() };
        // SAFETY: 16 writable bytes.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(whole.0.map(|value| value as i8 as u8 ^ flip)) }
    }

    #[inline(always)]
    unsafe fn store_interleaved_i8(rows: [Self; 4], to: *mut u8) {
        // SAFETY: no pointer is used.
        let rows = rows.map(|row| unsafe { row.round() });
        let line: [[u8; 4]; LANES] =
            std::array::from_fn(|lane| std::array::from_fn(|row| rows[row].0[lane] as i8 as u8));
        // SAFETY: 64 writable bytes.
        unsafe { to.cast::<[[u8; 4]; LANES]>().write_unaligned(line) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.fold(|a, b| a + b)
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.fold(|a, b| if a > b { a } else { b })
    }
}

impl Family for Portable {
    type V = F32x16;
    const ROWS: usize = 4;
    const BLOCKS: usize = 1;
    const ZERO: u8 = 0;

    unsafe fn tile(tile: &Tile, rows: usize, blocks: usize) {
        for block in 0..blocks {
            for row in 0..rows {
                // SAFETY: the caller's word: `rows` rows of `depth` bytes, `blocks` blocks, starts and results.
                unsafe {
                    let a = std::slice::from_raw_parts(tile.a.add(row * tile.a_stride), tile.depth);
                    let b = std::slice::from_raw_parts(
                        tile.b.add(block * tile.depth * LANES).cast::<[i8; 4 * LANES]>(),
                        tile.depth / 4,
                    );
                    let mut sums = tile.start.add(block * LANES).cast::<[i32; LANES]>().read_unaligned();
                    for (a, line) in a.chunks_exact(4).zip(b) {
                        let a: [i32; 4] = std::array::from_fn(|k| i32::from(a[k] as i8));
                        for (sum, b) in sums.iter_mut().zip(line.chunks_exact(4)) {
                            *sum += a[0] * i32::from(b[0])
                                + a[1] * i32::from(b[1])
                                + a[2] * i32::from(b[2])
                                + a[3] * i32::from(b[3]);
                        }
                    }
                    tile.out
                        .add(row * TILE_STRIDE + block * LANES)
                        .cast::<[i32; LANES]>()
                        .write_unaligned(sums);
                }
            }
        }
    }
}
