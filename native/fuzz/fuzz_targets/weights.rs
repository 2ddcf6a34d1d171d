//! The int8 weight file: any bytes are refused or give an encoder that runs, without a panic or a stray read.
//!
//! `cargo +nightly fuzz run weights ../core/tests/weights`, here, begins with the kept files.
#![no_main]

use std::io::Write;

use cachelora::batch::TokenBatch;
use cachelora::encoder::Encoder;
use cachelora::encoder::fused::FusedEncoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(encoder) = FusedEncoder::open(file.path(), None) {
        let mut batch = TokenBatch::new();
        batch.push(&[0]);
        let mut vector = vec![0.0; encoder.dimension()];
        let _ = encoder.encode(&batch, &mut vector);
    }
});
