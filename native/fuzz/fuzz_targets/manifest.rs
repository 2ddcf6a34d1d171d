//! See `fuzzed::manifest`.
#![no_main]

// The name that its tests know it by.
extern crate cachelora_core as cachelora;

#[path = "../../core/tests/fuzzed/mod.rs"]
#[allow(dead_code)]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzzed::manifest(bytes);
});
