//! The reference encoder: ONNX Runtime, loaded at run time.
//!
//! `library` finds and checks the shared library, `session` runs the graph.

pub mod library;
mod session;

pub use session::OrtEncoder;
