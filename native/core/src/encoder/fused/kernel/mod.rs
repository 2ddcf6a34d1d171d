//! Kernels: what one family of processors does, behind one small interface.
//!
//! A family gives two things: sixteen float32 in registers ([`Lanes`]) and an exact integer product tile
//! ([`Family::tile`]). Everything else (attention, softmax, norms, GELU, quantisation) is written once over
//! [`Lanes`] in `operations` and `attention`, and compiled once per family.
//!
//! ```text
//! activations, rows x k bytes              weights, packed by the exporter (16 columns a block)
//!
//!          k ->                            block 0: columns 0..16        block 1: columns 16..32
//! row 0  a a a a|a a a a|...               [k 0..4 of column 0][k 0..4 of column 1]...[k 0..4 of column 15]
//! row 1  a a a a|a a a a|...               [k 4..8 of column 0]...                      <- 64 bytes a line
//!        \_____/                           ...
//!     4 bytes, broadcast to all lanes,     one line: one AVX-512 register, two AVX2 ones, four NEON ones
//!     meet one line: 16 columns at once
//! ```
//!
//! A tile is up to [`Family::ROWS`] rows by [`Family::BLOCKS`] blocks: as many accumulators as there are
//! registers, so that each loaded line serves all rows and each broadcast all blocks.
//!
//! All families accumulate in 32 bits and never saturate, so their integer results are equal bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::fmt;
use std::str::FromStr;

use super::buffer::Buffer;
use super::forward::{self, Job};
use crate::Error;

/// Columns of a block of packed weights, and lanes of [`Lanes`].
pub(super) const LANES: usize = 16;

/// Sixteen float32.
///
/// # Safety
/// Every method needs the processor features of its family.
pub(super) trait Lanes: Copy {
    unsafe fn splat(value: f32) -> Self;
    /// Reads 16 values; `from` need not be aligned.
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn from_i32(from: *const i32) -> Self;
    unsafe fn from_i8(from: *const i8) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// `self * factor + addend`, rounded once.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Rounds to the nearest integer.
    unsafe fn round(self) -> Self;
    /// `self * 2^exponent` for whole exponents in -126..=7 and `self` in 0.5..=2.
    unsafe fn scale_by_power_of_two(self, exponent: Self) -> Self;
    /// Rounds to integers, cuts to -128..=127 and stores them as bytes, the top bit flipped where `flip` is
    /// 0x80.
    unsafe fn store_i8(self, to: *mut u8, flip: u8);
    /// Rounds four times sixteen values in -127..=127 to bytes and stores lane after lane, four bytes a lane.
    unsafe fn store_interleaved_i8(rows: [Self; 4], to: *mut u8);
    /// The sum of all lanes: lane i and lane i + 8 first, then distance 4, 2 and 1.
    unsafe fn sum(self) -> f32;
    unsafe fn largest(self) -> f32;
}

/// The operands of one product tile.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// The first of `rows` rows of activations.
    pub(super) a: *const u8,
    /// Bytes from row to row.
    pub(super) a_stride: usize,
    /// The first of the packed blocks, each `depth * 16` bytes.
    pub(super) b: *const i8,
    /// The shared dimension, a multiple of 4.
    pub(super) depth: usize,
    /// Where accumulation begins, per column: takes back what the offset of the activations adds.
    pub(super) start: *const i32,
    /// Row-major results, [`TILE_STRIDE`] from row to row.
    pub(super) out: *mut i32,
}

/// Most rows and columns of any family's tile.
pub(super) const TILE_ROWS: usize = 8;
pub(super) const TILE_STRIDE: usize = 3 * LANES;

/// One family of kernels.
pub(super) trait Family {
    type V: Lanes;
    const ROWS: usize;
    const BLOCKS: usize;
    /// What the integer 0 is stored as: 0x80 where the multiply instruction takes unsigned activations.
    const ZERO: u8;

    /// Multiplies `rows` rows by `blocks` blocks, both at least 1 and at most ROWS and BLOCKS.
    ///
    /// # Safety
    /// The family's processor features are there; the pointers are good for what `tile` says.
    unsafe fn tile(tile: &Tile, rows: usize, blocks: usize);
}

/// A family's product tile for one number of rows and blocks.
pub(super) type TileFn = unsafe fn(&Tile);

/// A family of kernels by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernel {
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
    Avx512Vnni,
    /// x86-64 with AVX2, FMA and AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// AArch64 with the dot product extension.
    Neon,
    /// Plain Rust; every machine.
    Portable,
}

impl Kernel {
    /// All families, the fastest first.
    pub const ALL: [Self; 5] = [Self::Avx512Vnni, Self::AvxVnni, Self::Avx2, Self::Neon, Self::Portable];

    /// The fastest family that this machine runs.
    pub fn detect() -> Self {
        Self::ALL.into_iter().find(|kernel| kernel.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this machine runs it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("dotprod"),
            Self::Portable => true,
            _ => false,
        }
    }

    /// The name that options and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Vnni => "avx512vnni",
            Self::AvxVnni => "avxvnni",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// What its products take the activation 0 as.
    pub(super) fn zero(self) -> u8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => avx512::Avx512::ZERO,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::AvxVnni::ZERO,
            _ => 0,
        }
    }

    /// Runs a job on this family; the caller has asked [`is_available`](Self::is_available).
    pub(super) fn run(self, job: &mut Job<'_>) {
        assert!(self.is_available(), "kernel {self} does not run on this machine");
        // SAFETY: the family's features were just found.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => avx512::run(job),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::run_vnni(job),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::run(job),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::run(job),
                _ => forward::run::<portable::Portable>(job),
            }
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Kernel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kernel| kernel.name()).collect();
            Error::InvalidArgument(format!("kernel {name:?}: there are {}", known.join(", ")))
        })
    }
}

/// Multiply-adds a second of `kernel` on this thread, measured for a few milliseconds on operands in the
/// first-level cache: the limit that a whole encoder is compared with.
///
/// # Panics
/// If the kernel does not run on this machine.
pub fn peak(kernel: Kernel) -> f64 {
    assert!(kernel.is_available(), "kernel {kernel} does not run on this machine");
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni => peak_of::<avx512::Avx512>(),
        #[cfg(target_arch = "x86_64")]
        Kernel::AvxVnni => peak_of::<avx2::AvxVnni>(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => peak_of::<avx2::Avx2>(),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => peak_of::<neon::Neon>(),
        _ => peak_of::<portable::Portable>(),
    }
}

/// Only for families that the machine runs.
fn peak_of<F: Family>() -> f64 {
    const DEPTH: usize = 256;
    let a = Buffer::<u8>::of_length(F::ROWS * DEPTH);
    let b = Buffer::<u8>::of_length(F::BLOCKS * LANES * DEPTH);
    let start = Buffer::<i32>::of_length(F::BLOCKS * LANES);
    let mut out = Buffer::<i32>::of_length(TILE_ROWS * TILE_STRIDE);
    let tile = Tile {
        a: a.as_ptr(),
        a_stride: DEPTH,
        b: b.as_ptr().cast(),
        depth: DEPTH,
        start: start.as_ptr(),
        out: out.as_mut_ptr(),
    };
    let multiply_adds = F::ROWS * F::BLOCKS * LANES * DEPTH;
    let rounds = 50_000_000 / multiply_adds;
    let mut best = 0.0_f64;
    for _ in 0..30 {
        let begin = std::time::Instant::now();
        for _ in 0..rounds {
            // SAFETY: the buffers have the tile's sizes, and the caller has asked for the features.
            unsafe { F::tile(std::hint::black_box(&tile), F::ROWS, F::BLOCKS) };
        }
        best = best.max((rounds * multiply_adds) as f64 / begin.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests;
