//! Sequences of calls that fuzzing makes up, with odd offsets, sizes, addresses and handles. Each call has the answer
//! that the header promises, and writes nowhere else.
//!
//! The fuzz target `calls` runs these, and so does the test that goes through the kept ones. What C must promise
//! (that so many bytes may be read) is kept, except with lengths that no object can have.

use std::ffi::c_char;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use arbitrary::{Arbitrary, Unstructured};

use crate::embedder::*;
use crate::options::cachelora_options;
use crate::status::cachelora_status::{self, *};
use crate::status::{cachelora_error, cachelora_error_free, cachelora_error_message, cachelora_error_status};

/// The most calls of one sequence, and handles that it opens.
const CALLS: usize = 24;
const HANDLES: usize = 4;
/// Room for the vectors of so many texts, in a dimension of at most 64.
const TEXTS: usize = 6;
const ROOM: usize = TEXTS * 64;
const UNTOUCHED: f32 = 42.0;

/// Where an argument points.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum At {
    Place,
    OneByteOff,
    Null,
}

impl At {
    fn of<T>(self, place: *const T) -> *const T {
        match self {
            Self::Place => place,
            Self::OneByteOff => place.wrapping_byte_add(1),
            Self::Null => std::ptr::null(),
        }
    }

    fn of_mut<T>(self, place: *mut T) -> *mut T {
        self.of(place).cast_mut()
    }
}

/// How long an argument claims to be.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Length {
    True,
    Less(u8),
    Impossible(u8),
}

impl Length {
    fn of(self, length: usize) -> usize {
        match self {
            Self::True => length,
            Self::Less(by) => length.saturating_sub(by.into()),
            Self::Impossible(by) => usize::MAX - usize::from(by),
        }
    }
}

/// A handle, or what was never one.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Which {
    Opened(u8),
    OneByteOff(u8),
    AnError,
    Address(usize),
}

#[derive(Debug, Arbitrary)]
enum Call {
    Open {
        dir_at: At,
        dir_len: Length,
        options: Option<Options>,
        out_at: At,
        err_at: At,
    },
    Retain(Which),
    Free(Which),
    Describe(Which),
    Embed {
        which: Which,
        text: Vec<u8>,
        text_at: At,
        text_len: Length,
        out_at: At,
        capacity: u16,
        info_at: At,
        err_at: At,
    },
    Batch {
        which: Which,
        text: Vec<u8>,
        text_at: At,
        text_len: Length,
        offsets: Vec<Offset>,
        offsets_at: At,
        count: Length,
        out_at: At,
        capacity: u16,
        infos_at: At,
        err_at: At,
    },
    Threshold {
        which: Which,
        domain: Vec<u8>,
        domain_at: At,
        domain_len: Length,
        budget: f64,
        out_at: At,
        err_at: At,
    },
    Similarity {
        a_at: At,
        b_at: At,
        dimension: Length,
        out: u8,
        err_at: At,
    },
    FreeError(Which),
}

#[derive(Debug, Arbitrary)]
struct Options {
    at: At,
    struct_size: u8,
    on_too_long: u8,
    threads: u8,
    backend: u8,
    reserved: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Offset {
    Near(u8),
    Any(usize),
}

/// A handle and how many references of it this sequence holds.
struct Held {
    handle: *const cachelora_embedder,
    references: usize,
}

struct Sequence {
    dir: String,
    dimension: usize,
    held: Vec<Held>,
    error: *mut cachelora_error,
}

/// Runs one sequence. Bytes that are none do nothing.
///
/// # Panics
/// If a call does what it should not.
pub fn run(bytes: &[u8]) {
    static TINY: OnceLock<String> = OnceLock::new();
    let dir = TINY.get_or_init(|| {
        let tiny = std::env::var_os("CACHELORA_TEST_TINY").expect(
            "CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-rust` sets it",
        );
        PathBuf::from(tiny).join("bundle-int8").into_os_string().into_string().expect("a path in UTF-8")
    });
    let mut input = Unstructured::new(bytes);
    let mut sequence =
        Sequence { dir: dir.clone(), dimension: 0, held: Vec::new(), error: std::ptr::null_mut() };
    // Most calls want a bundle that is open, and an error that is no embedder. Opening takes long, so a bundle that a
    // sequence leaves open is there for the next.
    match take_spare() {
        Some(handle) => sequence.held.push(Held { handle, references: 1 }),
        None => sequence.call(&Call::Open {
            dir_at: At::Place,
            dir_len: Length::True,
            options: None,
            out_at: At::Place,
            err_at: At::Place,
        }),
    }
    sequence.dimension = cachelora_dimension(sequence.held[0].handle);
    assert!((1..=ROOM / TEXTS).contains(&sequence.dimension), "the tiny bundle's dimension");
    // SAFETY: NULL is refused; the error may be written.
    let _ = unsafe {
        cachelora_embed(
            std::ptr::null(),
            std::ptr::null(),
            0,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
            &raw mut sequence.error,
        )
    };
    for _ in 0..CALLS {
        if input.is_empty() {
            break;
        }
        let Ok(call) = Call::arbitrary(&mut input) else { break };
        sequence.call(&call);
    }
    sequence.end();
}

impl Sequence {
    fn handle(&self, which: Which) -> *const cachelora_embedder {
        match which {
            Which::Opened(index) => self.held[usize::from(index) % self.held.len()].handle,
            Which::OneByteOff(index) => {
                self.held[usize::from(index) % self.held.len()].handle.wrapping_byte_add(1)
            }
            Which::AnError => self.error.cast_const().cast(),
            Which::Address(address) => std::ptr::without_provenance(address),
        }
    }

    fn held(&mut self, handle: *const cachelora_embedder) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.handle == handle && held.references > 0)
    }

    fn call(&mut self, call: &Call) {
        let mut err: *mut cachelora_error = std::ptr::null_mut();
        match call {
            Call::Open { dir_at, dir_len, options, out_at, err_at } => {
                if self.held.len() == HANDLES {
                    return;
                }
                let dir = self.dir.clone();
                let mut out: *mut cachelora_embedder = std::ptr::null_mut();
                let given = options.as_ref().map(|options| cachelora_options {
                    struct_size: usize::from(options.struct_size).min(size_of::<cachelora_options>()),
                    on_too_long: (options.on_too_long % 3).into(),
                    threads: (options.threads % 4).into(),
                    onnxruntime_path: std::ptr::null(),
                    onnxruntime_path_len: 0,
                    backend: if options.backend % 4 == 2 { 7 } else { (options.backend % 4).into() },
                    reserved: options.reserved.into(),
                });
                let given_at = options.as_ref().map_or(At::Null, |options| options.at);
                let place = given.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
                // SAFETY: what is given is readable and writable for as long as it says, or is refused.
                let status = unsafe {
                    cachelora_open(
                        dir_at.of(dir.as_ptr()).cast::<c_char>(),
                        dir_len.of(dir.len() - usize::from(matches!(dir_at, At::OneByteOff))),
                        given_at.of(place),
                        out_at.of_mut(&raw mut out),
                        err_at.of_mut(&raw mut err),
                    )
                };
                self.check(status, err_at, err);
                assert_eq!(status == CACHELORA_OK, !out.is_null(), "{call:?}");
                if status == CACHELORA_OK {
                    assert!(!self.held.iter().any(|held| std::ptr::eq(held.handle, out)), "an address anew");
                    self.held.push(Held { handle: out, references: 1 });
                }
            }
            Call::Retain(which) => {
                let handle = self.handle(*which);
                let retained = cachelora_retain(handle);
                match self.held(handle) {
                    Some(held) => {
                        held.references += 1;
                        assert_eq!(retained, handle);
                    }
                    None => assert!(retained.is_null()),
                }
            }
            Call::Free(which) => {
                let handle = self.handle(*which);
                cachelora_free(handle);
                if let Some(held) = self.held(handle) {
                    held.references -= 1;
                }
            }
            Call::Describe(which) => {
                let handle = self.handle(*which);
                let live = self.held(handle).is_some();
                assert_eq!(cachelora_dimension(handle), if live { self.dimension } else { 0 });
                assert_eq!(cachelora_max_tokens(handle) > 0, live);
                assert_eq!(cachelora_fingerprint(handle).len, if live { 64 } else { 0 });
                assert_eq!(cachelora_backend(handle).len > 0, live);
                assert_eq!(cachelora_kernel(handle).len > 0, live);
                assert_eq!(cachelora_onnxruntime(handle).len, 0);
            }
            Call::Embed { which, text, text_at, text_len, out_at, capacity, info_at, err_at } => {
                let handle = self.handle(*which);
                let mut out = [UNTOUCHED; ROOM + 1];
                let mut info = [cachelora_input_info::default(); 2];
                // SAFETY: as above.
                let status = unsafe {
                    cachelora_embed(
                        handle,
                        text_at.of(text.as_ptr()),
                        text_len
                            .of(text.len().saturating_sub(usize::from(matches!(text_at, At::OneByteOff)))),
                        out_at.of_mut(out.as_mut_ptr()),
                        usize::from(*capacity).min(ROOM),
                        info_at.of_mut(info.as_mut_ptr()),
                        err_at.of_mut(&raw mut err),
                    )
                };
                self.check(status, err_at, err);
                self.check_vectors(status, handle, 1, &out, call);
                assert_eq!(
                    status == CACHELORA_OK && matches!(info_at, At::Place),
                    info[0].tokens > 0,
                    "{call:?}"
                );
            }
            Call::Batch {
                which,
                text,
                text_at,
                text_len,
                offsets,
                offsets_at,
                count,
                out_at,
                capacity,
                infos_at,
                err_at,
            } => {
                let handle = self.handle(*which);
                let mut out = [UNTOUCHED; ROOM + 1];
                let mut infos = [cachelora_input_info::default(); TEXTS + 1];
                let offsets: Vec<usize> = offsets
                    .iter()
                    .take(TEXTS + 1)
                    .map(|offset| match offset {
                        Offset::Near(near) => usize::from(*near),
                        Offset::Any(any) => *any,
                    })
                    .chain([0])
                    .collect();
                let count = count.of(offsets.len().saturating_sub(2));
                // SAFETY: as above; a count that is not true is so large that no room is enough for it.
                let status = unsafe {
                    cachelora_embed_batch(
                        handle,
                        text_at.of(text.as_ptr()),
                        text_len
                            .of(text.len().saturating_sub(usize::from(matches!(text_at, At::OneByteOff)))),
                        offsets_at.of(offsets.as_ptr()),
                        count,
                        out_at.of_mut(out.as_mut_ptr()),
                        usize::from(*capacity).min(ROOM),
                        infos_at.of_mut(infos.as_mut_ptr()),
                        err_at.of_mut(&raw mut err),
                    )
                };
                self.check(status, err_at, err);
                self.check_vectors(status, handle, count, &out, call);
            }
            Call::Threshold { which, domain, domain_at, domain_len, budget, out_at, err_at } => {
                let handle = self.handle(*which);
                let mut out = [UNTOUCHED; 2];
                // SAFETY: as above.
                let status = unsafe {
                    cachelora_threshold(
                        handle,
                        domain_at.of(domain.as_ptr()).cast(),
                        domain_len.of(domain
                            .len()
                            .saturating_sub(usize::from(matches!(domain_at, At::OneByteOff)))),
                        *budget,
                        out_at.of_mut(out.as_mut_ptr()),
                        err_at.of_mut(&raw mut err),
                    )
                };
                self.check(status, err_at, err);
                assert_eq!(status == CACHELORA_OK, out[0] != UNTOUCHED, "{call:?}");
                assert!(status != CACHELORA_OK || self.held(handle).is_some());
            }
            Call::Similarity { a_at, b_at, dimension, out, err_at } => {
                // One array, so that the result may lie in what is compared.
                let mut numbers = [0.5_f32; 17];
                let start = numbers.as_mut_ptr();
                // SAFETY: as above; `out` is inside of the array.
                let status = unsafe {
                    cachelora_similarity(
                        a_at.of(start),
                        b_at.of(start.wrapping_add(4)),
                        dimension.of(4),
                        start.wrapping_add(usize::from(*out) % numbers.len()),
                        err_at.of_mut(&raw mut err),
                    )
                };
                self.check(status, err_at, err);
            }
            Call::FreeError(which) => {
                let handle = self.handle(*which);
                let error = handle.cast::<cachelora_error>().cast_mut();
                cachelora_error_free(error);
                assert_eq!(cachelora_error_status(error), CACHELORA_OK);
                assert_eq!(cachelora_error_message(error).len, 0);
            }
        }
    }

    /// A failure is told where it can be, and nowhere else.
    fn check(&self, status: cachelora_status, err_at: &At, err: *mut cachelora_error) {
        assert!(status != CACHELORA_PANIC, "a panic");
        assert_eq!(status != CACHELORA_OK && matches!(err_at, At::Place), !err.is_null(), "{status:?}");
        if !err.is_null() {
            assert_eq!(cachelora_error_status(err), status);
            let message = cachelora_error_message(err);
            assert!(message.len > 0);
            // SAFETY: the message is followed by a NUL.
            assert_eq!(unsafe { std::ffi::CStr::from_ptr(message.data) }.count_bytes(), message.len);
            cachelora_error_free(err);
        }
    }

    /// Unit vectors, and nothing behind them; nothing at all after a failure.
    fn check_vectors(
        &mut self,
        status: cachelora_status,
        handle: *const cachelora_embedder,
        texts: usize,
        out: &[f32],
        call: &Call,
    ) {
        if status != CACHELORA_OK {
            // A call that failed within the encoder may have begun to write; what was refused has not.
            assert!(status == CACHELORA_INFERENCE || out.iter().all(|&value| value == UNTOUCHED), "{call:?}");
            return;
        }
        assert!(self.held(handle).is_some(), "{call:?}");
        let (vectors, behind) = out.split_at(texts * self.dimension);
        assert!(behind.iter().all(|&value| value == UNTOUCHED), "{call:?}");
        for vector in vectors.chunks_exact(self.dimension) {
            let norm = vector.iter().map(|value| value * value).sum::<f32>();
            assert!((norm - 1.0).abs() < 1e-3, "{norm}: {call:?}");
        }
    }

    fn end(mut self) {
        if self.held[0].references > 0 && SPARE.load(Ordering::Relaxed) == 0 {
            self.held[0].references -= 1;
            let handle = self.held[0].handle;
            (0..self.held[0].references).for_each(|_| cachelora_free(handle));
            assert_eq!(cachelora_dimension(handle), self.dimension);
            self.held.remove(0);
            SPARE.store(handle.addr(), Ordering::Relaxed);
        }
        for held in self.held {
            for _ in 0..held.references {
                assert!(cachelora_dimension(held.handle) > 0);
                cachelora_free(held.handle);
            }
            assert_eq!(cachelora_dimension(held.handle), 0);
        }
        cachelora_error_free(self.error);
    }
}

/// The address of a handle with one reference, or 0.
static SPARE: AtomicUsize = AtomicUsize::new(0);

fn take_spare() -> Option<*const cachelora_embedder> {
    let address = SPARE.swap(0, Ordering::Relaxed);
    (address != 0).then(|| std::ptr::without_provenance(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_sequences() {
        let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calls");
        let files: Vec<_> = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "only {} files", files.len());
        for path in files {
            run(&std::fs::read(path).unwrap());
        }
    }

    #[test]
    fn every_kind_of_call_is_reached() {
        // The kind is what `arbitrary` reads first; each kind comes up with some number.
        for kind in 0..=u8::MAX {
            let bytes: Vec<u8> = (0..200_u8).map(|index| index.wrapping_mul(kind)).collect();
            run(&[&[0, 0, 0, kind][..], &bytes].concat());
        }
    }
}
