//! x86-64 with AVX2: half a line of weights a register; and the same with AVX-VNNI.
//!
//! Without VNNI the byte product is `vpmaddubsw`, whose 16 bit sums of two saturate. The sign of each
//! activation moves to its weights first, `|a| * sign(w, a)`: with both sides within -127..=127 a sum is at
//! most 2 * 127 * 127 = 32258 and exact.

use std::arch::x86_64::*;

use super::{Family, LANES, Lanes, TILE_STRIDE, Tile, TileFn};
use crate::encoder::fused::forward::{self, Job};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// # Safety
/// [`is_available`] is true.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run(job: &mut Job<'_>) {
    // SAFETY: the features are enabled here.
    unsafe { forward::run::<Avx2>(job) }
}

/// # Safety
/// [`is_available`] is true, and the machine has AVX-VNNI.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub(super) unsafe fn run_vnni(job: &mut Job<'_>) {
    // SAFETY: the features are enabled here.
    unsafe { forward::run::<AvxVnni>(job) }
}

pub(in super::super) struct Avx2;

pub(in super::super) struct AvxVnni;

/// Lanes 0 to 7 and 8 to 15.
#[derive(Clone, Copy)]
pub(in super::super) struct F32x8x2(__m256, __m256);

// Inlined into `run` and `run_vnni`, where the features are enabled.
impl Lanes for F32x8x2 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 readable values.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 writable values.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn from_i32(from: *const i32) -> Self {
        // SAFETY: 16 readable values.
        unsafe {
            Self(
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from.cast())),
                _mm256_cvtepi32_ps(_mm256_loadu_si256(from.add(8).cast())),
            )
        }
    }

    #[inline(always)]
    unsafe fn from_i8(from: *const i8) -> Self {
        // SAFETY: 16 readable values.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            Self(
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))),
            )
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the family's features.
        unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the family's features.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Self(_mm256_andnot_ps(sign, self.0), _mm256_andnot_ps(sign, self.1))
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the family's features.
        unsafe {
            Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1))
        }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the family's features.
        unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, exponent: Self) -> Self {
        // SAFETY: the family's features.
        unsafe {
            let scale = |value: __m256, exponent: __m256| {
                let bits = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(exponent));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), bits))
            };
            Self(scale(self.0, exponent.0), scale(self.1, exponent.1))
        }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut u8, flip: u8) {
        // SAFETY: 16 writable bytes.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1));
            // Packing works within 128 bits: put the four quarters in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), _mm_xor_si128(bytes, _mm_set1_epi8(flip as i8)));
        }
    }

    #[inline(always)]
    unsafe fn store_interleaved_i8(rows: [Self; 4], to: *mut u8) {
        // SAFETY: 64 writable bytes.
        unsafe {
            let low = _mm256_set1_epi32(0xff);
            let interleave = |rows: [__m256; 4]| {
                let zero = _mm256_and_si256(_mm256_cvtps_epi32(rows[0]), low);
                let one = _mm256_slli_epi32::<8>(_mm256_and_si256(_mm256_cvtps_epi32(rows[1]), low));
                let two = _mm256_slli_epi32::<16>(_mm256_and_si256(_mm256_cvtps_epi32(rows[2]), low));
                let three = _mm256_slli_epi32::<24>(_mm256_cvtps_epi32(rows[3]));
                _mm256_or_si256(_mm256_or_si256(zero, one), _mm256_or_si256(two, three))
            };
            _mm256_storeu_si256(to.cast(), interleave(rows.map(|row| row.0)));
            _mm256_storeu_si256(to.add(32).cast(), interleave(rows.map(|row| row.1)));
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the family's features.
        unsafe {
            let eight = _mm256_add_ps(self.0, self.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: the family's features.
        unsafe {
            let eight = _mm256_max_ps(self.0, self.1);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

impl Family for Avx2 {
    type V = F32x8x2;
    const ROWS: usize = 4;
    const BLOCKS: usize = 1;
    const ZERO: u8 = 0;

    #[inline(always)]
    unsafe fn tile(args: &Tile, rows: usize, blocks: usize) {
        const TILES: [TileFn; 4] = [tile::<1>, tile::<2>, tile::<3>, tile::<4>];
        debug_assert_eq!(blocks, 1);
        // SAFETY: the caller's word.
        unsafe { TILES[rows - 1](args) }
    }
}

impl Family for AvxVnni {
    type V = F32x8x2;
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;
    const ZERO: u8 = 0x80;

    #[inline(always)]
    unsafe fn tile(args: &Tile, rows: usize, blocks: usize) {
        const TILES: [TileFn; 6] =
            [tile_vnni::<1>, tile_vnni::<2>, tile_vnni::<3>, tile_vnni::<4>, tile_vnni::<5>, tile_vnni::<6>];
        debug_assert_eq!(blocks, 1);
        // SAFETY: the caller's word.
        unsafe { TILES[rows - 1](args) }
    }
}

/// # Safety
/// The contract of [`Family::tile`].
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize>(tile: &Tile) {
    // SAFETY: the caller's word about every pointer; the features are enabled here.
    unsafe {
        let mut sums =
            [[_mm256_loadu_si256(tile.start.cast()), _mm256_loadu_si256(tile.start.add(8).cast())]; R];
        let ones = _mm256_set1_epi16(1);
        let mut b = tile.b;
        for k in (0..tile.depth).step_by(4) {
            let lines = [_mm256_loadu_si256(b.cast()), _mm256_loadu_si256(b.add(32).cast())];
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = tile.a.add(row * tile.a_stride + k).cast::<i32>().read_unaligned();
                let a = _mm256_set1_epi32(four);
                let size = _mm256_abs_epi8(a);
                for (sum, line) in sums.iter_mut().zip(lines) {
                    let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(line, a));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
            b = b.add(4 * LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = tile.out.add(row * TILE_STRIDE);
            _mm256_storeu_si256(out.cast(), sums[0]);
            _mm256_storeu_si256(out.add(8).cast(), sums[1]);
        }
    }
}

/// # Safety
/// The contract of [`Family::tile`].
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn tile_vnni<const R: usize>(tile: &Tile) {
    // SAFETY: the caller's word about every pointer; the features are enabled here.
    unsafe {
        let mut sums =
            [[_mm256_loadu_si256(tile.start.cast()), _mm256_loadu_si256(tile.start.add(8).cast())]; R];
        let mut b = tile.b;
        for k in (0..tile.depth).step_by(4) {
            let lines = [_mm256_loadu_si256(b.cast()), _mm256_loadu_si256(b.add(32).cast())];
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = tile.a.add(row * tile.a_stride + k).cast::<i32>().read_unaligned();
                let a = _mm256_set1_epi32(four);
                for (sum, line) in sums.iter_mut().zip(lines) {
                    *sum = _mm256_dpbusd_avx_epi32(*sum, a, line);
                }
            }
            b = b.add(4 * LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = tile.out.add(row * TILE_STRIDE);
            _mm256_storeu_si256(out.cast(), sums[0]);
            _mm256_storeu_si256(out.add(8).cast(), sums[1]);
        }
    }
}
