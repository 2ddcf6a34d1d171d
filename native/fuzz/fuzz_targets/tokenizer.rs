//! See `fuzzed::tokenizer`.
#![no_main]

// The name that its tests know it by.
extern crate cachelora_core as cachelora;

#[path = "../../core/tests/fuzzed/mod.rs"]
#[allow(dead_code)]
mod fuzzed;

// A panic inside of the tokenizers library becomes an error of ours, and the hook of libfuzzer would end the process
// before. It still ends where a panic leaves the function.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| {
        let _ = fuzzed::tokenizer(bytes);
    }
);
