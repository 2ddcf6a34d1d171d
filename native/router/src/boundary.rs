//! C strings in; no panic out; messages to stderr, the only place the router looks at.

use std::ffi::{CStr, c_char, c_int};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of the exported function `name`; what goes wrong is written to stderr and becomes `failed`.
pub fn guard<R>(name: &str, failed: R, body: impl FnOnce() -> Result<R, String>) -> R {
    // The bodies keep no half-written state that a later call could find broken.
    let problem = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => return result,
        Ok(Err(problem)) => problem,
        Err(_) => "a defect of cachelora".to_owned(),
    };
    say(&format!("{name}: {problem}"));
    failed
}

/// Writes one line to stderr.
pub fn say(line: &str) {
    // In one piece, so that the lines of two threads don't mix; and not by eprintln!, which panics when stderr is
    // closed.
    let _ = std::io::stderr().write_all(format!("libcachelora_router: {line}\n").as_bytes());
}

/// The string at `pointer`, which is the argument `name`.
///
/// # Safety
/// `pointer` is NULL or points at a NUL-terminated string that lives as long as the caller says.
pub unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, String> {
    if pointer.is_null() {
        return Err(format!("{name} is NULL"));
    }
    // SAFETY: not NULL; NUL-terminated by the caller's word.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|error| format!("{name} is not UTF-8: {error}"))
}

/// A count as C has it.
pub fn number(count: usize, name: &str) -> Result<c_int, String> {
    c_int::try_from(count).map_err(|_| format!("{name} {count} does not fit into an int"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_an_error_nor_a_panic_leaves() {
        assert_eq!(guard("f", -1, || Ok(1)), 1);
        assert_eq!(guard("f", -1, || Err("no".to_owned())), -1);
        assert_eq!(guard("f", -1, || panic!("a panic that this test expects")), -1);
    }

    #[test]
    fn strings_are_utf_8_and_not_null() {
        // SAFETY: NULL is allowed, the others are NUL-terminated.
        unsafe {
            assert_eq!(string(c"caf\u{e9}".as_ptr(), "text").as_deref(), Ok("caf\u{e9}"));
            assert_eq!(string(std::ptr::null(), "text").unwrap_err(), "text is NULL");
            let problem = string(c"caf\xe9".as_ptr(), "text").unwrap_err();
            assert!(problem.starts_with("text is not UTF-8"), "{problem}");
        }
    }
}
