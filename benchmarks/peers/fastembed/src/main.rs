//! fastembed as a peer: the bundle's ONNX file and tokenizer as a model of the user's own, on ONNX Runtime.

use std::fs::read;

use anyhow::{Context, Result};
use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use peer_protocol::{Arguments, Reads, serve};

fn main() -> Result<()> {
    let given = Arguments::from_command_line()?;
    // fastembed wants the four files of a hub model; a bundle's tokenizer.json says the same alone.
    let config = serde_json::json!({ "pad_token_id": 0 });
    let tokenizer_config = serde_json::json!({ "model_max_length": given.max_tokens, "pad_token": "[PAD]" });
    let tokenizer_files = TokenizerFiles {
        tokenizer_file: read(given.bundle.join("tokenizer.json"))?,
        config_file: config.to_string().into_bytes(),
        special_tokens_map_file: b"{}".to_vec(),
        tokenizer_config_file: tokenizer_config.to_string().into_bytes(),
    };
    // The graph pools by itself, so its output has two dimensions, which both kinds of pooling leave alone.
    let model = UserDefinedEmbeddingModel::new(read(given.bundle.join("model.onnx"))?, tokenizer_files)
        .with_pooling(Pooling::Mean);
    let options = InitOptionsUserDefined::new().with_max_length(given.max_tokens).with_intra_threads(1);
    let mut encoder = TextEmbedding::try_new_from_user_defined(model, options)?;

    serve("fastembed", Reads::Bundle, |text| {
        encoder.embed([text], None)?.pop().context("no vector came back")
    })
}
