//! A bundle on disk: its fingerprint agrees with its manifest, and every file that is read with its hash.

pub(crate) mod file;
mod fingerprint;
mod manifest;
mod verify;

use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub(crate) use manifest::unique_keys;
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

/// A bundle whose manifest agrees with its fingerprint, which covers the hash of every file.
#[derive(Debug, Clone)]
pub struct Bundle {
    directory: PathBuf,
    manifest: Manifest,
}

impl Bundle {
    /// Reads the manifest of `directory`; no other file is opened.
    ///
    /// # Errors
    /// [`Error::BundleNotFound`] for a missing directory or manifest, [`Error::SchemaUnsupported`] for a
    /// newer major schema, [`Error::BundleInvalid`] for a manifest that is not of the expected form and for a
    /// file that is a link out of the directory,
    /// [`Error::BundleCorrupt`] for a fingerprint that does not agree with it.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(MANIFEST);
        if !directory.is_dir() {
            return Err(Error::BundleNotFound {
                path: directory.to_owned(),
                problem: "no such directory".to_owned(),
            });
        }
        file::check_inside(directory, MANIFEST)?;
        let manifest = Manifest::from_file(&path)?;
        for name in manifest.files.keys() {
            file::check_inside(directory, name)?;
        }
        let has = |name: &str| manifest.files.contains_key(name);
        // Either model will do: the fused encoder's weights, or the graph.
        for (name, there) in [(ONNX_MODEL, has(ONNX_MODEL) || has(INT8_WEIGHTS)), (TOKENIZER, has(TOKENIZER))]
        {
            if !there {
                return Err(Error::BundleInvalid { path, problem: format!("files: '{name}' is missing") });
            }
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

    /// Reads the manifest of `directory` and hashes every file that it lists.
    ///
    /// # Errors
    /// As [`open`](Self::open) and, for each file, [`verify`](Self::verify).
    pub fn verified(directory: &Path) -> Result<Self> {
        let bundle = Self::open(directory)?;
        for name in bundle.manifest.files.keys() {
            bundle.verify(name)?;
        }
        Ok(bundle)
    }

    /// The path of a file, or None where the manifest does not list it.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.manifest.files.contains_key(name).then(|| self.directory.join(name))
    }

    /// Hashes one file and returns its path, or None where the manifest does not list it. A file is verified
    /// before it is read; one that nobody reads costs nothing.
    ///
    /// # Errors
    /// [`Error::BundleNotFound`] for a missing file, [`Error::BundleCorrupt`] for one that is not what the
    /// manifest describes.
    pub fn verify(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(entry) = self.manifest.files.get(name) else { return Ok(None) };
        let path = self.directory.join(name);
        verify::verify_file(&path, entry)?;
        Ok(Some(path))
    }

    /// As [`verify`](Self::verify), of a file whose content the caller has mapped.
    pub(crate) fn verify_content(&self, name: &str, content: &[u8]) -> Result<()> {
        match self.manifest.files.get(name) {
            Some(entry) => verify::verify_content(&self.directory.join(name), entry, content),
            None => Ok(()),
        }
    }

    /// The namespace of the vectors that `backend` computes, where it is not the one that opens this bundle when
    /// nothing is asked for; that one's namespace is the manifest's fingerprint.
    pub(crate) fn fingerprint_of(&self, backend: &str) -> String {
        fingerprint::of_backend(&self.manifest.fingerprint, backend)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests;
