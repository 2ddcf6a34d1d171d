//! See `cachelora_capi::sequences`. `CACHELORA_TEST_TINY` names the tiny bundles, an absolute path.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cachelora_capi::sequences::run(bytes));
