//! Running the exported graph.

use std::ffi::CString;
use std::path::Path;
use std::ptr;

use ort::AsPointer;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, TensorRefMut, ValueType};

use super::library::{self, Library, Search};
use crate::batch::TokenBatch;
use crate::encoder::Encoder;
use crate::{Error, Result};

/// ONNX Runtime on one graph: the reference encoder, and the road for every architecture.
///
/// All callers share one session and so one copy of the weights. ONNX Runtime documents its `Run` as
/// safe to call from many threads, and each call computes on its caller's thread alone (one intra-op
/// thread, no pool); so N callers on N cores run N at a time, and nothing is locked in between.
pub struct OrtEncoder {
    session: Session,
    library: Library,
    dimension: usize,
    inputs: Vec<(Input, CString)>,
    output: CString,
}

/// What a graph may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Ids,
    Mask,
    Types,
}

impl Input {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }
}

impl OrtEncoder {
    /// Loads ONNX Runtime, once for the process, and the graph.
    ///
    /// # Errors
    /// The library's as in [`library::find`]; [`Error::BundleInvalid`] if the graph does not take
    /// token ids and return one vector of `dimension` numbers per text.
    pub fn open(model: &Path, dimension: usize, search: &Search) -> Result<Self> {
        let invalid = |problem: String| Error::BundleInvalid { path: model.to_owned(), problem };
        let (library, environment) = library::load(search)?;
        let session = build_session(&environment, model).map_err(|error| invalid(error.to_string()))?;

        let mut inputs = Vec::new();
        for outlet in session.inputs() {
            let input = Input::of_name(outlet.name()).ok_or_else(|| {
                invalid(format!(
                    "the graph asks for input '{}'; input_ids, attention_mask and token_type_ids are known",
                    outlet.name()
                ))
            })?;
            if tensor_of(outlet.dtype())
                .is_none_or(|(element, rank, _)| element != TensorElementType::Int64 || rank != 2)
            {
                return Err(invalid(format!(
                    "input '{}': an int64 tensor of (batch, tokens) was expected",
                    outlet.name()
                )));
            }
            inputs.push((input, c_name(outlet.name())));
        }
        for needed in [Input::Ids, Input::Mask] {
            if !inputs.iter().any(|(input, _)| *input == needed) {
                return Err(invalid("inputs input_ids and attention_mask were expected".to_owned()));
            }
        }
        let [outlet] = session.outputs() else {
            return Err(invalid(format!(
                "one output was expected, the graph has {}",
                session.outputs().len()
            )));
        };
        let expected = i64::try_from(dimension).unwrap_or(i64::MAX);
        match tensor_of(outlet.dtype()) {
            Some((TensorElementType::Float32, 2, last)) if last == expected => {}
            _ => {
                return Err(invalid(format!(
                    "output '{}': a float32 tensor of (batch, {dimension}) was expected, one pooled vector per text; \
                     a graph that returns token vectors was exported without its pooling",
                    outlet.name()
                )));
            }
        }
        let output = c_name(outlet.name());
        Ok(Self { session, library, dimension, inputs, output })
    }

    /// The library that runs the graph, and how it was found.
    pub fn library(&self) -> &Library {
        &self.library
    }
}

impl Encoder for OrtEncoder {
    fn encode(&self, tokens: &TokenBatch, out: &mut [f32]) -> Result<()> {
        assert_eq!(out.len(), tokens.len() * self.dimension, "the output has one row per sequence");
        if tokens.is_empty() {
            return Ok(());
        }
        let (rows, columns) = (tokens.len(), tokens.longest());
        let mut ids = vec![0_i64; rows * columns];
        let mut mask = vec![0_i64; rows * columns];
        for (row, sequence) in tokens.sequences().enumerate() {
            let start = row * columns;
            for (to, &id) in ids[start..].iter_mut().zip(sequence) {
                *to = i64::from(id);
            }
            mask[start..start + sequence.len()].fill(1);
        }
        let types = vec![0_i64; rows * columns];
        self.run([rows, columns], &ids, &mask, &types, out)
            .map_err(|error| Error::Inference(format!("ONNX Runtime {}: {error}", self.library.version)))
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn pads(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "onnxruntime"
    }
}

impl OrtEncoder {
    fn run(
        &self,
        shape: [usize; 2],
        ids: &[i64],
        mask: &[i64],
        types: &[i64],
        out: &mut [f32],
    ) -> ort::Result<()> {
        let tensors = [
            TensorRef::from_array_view((shape, ids))?,
            TensorRef::from_array_view((shape, mask))?,
            TensorRef::from_array_view((shape, types))?,
        ];
        let output = TensorRefMut::from_array_view_mut(([shape[0], self.dimension], out))?;

        let names: Vec<_> = self.inputs.iter().map(|(_, name)| name.as_ptr()).collect();
        let values: Vec<_> = self
            .inputs
            .iter()
            .map(|(input, _)| match input {
                Input::Ids => tensors[0].ptr(),
                Input::Mask => tensors[1].ptr(),
                Input::Types => tensors[2].ptr(),
            })
            .collect();
        let output_names = [self.output.as_ptr()];
        let mut outputs = [output.ptr().cast_mut()];

        // `ort::Session::run` takes `&mut self` because some execution providers are not thread safe.
        // This session has only the CPU provider, whose Run is, so the call is made directly.
        //
        // SAFETY: the session is alive for the call; there are as many names as values, all
        // NUL-terminated and alive; the tensors borrow buffers that outlive the call; the output value
        // is a tensor over `out` with the shape that the graph returns, so ONNX Runtime writes there
        // and nowhere else, and it refuses a shape that differs. A null RunOptions means the defaults.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: `status` was just returned by ONNX Runtime and is used nowhere else.
        unsafe { ort::Error::result_from_status(status) }
    }
}

fn build_session(environment: &ort::environment::Environment, model: &Path) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        // Token counts differ from call to call; remembered memory plans would only pile up.
        .with_memory_pattern(false)?
        .commit_from_file(model)
}

/// Element type, rank and last dimension (-1 where dynamic) of a tensor.
fn tensor_of(dtype: &ValueType) -> Option<(TensorElementType, usize, i64)> {
    match dtype {
        ValueType::Tensor { ty, shape, .. } => Some((*ty, shape.len(), shape.last().copied().unwrap_or(0))),
        _ => None,
    }
}

fn c_name(name: &str) -> CString {
    CString::new(name).expect("ONNX Runtime's names are C strings")
}
