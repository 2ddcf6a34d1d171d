//! What was lent out, and who frees it.
//!
//! The router frees what its other models return through the same symbols, so each free has to know whose memory
//! it gets: ours is freed here, any other goes on to the router's own library. What is lent comes from `malloc`,
//! where the router's library has its memory from too, so that even its own free, if a caller reaches that one,
//! gives ours back correctly.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::boundary::{guard, number};
use crate::layout::TokenizationResult;

/// What else belongs to an address that was lent out.
enum Lent {
    Vector,
    Tokens { texts: Vec<usize>, array: usize },
}

/// Everything that is lent out, by its address.
static LENT: LazyLock<Mutex<HashMap<usize, Lent>>> = LazyLock::new(Mutex::default);

fn lent() -> MutexGuard<'static, HashMap<usize, Lent>> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of `values` in memory of `malloc`.
fn allocate<T: Copy>(values: &[T]) -> Result<*mut T, String> {
    // malloc may answer NULL to 0, which is no failure.
    let bytes = size_of_val(values).max(size_of::<T>());
    // SAFETY: malloc takes every size.
    let memory = unsafe { libc::malloc(bytes) }.cast::<T>();
    if memory.is_null() {
        return Err(format!("malloc has no {bytes} bytes"));
    }
    // SAFETY: as many elements fit, aligned as malloc aligns for every number and pointer; nothing else has the
    // new memory.
    unsafe { memory.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    Ok(memory)
}

/// # Safety
/// `address` is of [`allocate`] and was not freed.
unsafe fn free(address: usize) {
    // SAFETY: see above; the provenance of what C had in its hands was exposed.
    unsafe { libc::free(std::ptr::with_exposed_provenance_mut(address)) }
}

/// Lends a vector out, until `free_embedding`.
pub fn lend_vector(vector: &[f32]) -> Result<*mut f32, String> {
    let data = allocate(vector)?;
    lent().insert(data.expose_provenance(), Lent::Vector);
    Ok(data)
}

/// Lends tokens out, until `free_tokenization_result`: their ids, and as many texts.
pub fn lend_tokens(ids: &[c_int], texts: &[&CStr]) -> Result<TokenizationResult, String> {
    let token_count = number(ids.len(), "token count")?;
    // Short of memory, what was allocated until then stays so; nobody would get much further.
    let copies = texts.iter().map(|text| Ok(allocate(text.to_bytes_with_nul())?.cast::<c_char>()));
    let copies = copies.collect::<Result<Vec<_>, String>>()?;
    let (token_ids, tokens) = (allocate(ids)?, allocate(&copies)?);
    let texts = copies.iter().map(|text| text.expose_provenance()).collect();
    lent().insert(token_ids.expose_provenance(), Lent::Tokens { texts, array: tokens.expose_provenance() });
    Ok(TokenizationResult { token_ids, token_count, tokens, error: false })
}

/// The function of this name in the router's own library.
fn next(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is NUL-terminated. RTLD_NEXT skips this library.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// What is said of memory that nobody here knows.
// Losing a few kilobytes is better than giving them to an allocator that never saw them.
const NOBODYS: &str = "this memory is not ours, and no other library frees it; it stays allocated";

/// Frees a vector of ours, and hands any other on to the router's own library.
#[unsafe(no_mangle)]
unsafe extern "C" fn free_embedding(data: *mut f32, length: c_int) {
    guard("free_embedding", (), || {
        if data.is_null() {
            return Ok(());
        }
        // The lock is released before anything else runs.
        let ours = lent().remove(&data.addr());
        if ours.is_some() {
            // SAFETY: lend_vector() allocated it, and it was lent until now.
            unsafe { free(data.expose_provenance()) };
            return Ok(());
        }
        let next = next(c"free_embedding").ok_or(NOBODYS)?;
        // SAFETY: a symbol of this name has this type in every library of the router.
        let next: unsafe extern "C" fn(*mut f32, c_int) = unsafe { std::mem::transmute(next) };
        // SAFETY: it is not ours, so the caller has it from the library of this function.
        unsafe { next(data, length) };
        Ok(())
    });
}

/// Frees tokens of ours, and hands any others on to the router's own library.
#[unsafe(no_mangle)]
unsafe extern "C" fn free_tokenization_result(result: TokenizationResult) {
    guard("free_tokenization_result", (), || {
        if result.token_ids.is_null() {
            return Ok(());
        }
        let ours = lent().remove(&result.token_ids.addr());
        if let Some(lent) = ours {
            // SAFETY: lend_tokens() allocated it all, and it was lent until now.
            unsafe {
                free(result.token_ids.expose_provenance());
                if let Lent::Tokens { texts, array } = lent {
                    texts.into_iter().for_each(|text| free(text));
                    free(array);
                }
            }
            return Ok(());
        }
        let next = next(c"free_tokenization_result").ok_or(NOBODYS)?;
        // SAFETY: a symbol of this name has this type in every library of the router.
        let next: unsafe extern "C" fn(TokenizationResult) = unsafe { std::mem::transmute(next) };
        // SAFETY: it is not ours, so the caller has it from the library of this function.
        unsafe { next(result) };
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_lent_until_it_is_freed_whatever_length_is_said() {
        let data = lend_vector(&[1.0, 2.0]).unwrap();
        assert!(lent().contains_key(&data.addr()));
        // SAFETY: lent above, two numbers.
        assert_eq!(unsafe { std::slice::from_raw_parts(data, 2) }, [1.0, 2.0]);
        // SAFETY: lent above.
        unsafe { free_embedding(data, 7) };
        // Another test may have got the same address since.
        // SAFETY: NULL is allowed.
        unsafe { free_embedding(std::ptr::null_mut(), 2) };
    }

    #[test]
    fn tokens_are_lent_as_c_reads_them() {
        let result = lend_tokens(&[7, 8], &[c"a", c"##b"]).unwrap();
        assert!(lent().contains_key(&result.token_ids.addr()));
        assert_eq!((result.token_count, result.error), (2, false));
        // SAFETY: lent above, two of each.
        unsafe {
            assert_eq!(std::slice::from_raw_parts(result.token_ids, 2), [7, 8]);
            assert_eq!(CStr::from_ptr(*result.tokens.add(1)), c"##b");
            free_tokenization_result(result);
        }
        let nothing = lend_tokens(&[], &[]).unwrap();
        assert_eq!((nothing.token_count, nothing.error), (0, false));
        // SAFETY: lent above; the other is what a failed call returns.
        unsafe {
            free_tokenization_result(nothing);
            free_tokenization_result(TokenizationResult::FAILED);
        }
    }
}
