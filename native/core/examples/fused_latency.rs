//! Milliseconds of one text in the fused encoder, by number of tokens.
//!
//! ```text
//! cargo run --release --example fused_latency -- encoder.int8.safetensors [kernel]
//! ```

use std::path::Path;
use std::time::Instant;

use cachelora::batch::TokenBatch;
use cachelora::encoder::Encoder;
use cachelora::encoder::fused::{FusedEncoder, peak};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let file = arguments.get(1).ok_or("usage: fused_latency FILE [KERNEL]")?;
    let kernel = arguments.get(2).map(|name| name.parse()).transpose()?;
    let begin = Instant::now();
    let encoder = FusedEncoder::open(Path::new(file), kernel)?;
    println!("kernel {}, opened in {:.1} ms", encoder.kernel(), begin.elapsed().as_secs_f64() * 1e3);
    let peak = peak(encoder.kernel());
    println!("{:.1} billion multiply-adds a second", peak * 1e-9);
    println!("{:>7} {:>9} {:>9} {:>9}", "tokens", "median", "least", "us/token");
    let lengths = arguments.get(3).map_or(String::new(), Clone::clone);
    let lengths: Vec<usize> = lengths.split_terminator(',').map(str::parse).collect::<Result<_, _>>()?;
    for length in if lengths.is_empty() {
        vec![1, 4, 8, 12, 16, 17, 24, 32, 48, 64, 96, 128, 256, 512]
    } else {
        lengths
    } {
        if length > encoder.max_tokens() {
            break;
        }
        let ids: Vec<u32> = (0..length).map(|i| (i * 7919 % encoder.vocabulary_size()) as u32).collect();
        let mut batch = TokenBatch::new();
        batch.push(&ids);
        let mut vector = vec![0.0; encoder.dimension()];
        let mut times: Vec<f64> = Vec::new();
        let begin = Instant::now();
        while times.len() < 15 || (begin.elapsed().as_millis() < 600 && times.len() < 1000) {
            let begin = Instant::now();
            encoder.encode(&batch, &mut vector)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let (median, least) = (times[times.len() / 2], times[0]);
        println!("{length:>7} {median:>9.3} {least:>9.3} {:>9.1}", median * 1e3 / length as f64);
    }
    Ok(())
}
