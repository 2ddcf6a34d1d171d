//! The options structure and how it may grow.

use std::ffi::c_char;
use std::mem::{offset_of, size_of};

use cachelora_core::{Backend, OnTooLong, Options};

use crate::boundary::{slice, text};
use crate::status::Failure;
use crate::status::cachelora_status::CACHELORA_INVALID_ARGUMENT;

/// What happens to a text with more tokens than the model reads: its first tokens are used, and
/// `truncated` says so.
pub const CACHELORA_TOO_LONG_TRUNCATE: u32 = 0;
/// What happens to a text with more tokens than the model reads: CACHELORA_INPUT_TOO_LONG.
pub const CACHELORA_TOO_LONG_REJECT: u32 = 1;

/// The encoder: the fused one where the bundle has its weights, else ONNX Runtime.
pub const CACHELORA_BACKEND_AUTO: u32 = 0;
/// The encoder: the fused one; a bundle without its weights is CACHELORA_BUNDLE_INVALID.
pub const CACHELORA_BACKEND_FUSED: u32 = 1;
/// The encoder: ONNX Runtime, the float32 reference.
pub const CACHELORA_BACKEND_ONNXRUNTIME: u32 = 2;

/// How a bundle is opened. Begin with CACHELORA_OPTIONS_INIT and set what should differ; zero means the
/// default in every field.
///
/// The structure may grow at its end. `struct_size` tells the library which fields the caller knows; a
/// field that the library does not know must be zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct cachelora_options {
    /// sizeof(cachelora_options)
    pub struct_size: usize,
    /// CACHELORA_TOO_LONG_TRUNCATE or CACHELORA_TOO_LONG_REJECT.
    pub on_too_long: u32,
    /// How many threads share the work of one batch; 0 means 1. One text always runs on its caller's
    /// thread.
    pub threads: u32,
    /// The ONNX Runtime library file, in UTF-8; NULL searches for one: the variable
    /// CACHELORA_ONNXRUNTIME, an installed Python wheel, the system's libraries.
    pub onnxruntime_path: *const c_char,
    /// The number of bytes of onnxruntime_path.
    pub onnxruntime_path_len: usize,
    /// CACHELORA_BACKEND_AUTO, CACHELORA_BACKEND_FUSED or CACHELORA_BACKEND_ONNXRUNTIME.
    pub backend: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// Reads the caller's structure, which may be NULL, shorter than ours or longer.
///
/// # Safety
/// `options` is NULL or points at `struct_size` readable bytes.
pub(crate) unsafe fn read(options: *const cachelora_options) -> Result<Options, Failure> {
    let invalid = |message: String| Failure::new(CACHELORA_INVALID_ARGUMENT, message);
    if options.is_null() {
        return Ok(Options::default());
    }
    if !options.is_aligned() {
        return Err(invalid("options is not aligned".to_owned()));
    }
    // SAFETY: struct_size is the first field and always there.
    let given = unsafe { options.cast::<usize>().read() };
    let smallest = offset_of!(cachelora_options, threads) + size_of::<u32>();
    if !(smallest..=1 << 16).contains(&given) {
        return Err(invalid(format!(
            "options.struct_size is {given}, sizeof(cachelora_options) was expected; begin with CACHELORA_OPTIONS_INIT"
        )));
    }
    // SAFETY: the caller's structure has `given` bytes.
    let bytes = unsafe { slice(options.cast::<u8>(), given, "options") }?;
    let known = given.min(size_of::<cachelora_options>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(invalid(
            "options sets a field that this version of cachelora does not know; set it to zero or upgrade"
                .to_owned(),
        ));
    }
    let mut ours = cachelora_options {
        struct_size: given,
        on_too_long: 0,
        threads: 0,
        onnxruntime_path: std::ptr::null(),
        onnxruntime_path_len: 0,
        backend: CACHELORA_BACKEND_AUTO,
        reserved: 0,
    };
    // SAFETY: both have `known` bytes; every bit pattern is a valid integer or raw pointer.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut ours).cast::<u8>(), known) };

    let on_too_long = match ours.on_too_long {
        CACHELORA_TOO_LONG_TRUNCATE => OnTooLong::Truncate,
        CACHELORA_TOO_LONG_REJECT => OnTooLong::Reject,
        other => return Err(invalid(format!("options.on_too_long is {other}, 0 or 1 was expected"))),
    };
    let backend = match ours.backend {
        CACHELORA_BACKEND_AUTO => Backend::Auto,
        CACHELORA_BACKEND_FUSED => Backend::Fused,
        CACHELORA_BACKEND_ONNXRUNTIME => Backend::OnnxRuntime,
        other => return Err(invalid(format!("options.backend is {other}, 0 to 2 was expected"))),
    };
    if ours.reserved != 0 {
        return Err(invalid(format!("options.reserved is {}, 0 was expected", ours.reserved)));
    }
    // SAFETY: the caller's path has that many bytes.
    let path =
        unsafe { text(ours.onnxruntime_path.cast(), ours.onnxruntime_path_len, "options.onnxruntime_path") }?;
    Ok(Options {
        on_too_long,
        threads: ours.threads as usize,
        backend,
        onnxruntime_path: (!path.is_empty()).then(|| path.into()),
        ..Options::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> cachelora_options {
        cachelora_options {
            struct_size: size_of::<cachelora_options>(),
            on_too_long: CACHELORA_TOO_LONG_REJECT,
            threads: 3,
            onnxruntime_path: c"/lib/x".as_ptr(),
            onnxruntime_path_len: 6,
            backend: CACHELORA_BACKEND_FUSED,
            reserved: 0,
        }
    }

    #[test]
    fn reads_every_field() {
        // SAFETY: the structure is alive.
        let options = unsafe { read(&ours()) }.ok().unwrap();
        assert_eq!(options.on_too_long, OnTooLong::Reject);
        assert_eq!(options.threads, 3);
        assert_eq!(options.backend, Backend::Fused);
        assert_eq!(options.onnxruntime_path.as_deref(), Some(std::path::Path::new("/lib/x")));
    }

    #[test]
    fn a_shorter_structure_of_an_older_caller_gets_defaults() {
        let older =
            cachelora_options { struct_size: offset_of!(cachelora_options, onnxruntime_path), ..ours() };
        // SAFETY: the structure is alive and longer than it says.
        let options = unsafe { read(&older) }.ok().unwrap();
        assert_eq!(options.threads, 3);
        assert_eq!(options.onnxruntime_path, None);
        // The structure as it was before it had a backend.
        let older = cachelora_options { struct_size: offset_of!(cachelora_options, backend), ..ours() };
        // SAFETY: as above.
        let options = unsafe { read(&older) }.ok().unwrap();
        assert!(options.onnxruntime_path.is_some());
        assert_eq!(options.backend, Backend::Auto);
    }

    #[test]
    fn a_longer_structure_must_be_zero_where_it_is_unknown() {
        #[repr(C)]
        struct Newer {
            known: cachelora_options,
            new_field: usize,
        }
        let mut newer = Newer { known: ours(), new_field: 0 };
        newer.known.struct_size = size_of::<Newer>();
        // SAFETY: the structure is alive and as long as it says.
        assert!(unsafe { read((&raw const newer).cast()) }.is_ok());
        newer.new_field = 1;
        // SAFETY: as above.
        assert!(unsafe { read((&raw const newer).cast()) }.is_err());
    }

    #[test]
    fn values_that_can_not_be_are_refused() {
        for wrong in [
            cachelora_options { struct_size: 0, ..ours() },
            cachelora_options { struct_size: usize::MAX, ..ours() },
            cachelora_options { on_too_long: 2, ..ours() },
            cachelora_options { backend: 3, ..ours() },
            cachelora_options { reserved: 1, ..ours() },
            cachelora_options { onnxruntime_path: std::ptr::null(), ..ours() },
        ] {
            // SAFETY: the structure is alive; wrong sizes are refused before they are used.
            assert!(unsafe { read(&wrong) }.is_err(), "{wrong:?}");
        }
    }
}
