//! What happens to rows between the products: written once, compiled once per family.
//!
//! Each row is computed by itself and every sum has one fixed order, so a row's bits do not depend on the rows
//! around it.
//!
//! # Safety
//! Every function here needs the processor features of its family and pointers that are good for the rows
//! and columns it is told; columns are multiples of 16.

use super::kernel::{Family, LANES, Lanes, TILE_ROWS, TILE_STRIDE, Tile};
use super::weights::{Matrix, Norm};

/// Rows of int8 activations, each with its scale.
#[derive(Clone, Copy)]
pub(super) struct Quantised {
    pub(super) bytes: *mut u8,
    pub(super) scales: *mut f32,
    pub(super) columns: usize,
}

impl Quantised {
    /// The rows from `row` on.
    pub(super) unsafe fn rows_from(self, row: usize) -> Self {
        // SAFETY: the caller's word: there are that many rows.
        unsafe { Self { bytes: self.bytes.add(row * self.columns), scales: self.scales.add(row), ..self } }
    }
}

/// Rows of float32.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) values: *mut f32,
    pub(super) columns: usize,
}

impl Rows {
    #[inline(always)]
    pub(super) unsafe fn at(self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: the caller's word: the element exists.
        unsafe { self.values.add(row * self.columns + column) }
    }

    /// The rows from `row` on.
    pub(super) unsafe fn rows_from(self, row: usize) -> Self {
        // SAFETY: the caller's word: there are that many rows.
        unsafe { Self { values: self.at(row, 0), ..self } }
    }
}

/// What is done with 16 neighbouring results of a product before they are stored.
pub(super) trait Epilogue<V> {
    unsafe fn apply(value: V, to: *mut f32) -> V;
}

/// Stores the result.
pub(super) struct Store;
/// Adds the result to what is there: the residual connection.
pub(super) struct Add;
/// Stores GELU of the result.
pub(super) struct Gelu;

impl<V: Lanes> Epilogue<V> for Store {
    #[inline(always)]
    unsafe fn apply(value: V, _: *mut f32) -> V {
        value
    }
}

impl<V: Lanes> Epilogue<V> for Add {
    #[inline(always)]
    unsafe fn apply(value: V, to: *mut f32) -> V {
        // SAFETY: `to` holds 16 values.
        unsafe { value.add(V::load(to)) }
    }
}

impl<V: Lanes> Epilogue<V> for Gelu {
    #[inline(always)]
    unsafe fn apply(value: V, _: *mut f32) -> V {
        // SAFETY: no pointer is used.
        unsafe { gelu(value) }
    }
}

/// `to = E(input * matrix + bias)` for `rows` rows.
#[inline(always)]
pub(super) unsafe fn product<F: Family, E: Epilogue<F::V>>(
    input: Quantised,
    matrix: &Matrix,
    weights: &[i8],
    rows: usize,
    to: Rows,
) {
    let depth = matrix.depth;
    let blocks = matrix.columns / LANES;
    let mut sums = Sums::new();
    // Even shares: 17 rows become 6 + 6 + 5, never a last tile of one lonely row.
    let tiles = rows.div_ceil(F::ROWS);
    let mut block = 0;
    while block < blocks {
        let width = F::BLOCKS.min(blocks - block);
        let column = block * LANES;
        let mut row = 0;
        for tile in 0..tiles {
            let height = (rows - row).div_ceil(tiles - tile);
            // SAFETY: the caller's word for `input` and `to`; `matrix` has `blocks` blocks of `depth` lines,
            // scales, biases and starts for each column.
            unsafe {
                let operands = Tile {
                    a: input.bytes.add(row * input.columns),
                    a_stride: input.columns,
                    b: weights.as_ptr().add(column * depth),
                    depth,
                    start: matrix.starts.as_ptr().add(column),
                    out: sums.as_mut_ptr(),
                };
                F::tile(&operands, height, width);
                for c in 0..width {
                    let column = column + c * LANES;
                    let scales = F::V::load(matrix.scales.as_ptr().add(column));
                    let biases = F::V::load(matrix.biases.as_ptr().add(column));
                    for r in 0..height {
                        let sum = F::V::from_i32(sums.as_mut_ptr().add(r * TILE_STRIDE + c * LANES));
                        let scale = scales.mul(F::V::splat(*input.scales.add(row + r)));
                        let place = to.at(row + r, column);
                        E::apply(sum.mul_add(scale, biases), place).store(place);
                    }
                }
            }
            row += height;
        }
        block += width;
    }
}

/// The integer results of one tile.
#[repr(align(64))]
pub(super) struct Sums([i32; TILE_ROWS * TILE_STRIDE]);

impl Sums {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self([0; TILE_ROWS * TILE_STRIDE])
    }

    #[inline(always)]
    pub(super) fn as_mut_ptr(&mut self) -> *mut i32 {
        self.0.as_mut_ptr()
    }
}

/// The largest int8 in use; -128 is not, so that every value has its negative.
pub(super) const LARGEST: f32 = 127.0;

/// Quantises `rows` rows, each with its own scale; `smooth`, where a matrix has it, first divides outliers
/// out of the columns.
#[inline(always)]
pub(super) unsafe fn quantise<F: Family>(from: Rows, smooth: Option<&[f32]>, rows: usize, to: Quantised) {
    let columns = from.columns;
    for row in 0..rows {
        // SAFETY: the caller's word for `from` and `to`.
        unsafe {
            let values = from.at(row, 0);
            let bytes = to.bytes.add(row * columns);
            let smoothed = |column: usize| {
                let value = F::V::load(values.add(column));
                match smooth {
                    Some(factors) => value.mul(F::V::load(factors.as_ptr().add(column))),
                    None => value,
                }
            };
            let mut largest = F::V::splat(0.0);
            for column in (0..columns).step_by(LANES) {
                largest = largest.max(smoothed(column).abs());
            }
            let largest = largest.largest();
            // A row of zeros stays zero, and the quotient finite.
            let inverse = F::V::splat(LARGEST / largest.max(f32::MIN_POSITIVE));
            *to.scales.add(row) = largest / LARGEST;
            for column in (0..columns).step_by(LANES) {
                smoothed(column).mul(inverse).store_i8(bytes.add(column), F::ZERO);
            }
        }
    }
}

/// Layer norm of `rows` rows in place.
#[inline(always)]
pub(super) unsafe fn layer_norm<F: Family>(rows_of: Rows, norm: &Norm, epsilon: f32, rows: usize) {
    let columns = rows_of.columns;
    let share = 1.0 / columns as f32;
    for row in 0..rows {
        // SAFETY: the caller's word for `rows_of`; the norm has a weight and a bias per column.
        unsafe {
            let values = rows_of.at(row, 0);
            let mut sum = F::V::splat(0.0);
            for column in (0..columns).step_by(LANES) {
                sum = sum.add(F::V::load(values.add(column)));
            }
            let mean = F::V::splat(sum.sum() * share);
            let mut squares = F::V::splat(0.0);
            for column in (0..columns).step_by(LANES) {
                let centred = F::V::load(values.add(column)).sub(mean);
                squares = centred.mul_add(centred, squares);
            }
            let factor = F::V::splat(1.0 / (squares.sum() * share + epsilon).sqrt());
            for column in (0..columns).step_by(LANES) {
                let centred = F::V::load(values.add(column)).sub(mean).mul(factor);
                let weight = F::V::load(norm.weights.as_ptr().add(column));
                let bias = F::V::load(norm.biases.as_ptr().add(column));
                centred.mul_add(weight, bias).store(values.add(column));
            }
        }
    }
}

/// x * Phi(x), where Phi - 1/2 is an odd polynomial on |x| <= 4.25, fitted for the least error of the result:
/// below 1.6e-5 there, and below 5e-5 up to |x| = 12.
#[inline(always)]
unsafe fn gelu<V: Lanes>(x: V) -> V {
    const END: f32 = 4.25;
    const TERMS: [f32; 9] = [
        4.546_986e-11,
        -4.515_235_7e-9,
        1.986_136_8e-7,
        -5.147_475e-6,
        8.848_875e-5,
        -0.001_079_075_6,
        0.009_718_771,
        -0.066_190_27,
        0.398_819_2,
    ];
    // SAFETY: no pointer is used.
    unsafe {
        let inner = x.min(V::splat(END)).max(V::splat(-END));
        let square = inner.mul(inner);
        let mut polynomial = V::splat(TERMS[0]);
        for term in &TERMS[1..] {
            polynomial = polynomial.mul_add(square, V::splat(*term));
        }
        x.mul(inner.mul_add(polynomial, V::splat(0.5)))
    }
}

/// 2^x for x up to 7, relative error below 1e-4; everything below 2^-126 is 2^-126.
///
/// Shares of attention are rounded to one part in 127 next, so more terms would be lost.
#[inline(always)]
pub(super) unsafe fn power_of_two<V: Lanes>(x: V) -> V {
    const TERMS: [f32; 4] = [0.055_171_67, 0.242_611_16, 0.693_261, 0.999_928_07];
    // SAFETY: no pointer is used.
    unsafe {
        let x = x.max(V::splat(-126.0));
        let whole = x.round();
        let rest = x.sub(whole);
        let mut polynomial = V::splat(TERMS[0]);
        for term in &TERMS[1..] {
            polynomial = polynomial.mul_add(rest, V::splat(*term));
        }
        polynomial.scale_by_power_of_two(whole)
    }
}
