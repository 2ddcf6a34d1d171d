//! Sizes and hashes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::manifest::FileEntry;
use crate::{Error, Result};

/// Checks that the file has the size and the hash of its manifest entry.
pub(super) fn verify_file(path: &Path, entry: &FileEntry) -> Result<()> {
    let unreadable =
        |error: std::io::Error| Error::BundleNotFound { path: path.to_owned(), problem: error.to_string() };
    check_size(path, entry, super::file::regular_size(path).map_err(unreadable)?)?;
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    check_hash(path, entry, hex(&hash.finalize()))
}

/// Checks that a file's content, which somebody has read or mapped, has the size and the hash of its entry.
pub(super) fn verify_content(path: &Path, entry: &FileEntry, content: &[u8]) -> Result<()> {
    check_size(path, entry, content.len() as u64)?;
    check_hash(path, entry, sha256_hex(content))
}

fn check_size(path: &Path, entry: &FileEntry, found: u64) -> Result<()> {
    if found == entry.size {
        return Ok(());
    }
    Err(Error::BundleCorrupt {
        path: path.to_owned(),
        what: "size",
        expected: entry.size.to_string(),
        found: found.to_string(),
    })
}

fn check_hash(path: &Path, entry: &FileEntry, found: String) -> Result<()> {
    if found == entry.sha256 {
        return Ok(());
    }
    Err(Error::BundleCorrupt { path: path.to_owned(), what: "sha256", expected: entry.sha256.clone(), found })
}

/// SHA-256 of `bytes` in lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
