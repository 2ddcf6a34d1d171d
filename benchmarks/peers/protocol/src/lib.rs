//! What the runners share: their arguments, and the lines that they read and write.
//!
//! The protocol is described in `benchmarks/peers/README.md`.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cpu_time::ProcessTime;
use serde::Serialize;

/// Which of the two directories a runner opens, and so whose vectors its own must equal.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// The bundle's `model.onnx` and `tokenizer.json`.
    Bundle,
    /// The base model's `model.safetensors`, `config.json` and `tokenizer.json`.
    Base,
}

/// What every runner is started with.
pub struct Arguments {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The base model's directory.
    pub base: PathBuf,
    /// How many tokens of a text are read, special tokens included.
    pub max_tokens: usize,
}

impl Arguments {
    /// Read the program's arguments: `BUNDLE UNPOOLED BASE MAX_TOKENS`, the second of which no runner here opens.
    ///
    /// # Errors
    ///
    /// There are more or fewer than four, or the last is no number.
    pub fn from_command_line() -> Result<Self> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let [bundle, _, base, max_tokens] = given.as_slice() else {
            bail!("{} arguments, not four: BUNDLE UNPOOLED BASE MAX_TOKENS", given.len());
        };
        let max_tokens =
            max_tokens.parse().with_context(|| format!("MAX_TOKENS is {max_tokens:?}, not a number"))?;
        Ok(Self { bundle: bundle.into(), base: base.into(), max_tokens })
    }
}

/// Greet, then answer each line of stdin until it ends.
///
/// `package` is the crate that computes; its version is what the workspace's lock file says.
///
/// # Errors
///
/// A request is malformed, `encode` fails, or a pipe breaks.
pub fn serve(package: &str, reads: Reads, mut encode: impl FnMut(&str) -> Result<Vec<f32>>) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let greeting = serde_json::json!({ "version": locked_version(package), "reads": reads });
    writeln!(output, "{greeting}")?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (request, text) = line.split_once('\t').with_context(|| format!("no tab in {line:?}"))?;
        let answer = match request.split_once(' ') {
            None if request == "vector" => serde_json::to_string(&encode(text)?)?,
            Some(("wall", runs)) => {
                let mut wall = || -> Result<u128> {
                    let start = Instant::now();
                    std::hint::black_box(encode(text)?);
                    Ok(start.elapsed().as_nanos())
                };
                times(runs, &mut wall)?
            }
            Some(("cpu", runs)) => {
                let mut cpu = || -> Result<u128> {
                    let start = ProcessTime::now();
                    std::hint::black_box(encode(text)?);
                    Ok(start.elapsed().as_nanos())
                };
                times(runs, &mut cpu)?
            }
            _ => bail!("no such request: {request:?}"),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn times(runs: &str, once: &mut dyn FnMut() -> Result<u128>) -> Result<String> {
    let runs: usize = runs.parse().with_context(|| format!("{runs:?} runs"))?;
    let found = (0..runs).map(|_| once()).collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string(&found)?)
}

fn locked_version(package: &str) -> &'static str {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let wanted = format!("name = \"{package}\"");
    lines.find(|line| **line == wanted);
    lines.next().and_then(|line| line.split('"').nth(1)).unwrap_or("unknown")
}
