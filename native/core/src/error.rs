//! One variant per kind of failure; every message says what, where, and what to do.

use std::path::PathBuf;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument of the call can't be used.
    #[error("{0}")]
    InvalidArgument(String),

    /// The bundle directory, or a file that its manifest lists, is missing or unreadable.
    #[error("{}: {problem}; `cachelora export` writes a bundle", path.display())]
    BundleNotFound {
        /// What could not be read.
        path: PathBuf,
        /// Why not.
        problem: String,
    },

    /// A file of the bundle does not have the expected form.
    #[error("{}: {problem}", path.display())]
    BundleInvalid {
        /// The file at fault.
        path: PathBuf,
        /// The key or place, and what was expected there.
        problem: String,
    },

    /// A file of the bundle is not the one that the manifest describes.
    #[error("{}: {what} is {found}, the manifest says {expected}; the file was changed or damaged: export or copy the bundle again", path.display())]
    BundleCorrupt {
        /// The file at fault.
        path: PathBuf,
        /// Which property differs.
        what: &'static str,
        /// The manifest's value.
        expected: String,
        /// The file's value.
        found: String,
    },

    /// The bundle was written in a newer major schema.
    #[error("{}: schema_version is {found}, this version of cachelora reads {supported}.x; upgrade cachelora or export the bundle again", path.display())]
    SchemaUnsupported {
        /// The manifest.
        path: PathBuf,
        /// Its schema version.
        found: String,
        /// The major version that this crate reads.
        supported: u32,
    },

    /// The tokenizer can't be read or failed on a text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// No ONNX Runtime library was found.
    #[error(
        "no ONNX Runtime library was found; install one (pip install onnxruntime) or give its path (option onnxruntime_path or CACHELORA_ONNXRUNTIME). Tried:\n{tried}"
    )]
    RuntimeNotFound {
        /// One line per place that was looked at.
        tried: String,
    },

    /// A library was found, but it is not a usable ONNX Runtime.
    #[error("{} can't be used as ONNX Runtime: {problem}. Tried:\n{tried}", path.display())]
    RuntimeInvalid {
        /// The library.
        path: PathBuf,
        /// Why it can't be used.
        problem: String,
        /// One line per place that was looked at.
        tried: String,
    },

    /// The ONNX Runtime that was found is too old.
    #[error("{} is ONNX Runtime {found}, at least 1.{oldest} is needed. Tried:\n{tried}", path.display())]
    RuntimeTooOld {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest minor version of ONNX Runtime 1 that is supported.
        oldest: u32,
        /// One line per place that was looked at.
        tried: String,
    },

    /// A text is longer than the model reads, and the policy is to reject it.
    #[error(
        "text {index} has {tokens} tokens, the model reads {max_tokens}; shorten it, or open the bundle with the policy to truncate"
    )]
    InputTooLong {
        /// The text's place in the batch, from 0.
        index: usize,
        /// Its true number of tokens.
        tokens: usize,
        /// How many the model reads.
        max_tokens: usize,
    },

    /// The model could not be run, or its vector is not a unit vector of finite numbers.
    #[error("inference: {0}")]
    Inference(String),

    /// No threshold was calibrated for this domain and budget.
    #[error("{0}")]
    NotCalibrated(String),
}
