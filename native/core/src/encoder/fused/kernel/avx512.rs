//! x86-64 with AVX-512 VNNI: one register is one line of weights, 64 multiply-adds an instruction.
//!
//! 8 rows by 3 blocks are 24 accumulators; 3 lines and 1 broadcast are 28 of 32 registers.

use std::arch::x86_64::*;

use super::{Family, LANES, Lanes, TILE_STRIDE, Tile, TileFn};
use crate::encoder::fused::forward::{self, Job};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

/// # Safety
/// [`is_available`] is true.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) unsafe fn run(job: &mut Job<'_>) {
    // SAFETY: the features are enabled here.
    unsafe { forward::run::<Avx512>(job) }
}

pub(in super::super) struct Avx512;

#[derive(Clone, Copy)]
pub(in super::super) struct F32x16(__m512);

// Inlined into `run` and `tile`, where the features are enabled.
impl Lanes for F32x16 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 writable values.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn from_i32(from: *const i32) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.cast())) })
    }

    #[inline(always)]
    unsafe fn from_i8(from: *const i8) -> Self {
        // SAFETY: 16 readable values.
        Self(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, exponent: Self) -> Self {
        // SAFETY: the family's features.
        Self(unsafe { _mm512_scalef_ps(self.0, exponent.0) })
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut u8, flip: u8) {
        // SAFETY: 16 writable bytes.
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(self.0));
            _mm_storeu_si128(to.cast(), _mm_xor_si128(bytes, _mm_set1_epi8(flip as i8)));
        }
    }

    #[inline(always)]
    unsafe fn store_interleaved_i8(rows: [Self; 4], to: *mut u8) {
        // SAFETY: 64 writable bytes.
        unsafe {
            let low = _mm512_set1_epi32(0xff);
            let zero = _mm512_and_si512(_mm512_cvtps_epi32(rows[0].0), low);
            let one = _mm512_slli_epi32::<8>(_mm512_and_si512(_mm512_cvtps_epi32(rows[1].0), low));
            let two = _mm512_slli_epi32::<16>(_mm512_and_si512(_mm512_cvtps_epi32(rows[2].0), low));
            let three = _mm512_slli_epi32::<24>(_mm512_cvtps_epi32(rows[3].0));
            let line = _mm512_or_si512(_mm512_or_si512(zero, one), _mm512_or_si512(two, three));
            _mm512_storeu_si512(to.cast(), line);
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the family's features.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the family's features.
        unsafe {
            let eight = _mm256_max_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

impl Family for Avx512 {
    type V = F32x16;
    const ROWS: usize = 8;
    const BLOCKS: usize = 3;
    const ZERO: u8 = 0x80;

    #[inline(always)]
    unsafe fn tile(args: &Tile, rows: usize, blocks: usize) {
        const TILES: [[TileFn; 3]; 8] = [
            [tile::<1, 1>, tile::<1, 2>, tile::<1, 3>],
            [tile::<2, 1>, tile::<2, 2>, tile::<2, 3>],
            [tile::<3, 1>, tile::<3, 2>, tile::<3, 3>],
            [tile::<4, 1>, tile::<4, 2>, tile::<4, 3>],
            [tile::<5, 1>, tile::<5, 2>, tile::<5, 3>],
            [tile::<6, 1>, tile::<6, 2>, tile::<6, 3>],
            [tile::<7, 1>, tile::<7, 2>, tile::<7, 3>],
            [tile::<8, 1>, tile::<8, 2>, tile::<8, 3>],
        ];
        // SAFETY: the caller's word.
        unsafe { TILES[rows - 1][blocks - 1](args) }
    }
}

/// # Safety
/// The contract of [`Family::tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile<const R: usize, const C: usize>(tile: &Tile) {
    // SAFETY: the caller's word about every pointer; the features are enabled here.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); C]; R];
        for row in &mut sums {
            for (block, sum) in row.iter_mut().enumerate() {
                *sum = _mm512_loadu_si512(tile.start.add(block * LANES).cast());
            }
        }
        let block_bytes = tile.depth * LANES;
        let mut b = tile.b;
        for k in (0..tile.depth).step_by(4) {
            let mut lines = [_mm512_setzero_si512(); C];
            for (block, line) in lines.iter_mut().enumerate() {
                *line = _mm512_loadu_si512(b.add(block * block_bytes).cast());
                _mm_prefetch::<_MM_HINT_T1>(b.wrapping_add((block + C) * block_bytes).cast());
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = tile.a.add(row * tile.a_stride + k).cast::<i32>().read_unaligned();
                let a = _mm512_set1_epi32(four);
                for (sum, line) in sums.iter_mut().zip(lines) {
                    *sum = _mm512_dpbusd_epi32(*sum, a, line);
                }
            }
            b = b.add(4 * LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (block, sum) in sums.iter().enumerate() {
                _mm512_storeu_si512(tile.out.add(row * TILE_STRIDE + block * LANES).cast(), *sum);
            }
        }
    }
}
