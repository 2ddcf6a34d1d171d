//! The opened bundle.

use std::path::PathBuf;

use cachelora::bundle::Bundle;
use cachelora::encoder::fused::{Kernel, peak};
use cachelora::{Backend, Embedder, Error, InputInfo, OnTooLong, Options};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyByteArray;

use crate::errors::exception;

/// What `py/cachelora/embedder.py` wraps; see there.
#[pyclass(frozen, name = "NativeEmbedder", module = "cachelora._native")]
pub(crate) struct NativeEmbedder {
    embedder: Embedder,
}

#[pymethods]
impl NativeEmbedder {
    #[new]
    #[pyo3(signature = (path, *, reject_too_long, threads, backend, onnxruntime_path, site_packages))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        reject_too_long: bool,
        threads: usize,
        backend: &str,
        onnxruntime_path: Option<PathBuf>,
        site_packages: Vec<PathBuf>,
    ) -> PyResult<Self> {
        let on_too_long = if reject_too_long { OnTooLong::Reject } else { OnTooLong::Truncate };
        let backend = match backend {
            "auto" => Backend::Auto,
            "fused" => Backend::Fused,
            "onnxruntime" => Backend::OnnxRuntime,
            other => {
                let problem = format!("backend {other:?}: there are auto, fused and onnxruntime");
                return Err(exception(py, &Error::InvalidArgument(problem)));
            }
        };
        let options =
            Options { on_too_long, threads, backend, kernel: None, onnxruntime_path, site_packages };
        let opened = py.detach(|| Embedder::open(path, &options));
        Ok(Self { embedder: opened.map_err(|error| exception(py, &error))? })
    }

    /// Returns the vectors as native float32 bytes, the token counts and the truncation flags.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
    ) -> PyResult<(Bound<'py, PyByteArray>, Vec<usize>, Vec<bool>)> {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let mut vectors = vec![0.0_f32; texts.len() * self.embedder.dimension()];
        let infos: Vec<InputInfo> = py
            .detach(|| match texts.as_slice() {
                // One text has no use for the batch's planning.
                [text] => self.embedder.embed(text, &mut vectors).map(|info| vec![info]),
                texts => self.embedder.embed_batch(texts, &mut vectors),
            })
            .map_err(|error| exception(py, &error))?;
        let bytes = PyByteArray::new_with(py, vectors.len() * size_of::<f32>(), |buffer| {
            for (to, value) in buffer.chunks_exact_mut(size_of::<f32>()).zip(&vectors) {
                to.copy_from_slice(&value.to_ne_bytes());
            }
            Ok(())
        })?;
        let tokens = infos.iter().map(|info| info.tokens).collect();
        let truncated = infos.iter().map(|info| info.truncated).collect();
        Ok((bytes, tokens, truncated))
    }

    fn threshold(&self, py: Python<'_>, domain: &str, max_false_hit_rate: f64) -> PyResult<f32> {
        self.embedder.threshold(domain, max_false_hit_rate).map_err(|error| exception(py, &error))
    }

    #[getter]
    fn dimension(&self) -> usize {
        self.embedder.dimension()
    }

    #[getter]
    fn max_tokens(&self) -> usize {
        self.embedder.max_tokens()
    }

    #[getter]
    fn backend(&self) -> &'static str {
        self.embedder.backend()
    }

    #[getter]
    fn kernel(&self) -> Option<&'static str> {
        self.embedder.kernel().map(Kernel::name)
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.embedder.fingerprint()
    }

    /// The path of the ONNX Runtime library in use, where it came from, and its version; None where it is not
    /// needed.
    #[getter]
    fn onnxruntime(&self) -> Option<(PathBuf, &'static str, String)> {
        let library = self.embedder.library()?;
        Some((library.path.clone(), library.source.name(), library.version.clone()))
    }
}

/// Hashes every file of a bundle.
#[pyfunction]
pub(crate) fn verify_bundle(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    py.detach(|| Bundle::verified(&path)).map(drop).map_err(|error| exception(py, &error))
}

/// What a kernel's products can reach on this thread, for `cachelora bench`.
#[pyfunction]
pub(crate) fn multiply_adds_per_second(py: Python<'_>, kernel: &str) -> PyResult<f64> {
    let kernel: Kernel = kernel.parse().map_err(|error| exception(py, &error))?;
    if !kernel.is_available() {
        let problem = format!("kernel {kernel} does not run on this machine");
        return Err(exception(py, &Error::InvalidArgument(problem)));
    }
    Ok(py.detach(|| peak(kernel)))
}
