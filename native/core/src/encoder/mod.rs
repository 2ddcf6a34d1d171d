//! What turns tokens into sentence vectors.

pub mod fused;
pub mod onnx;

use crate::Result;
use crate::batch::TokenBatch;

/// A model that maps token sequences to unit vectors.
///
/// `encode` takes `&self`: any number of threads call it at once on one copy of the weights.
pub trait Encoder: Send + Sync {
    /// Writes one vector per sequence of `tokens` to `out`, row after row.
    ///
    /// `out` has `tokens.len() * self.dimension()` elements.
    ///
    /// # Errors
    /// [`Error::Inference`](crate::Error::Inference) if the model fails.
    fn encode(&self, tokens: &TokenBatch, out: &mut [f32]) -> Result<()>;

    /// The length of a vector.
    fn dimension(&self) -> usize;

    /// Whether sequences of one batch are padded to the longest of them.
    fn pads(&self) -> bool;

    /// A short name of the implementation, for instance `onnxruntime`.
    fn name(&self) -> &'static str;

    /// Which of our own kernels computes; None where none does.
    fn kernel(&self) -> Option<fused::Kernel> {
        None
    }
}
