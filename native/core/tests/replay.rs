//! What fuzzing found worth keeping, through the functions that are fuzzed.

mod fuzzed;

use std::fs;
use std::path::Path;

/// Every kept file of a kind; as many of them as `accepted` says are accepted.
fn replay(kind: &str, read: fn(&[u8]) -> bool, accepted: std::ops::RangeInclusive<usize>) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(kind);
    let files: Vec<_> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "{kind}: only {} files", files.len());
    let found = files.iter().filter(|path| read(&fs::read(path).unwrap())).count();
    assert!(accepted.contains(&found), "{kind}: {found} of {} files were accepted", files.len());
}

#[test]
fn weights() {
    replay("weights", fuzzed::weights, 2..=2);
}

#[test]
fn manifests() {
    replay("manifest", fuzzed::manifest, 1..=4);
}

#[test]
fn tokenizers() {
    replay("tokenizer", fuzzed::tokenizer, 1..=30);
}

#[test]
fn calibrations() {
    replay("calibration", fuzzed::calibration, 1..=30);
}
