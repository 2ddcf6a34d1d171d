//! Status codes, and the owned error that carries a message.

use cachelora_core::Error;

use crate::handles::Handles;

/// What a call returns. Every failure also sets the call's `err`, unless that is NULL.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum cachelora_status {
    /// The call did what was asked.
    CACHELORA_OK = 0,
    /// An argument can't be used: NULL, out of range, or inconsistent with another.
    CACHELORA_INVALID_ARGUMENT = 1,
    /// A text is not valid UTF-8.
    CACHELORA_INVALID_UTF8 = 2,
    /// The caller's buffer is too small; the message says how large it must be.
    CACHELORA_BUFFER_TOO_SMALL = 3,
    /// The bundle directory, or a file that its manifest lists, is missing.
    CACHELORA_BUNDLE_NOT_FOUND = 10,
    /// A file of the bundle does not have the expected form.
    CACHELORA_BUNDLE_INVALID = 11,
    /// A file of the bundle is not the one that the manifest describes.
    CACHELORA_BUNDLE_CORRUPT = 12,
    /// The bundle was written in a newer major schema.
    CACHELORA_SCHEMA_UNSUPPORTED = 13,
    /// The tokenizer can't be read or failed on a text.
    CACHELORA_TOKENIZER = 14,
    /// No ONNX Runtime library was found.
    CACHELORA_RUNTIME_NOT_FOUND = 20,
    /// A library was found, but it is no usable ONNX Runtime.
    CACHELORA_RUNTIME_INVALID = 21,
    /// The ONNX Runtime that was found is too old.
    CACHELORA_RUNTIME_TOO_OLD = 22,
    /// A text is longer than the model reads, and the policy is to reject it.
    CACHELORA_INPUT_TOO_LONG = 30,
    /// The model could not be run, or its vector is not a unit vector.
    CACHELORA_INFERENCE = 31,
    /// No threshold was calibrated for this domain and budget.
    CACHELORA_NOT_CALIBRATED = 32,
    /// A defect of this library; the call had no effect. Please report it.
    CACHELORA_PANIC = 90,
}

use cachelora_status::*;

/// A status and its message. The caller owns it and frees it with cachelora_error_free, on any thread.
#[allow(non_camel_case_types)]
pub struct cachelora_error {
    _mark: u64,
}

/// What a cachelora_error stands for; the message ends with a NUL.
pub(crate) struct Problem {
    status: cachelora_status,
    message: String,
}

/// The errors that callers have.
pub(crate) static ERRORS: Handles<Problem> = Handles::new();

/// A text that somebody else owns: `len` bytes of UTF-8 at `data`, followed by a NUL.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct cachelora_str {
    /// The first byte; never NULL.
    pub data: *const std::ffi::c_char,
    /// The number of bytes without the final NUL.
    pub len: usize,
}

impl cachelora_str {
    /// `text` ends with a NUL, which is not counted.
    pub(crate) fn of_nul_terminated(text: &str) -> Self {
        assert!(text.ends_with('\0'), "texts that cross the border end with a NUL");
        Self { data: text.as_ptr().cast(), len: text.len() - 1 }
    }
}

/// A failure inside this library on its way to the caller.
pub(crate) struct Failure(Problem);

/// The result of the body of an exported function.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    pub(crate) fn new(status: cachelora_status, message: impl Into<String>) -> Self {
        // Messages may quote texts and paths; inside a C string a NUL would hide the rest.
        let mut message = message.into().replace('\0', "\u{fffd}");
        message.push('\0');
        Self(Problem { status, message })
    }

    pub(crate) fn status(&self) -> cachelora_status {
        self.0.status
    }

    /// The error that the caller gets.
    pub(crate) fn into_error(self) -> *mut cachelora_error {
        std::ptr::without_provenance_mut(ERRORS.put(self.0))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::InvalidArgument(_) => CACHELORA_INVALID_ARGUMENT,
            Error::BundleNotFound { .. } => CACHELORA_BUNDLE_NOT_FOUND,
            Error::BundleInvalid { .. } => CACHELORA_BUNDLE_INVALID,
            Error::BundleCorrupt { .. } => CACHELORA_BUNDLE_CORRUPT,
            Error::SchemaUnsupported { .. } => CACHELORA_SCHEMA_UNSUPPORTED,
            Error::Tokenizer(_) => CACHELORA_TOKENIZER,
            Error::RuntimeNotFound { .. } => CACHELORA_RUNTIME_NOT_FOUND,
            Error::RuntimeInvalid { .. } => CACHELORA_RUNTIME_INVALID,
            Error::RuntimeTooOld { .. } => CACHELORA_RUNTIME_TOO_OLD,
            Error::InputTooLong { .. } => CACHELORA_INPUT_TOO_LONG,
            Error::NotCalibrated(_) => CACHELORA_NOT_CALIBRATED,
            // Error may grow; whatever it grows by is a failure to compute a vector.
            _ => CACHELORA_INFERENCE,
        };
        Self::new(status, error.to_string())
    }
}

/// The status of an error; CACHELORA_OK for NULL, and for what is no error or was freed.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_error_status(err: *const cachelora_error) -> cachelora_status {
    ERRORS.get(err.addr()).map_or(CACHELORA_OK, |problem| problem.status)
}

/// The message of an error, valid until the error is freed; an empty text for NULL, and for what is no error
/// or was freed.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_error_message(err: *const cachelora_error) -> cachelora_str {
    // The table's own reference keeps the text after this one is gone.
    ERRORS.get(err.addr()).map_or(cachelora_str::of_nul_terminated("\0"), |problem| {
        cachelora_str::of_nul_terminated(&problem.message)
    })
}

/// Frees an error. NULL is allowed; what is no error, or was freed, is left alone, and logged.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_error_free(err: *mut cachelora_error) {
    if !err.is_null() && !ERRORS.free(err.addr()) {
        log::error!("cachelora_error_free: {err:p} is no error, or was freed");
    }
}
