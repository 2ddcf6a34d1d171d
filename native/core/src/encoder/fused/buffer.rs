//! Scratch memory: aligned, reused, bounded.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A growing array of plain numbers that begins at a cache line.
pub(super) struct Buffer<T: Plain> {
    lines: Vec<Line>,
    length: usize,
    element: PhantomData<T>,
}

/// Numbers for which every bit pattern is a value.
///
/// # Safety
/// Implementors have no padding, no invalid bit patterns, and an alignment of at most 64.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: plain numbers.
unsafe impl Plain for u8 {}
// SAFETY: plain numbers.
unsafe impl Plain for i32 {}
// SAFETY: plain numbers.
unsafe impl Plain for f32 {}

impl<T: Plain> Buffer<T> {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new(), length: 0, element: PhantomData }
    }

    /// Zeros.
    pub(super) fn of_length(length: usize) -> Self {
        let mut buffer = Self::new();
        buffer.reserve(length);
        buffer
    }

    /// Makes room for at least `length` elements; what was there stays.
    pub(super) fn reserve(&mut self, length: usize) {
        let lines = (length * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.length = self.length.max(length);
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `lines` has room for `length` elements, all initialised, and any bit pattern is a value.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
