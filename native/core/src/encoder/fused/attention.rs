//! Attention of one sequence, head after head: both products in int8, softmax in float32.
//!
//! ```text
//! per head   queries  L x S     one scale a token
//!            keys     S x L16   one scale a token     packed like weights: inputs S, outputs the keys
//!            values   L4 x S16  one scale a column    packed like weights: inputs the keys, outputs S
//!
//! per tile   scores  = queries * keys                 up to ROWS x L16, float32
//! of rows    shares  = 127 * e^(score - largest)      rounded: 0 for whatever is far below the largest
//!            context = shares * values / sum(shares)  the rounded shares' own sum, so they add up to 1
//! ```
//!
//! L tokens, S columns of a head; L4, L16, S16 are rounded up, and what is added is zero. Integer sums are exact
//! and each float32 sum runs over one row, so nothing depends on which rows share a tile. Shares are whole
//! numbers up to 127: their sum is exact in float32 for every length that a model has.

use std::f32::consts::LOG2_E;

use super::buffer::Buffer;
use super::kernel::{Family, LANES, Lanes, TILE_ROWS, TILE_STRIDE, Tile};
use super::operations::{LARGEST, Rows, power_of_two};

/// Scratch of one head.
pub(super) struct HeadScratch {
    queries: Buffer<u8>,
    query_scales: Buffer<f32>,
    keys: Buffer<u8>,
    key_scales: Buffer<f32>,
    /// Where the integer scores of each key begin.
    key_starts: Buffer<i32>,
    values: Buffer<u8>,
    value_scales: Buffer<f32>,
    /// What each token's columns are multiplied by to become int8.
    inverses: Buffer<f32>,
    /// One token's columns of the head, filled up to S16.
    row: Buffer<u8>,
    scores: Buffer<f32>,
    shares: Buffer<u8>,
    /// The integer results of a tile.
    sums: Buffer<i32>,
    /// Where integer sums begin that have nothing to take back.
    zeros: Buffer<i32>,
}

impl HeadScratch {
    pub(super) const fn new() -> Self {
        Self {
            queries: Buffer::new(),
            query_scales: Buffer::new(),
            keys: Buffer::new(),
            key_scales: Buffer::new(),
            key_starts: Buffer::new(),
            values: Buffer::new(),
            value_scales: Buffer::new(),
            inverses: Buffer::new(),
            row: Buffer::new(),
            scores: Buffer::new(),
            shares: Buffer::new(),
            sums: Buffer::new(),
            zeros: Buffer::new(),
        }
    }

    /// Makes room for sequences of `length` tokens and heads of `size` columns.
    pub(super) fn reserve(&mut self, length: usize, size: usize) {
        let (length16, size16) = (length.next_multiple_of(LANES), size.next_multiple_of(LANES));
        // Rows are stored 16 bytes at a time, so the last may run over by 8.
        self.queries.reserve(length * size + LANES);
        self.query_scales.reserve(length16);
        self.keys.reserve(length16 * size);
        self.key_scales.reserve(length16);
        self.key_starts.reserve(length16);
        self.values.reserve(length16 * size16);
        self.value_scales.reserve(size16);
        self.inverses.reserve(length16);
        self.row.reserve(size16);
        self.scores.reserve(TILE_ROWS * length16);
        self.shares.reserve(TILE_ROWS * length16);
        self.sums.reserve(TILE_ROWS * TILE_STRIDE);
        self.zeros.reserve(TILE_STRIDE);
    }
}

/// Attends within one sequence of `length` tokens.
///
/// A row of `qkv` holds the queries of all heads, then the keys, then the values; queries are already
/// divided by the root of the head size. Writes the context, as many columns as a third of `qkv`, to `to`.
///
/// # Safety
/// The family's processor features are there; `qkv` and `to` have `length` rows; `scratch` was reserved for
/// this length and head size.
#[inline(always)]
pub(super) unsafe fn attend<F: Family>(
    qkv: Rows,
    length: usize,
    heads: usize,
    scratch: &mut HeadScratch,
    to: Rows,
) {
    let hidden = to.columns;
    let size = hidden / heads;
    for head in 0..heads {
        let column = head * size;
        // SAFETY: the caller's word.
        unsafe {
            pack_queries::<F>(qkv, column, size, length, scratch);
            pack_keys::<F>(qkv, hidden + column, size, length, scratch);
            pack_values::<F>(qkv, 2 * hidden + column, size, length, scratch);
            let tiles = length.div_ceil(F::ROWS);
            let mut row = 0;
            for tile in 0..tiles {
                let rows = (length - row).div_ceil(tiles - tile);
                let largest = score::<F>(row, rows, size, length, scratch);
                let mut factors = [0.0; TILE_ROWS];
                for r in 0..rows {
                    factors[r] = share::<F>(r, scratch.query_scales[row + r], largest[r], length, scratch);
                }
                mix::<F>(rows, &factors, size, length, scratch, to.rows_from(row), column);
                row += rows;
            }
        }
    }
}

/// Writes to `scratch.scores` what `rows` queries from `row` on say of each key, yet without the queries'
/// scales, and returns the largest of each row.
#[inline(always)]
unsafe fn score<F: Family>(
    row: usize,
    rows: usize,
    size: usize,
    length: usize,
    scratch: &mut HeadScratch,
) -> [F::V; TILE_ROWS] {
    let length16 = length.next_multiple_of(LANES);
    let sums = scratch.sums.as_mut_ptr();
    // SAFETY: the caller's word; a key block is `size` lines of 16 bytes.
    unsafe {
        let mut largest = [F::V::splat(f32::NEG_INFINITY); TILE_ROWS];
        for key in (0..length16).step_by(F::BLOCKS * LANES) {
            let blocks = F::BLOCKS.min((length16 - key) / LANES);
            let tile = Tile {
                a: scratch.queries.as_ptr().add(row * size),
                a_stride: size,
                b: scratch.keys.as_ptr().add(key * size).cast(),
                depth: size,
                start: scratch.key_starts.as_ptr().add(key),
                out: sums,
            };
            F::tile(&tile, rows, blocks);
            for block in 0..blocks {
                let key = key + block * LANES;
                let scale = F::V::load(scratch.key_scales.as_ptr().add(key));
                for (r, largest) in largest.iter_mut().enumerate().take(rows) {
                    let scores = F::V::from_i32(sums.add(r * TILE_STRIDE + block * LANES)).mul(scale);
                    *largest = largest.max(scores);
                    scores.store(scratch.scores.as_mut_ptr().add(r * length16 + key));
                }
            }
        }
        largest
    }
}

/// Turns one row of scores into whole shares of 127 and returns 1 / their sum.
#[inline(always)]
unsafe fn share<F: Family>(
    row: usize,
    scale: f32,
    largest: F::V,
    length: usize,
    scratch: &mut HeadScratch,
) -> f32 {
    /// log2(127): the largest share is 127.
    const LARGEST_EXPONENT: f32 = 6.988_684_7;
    let length16 = length.next_multiple_of(LANES);
    // SAFETY: the caller's word: row `row` has `length16` scores and shares.
    unsafe {
        let scores = scratch.scores.as_ptr().add(row * length16);
        let shares = scratch.shares.as_mut_ptr().add(row * length16);
        // Not zero, or the padding's -inf would become NaN.
        let factor = scale.max(f32::MIN_POSITIVE) * LOG2_E;
        let shift = F::V::splat(LARGEST_EXPONENT - largest.largest() * factor);
        let factor = F::V::splat(factor);
        let mut sum = F::V::splat(0.0);
        for key in (0..length16).step_by(LANES) {
            let whole = power_of_two(F::V::load(scores.add(key)).mul_add(factor, shift)).round();
            whole.store_i8(shares.add(key), 0);
            sum = sum.add(whole);
        }
        1.0 / sum.sum()
    }
}

/// Writes the context of `rows` rows.
#[inline(always)]
unsafe fn mix<F: Family>(
    rows: usize,
    factors: &[f32; TILE_ROWS],
    size: usize,
    length: usize,
    scratch: &mut HeadScratch,
    to: Rows,
    column: usize,
) {
    let (length4, length16) = (length.next_multiple_of(4), length.next_multiple_of(LANES));
    let size16 = size.next_multiple_of(LANES);
    let sums = scratch.sums.as_mut_ptr();
    // SAFETY: the caller's word; a value block is `length4` lines of 16 bytes.
    unsafe {
        for first in (0..size16).step_by(F::BLOCKS * LANES) {
            let blocks = F::BLOCKS.min((size16 - first) / LANES);
            let tile = Tile {
                a: scratch.shares.as_ptr(),
                a_stride: length16,
                b: scratch.values.as_ptr().add(first * length4).cast(),
                depth: length4,
                start: scratch.zeros.as_ptr(),
                out: sums,
            };
            F::tile(&tile, rows, blocks);
            for (r, factor) in factors.iter().enumerate().take(rows) {
                for block in 0..blocks {
                    let first = first + block * LANES;
                    let context = F::V::from_i32(sums.add(r * TILE_STRIDE + block * LANES))
                        .mul(F::V::load(scratch.value_scales.as_ptr().add(first)))
                        .mul(F::V::splat(*factor));
                    store_some(context, to.at(r, column + first), size - first);
                }
            }
        }
    }
}

/// Quantises the queries of a head.
#[inline(always)]
unsafe fn pack_queries<F: Family>(
    qkv: Rows,
    column: usize,
    size: usize,
    length: usize,
    scratch: &mut HeadScratch,
) {
    // SAFETY: the caller's word. Rows are written in order, so what runs over a row's end is written again.
    unsafe {
        scales_of::<F::V>(qkv, column, size, length, &mut scratch.query_scales, &mut scratch.inverses);
        for row in 0..length {
            let from = qkv.at(row, column);
            let inverse = F::V::splat(scratch.inverses[row]);
            for c in (0..size).step_by(LANES) {
                load_some::<F::V>(from.add(c), size - c)
                    .mul(inverse)
                    .store_i8(scratch.queries.as_mut_ptr().add(row * size + c), F::ZERO);
            }
        }
    }
}

/// Quantises the keys of a head and packs them as the columns of a matrix.
#[inline(always)]
unsafe fn pack_keys<F: Family>(
    qkv: Rows,
    column: usize,
    size: usize,
    length: usize,
    scratch: &mut HeadScratch,
) {
    /// What a score of the padding begins with; times f32::MAX it is -inf.
    const NEVER: i32 = -(1 << 30);
    let length16 = length.next_multiple_of(LANES);
    // SAFETY: the caller's word.
    unsafe {
        scales_of::<F::V>(qkv, column, size, length, &mut scratch.key_scales, &mut scratch.inverses);
        let row = scratch.row.as_mut_ptr();
        for key in 0..length16 {
            let lines = scratch.keys.as_mut_ptr().add(key / LANES * LANES * size).cast::<u32>();
            let to = lines.add(key % LANES);
            if key >= length {
                for k in 0..size / 4 {
                    to.add(k * LANES).write(0);
                }
                continue;
            }
            let from = qkv.at(key, column);
            let inverse = F::V::splat(scratch.inverses[key]);
            for c in (0..size).step_by(LANES) {
                load_some::<F::V>(from.add(c), size - c).mul(inverse).store_i8(row.add(c), 0);
            }
            for k in 0..size / 4 {
                to.add(k * LANES).write(row.cast::<u32>().add(k).read());
            }
        }
        // What a query of zeros would score is the offset's doing: sums begin with its negative.
        for c in (0..size).step_by(LANES) {
            F::V::splat(0.0).store_i8(row.add(c), F::ZERO);
        }
        for key in (0..length16).step_by(LANES) {
            let tile = Tile {
                a: row,
                a_stride: size,
                b: scratch.keys.as_ptr().add(key * size).cast(),
                depth: size,
                start: scratch.zeros.as_ptr(),
                out: scratch.sums.as_mut_ptr(),
            };
            F::tile(&tile, 1, 1);
            for lane in 0..LANES {
                scratch.key_starts[key + lane] = -scratch.sums[lane];
            }
        }
        scratch.key_starts[length..length16].fill(NEVER);
        scratch.key_scales[length..length16].fill(f32::MAX);
    }
}

/// Writes the scale of each token's columns, and what they are multiplied by to become int8.
#[inline(always)]
unsafe fn scales_of<V: Lanes>(
    qkv: Rows,
    column: usize,
    size: usize,
    length: usize,
    scales: &mut [f32],
    inverses: &mut [f32],
) {
    // SAFETY: the caller's word; both outputs have room for `length` rounded up to 16.
    unsafe {
        for (row, inverse) in inverses.iter_mut().enumerate().take(length) {
            let from = qkv.at(row, column);
            let mut largest = V::splat(0.0);
            for c in (0..size).step_by(LANES) {
                largest = largest.max(load_some::<V>(from.add(c), size - c).abs());
            }
            *inverse = largest.largest();
        }
        for row in (0..length).step_by(LANES) {
            let largest = V::load(inverses.as_ptr().add(row));
            largest.mul(V::splat(1.0 / LARGEST)).store(scales.as_mut_ptr().add(row));
            let inverse = V::splat(LARGEST).div(largest.max(V::splat(f32::MIN_POSITIVE)));
            inverse.store(inverses.as_mut_ptr().add(row));
        }
    }
}

/// Quantises the values of a head, one scale a column, and packs them as the rows of a matrix.
#[inline(always)]
unsafe fn pack_values<F: Family>(
    qkv: Rows,
    column: usize,
    size: usize,
    length: usize,
    scratch: &mut HeadScratch,
) {
    let length4 = length.next_multiple_of(4);
    // SAFETY: the caller's word.
    unsafe {
        for c in (0..size).step_by(LANES) {
            let load = |row: usize| load_some::<F::V>(qkv.at(row, column + c), size - c);
            let mut largest = F::V::splat(0.0);
            for row in 0..length {
                largest = largest.max(load(row).abs());
            }
            largest.mul(F::V::splat(1.0 / LARGEST)).store(scratch.value_scales.as_mut_ptr().add(c));
            let inverse = F::V::splat(LARGEST).div(largest.max(F::V::splat(f32::MIN_POSITIVE)));
            let lines = scratch.values.as_mut_ptr().add(c * length4);
            for row in (0..length4).step_by(4) {
                let mut four = [F::V::splat(0.0); 4];
                for (ahead, values) in four.iter_mut().enumerate().take(length - row) {
                    *values = load(row + ahead).mul(inverse);
                }
                F::V::store_interleaved_i8(four, lines.add(row * LANES));
            }
        }
    }
}

/// Reads up to 16 of the `left` values that are left, zeros for the rest.
#[inline(always)]
unsafe fn load_some<V: Lanes>(from: *const f32, left: usize) -> V {
    // SAFETY: the caller's word: `left` values.
    unsafe {
        if left >= LANES {
            return V::load(from);
        }
        let mut padded = [0.0; LANES];
        std::ptr::copy_nonoverlapping(from, padded.as_mut_ptr(), left);
        V::load(padded.as_ptr())
    }
}

/// Writes up to 16 of the `left` values that are left.
#[inline(always)]
unsafe fn store_some<V: Lanes>(values: V, to: *mut f32, left: usize) {
    // SAFETY: the caller's word: room for `left` values.
    unsafe {
        if left >= LANES {
            return values.store(to);
        }
        let mut padded = [0.0; LANES];
        values.store(padded.as_mut_ptr());
        std::ptr::copy_nonoverlapping(padded.as_ptr(), to, left);
    }
}
