//! The files of a bundle as they lie there: regular, of bounded size, inside its directory.

use std::fs::{self, File};
use std::io::{Error as IoError, ErrorKind, Read, Result as IoResult};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The size of a regular file in bytes; an error for anything else.
///
/// Opening a pipe would wait for a writer that never comes, and a device may never end.
pub(crate) fn regular_size(path: &Path) -> IoResult<u64> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(IoError::other("is no regular file")) }
}

/// The most bytes that a file of this name may have, several times what any published model needs. Reading text
/// takes up to ten times its size in memory, and hashing takes time.
pub(crate) fn most_bytes(name: &str) -> u64 {
    match name {
        super::MANIFEST | super::CALIBRATION => 1 << 20,
        super::TOKENIZER => 64 << 20,
        _ => 16 << 30,
    }
}

/// The content of a regular file of at most `most` bytes. Nothing is allocated for a larger one.
pub(crate) fn read(path: &Path, most: u64) -> IoResult<Vec<u8>> {
    let size = regular_size(path)?;
    if size > most {
        let problem = format!("has {size} bytes, at most {most} were expected");
        return Err(IoError::new(ErrorKind::FileTooLarge, problem));
    }
    let mut content = Vec::new();
    // The file may have grown since.
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// Refuses a link that leaves the directory: whoever writes a bundle must not choose which other files of this
/// machine are opened, or have their size and hash told in an error. A missing file is no link.
///
/// In the model hub's cache `snapshots/COMMIT/file` is a link to `blobs/HASH`, and stays allowed.
pub(super) fn check_inside(directory: &Path, name: &str) -> Result<()> {
    let path = directory.join(name);
    if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Ok(());
    }
    let unreadable =
        |error: IoError| Error::BundleNotFound { path: path.clone(), problem: format!("a link: {error}") };
    let target = fs::canonicalize(&path).map_err(unreadable)?;
    let home = fs::canonicalize(directory).map_err(unreadable)?;
    if target.starts_with(&home) || hub_blobs(&home).is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(());
    }
    Err(Error::BundleInvalid {
        problem: format!(
            "is a link to {}, outside of the bundle; copy the file into the bundle",
            target.display()
        ),
        path,
    })
}

/// Where the files of a snapshot in the model hub's cache lie.
fn hub_blobs(snapshot: &Path) -> Option<PathBuf> {
    let snapshots = snapshot.parent().filter(|parent| parent.ends_with("snapshots"))?;
    Some(snapshots.parent()?.join("blobs"))
}
