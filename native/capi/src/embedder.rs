//! Open, embed, describe, free.

use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cachelora_core::encoder::fused::Kernel;
use cachelora_core::similarity::cosine_of_units;
use cachelora_core::{Embedder, InputInfo};

use crate::boundary::{check_apart, guard, slice, slice_mut, text, utf8};
use crate::fork::Opening;
use crate::handles::Handles;
use crate::logging;
use crate::options::{self, cachelora_options};
use crate::status::cachelora_status::{self, *};
use crate::status::{Failure, cachelora_error, cachelora_str};

/// An opened bundle. Reference-counted: cachelora_open returns it with one reference, cachelora_retain
/// adds one, cachelora_free gives one back. Every function that takes it as `const` may run on one handle
/// from any number of threads at once, without a lock around inference.
///
/// A handle is looked up before it is used. One that was freed, an error, or any other pointer is
/// CACHELORA_INVALID_ARGUMENT where a status is returned; where none is, the answer is as for NULL. A handle's
/// address goes to no new object until 4096 more handles were freed. A call keeps what it uses, so that
/// freeing a handle on one thread lets the calls that run on others end in peace, and refuses later ones.
///
/// In a child of fork() a handle works on, unless a call was using it on another thread at that moment: then
/// embedding is CACHELORA_INVALID_ARGUMENT in the child, which opens the bundle anew.
#[allow(non_camel_case_types)]
pub struct cachelora_embedder {
    _mark: u64,
}

/// What a cachelora_embedder stands for.
pub(crate) struct Opened {
    embedder: Embedder,
    interrupted: AtomicBool,
    // What the ABI lends out is NUL-terminated, so it is kept in that form.
    fingerprint: String,
    backend: String,
    kernel: String,
    onnxruntime: String,
}

/// The handles that callers have.
pub(crate) static EMBEDDERS: Handles<Opened> = Handles::new();

impl Opened {
    /// This process is a child, and a call was in here when it was forked.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }
}

/// What the handle stands for.
fn opened(embedder: *const cachelora_embedder) -> Result<Arc<Opened>, Failure> {
    let problem = if embedder.is_null() {
        "embedder is NULL"
    } else {
        match EMBEDDERS.get(embedder.addr()) {
            Some(opened) => return Ok(opened),
            None => "embedder is no open handle: it was freed, or cachelora_open did not return it",
        }
    };
    Err(Failure::new(CACHELORA_INVALID_ARGUMENT, problem))
}

/// What the handle stands for, to embed with.
fn usable(embedder: *const cachelora_embedder) -> Result<Arc<Opened>, Failure> {
    let opened = opened(embedder)?;
    if opened.interrupted.load(Ordering::Relaxed) {
        return Err(Failure::new(
            CACHELORA_INVALID_ARGUMENT,
            "embedder was in use on another thread when this process was forked; open the bundle anew in the child",
        ));
    }
    Ok(opened)
}

/// A text of the handle, valid while it lives; empty where there is no such handle.
fn described(embedder: *const cachelora_embedder, text: impl Fn(&Opened) -> &str) -> cachelora_str {
    match EMBEDDERS.get(embedder.addr()) {
        // The table's own reference keeps the text after this one is gone.
        Some(opened) => cachelora_str::of_nul_terminated(text(&opened)),
        None => cachelora_str::of_nul_terminated("\0"),
    }
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

/// A text that tests know, to see what becomes of a panic. Nothing that is shipped knows it.
#[cfg(any(test, feature = "test-panic"))]
fn panic_if_asked(text: &str) {
    assert!(text != "cachelora, please panic", "as the text asked for");
}

#[cfg(not(any(test, feature = "test-panic")))]
fn panic_if_asked(_text: &str) {}

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
        let _opening = Opening::begin()?;
        logging::log_panics();
        let embedder = Embedder::open(dir, &options)?;
        let opened = Opened {
            interrupted: AtomicBool::new(false),
            fingerprint: format!("{}\0", embedder.fingerprint()),
            backend: format!("{}\0", embedder.backend()),
            kernel: format!("{}\0", embedder.kernel().map_or("", Kernel::name)),
            onnxruntime: embedder
                .library()
                .map_or("\0".to_owned(), |library| format!("{}\0", library.path.display())),
            embedder,
        };
        out[0] = std::ptr::without_provenance_mut(EMBEDDERS.put(opened));
        Ok(())
    };
    // SAFETY: the caller's word.
    unsafe { guard(err, body) }
}

/// Adds a reference to `embedder` and returns it. NULL is allowed and returned; for what is no open handle
/// NULL is returned.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_retain(embedder: *const cachelora_embedder) -> *const cachelora_embedder {
    if EMBEDDERS.retain(embedder.addr()) { embedder } else { std::ptr::null() }
}

/// Gives a reference to `embedder` back. With the last one the bundle is closed: calls that are still running
/// on other threads end as they would have, the last of them releases the memory, and later calls are
/// refused. NULL is allowed; what is no open handle is left alone, and logged.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_free(embedder: *const cachelora_embedder) {
    if !embedder.is_null() && !EMBEDDERS.free(embedder.addr()) {
        log::error!("cachelora_free: {embedder:p} is no open handle");
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
        let handle = usable(embedder)?;
        let dimension = handle.embedder.dimension();
        if capacity < dimension {
            return Err(too_small("out", capacity, dimension));
        }
        check_apart((out, dimension, "out"), (utf8, len, "utf8"))?;
        check_apart((out, dimension, "out"), (info, 1, "info"))?;
        check_apart((info, 1, "info"), (utf8, len, "utf8"))?;
        // SAFETY: the caller's word.
        let text = unsafe { text(utf8, len, "utf8") }?;
        // SAFETY: the caller's word; the buffer has at least `dimension` elements.
        let out = unsafe { slice_mut(out, dimension, "out") }?;
        // SAFETY: the caller's word.
        let info = unsafe { slice_mut(info, usize::from(!info.is_null()), "info") }?;
        panic_if_asked(text);
        let result = handle.embedder.embed(text, out)?;
        if let Some(info) = info.first_mut() {
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
        let handle = usable(embedder)?;
        if count == 0 {
            return Ok(());
        }
        // First what can be told without reading, so that a wrong count is not believed.
        let needed = count
            .checked_mul(handle.embedder.dimension())
            .ok_or_else(|| invalid("count is too large".to_owned()))?;
        if capacity < needed {
            return Err(too_small("out", capacity, needed));
        }
        let bounds = count.checked_add(1).ok_or_else(|| invalid("count is too large".to_owned()))?;
        check_apart((out, needed, "out"), (utf8, utf8_len, "utf8"))?;
        check_apart((out, needed, "out"), (offsets, bounds, "offsets"))?;
        check_apart((out, needed, "out"), (infos, count, "infos"))?;
        check_apart((infos, count, "infos"), (utf8, utf8_len, "utf8"))?;
        check_apart((infos, count, "infos"), (offsets, bounds, "offsets"))?;
        // SAFETY: the caller's word.
        let bytes = unsafe { slice(utf8, utf8_len, "utf8") }?;
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
pub extern "C" fn cachelora_dimension(embedder: *const cachelora_embedder) -> usize {
    EMBEDDERS.get(embedder.addr()).map_or(0, |opened| opened.embedder.dimension())
}

/// How many tokens of a text the model reads, special tokens included; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_max_tokens(embedder: *const cachelora_embedder) -> usize {
    EMBEDDERS.get(embedder.addr()).map_or(0, |opened| opened.embedder.max_tokens())
}

/// The namespace of the handle's vectors, 64 hex digits: vectors of two fingerprints must never be
/// compared. ONNX Runtime has one of its own where the bundle's usual encoder is the fused one. Valid while
/// the handle lives; empty for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_fingerprint(embedder: *const cachelora_embedder) -> cachelora_str {
    described(embedder, |opened| &opened.fingerprint)
}

/// Which encoder computes the vectors, "fused" or "onnxruntime". Valid while the handle lives; empty
/// for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_backend(embedder: *const cachelora_embedder) -> cachelora_str {
    described(embedder, |opened| &opened.backend)
}

/// Which kernel the fused encoder uses, for instance "avx512vnni". Valid while the handle lives; empty where
/// ONNX Runtime computes, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_kernel(embedder: *const cachelora_embedder) -> cachelora_str {
    described(embedder, |opened| &opened.kernel)
}

/// The path of the ONNX Runtime library in use; empty where the fused encoder needs none, and for NULL.
/// Valid while the handle lives.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_onnxruntime(embedder: *const cachelora_embedder) -> cachelora_str {
    described(embedder, |opened| &opened.onnxruntime)
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
        let handle = opened(embedder)?;
        check_apart((out, 1, "out"), (domain, domain_len, "domain"))?;
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
        check_apart((out, 1, "out"), (a, dimension, "a"))?;
        check_apart((out, 1, "out"), (b, dimension, "b"))?;
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
