//! Versions and the link guard.

use std::ffi::c_char;

/// The version of the ABI that this library has. It grows when a function or structure changes so that
/// old callers would break; new functions and new trailing fields of structures do not change it.
pub const CACHELORA_ABI_VERSION: u32 = 1;

/// Exists only in libraries of ABI version 1. The header refers to it, so that a program does not link
/// with a library of another ABI.
#[unsafe(no_mangle)]
pub static cachelora_abi_1: u32 = CACHELORA_ABI_VERSION;

/// The ABI version of the library that is loaded; compare it with CACHELORA_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_abi_version() -> u32 {
    CACHELORA_ABI_VERSION
}

/// The library's version, such as "0.1.0": static and NUL-terminated.
#[unsafe(no_mangle)]
pub extern "C" fn cachelora_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
