//! Open, embed, describe, free.

use std::ffi::c_char;
use std::sync::Arc;

use cachelora_core::encoder::fused::Kernel;
use cachelora_core::similarity::cosine_of_units;
use cachelora_core::{Embedder, InputInfo};

use crate::boundary::{guard, reference, slice, slice_mut, text, utf8};
use crate::options::{self, cachelora_options};
use crate::status::cachelora_status::{self, *};
use crate::status::{Failure, cachelora_error, cachelora_str};

/// An opened bundle. Reference-counted: cachelora_open returns it with one reference, cachelora_retain
/// adds one, cachelora_free gives one back. Every function that takes it as `const` may run on one handle
/// from any number of threads at once, without a lock around inference.
#[allow(non_camel_case_types)]
pub struct cachelora_embedder {
    embedder: Embedder,
    // What the ABI lends out is NUL-terminated, so it is kept in that form.
    fingerprint: String,
    backend: String,
    kernel: String,
    onnxruntime: String,
}

/// What became of one text.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(non_camel_case_types)]
pub struct cachelora_input_info {
    /// The true number of tokens of the whole text, special tokens included.
    pub tokens: u64,
    /// 1 if only the first cachelora_max_tokens of them were used, else 0.
    pub truncated: u32,
    /// Always 0.
    pub reserved: u32,
}

impl From<InputInfo> for cachelora_input_info {
    fn from(info: InputInfo) -> Self {
        Self { tokens: info.tokens as u64, truncated: info.truncated.into(), reserved: 0 }
    }
}

fn too_small(name: &str, capacity: usize, needed: usize) -> Failure {
    Failure::new(
        CACHELORA_BUFFER_TOO_SMALL,
        format!("{name} has room for {capacity} floats, {needed} are needed"),
    )
}

/// Opens the bundle in the directory `dir` (UTF-8, `dir_len` bytes), verifying every file, and sets
/// `*out`. `options` may be NULL. On failure `*out` is NULL and `*err`, unless err is NULL, says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_open(
    dir: *const c_char,
    dir_len: usize,
    options: *const cachelora_options,
    out: *mut *mut cachelora_embedder,
    err: *mut *mut cachelora_error,
) -> cachelora_status {
    let body = || {
        // SAFETY: the caller's word.
        let out = unsafe { slice_mut(out, 1, "out") }?;
        out[0] = std::ptr::null_mut();
        // SAFETY: the caller's word.
        let dir = unsafe { text(dir.cast(), dir_len, "dir") }?;
        // SAFETY: the caller's word.
        let options = unsafe { options::read(options) }?;
        let embedder = Embedder::open(dir, &options)?;
        let handle = cachelora_embedder {
            fingerprint: format!("{}\0", embedder.fingerprint()),
            backend: format!("{}\0", embedder.backend()),
            kernel: format!("{}\0", embedder.kernel().map_or("", Kernel::name)),
            onnxruntime: embedder
                .library()
                .map_or("\0".to_owned(), |library| format!("{}\0", library.path.display())),
            embedder,
        };
        out[0] = Arc::into_raw(Arc::new(handle)).cast_mut();
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}

/// Adds a reference to `embedder` and returns it. NULL is allowed and returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_retain(embedder: *const cachelora_embedder) -> *const cachelora_embedder {
    if !embedder.is_null() {
        // SAFETY: handles come from Arc::into_raw, and this one is alive.
        unsafe { Arc::increment_strong_count(embedder) };
    }
    embedder
}

/// Gives a reference to `embedder` back; with the last one the bundle is closed. NULL is allowed. A call
/// that is still running on another thread needs a reference of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_free(embedder: *const cachelora_embedder) {
    if !embedder.is_null() {
        // SAFETY: handles come from Arc::into_raw, and the caller owns this reference.
        drop(unsafe { Arc::from_raw(embedder) });
    }
}

/// Writes the vector of one text (UTF-8, `len` bytes; NUL bytes are text) to `out`, which has room for
/// `capacity` floats, at least cachelora_dimension. `info` may be NULL. Runs on the caller's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_embed(
    embedder: *const cachelora_embedder,
    utf8: *const u8,
    len: usize,
    out: *mut f32,
    capacity: usize,
    info: *mut cachelora_input_info,
    err: *mut *mut cachelora_error,
) -> cachelora_status {
    let body = || {
        // SAFETY: the caller's word.
        let handle = unsafe { reference(embedder, "embedder") }?;
        // SAFETY: the caller's word.
        let text = unsafe { text(utf8, len, "utf8") }?;
        let dimension = handle.embedder.dimension();
        if capacity < dimension {
            return Err(too_small("out", capacity, dimension));
        }
        // SAFETY: the caller's word; the buffer has at least `dimension` elements.
        let out = unsafe { slice_mut(out, dimension, "out") }?;
        let result = handle.embedder.embed(text, out)?;
        // SAFETY: the caller's word.
        if let Some(info) = unsafe { slice_mut(info, usize::from(!info.is_null()), "info") }?.first_mut() {
            *info = result.into();
        }
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}

/// Writes the vectors of `count` texts to `out`, row after row. All texts stand in one buffer of
/// `utf8_len` bytes; text i is the bytes from offsets[i] up to offsets[i + 1], so there are count + 1
/// offsets, none below the one before it. `out` has room for `capacity` floats, at least count *
/// cachelora_dimension. `infos` is NULL or has room for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_embed_batch(
    embedder: *const cachelora_embedder,
    utf8: *const u8,
    utf8_len: usize,
    offsets: *const usize,
    count: usize,
    out: *mut f32,
    capacity: usize,
    infos: *mut cachelora_input_info,
    err: *mut *mut cachelora_error,
) -> cachelora_status {
    let body = || {
        let invalid = |message: String| Failure::new(CACHELORA_INVALID_ARGUMENT, message);
        // SAFETY: the caller's word.
        let handle = unsafe { reference(embedder, "embedder") }?;
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the caller's word.
        let bytes = unsafe { slice(utf8, utf8_len, "utf8") }?;
        let bounds = count.checked_add(1).ok_or_else(|| invalid("count is too large".to_owned()))?;
        // SAFETY: the caller's word.
        let offsets = unsafe { slice(offsets, bounds, "offsets") }?;
        let texts = offsets
            .windows(2)
            .enumerate()
            .map(|(index, bound)| {
                let part = bytes.get(bound[0]..bound[1]).ok_or_else(|| {
                    invalid(format!(
                        "offsets: text {index} would be bytes {} to {} of {utf8_len}",
                        bound[0], bound[1]
                    ))
                })?;
                self::utf8(part, &format!("text {index}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let needed = count
            .checked_mul(handle.embedder.dimension())
            .ok_or_else(|| invalid("count is too large".to_owned()))?;
        if capacity < needed {
            return Err(too_small("out", capacity, needed));
        }
        // SAFETY: the caller's word; the buffer has at least `needed` elements.
        let out = unsafe { slice_mut(out, needed, "out") }?;
        // SAFETY: the caller's word.
        let infos = unsafe { slice_mut(infos, if infos.is_null() { 0 } else { count }, "infos") }?;
        let results = handle.embedder.embed_batch(&texts, out)?;
        for (info, result) in infos.iter_mut().zip(results) {
            *info = result.into();
        }
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}

/// The length of a vector; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_dimension(embedder: *const cachelora_embedder) -> usize {
    // SAFETY: the caller's word.
    unsafe { embedder.as_ref() }.map_or(0, |handle| handle.embedder.dimension())
}

/// How many tokens of a text the model reads, special tokens included; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_max_tokens(embedder: *const cachelora_embedder) -> usize {
    // SAFETY: the caller's word.
    unsafe { embedder.as_ref() }.map_or(0, |handle| handle.embedder.max_tokens())
}

/// The namespace of the bundle's vectors, 64 hex digits: vectors of two fingerprints must never be
/// compared. Valid while the handle lives; empty for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_fingerprint(embedder: *const cachelora_embedder) -> cachelora_str {
    // SAFETY: the caller's word.
    cachelora_str::of_nul_terminated(unsafe { embedder.as_ref() }.map_or("\0", |handle| &handle.fingerprint))
}

/// Which encoder computes the vectors, "fused" or "onnxruntime". Valid while the handle lives; empty
/// for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_backend(embedder: *const cachelora_embedder) -> cachelora_str {
    // SAFETY: the caller's word.
    cachelora_str::of_nul_terminated(unsafe { embedder.as_ref() }.map_or("\0", |handle| &handle.backend))
}

/// Which kernel the fused encoder uses, for instance "avx512vnni". Valid while the handle lives; empty where
/// ONNX Runtime computes, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_kernel(embedder: *const cachelora_embedder) -> cachelora_str {
    // SAFETY: the caller's word.
    cachelora_str::of_nul_terminated(unsafe { embedder.as_ref() }.map_or("\0", |handle| &handle.kernel))
}

/// The path of the ONNX Runtime library in use; empty where the fused encoder needs none, and for NULL.
/// Valid while the handle lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_onnxruntime(embedder: *const cachelora_embedder) -> cachelora_str {
    // SAFETY: the caller's word.
    cachelora_str::of_nul_terminated(unsafe { embedder.as_ref() }.map_or("\0", |handle| &handle.onnxruntime))
}

/// Sets `*out` to the similarity from which on an answer cached for `domain` (UTF-8, `domain_len` bytes;
/// "all" is every domain together) may be reused, so that at most the share `max_false_hit_rate` of near
/// misses would wrongly be served. A budget that was not calibrated is CACHELORA_NOT_CALIBRATED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_threshold(
    embedder: *const cachelora_embedder,
    domain: *const c_char,
    domain_len: usize,
    max_false_hit_rate: f64,
    out: *mut f32,
    err: *mut *mut cachelora_error,
) -> cachelora_status {
    let body = || {
        // SAFETY: the caller's word.
        let handle = unsafe { reference(embedder, "embedder") }?;
        // SAFETY: the caller's word.
        let domain = unsafe { text(domain.cast(), domain_len, "domain") }?;
        // SAFETY: the caller's word.
        let out = unsafe { slice_mut(out, 1, "out") }?;
        out[0] = handle.embedder.threshold(domain, max_false_hit_rate)?;
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}

/// Sets `*out` to the cosine similarity of two vectors of `dimension` floats that cachelora wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_similarity(
    a: *const f32,
    b: *const f32,
    dimension: usize,
    out: *mut f32,
    err: *mut *mut cachelora_error,
) -> cachelora_status {
    let body = || {
        // SAFETY: the caller's word.
        let (a, b) = unsafe { (slice(a, dimension, "a")?, slice(b, dimension, "b")?) };
        // SAFETY: the caller's word.
        let out = unsafe { slice_mut(out, 1, "out") }?;
        out[0] = cosine_of_units(a, b);
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}
