//! The fused encoder: BERT-family encoders in int8 with kernels of our own.
//!
//! Weights are int8 with one scale per output channel; activations are int8 with one scale per token, so no
//! token's rounding depends on another text. Attention, softmax, layer norm and the residual stream are
//! float32. Sequences stand one after another in one packed run; nothing is padded.
//!
//! **What is guaranteed.** On one machine with one [`Kernel`], a text's vector has the same bits alone, in any
//! batch, at any place in it and from any number of threads: integer sums are exact, and each float32 sum
//! has one order that depends on the text alone. Between kernels integer sums are equal bit for bit,
//! and float32 operations are the same in the same order with fused multiply-adds, so vectors are equal but for
//! rare last bits; cosines are at least 0.99999. (Kernels that rounded differently would not be that close: one
//! activation at the border of two int8 values is enough for 0.999.)
//!
//! | file | subject |
//! |---|---|
//! | `weights` | the file, its layout and its checks |
//! | `forward` | the order of operations |
//! | `operations` | products with their epilogues, quantisation, layer norm, GELU |
//! | `attention` | attention of one sequence |
//! | `kernel` | one file per family of processors |
//! | `buffer` | scratch memory |

mod attention;
mod buffer;
mod forward;
mod kernel;
mod operations;
mod weights;

use std::path::Path;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use memmap2::Mmap;

pub use kernel::{Kernel, peak};
pub(crate) use weights::map;

use self::forward::{Job, Scratch};
use self::weights::Model;
use super::Encoder;
use crate::batch::TokenBatch;
use crate::{Error, Result};

/// Tokens of a run at most, unless one sequence alone is longer; bounds the scratch memory of a caller.
const RUN_TOKENS: usize = 256;

/// Idle callers' memory that is kept, for each processor. Threads that take turns on one processor all hold some;
/// freeing a megabyte and allocating it again for each call lets the C library's heap grow in steps.
const KEPT_PER_PROCESSOR: usize = 4;

/// The environment variable that names the kernel where no option does.
const KERNEL_VARIABLE: &str = "CACHELORA_KERNEL";

/// A BERT-family encoder on the CPU, without ONNX Runtime.
///
/// Callers share one map of the weights. Scratch memory is lent from a lock-free queue: it is allocated
/// when more callers than ever before run at once, kept for four times as many callers as there are
/// processors, and freed with the encoder.
pub struct FusedEncoder {
    model: Model,
    kernel: Kernel,
    lent: ArrayQueue<Box<Caller>>,
}

/// The memory of one call.
struct Caller {
    ends: Vec<usize>,
    scratch: Scratch,
}

impl Default for Caller {
    fn default() -> Self {
        Self { ends: Vec::with_capacity(RUN_TOKENS), scratch: Scratch::new() }
    }
}

impl FusedEncoder {
    /// Maps the weight file, for `kernel`; None takes the kernel that the environment variable
    /// `CACHELORA_KERNEL` names, or the fastest of this machine.
    ///
    /// # Errors
    /// [`Error::BundleNotFound`] and [`Error::BundleInvalid`] for the file, [`Error::InvalidArgument`] for a
    /// kernel that this machine does not run.
    pub fn open(path: &Path, kernel: Option<Kernel>) -> Result<Self> {
        Self::of_map(path, map(path)?, kernel)
    }

    /// As [`open`](Self::open), of a file that is mapped already.
    pub(crate) fn of_map(path: &Path, map: Arc<Mmap>, kernel: Option<Kernel>) -> Result<Self> {
        let kernel = match (kernel, std::env::var(KERNEL_VARIABLE)) {
            (Some(kernel), _) => kernel,
            (None, Ok(name)) if !name.is_empty() => name.parse()?,
            (None, _) => Kernel::detect(),
        };
        if !kernel.is_available() {
            return Err(Error::InvalidArgument(format!(
                "kernel {kernel} does not run on this machine; the fastest that does is {}",
                Kernel::detect()
            )));
        }
        let model = Model::of_map(path, map, kernel.zero())?;
        let callers = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { model, kernel, lent: ArrayQueue::new(KEPT_PER_PROCESSOR * callers) })
    }

    /// Gives back the memory of words that were read only to hash the file.
    pub(crate) fn forget_words(&self) {
        self.model.forget_words();
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// How many tokens of a text the model reads.
    pub fn max_tokens(&self) -> usize {
        self.model.config.positions
    }

    /// The number of words that have an embedding.
    pub fn vocabulary_size(&self) -> usize {
        self.model.config.vocabulary
    }

    fn check(&self, tokens: &TokenBatch) -> Result<()> {
        for (index, ids) in tokens.sequences().enumerate() {
            if ids.is_empty() || ids.len() > self.max_tokens() {
                return Err(Error::InvalidArgument(format!(
                    "sequence {index} has {} tokens, 1 to {} were expected",
                    ids.len(),
                    self.max_tokens()
                )));
            }
            if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocabulary_size()) {
                return Err(Error::InvalidArgument(format!(
                    "sequence {index} has token {id}, the model knows {}",
                    self.vocabulary_size()
                )));
            }
        }
        Ok(())
    }
}

impl Encoder for FusedEncoder {
    fn encode(&self, tokens: &TokenBatch, out: &mut [f32]) -> Result<()> {
        let dimension = self.dimension();
        assert_eq!(out.len(), tokens.len() * dimension, "the output has one row per sequence");
        self.check(tokens)?;
        let mut lent = self.lent.pop().unwrap_or_default();
        let Caller { ends, scratch } = &mut *lent;
        let mut first = 0;
        while first < tokens.len() {
            ends.clear();
            let mut length = 0;
            for ids in tokens.sequences().skip(first) {
                if length > 0 && length + ids.len() > RUN_TOKENS {
                    break;
                }
                length += ids.len();
                ends.push(length);
            }
            let last = first + ends.len();
            let (ids, out) = (tokens.run(first..last), &mut out[first * dimension..last * dimension]);
            self.kernel.run(&mut Job { model: &self.model, ids, ends, scratch, out });
            first = last;
        }
        // A full queue means more callers than processors; then this memory is freed.
        drop(self.lent.push(lent));
        Ok(())
    }

    fn dimension(&self) -> usize {
        self.model.config.hidden_size
    }

    fn pads(&self) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "fused"
    }

    fn kernel(&self) -> Option<Kernel> {
        Some(self.kernel)
    }
}

#[cfg(test)]
mod tests;
