use super::*;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A bundle directory with small files; only the bundle layer ever reads it.
fn small_bundle() -> (TempDir, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut files = serde_json::Map::new();
    for (name, content) in [(ONNX_MODEL, "graph"), (TOKENIZER, "{}"), (CALIBRATION, "{}")] {
        fs::write(directory.path().join(name), content).unwrap();
        let entry = json!({"size": content.len(), "sha256": verify::sha256_hex(content.as_bytes())});
        files.insert(name.to_owned(), entry);
    }
    let manifest = json!({
        "schema_version": "1.0",
        "created_by": "cachelora-export 0.1.0",
        "base_model": {"id": "builtin:tiny", "revision": null, "sha256": "ab".repeat(32)},
        "adapter": {"id": "tiny-lora", "sha256": "cd".repeat(32), "rank": 2, "alpha": 4.0, "target_modules": ["query"]},
        "architecture": {"model_type": "bert", "layers": 2, "hidden_size": 32, "heads": 2, "vocab_size": 99},
        "pooling": "mean",
        "normalize": true,
        "max_tokens": 64,
        "dimension": 32,
        "files": files,
        "fingerprint": "0".repeat(64),
        "parity": {"cosine_min": 0.9999999},
    });
    (directory, manifest)
}

fn write(directory: &TempDir, manifest: &Value) {
    fs::write(directory.path().join(MANIFEST), manifest.to_string()).unwrap();
}

/// Writes the manifest with the fingerprint that belongs to it.
fn write_with_fingerprint(directory: &TempDir, manifest: &mut Value) {
    let parsed: Manifest = serde_json::from_value(manifest.clone()).unwrap();
    manifest["fingerprint"] = json!(fingerprint::fingerprint(&parsed));
    write(directory, manifest);
}

#[test]
fn opens_what_agrees_with_its_manifest() {
    let (directory, mut manifest) = small_bundle();
    write_with_fingerprint(&directory, &mut manifest);
    let bundle = Bundle::verified(directory.path()).unwrap();
    assert_eq!(bundle.manifest().max_tokens, 64);
    assert_eq!(bundle.verify(ONNX_MODEL).unwrap(), Some(directory.path().join(ONNX_MODEL)));
    assert_eq!(bundle.verify("encoder.int8.safetensors").unwrap(), None);
}

#[test]
fn the_fingerprint_is_the_hash_of_the_documented_text() {
    let (_directory, manifest) = small_bundle();
    let parsed: Manifest = serde_json::from_value(manifest).unwrap();
    let text = [
        "cachelora-fingerprint-1",
        "base_model.id=builtin:tiny",
        "base_model.revision=-",
        &format!("base_model.sha256={}", "ab".repeat(32)),
        "adapter.id=tiny-lora",
        &format!("adapter.sha256={}", "cd".repeat(32)),
        "model_type=bert",
        "pooling=mean",
        "normalize=true",
        "max_tokens=64",
        "dimension=32",
        &format!("file=model.onnx {}", verify::sha256_hex(b"graph")),
        &format!("file=tokenizer.json {}", verify::sha256_hex(b"{}")),
        "",
    ]
    .join("\n");
    assert_eq!(fingerprint::fingerprint(&parsed), verify::sha256_hex(text.as_bytes()));
}

#[test]
fn a_new_calibration_keeps_the_fingerprint() {
    let (directory, mut manifest) = small_bundle();
    write_with_fingerprint(&directory, &mut manifest);
    let before = Bundle::open(directory.path()).unwrap().manifest().fingerprint.clone();
    fs::write(directory.path().join(CALIBRATION), "{ }").unwrap();
    manifest["files"][CALIBRATION] = json!({"size": 3, "sha256": verify::sha256_hex(b"{ }")});
    write(&directory, &manifest);
    assert_eq!(Bundle::open(directory.path()).unwrap().manifest().fingerprint, before);
}

#[test]
fn a_changed_file_is_corrupt() {
    let (directory, mut manifest) = small_bundle();
    write_with_fingerprint(&directory, &mut manifest);
    for (content, what) in [("grapf", "sha256"), ("graph ", "size")] {
        fs::write(directory.path().join(ONNX_MODEL), content).unwrap();
        // It is noticed where it is read.
        assert!(Bundle::open(directory.path()).unwrap().verify(TOKENIZER).unwrap().is_some());
        match Bundle::verified(directory.path()).unwrap_err() {
            Error::BundleCorrupt { path, what: found, .. } => {
                assert_eq!(path, directory.path().join(ONNX_MODEL));
                assert_eq!(found, what);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_changed_configuration_is_corrupt() {
    let (directory, mut manifest) = small_bundle();
    write_with_fingerprint(&directory, &mut manifest);
    manifest["max_tokens"] = json!(65);
    write(&directory, &manifest);
    let error = Bundle::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::BundleCorrupt { what: "fingerprint", .. }), "{error}");
}

#[test]
fn a_missing_directory_manifest_or_file_is_not_found() {
    let (directory, mut manifest) = small_bundle();
    let nowhere = directory.path().join("nowhere");
    assert!(
        matches!(Bundle::open(&nowhere).unwrap_err(), Error::BundleNotFound { path, .. } if path == nowhere)
    );
    let error = Bundle::open(directory.path()).unwrap_err();
    assert!(matches!(&error, Error::BundleNotFound { path, .. } if path.ends_with(MANIFEST)), "{error}");
    write_with_fingerprint(&directory, &mut manifest);
    fs::remove_file(directory.path().join(TOKENIZER)).unwrap();
    let error = Bundle::verified(directory.path()).unwrap_err();
    assert!(matches!(&error, Error::BundleNotFound { path, .. } if path.ends_with(TOKENIZER)), "{error}");
}

#[test]
fn schema_versions() {
    let (directory, mut manifest) = small_bundle();
    manifest["schema_version"] = json!("1.9");
    manifest["a_field_of_tomorrow"] = json!({"more": [1, 2]});
    write_with_fingerprint(&directory, &mut manifest);
    Bundle::open(directory.path()).expect("a newer minor schema only adds fields");
    write(&directory, &json!({"schema_version": "2.0", "everything": "else"}));
    let error = Bundle::open(directory.path()).unwrap_err();
    assert!(matches!(&error, Error::SchemaUnsupported { found, .. } if found == "2.0"), "{error}");
    write(&directory, &json!({"schema_version": 1}));
    let error = Bundle::open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, Error::BundleInvalid { problem, .. } if problem.starts_with("schema_version")),
        "{error}"
    );
}

#[test]
fn values_that_can_not_be_are_named() {
    let wrong: [(&str, Value, &str); 6] = [
        ("normalize", json!(false), "normalize"),
        ("dimension", json!(0), "dimension"),
        ("max_tokens", json!(0), "max_tokens"),
        ("fingerprint", json!("ABC"), "fingerprint"),
        ("files", json!({"../model.onnx": {"size": 1, "sha256": "0".repeat(64)}}), "../model.onnx"),
        (
            "files",
            json!({"model.onnx": {"size": 1, "sha256": "0".repeat(64)}}),
            "'tokenizer.json' is missing",
        ),
    ];
    for (key, value, expected) in wrong {
        let (directory, mut manifest) = small_bundle();
        manifest[key] = value;
        write(&directory, &manifest);
        let error = Bundle::open(directory.path()).unwrap_err();
        assert!(
            matches!(&error, Error::BundleInvalid { problem, .. } if problem.contains(expected)),
            "{key}: {error}"
        );
    }
}
