//! The bearer token.

use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The variable that holds the token, where no file does.
pub const VARIABLE: &str = "CACHELORA_SERVE_TOKEN";

/// The token that requests must carry.
///
/// Only its hash is kept: hashes have one length, so comparing them in constant time also hides how long
/// the token is, and a memory dump does not show it.
pub struct Token([u8; 32]);

impl Token {
    /// The token from `file`'s first line, else from [`VARIABLE`]; None where neither is given.
    ///
    /// # Errors
    /// A message for a file that can't be read, and for an empty token: it would let everybody in who sends
    /// an empty header.
    pub fn configured(file: Option<&Path>) -> Result<Option<Self>, String> {
        let (token, place) = match file {
            Some(path) => {
                let content = std::fs::read_to_string(path)
                    .map_err(|error| format!("--token-file {}: {error}", path.display()))?;
                (content.lines().next().unwrap_or_default().trim().to_owned(), format!("{}", path.display()))
            }
            None => match std::env::var(VARIABLE) {
                Ok(value) => (value.trim().to_owned(), VARIABLE.to_owned()),
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(format!("{VARIABLE}: {error}")),
            },
        };
        if token.is_empty() {
            return Err(format!("{place}: the token is empty; write one, or give none"));
        }
        Ok(Some(Self::of(&token)))
    }

    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether the request carries this token.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else { return false };
        // The scheme's name has no case.
        let Some((scheme, token)) = value.split_at_checked(7) else { return false };
        let given: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_token_admits() {
        let token = Token::of("secret");
        for right in ["Bearer secret", "bearer secret", "BEARER  secret "] {
            assert!(token.admits(&headers(right)), "{right:?}");
        }
        for wrong in ["Bearer secreT", "Bearer secret2", "Bearer", "Bearer ", "", "Basic secret", "secret"] {
            assert!(!token.admits(&headers(wrong)), "{wrong:?}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }
}
