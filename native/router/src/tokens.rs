//! Token ids and their texts.

use std::ffi::{CStr, CString, c_char, c_int};

use crate::boundary::{guard, number, string};
use crate::layout::TokenizationResult;
use crate::memory::lend_tokens;
use crate::served::{limit, served};

/// The tokens of `text` as the bundle's model reads them, special tokens included, cut to `max_length`; 0 or less
/// is the bundle's limit. Never padded.
#[unsafe(no_mangle)]
unsafe extern "C" fn tokenize_text(text: *const c_char, max_length: c_int) -> TokenizationResult {
    guard("tokenize_text", TokenizationResult::FAILED, || {
        // SAFETY: the caller's word.
        let text = unsafe { string(text, "text") }?;
        let embedder = served()?;
        let tokenizer = embedder.tokenizer();
        let limit = limit(embedder, max_length);
        let ids = tokenizer.encode_within(text, limit).map_err(|error| error.to_string())?.ids;
        let texts = ids
            .iter()
            .map(|&id| {
                let text = tokenizer.token(id).ok_or_else(|| format!("token {id} has no text"))?;
                // No caller can see behind a NUL.
                CString::new(text.replace('\0', "\u{fffd}")).map_err(|error| error.to_string())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&CStr> = texts.iter().map(CString::as_c_str).collect();
        let ids = ids.into_iter().map(|id| number(id as usize, "token id")).collect::<Result<Vec<_>, _>>()?;
        lend_tokens(&ids, &texts)
    })
}
