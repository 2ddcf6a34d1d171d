//! The one bundle.

use std::ffi::{c_char, c_int};
use std::sync::{Mutex, OnceLock, PoisonError};

use cachelora::{Embedder, Options};

use crate::boundary::{guard, say, string};

/// Names the bundle's directory.
const VARIABLE: &str = "CACHELORA_BUNDLE";

static SERVED: OnceLock<Embedder> = OnceLock::new();

/// The bundle, once it is open.
pub fn served() -> Result<&'static Embedder, String> {
    SERVED.get().ok_or_else(|| "no bundle is open; init_similarity_model opens it".to_owned())
}

/// How many tokens of a text are read where a caller says `max_length`; 0 or less is the bundle's own limit.
pub fn limit(embedder: &Embedder, max_length: c_int) -> usize {
    let asked = usize::try_from(max_length).ok().filter(|&limit| limit > 0);
    asked.map_or(embedder.max_tokens(), |limit| limit.min(embedder.max_tokens()))
}

/// Opens the bundle that CACHELORA_BUNDLE names; the router's model and device choose nothing here.
///
/// False if it does not open, and, as in the router's own library, if one was open already: it stays.
#[unsafe(no_mangle)]
unsafe extern "C" fn init_similarity_model(model_id: *const c_char, _use_cpu: bool) -> bool {
    static OPENING: Mutex<()> = Mutex::new(());
    guard("init_similarity_model", false, || {
        // SAFETY: the caller's word.
        let model = unsafe { string(model_id, "model_id") }?;
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(embedder) = SERVED.get() {
            return Err(format!("{} is open already, and stays", embedder.directory().display()));
        }
        let directory = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).ok_or_else(|| {
            format!("set {VARIABLE} to the directory of the bundle that shall serve {model:?}; it is not set")
        })?;
        let embedder = Embedder::open(&directory, &Options::default())
            .map_err(|error| format!("{VARIABLE}={}: {error}", directory.display()))?;
        say(&format!(
            "{} serves {model:?}: {}, {} numbers, fingerprint {}",
            embedder.directory().display(),
            embedder.backend(),
            embedder.dimension(),
            embedder.fingerprint()
        ));
        Ok(SERVED.set(embedder).is_ok())
    })
}

/// Whether a bundle is open.
#[unsafe(no_mangle)]
extern "C" fn is_similarity_model_initialized() -> bool {
    SERVED.get().is_some()
}
