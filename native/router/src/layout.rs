//! The structures as the router's binary was compiled with them.
//!
//! They cross the border by value, so a wrong size or offset would corrupt the caller's stack. The assertions
//! hold them to what a C compiler makes of the router's declarations; `tests/preload/standin/router.h` holds the C
//! compiler to the same numbers.

use std::ffi::{c_char, c_int};
use std::mem::{align_of, offset_of, size_of};
use std::ptr::null_mut;

// The router itself builds for these two only, and how SimilarityResult returns was looked up for these two.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "libcachelora_router serves x86_64 and aarch64; leave it out with `--exclude cachelora-router`"
);

/// A vector, which the caller gives back with `free_embedding`.
#[repr(C)]
pub struct EmbeddingResult {
    pub data: *mut f32,
    pub length: c_int,
    pub error: bool,
    /// -1: none of the router's own numbered models.
    pub model_type: c_int,
    pub sequence_length: c_int,
    pub processing_time_ms: f32,
}

impl EmbeddingResult {
    pub const FAILED: Self = Self {
        data: null_mut(),
        length: 0,
        error: true,
        model_type: -1,
        sequence_length: 0,
        processing_time_ms: 0.0,
    };
}

const _: () = {
    assert!(size_of::<EmbeddingResult>() == 32);
    assert!(align_of::<EmbeddingResult>() == 8);
    assert!(offset_of!(EmbeddingResult, data) == 0);
    assert!(offset_of!(EmbeddingResult, length) == 8);
    assert!(offset_of!(EmbeddingResult, error) == 12);
    assert!(offset_of!(EmbeddingResult, model_type) == 16);
    assert!(offset_of!(EmbeddingResult, sequence_length) == 20);
    assert!(offset_of!(EmbeddingResult, processing_time_ms) == 24);
};

/// The tokens of a text, which the caller gives back with `free_tokenization_result`.
#[repr(C)]
pub struct TokenizationResult {
    pub token_ids: *mut c_int,
    pub token_count: c_int,
    pub tokens: *mut *mut c_char,
    pub error: bool,
}

impl TokenizationResult {
    pub const FAILED: Self = Self { token_ids: null_mut(), token_count: 0, tokens: null_mut(), error: true };
}

const _: () = {
    assert!(size_of::<TokenizationResult>() == 32);
    assert!(align_of::<TokenizationResult>() == 8);
    assert!(offset_of!(TokenizationResult, token_ids) == 0);
    assert!(offset_of!(TokenizationResult, token_count) == 8);
    assert!(offset_of!(TokenizationResult, tokens) == 16);
    assert!(offset_of!(TokenizationResult, error) == 24);
};

/// The candidate nearest to a query.
///
/// The router's Go declares the first two fields only, its Rust all three. Both callers are served by returning
/// all three: on x86_64 (System V) eight bytes return in rax, sixteen in rax and rdx; on aarch64 (AAPCS64) in x0,
/// or x0 and x1. The first two fields share the first register either way, and no caller expects the second
/// register to be kept. Returning only the first two would leave `text` to chance.
#[repr(C)]
pub struct SimilarityResult {
    pub index: c_int,
    pub score: f32,
    /// Always NULL: a caller of the first two fields never frees it.
    pub text: *mut c_char,
}

impl SimilarityResult {
    pub const NONE: Self = Self { index: -1, score: -1.0, text: null_mut() };
}

const _: () = {
    assert!(size_of::<SimilarityResult>() == 16);
    assert!(align_of::<SimilarityResult>() == 8);
    assert!(offset_of!(SimilarityResult, index) == 0);
    assert!(offset_of!(SimilarityResult, score) == 4);
    assert!(offset_of!(SimilarityResult, text) == 8);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What the router's Go reads of a [`SimilarityResult`].
    #[repr(C)]
    struct Narrow {
        index: c_int,
        score: f32,
    }

    extern "C" fn nearest() -> SimilarityResult {
        SimilarityResult { index: 7, score: 0.5, text: null_mut() }
    }

    #[test]
    fn a_caller_of_two_fields_reads_the_first_two_of_three() {
        // SAFETY: that this works is what layout's documentation says of both platforms, and what is tested.
        let narrow: extern "C" fn() -> Narrow =
            unsafe { std::mem::transmute(nearest as extern "C" fn() -> SimilarityResult) };
        let found = std::hint::black_box(narrow)();
        assert_eq!((found.index, found.score), (7, 0.5));
    }

    #[test]
    fn a_failure_says_so_in_every_field() {
        let vector = EmbeddingResult::FAILED;
        assert!(vector.error && vector.data.is_null());
        assert_eq!((vector.length, vector.model_type, vector.sequence_length), (0, -1, 0));
        let tokens = TokenizationResult::FAILED;
        assert!(tokens.error && tokens.token_ids.is_null() && tokens.tokens.is_null());
        assert_eq!(tokens.token_count, 0);
        let nearest = SimilarityResult::NONE;
        assert_eq!((nearest.index, nearest.score), (-1, -1.0));
        assert!(nearest.text.is_null());
    }
}
