//! The weight file `encoder.int8.safetensors`, read through a memory map.
//!
//! A safetensors file whose metadata has one key, `cachelora_encoder`: the JSON of [`Config`]. With H the
//! hidden size, I the intermediate size, V the vocabulary and P the positions it holds, for each layer i,
//!
//! ```text
//! embeddings.words               I8  [V, H]     embeddings.words.scale   F32 [V]
//! embeddings.positions           F32 [P, H]     token type 0 is added in
//! embeddings.norm.weight, .bias  F32 [H]
//!
//! layers.i.qkv        [3H, H]    query, key, value; query and its bias divided by the root of the head size
//! layers.i.output     [H, H]     of attention
//! layers.i.widen      [I, H]
//! layers.i.narrow     [H, I]
//!     .weight         I8  [outputs / 16, inputs / 4, 16, 4]
//!     .scale, .bias   F32 [outputs]    weight = int8 * scale of its output
//!     .smooth         F32 [inputs]     optional: inputs are multiplied by it, the weights were divided by it
//! layers.i.attention_norm.weight, .bias, layers.i.norm.weight, .bias    F32 [H]
//! ```
//!
//! A weight is packed so that 64 neighbouring bytes are 16 outputs by 4 inputs, as the kernels read them:
//!
//! ```text
//! weight[b][k][c][j] = matrix[16 b + c][4 k + j]
//! ```
//!
//! int8 values stay in -127..=127. The exporter puts the weights first and at multiples of 64 bytes. Int8 data
//! stay in the map, shared by all processes that have the file open; float32 data are copied.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::kernel::LANES;
use crate::bundle::{file::regular_size, unique_keys};
use crate::{Error, Result};

/// The metadata key.
const CONFIG: &str = "cachelora_encoder";
/// The only layout there is so far.
const LAYOUT: u32 = 1;

/// How token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pooling {
    Mean,
    Cls,
}

/// The encoder's shape.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    layout: u32,
    model_type: String,
    activation: String,
    pub(super) layers: usize,
    pub(super) hidden_size: usize,
    pub(super) heads: usize,
    pub(super) intermediate_size: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) epsilon: f32,
    pub(super) pooling: Pooling,
}

/// One packed matrix with what its products need.
pub(super) struct Matrix {
    weights: Range<usize>,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) scales: Vec<f32>,
    pub(super) biases: Vec<f32>,
    /// Where integer accumulation begins, per column.
    pub(super) starts: Vec<i32>,
    smooth: Option<Vec<f32>>,
}

impl Matrix {
    pub(super) fn smooth(&self) -> Option<&[f32]> {
        self.smooth.as_deref()
    }
}

/// A layer norm.
pub(super) struct Norm {
    pub(super) weights: Vec<f32>,
    pub(super) biases: Vec<f32>,
}

/// One transformer layer.
pub(super) struct Layer {
    pub(super) qkv: Matrix,
    pub(super) output: Matrix,
    pub(super) attention_norm: Norm,
    pub(super) widen: Matrix,
    pub(super) narrow: Matrix,
    pub(super) norm: Norm,
}

/// A whole encoder.
pub(super) struct Model {
    map: Arc<Mmap>,
    pub(super) config: Config,
    words: Range<usize>,
    pub(super) word_scales: Vec<f32>,
    pub(super) positions: Vec<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

/// Maps a weight file.
///
/// # Errors
/// [`Error::BundleNotFound`] for a file that can't be read.
pub(crate) fn map(path: &Path) -> Result<Arc<Mmap>> {
    let unreadable =
        |error: std::io::Error| Error::BundleNotFound { path: path.to_owned(), problem: error.to_string() };
    regular_size(path).map_err(unreadable)?;
    let file = File::open(path).map_err(unreadable)?;
    // SAFETY: the map is only read. Another process that writes into the file changes vectors, one that
    // shortens it ends this process with SIGBUS; both hold for every mapped file, and the manual says to
    // replace bundles by renaming.
    let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
    Ok(Arc::new(map))
}

impl Model {
    /// Checks what `map` maps of the file `path`; `zero` is what the kernels store the activation 0 as.
    pub(super) fn of_map(path: &Path, map: Arc<Mmap>, zero: u8) -> Result<Self> {
        let invalid = |problem: String| Error::BundleInvalid { path: path.to_owned(), problem };
        let (length, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| invalid(format!("no safetensors file: {error}")))?;
        // The library takes the last of two tensors of one name; another reader may take the first.
        unique_keys::<_, IgnoredAny>(&mut serde_json::Deserializer::from_slice(&map[8..8 + length]))
            .map_err(|error| invalid(format!("header: {error}")))?;
        let config =
            metadata.metadata().as_ref().and_then(|metadata| metadata.get(CONFIG)).ok_or_else(|| {
                invalid(format!("metadata.{CONFIG} is missing; `cachelora export` writes this file"))
            })?;
        let config: Config =
            serde_json::from_str(config).map_err(|error| invalid(format!("metadata.{CONFIG}: {error}")))?;
        config.check().map_err(|problem| invalid(format!("metadata.{CONFIG}: {problem}")))?;
        let tensors = SafeTensors::deserialize(&map)
            .map_err(|error| invalid(format!("no safetensors file: {error}")))?;
        let reader = Reader { tensors, base: map.as_ptr() as usize, zero };
        let parts = reader.model(&config).map_err(invalid)?;
        let (words, word_scales, positions, norm, layers) = parts;
        Ok(Self { map, config, words, word_scales, positions, norm, layers })
    }

    /// The packed bytes of a matrix of this model.
    pub(super) fn weights(&self, matrix: &Matrix) -> &[i8] {
        self.bytes(&matrix.weights)
    }

    /// Gives back the memory of word embeddings that somebody read only to hash them; those of a text's words come
    /// back from the file.
    pub(super) fn forget_words(&self) {
        #[cfg(unix)]
        {
            let (start, length) = (self.words.start, self.words.len());
            // SAFETY: nothing is written to the map, so what is forgotten is in the file. That this fails on some
            // system costs memory only.
            let _ =
                unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length) };
        }
    }

    /// The word embeddings.
    pub(super) fn words(&self) -> &[i8] {
        self.bytes(&self.words)
    }

    fn bytes(&self, range: &Range<usize>) -> &[i8] {
        let bytes = &self.map[range.clone()];
        // SAFETY: i8 and u8 have the same size and alignment, and every bit pattern is valid in both.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }
}

impl Config {
    /// Returns what can't be, as `key: expectation`.
    fn check(&self) -> Result<(), String> {
        if self.layout != LAYOUT {
            return Err(format!(
                "layout: {LAYOUT} was expected, found {}; upgrade cachelora or export the bundle again",
                self.layout
            ));
        }
        if self.model_type != "bert" || self.activation != "gelu" {
            return Err(format!(
                "model_type and activation: bert with gelu was expected, found {} with {}; other models run \
                 through ONNX Runtime",
                self.model_type, self.activation
            ));
        }
        // The bounds are far above every real encoder and keep all sums of 8 bit products within 32 bits.
        let sizes = [
            ("layers", self.layers, 1, 256),
            ("hidden_size", self.hidden_size, LANES, 8192),
            ("intermediate_size", self.intermediate_size, LANES, 32_768),
            ("heads", self.heads, 1, 1024),
            ("vocabulary", self.vocabulary, 1, 1 << 24),
            ("positions", self.positions, 1, 1 << 16),
        ];
        for (key, value, least, most) in sizes {
            if !(least..=most).contains(&value) {
                return Err(format!("{key}: {least} to {most} was expected, found {value}"));
            }
        }
        if !self.hidden_size.is_multiple_of(LANES) || !self.intermediate_size.is_multiple_of(LANES) {
            return Err(format!(
                "hidden_size and intermediate_size: multiples of {LANES} were expected, found {} and {}",
                self.hidden_size, self.intermediate_size
            ));
        }
        if !self.hidden_size.is_multiple_of(8 * self.heads) {
            return Err(format!(
                "heads: a head size that is a multiple of 8 was expected, found {} / {}",
                self.hidden_size, self.heads
            ));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err(format!("epsilon: a number between 0 and 1 was expected, found {}", self.epsilon));
        }
        Ok(())
    }
}

type Parts = (Range<usize>, Vec<f32>, Vec<f32>, Norm, Vec<Layer>);

struct Reader<'a> {
    tensors: SafeTensors<'a>,
    base: usize,
    zero: u8,
}

impl Reader<'_> {
    fn model(&self, config: &Config) -> Result<Parts, String> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let (words, _) = self.int8("embeddings.words", &[config.vocabulary, hidden])?;
        let layers = (0..config.layers)
            .map(|index| {
                let name = |part: &str| format!("layers.{index}.{part}");
                Ok(Layer {
                    qkv: self.matrix(&name("qkv"), hidden, 3 * hidden)?,
                    output: self.matrix(&name("output"), hidden, hidden)?,
                    attention_norm: self.norm(&name("attention_norm"), hidden)?,
                    widen: self.matrix(&name("widen"), hidden, wide)?,
                    narrow: self.matrix(&name("narrow"), wide, hidden)?,
                    norm: self.norm(&name("norm"), hidden)?,
                })
            })
            .collect::<Result<_, String>>()?;
        Ok((
            words,
            self.float32("embeddings.words.scale", &[config.vocabulary])?,
            self.float32("embeddings.positions", &[config.positions, hidden])?,
            self.norm("embeddings.norm", hidden)?,
            layers,
        ))
    }

    fn matrix(&self, name: &str, depth: usize, columns: usize) -> Result<Matrix, String> {
        let shape = [columns / LANES, depth / 4, LANES, 4];
        let (weights, bytes) = self.int8(&format!("{name}.weight"), &shape)?;
        // The AVX2 kernel is exact for -127..=127 only.
        if bytes.chunks(4096).any(|part| part.iter().fold(false, |found, &byte| found | (byte == 0x80))) {
            return Err(format!("tensor {name}.weight: holds -128, -127 to 127 were expected"));
        }
        let smooth = format!("{name}.smooth");
        let smooth = match self.tensors.tensor(&smooth) {
            Ok(_) => Some(self.float32(&smooth, &[depth])?),
            Err(_) => None,
        };
        let mut starts = vec![0; columns];
        if self.zero != 0 {
            for (starts, block) in starts.chunks_exact_mut(LANES).zip(bytes.chunks_exact(LANES * depth)) {
                sum_outputs(block, starts);
                for start in starts {
                    *start *= -i32::from(self.zero);
                }
            }
        }
        Ok(Matrix {
            weights,
            depth,
            columns,
            scales: self.float32(&format!("{name}.scale"), &[columns])?,
            biases: self.float32(&format!("{name}.bias"), &[columns])?,
            starts,
            smooth,
        })
    }

    fn norm(&self, name: &str, columns: usize) -> Result<Norm, String> {
        Ok(Norm {
            weights: self.float32(&format!("{name}.weight"), &[columns])?,
            biases: self.float32(&format!("{name}.bias"), &[columns])?,
        })
    }

    /// A tensor's place in the file, and its bytes.
    fn int8(&self, name: &str, shape: &[usize]) -> Result<(Range<usize>, &[u8]), String> {
        let bytes = self.tensor(name, Dtype::I8, shape)?;
        let start = bytes.as_ptr() as usize - self.base;
        Ok((start..start + bytes.len(), bytes))
    }

    fn float32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let bytes = self.tensor(name, Dtype::F32, shape)?;
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(format!("tensor {name}: element {index} is {}", values[index])),
            None => Ok(values),
        }
    }

    fn tensor(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8], String> {
        let tensor = self.tensors.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
        if tensor.dtype() != dtype || tensor.shape() != shape {
            return Err(format!(
                "tensor {name}: {dtype:?} {shape:?} was expected, found {:?} {:?}",
                tensor.dtype(),
                tensor.shape()
            ));
        }
        Ok(tensor.data())
    }
}

/// Adds the weights of each of 16 outputs to `sums`. Written for the compiler's vectors, because opening waits for it.
fn sum_outputs(block: &[u8], sums: &mut [i32]) {
    const LINE: usize = 4 * LANES;
    // 16 bits hold the sum of 256 bytes.
    for lines in block.chunks(256 * LINE) {
        let mut partial = [0_i16; LINE];
        for line in lines.chunks_exact(LINE) {
            for (sum, &byte) in partial.iter_mut().zip(line) {
                *sum += i16::from(byte as i8);
            }
        }
        for (sum, four) in sums.iter_mut().zip(partial.chunks_exact(4)) {
            *sum += four.iter().map(|&part| i32::from(part)).sum::<i32>();
        }
    }
}
