//! The namespace of a bundle's vectors.
//!
//! The fingerprint is the SHA-256 of a short text, one `key=value` a line, that names everything which
//! shapes a vector. `cachelora_export` writes the same text. calibration.json is left out: a new
//! threshold does not change a vector, so recalibrating must not empty a cache.

use std::fmt::Write;

use super::manifest::Manifest;
use super::verify::sha256_hex;

/// Returns the fingerprint in lower-case hex.
pub(super) fn fingerprint(manifest: &Manifest) -> String {
    sha256_hex(text(manifest).as_bytes())
}

/// The namespace of the vectors that another encoder than the bundle's usual one computes: close to the usual
/// vectors, but not the same.
pub(super) fn of_backend(fingerprint: &str, backend: &str) -> String {
    sha256_hex(format!("{fingerprint}\nbackend={backend}\n").as_bytes())
}

fn text(manifest: &Manifest) -> String {
    let Manifest {
        base_model, adapter, architecture, pooling, normalize, max_tokens, dimension, files, ..
    } = manifest;
    let revision = base_model.revision.as_deref().unwrap_or("-");
    let (adapter_id, adapter_sha256) =
        adapter.as_ref().map_or(("-", "-"), |adapter| (adapter.id.as_str(), adapter.sha256.as_str()));
    let mut text = format!(
        "cachelora-fingerprint-1\n\
         base_model.id={}\n\
         base_model.revision={revision}\n\
         base_model.sha256={}\n\
         adapter.id={adapter_id}\n\
         adapter.sha256={adapter_sha256}\n\
         model_type={}\n\
         pooling={pooling}\n\
         normalize={normalize}\n\
         max_tokens={max_tokens}\n\
         dimension={dimension}\n",
        base_model.id, base_model.sha256, architecture.model_type,
    );
    for (name, entry) in files {
        if name != super::CALIBRATION {
            writeln!(text, "file={name} {}", entry.sha256).expect("a String takes every write");
        }
    }
    text
}
