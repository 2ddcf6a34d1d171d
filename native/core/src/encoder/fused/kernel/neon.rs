//! AArch64 with the dot product extension: a quarter of a line of weights a register.
//!
//! 6 rows by 1 block are 24 accumulators of four columns; 4 quarters and 1 broadcast are 29 of 32 registers.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Family, LANES, Lanes, TILE_STRIDE, Tile, TileFn};
use crate::encoder::fused::forward::{self, Job};

/// # Safety
/// The machine has the dot product extension.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run(job: &mut Job<'_>) {
    // SAFETY: the features are enabled here.
    unsafe { forward::run::<Neon>(job) }
}

pub(in super::super) struct Neon;

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
#[derive(Clone, Copy)]
pub(in super::super) struct F32x4x4([float32x4_t; 4]);

/// Applies an intrinsic to each quarter.
macro_rules! each {
    ($intrinsic:ident, $a:expr) => {{
        let a = $a;
        // SAFETY: NEON is part of every AArch64 target that has std.
        unsafe { [$intrinsic(a[0]), $intrinsic(a[1]), $intrinsic(a[2]), $intrinsic(a[3])] }
    }};
    ($intrinsic:ident, $a:expr, $b:expr) => {{
        let (a, b) = ($a, $b);
        // SAFETY: as above.
        unsafe {
            [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1]), $intrinsic(a[2], b[2]), $intrinsic(a[3], b[3])]
        }
    }};
    ($intrinsic:ident, $a:expr, $b:expr, $c:expr) => {{
        let (a, b, c) = ($a, $b, $c);
        // SAFETY: as above.
        unsafe {
            [
                $intrinsic(a[0], b[0], c[0]),
                $intrinsic(a[1], b[1], c[1]),
                $intrinsic(a[2], b[2], c[2]),
                $intrinsic(a[3], b[3], c[3]),
            ]
        }
    }};
}

/// Four quarters of whole numbers as 16 bytes.
#[inline(always)]
unsafe fn narrow(quarters: [int32x4_t; 4]) -> int8x16_t {
    // SAFETY: NEON is there.
    unsafe {
        let low = vcombine_s16(vqmovn_s32(quarters[0]), vqmovn_s32(quarters[1]));
        let high = vcombine_s16(vqmovn_s32(quarters[2]), vqmovn_s32(quarters[3]));
        vcombine_s8(vqmovn_s16(low), vqmovn_s16(high))
    }
}

impl Lanes for F32x4x4 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: NEON is there.
        Self([unsafe { vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 readable values.
        unsafe {
            Self([vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))])
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (quarter, values) in self.0.into_iter().enumerate() {
            // SAFETY: 16 writable values.
            unsafe { vst1q_f32(to.add(4 * quarter), values) }
        }
    }

    #[inline(always)]
    unsafe fn from_i32(from: *const i32) -> Self {
        // SAFETY: 16 readable values.
        let whole = unsafe {
            [vld1q_s32(from), vld1q_s32(from.add(4)), vld1q_s32(from.add(8)), vld1q_s32(from.add(12))]
        };
        Self(each!(vcvtq_f32_s32, whole))
    }

    #[inline(always)]
    unsafe fn from_i8(from: *const i8) -> Self {
        // SAFETY: 16 readable values.
        let whole = unsafe {
            let bytes = vld1q_s8(from);
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes)));
            [
                vmovl_s16(vget_low_s16(low)),
                vmovl_s16(vget_high_s16(low)),
                vmovl_s16(vget_low_s16(high)),
                vmovl_s16(vget_high_s16(high)),
            ]
        };
        Self(each!(vcvtq_f32_s32, whole))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(each!(vaddq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(each!(vsubq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(each!(vmulq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(each!(vdivq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(each!(vmaxq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(each!(vminq_f32, self.0, other.0))
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(each!(vabsq_f32, self.0))
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(each!(vfmaq_f32, addend.0, self.0, factor.0))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(each!(vrndnq_f32, self.0))
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, exponent: Self) -> Self {
        let whole = each!(vcvtnq_s32_f32, exponent.0);
        let mut out = self.0;
        for (values, whole) in out.iter_mut().zip(whole) {
            // SAFETY: NEON is there.
            *values = unsafe {
                vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(*values), vshlq_n_s32::<23>(whole)))
            };
        }
        Self(out)
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut u8, flip: u8) {
        // SAFETY: 16 writable bytes.
        unsafe {
            let bytes = vreinterpretq_u8_s8(narrow(each!(vcvtnq_s32_f32, self.0)));
            vst1q_u8(to, veorq_u8(bytes, vdupq_n_u8(flip)));
        }
    }

    #[inline(always)]
    unsafe fn store_interleaved_i8(rows: [Self; 4], to: *mut u8) {
        // SAFETY: 64 writable bytes; vst4q interleaves its four registers byte by byte.
        unsafe {
            let [zero, one, two, three] = rows;
            let bytes = int8x16x4_t(
                narrow(each!(vcvtnq_s32_f32, zero.0)),
                narrow(each!(vcvtnq_s32_f32, one.0)),
                narrow(each!(vcvtnq_s32_f32, two.0)),
                narrow(each!(vcvtnq_s32_f32, three.0)),
            );
            vst4q_s8(to.cast(), bytes);
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        // SAFETY: NEON is there. Distances 8, 4, 2 and 1, as everywhere.
        unsafe {
            let four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        let [a, b, c, d] = self.0;
        // SAFETY: NEON is there.
        unsafe { vmaxvq_f32(vmaxq_f32(vmaxq_f32(a, b), vmaxq_f32(c, d))) }
    }
}

impl Family for Neon {
    type V = F32x4x4;
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;
    const ZERO: u8 = 0;

    #[inline(always)]
    unsafe fn tile(args: &Tile, rows: usize, blocks: usize) {
        const TILES: [TileFn; 6] = [tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>];
        debug_assert_eq!(blocks, 1);
        // SAFETY: the caller's word.
        unsafe { TILES[rows - 1](args) }
    }
}

/// `sums + a . b` in each lane, four products a lane.
///
/// # Safety
/// The machine has the dot product extension.
#[inline(always)]
unsafe fn dot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // The intrinsic is not stable yet.
    // SAFETY: the instruction reads and writes the three named registers only.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// # Safety
/// The contract of [`Family::tile`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<const R: usize>(tile: &Tile) {
    // SAFETY: the caller's word about every pointer; the features are enabled here.
    unsafe {
        let start = tile.start;
        let mut sums =
            [[vld1q_s32(start), vld1q_s32(start.add(4)), vld1q_s32(start.add(8)), vld1q_s32(start.add(12))];
                R];
        let mut b = tile.b;
        for k in (0..tile.depth).step_by(4) {
            let line = [vld1q_s8(b), vld1q_s8(b.add(16)), vld1q_s8(b.add(32)), vld1q_s8(b.add(48))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = tile.a.add(row * tile.a_stride + k).cast::<i32>().read_unaligned();
                let a = vreinterpretq_s8_s32(vdupq_n_s32(four));
                for (sum, quarter) in sums.iter_mut().zip(line) {
                    *sum = dot(*sum, a, quarter);
                }
            }
            b = b.add(4 * LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (quarter, sum) in sums.iter().enumerate() {
                vst1q_s32(tile.out.add(row * TILE_STRIDE + 4 * quarter), *sum);
            }
        }
    }
}
