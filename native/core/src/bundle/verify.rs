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
    let corrupt = |what: &'static str, expected: String, found: String| Error::BundleCorrupt {
        path: path.to_owned(),
        what,
        expected,
        found,
    };
    let size = super::file::regular_size(path).map_err(unreadable)?;
    if size != entry.size {
        return Err(corrupt("size", entry.size.to_string(), size.to_string()));
    }
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
    let found = hex(&hash.finalize());
    if found != entry.sha256 {
        return Err(corrupt("sha256", entry.sha256.clone(), found));
    }
    Ok(())
}

/// SHA-256 of `bytes` in lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
