//! Panics become a status; pointers from C become slices, after checks.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::cachelora_status::{self, *};
use crate::status::{Failure, Outcome, cachelora_error};

/// Runs the body of an exported function: its failure goes to `err`, and no panic leaves it.
///
/// # Safety
/// `err` is NULL or may be written.
pub(crate) unsafe fn guard(
    err: *mut *mut cachelora_error,
    body: impl FnOnce() -> Outcome,
) -> cachelora_status {
    if !err.is_aligned() {
        return CACHELORA_INVALID_ARGUMENT;
    }
    if !err.is_null() {
        // SAFETY: the caller says that it may be written. A success must not leave an old pointer there.
        unsafe { err.write(std::ptr::null_mut()) };
    }
    // The body borrows what it does not own only for reading, and a panicking encoder keeps no
    // half-written state, so there is nothing that a later call could find broken.
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        Err(Failure::new(CACHELORA_PANIC, format!("a defect of cachelora: {}", panic_message(&*panic))))
    });
    let Err(failure) = outcome else { return CACHELORA_OK };
    let status = failure.status();
    if !err.is_null() {
        // SAFETY: as above; the caller owns the error from here on.
        unsafe { err.write(failure.into_error()) };
    }
    status
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn null(name: &str) -> Failure {
    Failure::new(CACHELORA_INVALID_ARGUMENT, format!("{name} is NULL"))
}

/// `len` elements at `pointer`; NULL is allowed where `len` is 0.
///
/// # Safety
/// `pointer` points at `len` readable elements for the lifetime that the caller chooses.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Result<&'a [T], Failure> {
    check_range(pointer, len, name)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not NULL, aligned and of a size that an object may have; readable by the caller's word.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// As [`slice()`], writable.
///
/// # Safety
/// `pointer` points at `len` writable elements that nobody else uses meanwhile.
pub(crate) unsafe fn slice_mut<'a, T>(
    pointer: *mut T,
    len: usize,
    name: &str,
) -> Result<&'a mut [T], Failure> {
    check_range(pointer, len, name)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not NULL, aligned and of a size that an object may have; writable by the caller's word.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

fn check_range<T>(pointer: *const T, len: usize, name: &str) -> Result<(), Failure> {
    if len == 0 {
        return Ok(());
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    let invalid = |problem: &str| Err(Failure::new(CACHELORA_INVALID_ARGUMENT, format!("{name} {problem}")));
    if !pointer.is_aligned() {
        return invalid("is not aligned");
    }
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return invalid("has a length that no object can have");
    }
    Ok(())
}

/// Refuses an output of `len` elements that shares memory with `other`, a pointer, its length and its name.
pub(crate) fn check_apart<A, B>(
    (out, len, out_name): (*const A, usize, &str),
    (other, other_len, name): (*const B, usize, &str),
) -> Result<(), Failure> {
    let end = |start: usize, len: usize, size: usize| start.saturating_add(len.saturating_mul(size));
    let (out_end, other_end) =
        (end(out.addr(), len, size_of::<A>()), end(other.addr(), other_len, size_of::<B>()));
    if len == 0 || other_len == 0 || out.is_null() || other.is_null() {
        return Ok(());
    }
    if out_end <= other.addr() || other_end <= out.addr() {
        return Ok(());
    }
    Err(Failure::new(CACHELORA_INVALID_ARGUMENT, format!("{out_name} overlaps {name}")))
}

/// UTF-8 text of `len` bytes at `pointer`. NUL bytes are characters like any other.
///
/// # Safety
/// As [`slice()`].
pub(crate) unsafe fn text<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's word is passed on.
    utf8(unsafe { slice(pointer, len, name) }?, name)
}

/// Checks that `bytes` are UTF-8.
pub(crate) fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes)
        .map_err(|error| Failure::new(CACHELORA_INVALID_UTF8, format!("{name} is not UTF-8: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{cachelora_error_free, cachelora_error_message};

    #[test]
    fn a_panic_becomes_a_status_with_its_message() {
        let mut err = std::ptr::null_mut();
        // SAFETY: `err` may be written.
        let status = unsafe { guard(&raw mut err, || panic!("broken {}", 7)) };
        assert_eq!(status, CACHELORA_PANIC);
        // SAFETY: the error is live until it is freed here.
        unsafe {
            let message = cachelora_error_message(err);
            let bytes = std::slice::from_raw_parts(message.data.cast::<u8>(), message.len);
            assert_eq!(bytes, b"a defect of cachelora: broken 7");
            cachelora_error_free(err);
        }
    }

    #[test]
    fn a_success_clears_the_error() {
        let mut err = std::ptr::dangling_mut();
        // SAFETY: `err` may be written.
        assert_eq!(unsafe { guard(&raw mut err, || Ok(())) }, CACHELORA_OK);
        assert!(err.is_null());
    }

    #[test]
    fn slices_are_checked() {
        let numbers = [1_u32, 2, 3];
        let misaligned = numbers.as_ptr().cast::<u8>().wrapping_add(1).cast::<u32>();
        // SAFETY: what is unreadable is refused before it is read.
        unsafe {
            assert_eq!(slice(numbers.as_ptr(), 3, "numbers").ok(), Some(&numbers[..]));
            assert_eq!(slice(std::ptr::null::<u32>(), 0, "numbers").ok(), Some(&[][..]));
            assert!(slice(std::ptr::null::<u32>(), 1, "numbers").is_err());
            assert!(slice(misaligned, 1, "numbers").is_err());
            assert!(slice(numbers.as_ptr(), usize::MAX, "numbers").is_err());
            assert!(text([0xff_u8].as_ptr(), 1, "text").is_err());
            assert_eq!(text(b"a\0b".as_ptr(), 3, "text").ok(), Some("a\0b"));
        }
    }

    #[test]
    fn what_overlaps_is_refused() {
        let numbers = [1_u32, 2, 3, 4];
        let at = |index: usize| numbers.as_ptr().wrapping_add(index);
        assert!(check_apart((at(0), 2, "out"), (at(2), 2, "a")).is_ok());
        assert!(check_apart((at(2), 2, "out"), (at(0), 2, "a")).is_ok());
        assert!(check_apart((at(0), 3, "out"), (at(2), 2, "a")).is_err());
        assert!(check_apart((at(1), 1, "out"), (at(0).cast::<u8>(), 16, "a")).is_err());
        assert!(check_apart((at(0), 4, "out"), (at(1), 0, "a")).is_ok());
        assert!(check_apart((at(0), 4, "out"), (std::ptr::null::<u8>(), 1, "a")).is_ok());
    }
}
