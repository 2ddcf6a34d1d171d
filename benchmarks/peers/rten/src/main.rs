//! rten as a peer: the bundle's ONNX file and tokenizer through rten and rten-text.

use anyhow::Result;
use peer_protocol::{Arguments, Reads, serve};
use rten::{ModelOptions, Value};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use rten_text::Tokenizer;
use rten_text::tokenizer::EncodeOptions;

fn main() -> Result<()> {
    let given = Arguments::from_command_line()?;
    // Weights in the order in which the kernels read them, which costs memory and saves time.
    let model =
        ModelOptions::with_all_ops().prepack_weights(true).load_file(given.bundle.join("model.onnx"))?;
    let (ids_input, mask_input) = (model.node_id("input_ids")?, model.node_id("attention_mask")?);
    let tokenizer = Tokenizer::from_file(given.bundle.join("tokenizer.json"))?;

    serve("rten", Reads::Bundle, |text| {
        // Of a text in several chunks, the first is returned.
        let options = EncodeOptions { max_chunk_len: Some(given.max_tokens), ..Default::default() };
        let tokens = tokenizer.encode(text, Some(options))?;
        let ids: Vec<i32> = tokens.token_ids().iter().map(|&id| id.cast_signed()).collect();
        let shape = [1, ids.len()];
        let mask = NdTensor::full(shape, 1i32);
        let inputs = vec![(ids_input, NdTensor::from_data(shape, ids).into()), (mask_input, mask.into())];
        let [found]: [Value; 1] = model.run_n(inputs, [model.output_ids()[0]], None)?;
        let vector: Tensor<f32> = found.try_into()?;
        Ok(vector.to_vec())
    })
}
