//! Bundles that somebody damaged or made up: each is refused with its own error, at once, and in little memory.
#![cfg(unix)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use cachelora::bundle::{CALIBRATION, INT8_WEIGHTS, MANIFEST, TOKENIZER};
use cachelora::{Embedder, Error, Options};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Counts what is allocated, by all tests of this file together.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// The tiny bundle has 50 kilobytes; what is refused takes no more than a few times its files.
const BOUND: usize = 64 << 20;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn tiny() -> PathBuf {
    PathBuf::from(std::env::var_os("CACHELORA_TEST_TINY").expect(
        "CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-rust` sets it",
    ))
    .join("bundle-int8")
}

/// A copy of the tiny bundle, without the graph, which the fused encoder does not read.
fn copied() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in [MANIFEST, TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        fs::copy(tiny().join(name), directory.path().join(name)).unwrap();
    }
    directory
}

fn manifest(bundle: &Path) -> Value {
    serde_json::from_slice(&fs::read(bundle.join(MANIFEST)).unwrap()).unwrap()
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the manifest with the fingerprint that belongs to it, as somebody would who wants it believed.
fn write(bundle: &Path, manifest: &mut Value) {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys: [(&str, &str); 10] = [
        ("base_model.id", "/base_model/id"),
        ("base_model.revision", "/base_model/revision"),
        ("base_model.sha256", "/base_model/sha256"),
        ("adapter.id", "/adapter/id"),
        ("adapter.sha256", "/adapter/sha256"),
        ("model_type", "/architecture/model_type"),
        ("pooling", "/pooling"),
        ("normalize", "/normalize"),
        ("max_tokens", "/max_tokens"),
        ("dimension", "/dimension"),
    ];
    let mut lines = vec!["cachelora-fingerprint-1".to_owned()];
    lines.extend(keys.map(|(key, at)| format!("{key}={}", text(manifest.pointer(at).unwrap()))));
    let files: BTreeMap<String, Value> = serde_json::from_value(manifest["files"].clone()).unwrap();
    for (name, entry) in files.iter().filter(|(name, _)| *name != CALIBRATION) {
        lines.push(format!("file={name} {}", text(&entry["sha256"])));
    }
    manifest["fingerprint"] = json!(hex(format!("{}\n", lines.join("\n")).as_bytes()));
    fs::write(bundle.join(MANIFEST), manifest.to_string()).unwrap();
}

/// Replaces a file; the manifest agrees with the new one.
fn seal(bundle: &Path, name: &str, content: &[u8]) {
    fs::write(bundle.join(name), content).unwrap();
    let mut manifest = manifest(bundle);
    manifest["files"][name] = json!({"size": content.len(), "sha256": hex(content)});
    write(bundle, &mut manifest);
}

/// Opens a bundle, which must not take long, whatever is in it.
fn open(bundle: &Path) -> Result<Embedder, Error> {
    let (opened, waiting) = mpsc::channel();
    let path = bundle.to_owned();
    std::thread::spawn(move || {
        let _ = opened.send(Embedder::open(path, &Options::default()));
    });
    let result = waiting.recv_timeout(Duration::from_secs(60)).expect("opens or is refused, without a panic");
    let most = MOST.load(Ordering::Relaxed);
    assert!(most < BOUND, "{most} bytes were allocated");
    result
}

fn refusal(bundle: &Path) -> Error {
    match open(bundle) {
        Ok(_) => panic!("{} was opened", bundle.display()),
        Err(error) => error,
    }
}

/// Expects an error that names the file and holds `part`.
fn assert_says(error: &Error, name: &str, part: &str) {
    let message = error.to_string();
    assert!(message.contains(name) && message.contains(part), "{name}, {part}: {message}");
}

#[test]
fn the_copy_itself_opens() {
    let bundle = copied();
    open(bundle.path()).unwrap();
    let weights = fs::read(bundle.path().join(INT8_WEIGHTS)).unwrap();
    let sealed = manifest(bundle.path());
    seal(bundle.path(), INT8_WEIGHTS, &weights);
    assert_eq!(manifest(bundle.path()), sealed, "these tests seal as the exporter does");
}

#[test]
fn files_cut_at_every_kilobyte() {
    for name in [MANIFEST, TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        let whole = fs::read(tiny().join(name)).unwrap();
        for length in (0..whole.len()).step_by(1024).chain([whole.len() - 2]) {
            let bundle = copied();
            fs::write(bundle.path().join(name), &whole[..length]).unwrap();
            let error = refusal(bundle.path());
            if name == MANIFEST {
                assert!(matches!(error, Error::BundleInvalid { .. }), "{error}");
                assert_says(&error, name, "EOF");
                continue;
            }
            assert!(matches!(error, Error::BundleCorrupt { what: "size", .. }), "{error}");
            assert_says(&error, name, &length.to_string());
            // Nor does a manifest that agrees make a whole file of a part.
            seal(bundle.path(), name, &whole[..length]);
            match (name, refusal(bundle.path())) {
                (TOKENIZER, error @ Error::Tokenizer(_))
                | (INT8_WEIGHTS | CALIBRATION, error @ Error::BundleInvalid { .. }) => {
                    assert_says(&error, name, "")
                }
                (_, other) => panic!("{name}, {length} bytes: {other}"),
            }
        }
    }
}

#[test]
fn a_changed_byte_in_every_kilobyte() {
    for name in [TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        let whole = fs::read(tiny().join(name)).unwrap();
        for place in (0..whole.len()).step_by(1024) {
            let bundle = copied();
            let mut changed = whole.clone();
            changed[place] ^= 0x40;
            fs::write(bundle.path().join(name), &changed).unwrap();
            let error = refusal(bundle.path());
            assert!(matches!(error, Error::BundleCorrupt { what: "sha256", .. }), "{error}");
            assert_says(&error, name, &hex(&changed));
            // With a manifest that agrees it may open, and then gives unit vectors or an error.
            seal(bundle.path(), name, &changed);
            if let Ok(embedder) = open(bundle.path()) {
                let mut vector = vec![0.0; embedder.dimension()];
                if embedder.embed("how can i reset my password", &mut vector).is_ok() {
                    let norm = vector.iter().map(|value| value * value).sum::<f32>();
                    assert!((norm - 1.0).abs() < 1e-3, "{name}, byte {place}: {norm}");
                }
            }
        }
    }
}

#[test]
fn weight_files_that_lie() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights");
    let mut refused = 0;
    for entry in fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        let bundle = copied();
        seal(bundle.path(), INT8_WEIGHTS, &fs::read(&path).unwrap());
        // The whole one belongs to a model of another shape.
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::BundleInvalid { .. }), "{}: {error}", path.display());
        assert_says(&error, INT8_WEIGHTS, "");
        refused += 1;
    }
    assert!(refused > 5, "only {refused} files");
    let whole = fs::read(tiny().join(INT8_WEIGHTS)).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap());
    for length in [0, 1, header - 1, header + 1, whole.len() as u64, 1 << 32, 1 << 63, u64::MAX] {
        let bundle = copied();
        let mut changed = whole.clone();
        changed[..8].copy_from_slice(&length.to_le_bytes());
        seal(bundle.path(), INT8_WEIGHTS, &changed);
        assert_says(&refusal(bundle.path()), INT8_WEIGHTS, "no safetensors file");
    }
    // A tensor twice, the second time as it was.
    let data = 8 + header as usize;
    let text = std::str::from_utf8(&whole[8..data]).unwrap().trim_end();
    let tensors: Value = serde_json::from_str(text).unwrap();
    let other = format!("{{\"embeddings.norm.bias\":{},", tensors["embeddings.norm.weight"]);
    let text = text.replacen('{', &other, 1);
    let changed = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &whole[data..]].concat();
    let bundle = copied();
    seal(bundle.path(), INT8_WEIGHTS, &changed);
    assert_says(&refusal(bundle.path()), INT8_WEIGHTS, "header: duplicate key \"embeddings.norm.bias\"");
}

#[test]
fn sizes_that_are_too_large() {
    // A sparse file takes no room, but would take memory to read and hours to hash.
    for (name, size) in [(TOKENIZER, 1 << 37), (CALIBRATION, 1 << 33), (INT8_WEIGHTS, 1 << 40)] {
        let bundle = copied();
        let file = fs::File::options().write(true).open(bundle.path().join(name)).unwrap();
        if file.set_len(size).is_err() {
            // Not every file system has files of this size.
            continue;
        }
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::BundleCorrupt { what: "size", .. }), "{error}");
        let mut manifest = manifest(bundle.path());
        manifest["files"][name]["size"] = json!(size);
        write(bundle.path(), &mut manifest);
        assert_says(&refusal(bundle.path()), MANIFEST, &format!("files.{name}.size: at most"));
    }
    let bundle = copied();
    let file = fs::File::options().write(true).open(bundle.path().join(MANIFEST)).unwrap();
    file.set_len(1 << 37).unwrap();
    let error = refusal(bundle.path());
    assert!(matches!(error, Error::BundleInvalid { .. }), "{error}");
    assert_says(&error, MANIFEST, "at most 1048576 were expected");
}

#[test]
fn numbers_that_are_too_large() {
    let numbers = [
        ("/files/tokenizer.json/size", json!(u64::MAX), "files.tokenizer.json.size"),
        ("/files/tokenizer.json/size", json!(-1), "u64"),
        ("/files/tokenizer.json/size", json!(1e30), "u64"),
        ("/dimension", json!(1_u64 << 60), "dimension"),
        ("/dimension", json!(64), "dimension"),
        ("/max_tokens", json!(u64::MAX), "positions"),
        ("/max_tokens", json!(129), "positions"),
        ("/architecture/vocab_size", json!(u64::MAX), "vocabulary"),
        ("/architecture/vocab_size", json!(1), "belongs to another model"),
        ("/architecture/layers", json!(u64::MAX), "u32"),
    ];
    for (at, value, part) in numbers {
        let bundle = copied();
        let mut manifest = manifest(bundle.path());
        *manifest.pointer_mut(at).unwrap() = value;
        write(bundle.path(), &mut manifest);
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::BundleInvalid { .. }), "{at}: {error}");
        assert_says(&error, "", part);
    }
}

#[test]
fn a_tokenizer_that_lies() {
    let whole: Value = serde_json::from_slice(&fs::read(tiny().join(TOKENIZER)).unwrap()).unwrap();
    // Ids that have no row in the embedding table: the text that meets one is an error.
    let mut far = whole.clone();
    far["model"]["vocab"]["password"] = json!(u32::MAX);
    let bundle = copied();
    seal(bundle.path(), TOKENIZER, far.to_string().as_bytes());
    let embedder = open(bundle.path()).unwrap();
    let mut vector = vec![0.0; embedder.dimension()];
    embedder.embed("the account", &mut vector).unwrap();
    assert_says(&embedder.embed("the password", &mut vector).unwrap_err(), "", "4294967295");
    for content in [
        "[".repeat(1 << 20),
        format!("{}1{}", "{\"model\":".repeat(1 << 17), "}".repeat(1 << 17)),
        "null".to_owned(),
        "{}".to_owned(),
        whole.to_string().replace("\"WordPiece\"", "\"Nothing\""),
    ] {
        let bundle = copied();
        seal(bundle.path(), TOKENIZER, content.as_bytes());
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::Tokenizer(_)), "{error}");
        assert_says(&error, TOKENIZER, "");
    }
}

#[test]
fn names_and_links_that_leave_the_directory() {
    for name in
        ["../model.onnx", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "a\\b", "nul\0", "cachelora.json"]
    {
        let bundle = copied();
        let mut manifest = manifest(bundle.path());
        manifest["files"][name] = json!({"size": 1, "sha256": "0".repeat(64)});
        write(bundle.path(), &mut manifest);
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::BundleInvalid { .. }), "{error}");
        assert_says(&error, MANIFEST, "no plain file name");
    }
    for name in [MANIFEST, TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        let bundle = copied();
        let path = bundle.path().join(name);
        fs::remove_file(&path).unwrap();
        // The right content is no excuse, and what it would be is not told.
        for target in [tiny().join(name), PathBuf::from("/dev/zero"), PathBuf::from("/")] {
            symlink(&target, &path).unwrap();
            let error = refusal(bundle.path());
            assert!(matches!(error, Error::BundleInvalid { .. }), "{error}");
            assert_says(&error, name, "outside of the bundle");
            fs::remove_file(&path).unwrap();
        }
        for target in ["nowhere", name] {
            symlink(target, &path).unwrap();
            let error = refusal(bundle.path());
            assert!(matches!(error, Error::BundleNotFound { .. }), "{error}");
            assert_says(&error, name, "link");
            fs::remove_file(&path).unwrap();
        }
        fs::copy(tiny().join(name), bundle.path().join("elsewhere")).unwrap();
        symlink("elsewhere", &path).unwrap();
        open(bundle.path()).expect("a link to a file of the same directory leads nowhere else");
    }
}

#[test]
fn the_hub_caches_links_are_followed() {
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/0123"));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    for name in [MANIFEST, TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        fs::copy(tiny().join(name), blobs.join(name)).unwrap();
        symlink(Path::new("../../blobs").join(name), snapshot.join(name)).unwrap();
    }
    open(&snapshot).unwrap();
    let aside = cache.path().join("aside");
    fs::create_dir(&aside).unwrap();
    fs::rename(blobs.join(TOKENIZER), aside.join(TOKENIZER)).unwrap();
    fs::remove_file(snapshot.join(TOKENIZER)).unwrap();
    symlink(Path::new("../../aside").join(TOKENIZER), snapshot.join(TOKENIZER)).unwrap();
    assert_says(&refusal(&snapshot), TOKENIZER, "outside of the bundle");
}

#[test]
fn keys_that_come_twice() {
    let twice = |text: &str, entry: &str| {
        assert!(text.contains(entry), "{entry} is no part of {text}");
        text.replacen(entry, &format!("{entry},{entry}"), 1)
    };
    let bundle = copied();
    let manifest = manifest(bundle.path());
    let text = manifest.to_string();
    let tokenizer = format!("\"{TOKENIZER}\":{}", manifest["files"][TOKENIZER]);
    for entry in ["\"schema_version\":\"1.0\"", "\"max_tokens\":128", "\"hidden_size\":32", &tokenizer] {
        fs::write(bundle.path().join(MANIFEST), twice(&text, entry)).unwrap();
        let error = refusal(bundle.path());
        assert!(matches!(error, Error::BundleInvalid { .. }), "{error}");
        assert_says(&error, MANIFEST, "duplicate");
    }

    let bundle = copied();
    let calibration: Value = serde_json::from_slice(&fs::read(tiny().join(CALIBRATION)).unwrap()).unwrap();
    seal(bundle.path(), CALIBRATION, twice(&calibration.to_string(), "\"law\":[]").as_bytes());
    assert_says(&refusal(bundle.path()), CALIBRATION, "duplicate key \"law\"");
}

#[test]
fn what_is_no_regular_file() {
    for name in [MANIFEST, TOKENIZER, INT8_WEIGHTS, CALIBRATION] {
        let bundle = copied();
        let path = bundle.path().join(name);
        fs::remove_file(&path).unwrap();
        let refused = || {
            let error = refusal(bundle.path());
            assert!(matches!(error, Error::BundleNotFound { .. }), "{error}");
            assert_says(&error, name, "is no regular file");
        };
        // A pipe, whose opening would wait for ever.
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused();
        fs::remove_file(&path).unwrap();
        let socket = UnixListener::bind(&path).unwrap();
        refused();
        drop(socket);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused();
    }
}
