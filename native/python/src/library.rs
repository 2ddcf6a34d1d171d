//! Which ONNX Runtime would be used, for `cachelora doctor`.

use std::path::PathBuf;

use cachelora::encoder::onnx::library::{Search, find};
use pyo3::prelude::*;

use crate::errors::exception;

/// Returns path, source, version and the places tried, without loading the library for good.
#[pyfunction]
#[pyo3(signature = (onnxruntime_path, site_packages))]
pub(crate) fn find_onnxruntime(
    py: Python<'_>,
    onnxruntime_path: Option<PathBuf>,
    site_packages: Vec<PathBuf>,
) -> PyResult<(PathBuf, &'static str, String, String)> {
    let found = py.detach(|| find(&Search { explicit: onnxruntime_path, site_packages }));
    let library = found.map_err(|error| exception(py, &error))?;
    Ok((library.path, library.source.name(), library.version, library.tried))
}
