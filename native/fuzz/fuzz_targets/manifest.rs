//! See `fuzzed::manifest`.
#![no_main]

#[path = "../../core/tests/fuzzed/mod.rs"]
#[allow(dead_code)]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzzed::manifest(bytes);
});
