//! Text to token ids: never padded, cut only on request, with the true count.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokenizers::{Encoding, PostProcessor, TruncationDirection};

use crate::bundle::{self, file};
use crate::pieces::{self, Pieces};
use crate::{Error, Result, wordpiece};

/// The fast tokenizer of a bundle.
///
/// Published tokenizer files often ask for fixed padding or for truncation (all-MiniLM's asks for
/// both, at 128). Neither request is obeyed: padding only costs time, and a cut that nobody hears
/// about makes two different questions equal.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pieces: Option<Pieces>,
    max_tokens: usize,
    special_tokens: usize,
}

/// The tokens of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// At most `max_tokens` ids, special tokens included.
    pub ids: Vec<u32>,
    /// How many tokens the whole text has, special tokens included.
    pub count: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`; texts will be cut to `max_tokens`, special tokens included.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the file is no tokenizer, [`Error::InvalidArgument`] if `max_tokens`
    /// leaves no room for text.
    pub fn from_file(path: &Path, max_tokens: usize) -> Result<Self> {
        let bytes = file::read(path, file::most_bytes(bundle::TOKENIZER))
            .map_err(|error| Error::Tokenizer(format!("{}: {error}", path.display())))?;
        let mut inner = contained(|| {
            wordpiece::read(&bytes).map_or_else(|| tokenizers::Tokenizer::from_bytes(&bytes), Ok)
        })
        .map_err(|problem| Error::Tokenizer(format!("{}: {problem}", path.display())))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| Error::Tokenizer(error.to_string()))?;
        let special_tokens = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if max_tokens <= special_tokens {
            return Err(Error::InvalidArgument(format!(
                "max_tokens is {max_tokens}, but {special_tokens} special tokens surround every text"
            )));
        }
        Ok(Self { pieces: Pieces::of(&inner), inner, max_tokens, special_tokens })
    }

    /// Tokenizes one text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer's model fails on the text.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        self.encode_within(text, self.max_tokens)
    }

    /// Tokenizes one text, cut to `limit` tokens, special tokens included, or to `max_tokens` if that is less.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] as above, [`Error::InvalidArgument`] if `limit` leaves no room for text.
    pub fn encode_within(&self, text: &str, limit: usize) -> Result<Tokens> {
        let limit = limit.min(self.max_tokens);
        if limit <= self.special_tokens {
            return Err(Error::InvalidArgument(format!(
                "the limit is {limit}, but {} special tokens surround every text",
                self.special_tokens
            )));
        }
        let (mut content, count) = self.content(text, limit)?;
        let count = count + self.special_tokens;
        if count > limit {
            content.truncate(limit - self.special_tokens, 0, TruncationDirection::Right);
        }
        let processed =
            contained(|| self.inner.post_process(content, None, true)).map_err(Error::Tokenizer)?;
        Ok(Tokens { ids: processed.get_ids().to_vec(), count })
    }

    /// The tokens of a text without special ones, at least the first `limit`, and how many there are in all.
    fn content(&self, text: &str, limit: usize) -> Result<(Encoding, usize)> {
        let encode = |text: &str| contained(|| self.inner.encode_fast(text, false)).map_err(Error::Tokenizer);
        let Some(pieces) = self.pieces.as_ref().filter(|_| text.len() > pieces::SIZE) else {
            let content = encode(text)?;
            let count = content.len();
            return Ok((content, count));
        };
        let (mut content, mut count) = (Encoding::default(), 0);
        for piece in pieces.split(text, pieces::SIZE) {
            let found = encode(piece)?;
            count += found.len();
            if content.len() < limit {
                content.merge_with(found, false);
            }
        }
        Ok((content, count))
    }

    /// The text of a token as the vocabulary has it, such as `##ing`; None for an id that it lacks.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// How many tokens the model reads, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The size of the vocabulary, added tokens included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// The result of the tokenizers library, or what went wrong. It panics on some files that it can't read, and on texts
/// with what others made of them; a bundle that somebody made up is refused and stops nobody.
fn contained<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // What the work borrows is only read, and its locks are those of caches that are taken or left.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(format!("the tokenizer can't be used ({message})"))
        }
    }
}
