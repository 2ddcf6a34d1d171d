//! What every sentence vector must satisfy before anyone sees it.
//!
//! Pooling and normalisation are part of the exported graph. A graph that pools over padding, or does
//! not normalise, still returns numbers; these checks are what tells the two apart.

use crate::{Error, Result};

/// Vectors whose length differs from 1 by more than this are refused. Float32 rounding over 4,096
/// dimensions stays below it by two orders of magnitude.
const UNIT_TOLERANCE: f64 = 1e-3;

/// Checks that each vector of `vectors` (row-major, `dimension` columns) is finite and of unit length.
///
/// # Errors
/// [`Error::Inference`] naming the first row that is not.
pub fn check_unit_vectors(vectors: &[f32], dimension: usize) -> Result<()> {
    for (row, vector) in vectors.chunks_exact(dimension).enumerate() {
        let norm = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if norm.is_nan() || (norm - 1.0).abs() > UNIT_TOLERANCE {
            return Err(Error::Inference(format!(
                "the model returned a vector of length {norm} for text {row} of the batch, a unit vector was expected; \
                 the graph does not normalise, or its weights are damaged: export the bundle again"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_unit_vectors() {
        assert!(check_unit_vectors(&[1.0, 0.0, 0.6, 0.8], 2).is_ok());
        assert!(check_unit_vectors(&[], 2).is_ok());
    }

    #[test]
    fn refuses_what_is_not_finite_or_not_of_unit_length() {
        for bad in [[f32::NAN, 1.0], [f32::INFINITY, 0.0], [0.0, 0.0], [2.0, 0.0]] {
            let error = check_unit_vectors(&[1.0, 0.0, bad[0], bad[1]], 2).unwrap_err();
            assert!(error.to_string().contains("text 1 of the batch"), "{error}");
        }
    }
}
