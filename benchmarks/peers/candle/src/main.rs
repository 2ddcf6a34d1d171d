//! candle as a peer: its BERT on the base model's float32 weights, on the CPU.

use std::fs;

use anyhow::{Context, Error, Result};
use candle_core::{D, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use peer_protocol::{Arguments, Reads, serve};
use tokenizers::{Tokenizer, TruncationParams};

fn main() -> Result<()> {
    let given = Arguments::from_command_line()?;
    let path = given.base.join("config.json");
    let config = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let config: Config = serde_json::from_str(&config).with_context(|| path.display().to_string())?;
    let weights = fs::read(given.base.join("model.safetensors"))?;
    let weights = VarBuilder::from_buffered_safetensors(weights, DTYPE, &Device::Cpu)?;
    let model = BertModel::load(weights, &config)?;
    let mut tokenizer = Tokenizer::from_file(given.base.join("tokenizer.json")).map_err(Error::msg)?;
    let truncation = TruncationParams { max_length: given.max_tokens, ..Default::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(Error::msg)?;

    serve("candle-transformers", Reads::Base, |text| {
        let tokens = tokenizer.encode(text, true).map_err(Error::msg)?;
        let ids = Tensor::new(tokens.get_ids(), &Device::Cpu)?.unsqueeze(0)?;
        let hidden = model.forward(&ids, &ids.zeros_like()?, None)?;
        // No text is padded, so the mean over all positions is the mean over the text's tokens.
        let mean = hidden.mean(1)?;
        let length = mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        Ok(mean.broadcast_div(&length)?.squeeze(0)?.to_vec1()?)
    })
}
