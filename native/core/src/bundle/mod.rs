//! A bundle on disk: opened only when every hash and the fingerprint agree with its manifest.

mod fingerprint;
mod manifest;
mod verify;

use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub use manifest::{Adapter, Architecture, BaseModel, FileEntry, Manifest, Parity};

/// The manifest's file name.
pub const MANIFEST: &str = "cachelora.json";
/// The merged model in float32 with pooling and normalisation in the graph.
pub const ONNX_MODEL: &str = "model.onnx";
/// The same merged weights in int8 for the fused encoder.
pub const INT8_WEIGHTS: &str = "encoder.int8.safetensors";
/// The Hugging Face fast tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// The calibrated thresholds, which a bundle may lack.
pub const CALIBRATION: &str = "calibration.json";

/// A verified bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    directory: PathBuf,
    manifest: Manifest,
}

impl Bundle {
    /// Reads the manifest of `directory` and verifies all that it lists.
    ///
    /// # Errors
    /// [`Error::BundleNotFound`] for a missing directory, manifest or file,
    /// [`Error::SchemaUnsupported`] for a newer major schema, [`Error::BundleInvalid`] for a manifest
    /// that is not of the expected form, [`Error::BundleCorrupt`] for a file or fingerprint that does not
    /// agree with the manifest.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(MANIFEST);
        if !directory.is_dir() {
            return Err(Error::BundleNotFound {
                path: directory.to_owned(),
                problem: "no such directory".to_owned(),
            });
        }
        let manifest = Manifest::from_file(&path)?;
        let has = |name: &str| manifest.files.contains_key(name);
        // Either model will do: the fused encoder's weights, or the graph.
        for (name, there) in [(ONNX_MODEL, has(ONNX_MODEL) || has(INT8_WEIGHTS)), (TOKENIZER, has(TOKENIZER))]
        {
            if !there {
                return Err(Error::BundleInvalid { path, problem: format!("files: '{name}' is missing") });
            }
        }
        for (name, entry) in &manifest.files {
            verify::verify_file(&directory.join(name), entry)?;
        }
        let computed = fingerprint::fingerprint(&manifest);
        if computed != manifest.fingerprint {
            return Err(Error::BundleCorrupt {
                path,
                what: "fingerprint",
                expected: manifest.fingerprint,
                found: computed,
            });
        }
        Ok(Self { directory: directory.to_owned(), manifest })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The path of a file of the bundle, or None where the manifest does not list it.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.manifest.files.contains_key(name).then(|| self.directory.join(name))
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests;
