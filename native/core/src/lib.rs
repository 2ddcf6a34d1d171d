//! Sentence vectors for semantic caches.
//!
//! A bundle is a directory that `cachelora export` writes: a merged model, its tokenizer, a manifest
//! with every file's hash, and calibrated thresholds. [`Embedder::open`] verifies it and turns texts
//! into unit vectors; [`Embedder::threshold`] says from which similarity on a cached answer may be
//! reused.
//!
//! ```no_run
//! use cachelora::{Embedder, Options};
//!
//! let embedder = Embedder::open("bundle", &Options::default())?;
//! let mut vector = vec![0.0; embedder.dimension()];
//! let info = embedder.embed("Is it safe to take ibuprofen with alcohol?", &mut vector)?;
//! assert!(!info.truncated);
//! # Ok::<(), cachelora::Error>(())
//! ```
//!
//! One folder or file per subject:
//!
//! | module | subject |
//! |---|---|
//! | [`bundle`] | the manifest, the hashes of its files, the fingerprint |
//! | [`tokenizer`] | text to token ids, never padded, true token counts |
//! | [`batch`] | many token sequences as one packed run |
//! | [`encoder`] | the [`Encoder`](encoder::Encoder) trait and what implements it |
//! | [`pooling`] | what every sentence vector must satisfy before anyone sees it |
//! | [`calibration`] | thresholds for a bounded false-hit rate |
//! | [`embedder`] | all of it behind one handle |

pub mod batch;
pub mod bundle;
pub mod calibration;
pub mod embedder;
pub mod encoder;
pub mod error;
mod pieces;
pub mod pooling;
pub mod similarity;
pub mod tokenizer;
mod wordpiece;

pub use embedder::{Backend, Embedder, InputInfo, OnTooLong, Options};
pub use error::{Error, Result};
