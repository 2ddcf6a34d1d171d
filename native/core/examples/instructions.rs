//! Work of a fixed amount, for a tool that counts instructions (`make test-instructions`).
//!
//! ```text
//! instructions BUNDLE WORK ROUNDS
//! ```
//!
//! Opens the bundle, then embeds WORK's texts ROUNDS times. What two numbers of rounds differ by is what the rounds
//! cost; opening falls out of it.

use cachelora::{Embedder, Options};

const WORDS: [&str; 8] = ["how", "can", "i", "reset", "my", "password", "the", "court"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, bundle, work, rounds] = &arguments[..] else {
        return Err("usage: instructions BUNDLE WORK ROUNDS".into());
    };
    let texts: Vec<String> = match work.as_str() {
        "16 tokens" => vec![of_tokens(16)],
        "128 tokens" => vec![of_tokens(128)],
        "batch of 8" => (1..=8).map(|text| of_tokens(4 * text)).collect(),
        _ => return Err(format!("{work}: 16 tokens, 128 tokens or batch of 8 was expected").into()),
    };
    let embedder = Embedder::open(bundle, &Options::default())?;
    let mut vectors = vec![0.0; texts.len() * embedder.dimension()];
    for _ in 0..rounds.parse()? {
        embedder.embed_batch(&texts, &mut vectors)?;
    }
    // The answer is used, so nothing of it can be left out.
    println!("{}", vectors.iter().sum::<f32>());
    Ok(())
}

/// A text of known words; two tokens are the special ones.
fn of_tokens(tokens: usize) -> String {
    WORDS.iter().cycle().take(tokens - 2).copied().collect::<Vec<_>>().join(" ")
}
