//! Cosine similarity of unit vectors.

/// The dot product of two vectors of equal length, which for unit vectors is their cosine in -1..=1.
///
/// Sums in double precision and in index order, so the result does not depend on the machine.
///
/// # Panics
/// If the lengths differ.
pub fn cosine_of_units(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of different dimensions can't be compared");
    let dot: f64 = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    dot as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_of_simple_vectors() {
        assert_eq!(cosine_of_units(&[1.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(cosine_of_units(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine_of_units(&[0.6, 0.8], &[-0.6, -0.8]), -1.0);
    }
}
