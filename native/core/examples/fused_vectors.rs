//! Vectors of token sequences: reads one JSON list of ids a line, writes float32 rows.
//!
//! ```text
//! cargo run --release --example fused_vectors -- encoder.int8.safetensors [kernel] < ids > vectors
//! ```

use std::io::{BufRead, Write};
use std::path::Path;

use cachelora::batch::TokenBatch;
use cachelora::encoder::Encoder;
use cachelora::encoder::fused::FusedEncoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let file = arguments.get(1).ok_or("usage: fused_vectors FILE [KERNEL]")?;
    let kernel = arguments.get(2).map(|name| name.parse()).transpose()?;
    let encoder = FusedEncoder::open(Path::new(file), kernel)?;
    let mut batch = TokenBatch::new();
    for line in std::io::stdin().lock().lines() {
        batch.push(&serde_json::from_str::<Vec<u32>>(&line?)?);
    }
    let mut vectors = vec![0.0; batch.len() * encoder.dimension()];
    encoder.encode(&batch, &mut vectors)?;
    let bytes: Vec<u8> = vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}
