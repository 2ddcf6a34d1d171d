//! One function per kind of file that fuzzing makes up: any bytes are refused, or give something that works.
//!
//! The fuzz targets of `native/fuzz` call these, and so does the test that goes through the kept files.

use std::fs;
use std::io::Write;
use std::path::Path;

use cachelora::batch::TokenBatch;
use cachelora::bundle::{Bundle, CALIBRATION, MANIFEST, TOKENIZER};
use cachelora::calibration::Calibration;
use cachelora::encoder::Encoder;
use cachelora::encoder::fused::FusedEncoder;
use cachelora::tokenizer::Tokenizer;
use cachelora::{Error, Result};

/// Gives `read` a file of these bytes.
fn with_file<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    read(&path)
}

/// The int8 weight file. Whether it was accepted, as below.
pub fn weights(bytes: &[u8]) -> bool {
    with_file("weights", bytes, |path| {
        let Ok(encoder) = FusedEncoder::open(path, None) else { return false };
        let mut batch = TokenBatch::new();
        batch.push(&[0]);
        let mut vector = vec![0.0; encoder.dimension()];
        let _ = encoder.encode(&batch, &mut vector);
        true
    })
}

/// The manifest, with the fingerprint that it should have: nobody guesses one.
pub fn manifest(bytes: &[u8]) -> bool {
    let open = |bytes: &[u8]| with_file(MANIFEST, bytes, |path| Bundle::open(path.parent().unwrap()));
    let accepted = match (open(bytes), std::str::from_utf8(bytes)) {
        (Err(Error::BundleCorrupt { what: "fingerprint", expected, found, .. }), Ok(text)) => {
            open(text.replace(&expected, &found).as_bytes())
        }
        (other, _) => other,
    };
    told(&accepted);
    let Ok(bundle) = accepted else { return false };
    for name in bundle.manifest().files.keys() {
        let path = bundle.path(name).expect("the manifest lists it");
        assert_eq!(path.parent(), Some(bundle.directory()), "{name:?} leaves the bundle");
        // There is no other file, whatever the manifest says.
        assert!(bundle.verify(name).is_err(), "{name:?} was verified");
    }
    true
}

/// The tokenizer file.
pub fn tokenizer(bytes: &[u8]) -> bool {
    const MOST: usize = 16;
    with_file(TOKENIZER, bytes, |path| {
        let opened = Tokenizer::from_file(path, MOST);
        told(&opened);
        let Ok(tokenizer) = opened else { return false };
        let long = "how can i reset my password ".repeat(8);
        for text in [
            "",
            " ",
            "how can i reset my password?",
            "a\0b \u{301}\u{10ffff} \u{4e2d}\u{6587} [MASK][SEP]",
            &long,
        ] {
            let tokens = tokenizer.encode(text);
            told(&tokens);
            let Ok(tokens) = tokens else { continue };
            assert!(tokens.ids.len() <= MOST, "{} ids of {text:?}", tokens.ids.len());
            assert!(tokens.count >= tokens.ids.len(), "{} tokens, {} ids", tokens.count, tokens.ids.len());
            let _ = tokens.ids.iter().map(|&id| tokenizer.token(id)).collect::<Vec<_>>();
        }
        true
    })
}

/// The calibrated thresholds.
pub fn calibration(bytes: &[u8]) -> bool {
    with_file(CALIBRATION, bytes, |path| {
        let opened = Calibration::from_file(path);
        told(&opened);
        let Ok(calibration) = opened else { return false };
        for (domain, thresholds) in &calibration.domains {
            for entry in thresholds {
                let found = calibration.threshold(domain, entry.max_false_hit_rate);
                told(&found);
                assert!(
                    found.is_ok_and(|threshold| (-1.0..=1.0).contains(&threshold)),
                    "{domain}: {entry:?}"
                );
            }
        }
        told(&calibration.threshold("\0", f64::NAN));
        true
    })
}

/// A failure has a message of a size that somebody reads.
fn told<T>(result: &Result<T>) {
    if let Err(error) = result {
        let message = error.to_string();
        assert!(!message.is_empty() && message.len() < 1 << 20, "a message of {} bytes", message.len());
    }
}
