//! The private module `cachelora._native`: the core crate for `py/cachelora`, and nothing more.

mod embedder;
mod errors;
mod library;

/// The module.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::embedder::NativeEmbedder;
    #[pymodule_export]
    use crate::embedder::multiply_adds_per_second;
    #[pymodule_export]
    use crate::embedder::verify_bundle;
    #[pymodule_export]
    use crate::library::find_onnxruntime;
}
