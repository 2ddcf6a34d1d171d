//! Rust's error variants as the exception classes of `cachelora.errors`.

use cachelora::Error;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Returns the exception that Python raises for `error`.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::InvalidArgument(_) => "UsageError",
        Error::BundleNotFound { .. } => "BundleNotFoundError",
        Error::BundleInvalid { .. } => "BundleInvalidError",
        Error::BundleCorrupt { .. } => "BundleCorruptError",
        Error::SchemaUnsupported { .. } => "SchemaUnsupportedError",
        Error::Tokenizer(_) => "TokenizerError",
        Error::RuntimeNotFound { .. } => "RuntimeNotFoundError",
        Error::RuntimeInvalid { .. } => "RuntimeInvalidError",
        Error::RuntimeTooOld { .. } => "RuntimeTooOldError",
        Error::InputTooLong { .. } => "InputTooLongError",
        Error::NotCalibrated(_) => "NotCalibratedError",
        // Error may grow; whatever it grows by is a failure to compute a vector.
        _ => "InferenceError",
    };
    let found = py.import("cachelora.errors").and_then(|module| module.getattr(class));
    match found.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, error.to_string()),
        Err(broken) => broken,
    }
}
