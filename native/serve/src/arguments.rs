//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Serve a bundle as an OpenAI-compatible /v1/embeddings endpoint.
///
/// Prints "listening on ADDRESS" when it is ready. SIGTERM and SIGINT stop it when the requests that run are
/// answered; a second signal stops it at once.
#[derive(Debug, Parser)]
#[command(name = "cachelora serve", version)]
pub struct Arguments {
    /// The bundle: a directory that `cachelora export` wrote
    pub bundle: PathBuf,
    /// The address to listen on; other than loopback it asks for a token
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8089)]
    pub port: u16,
    /// Listen on this Unix socket instead, which only its owner may use
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub unix_socket: Option<PathBuf>,
    /// The model's name in requests and answers; by default the adapter's or the base model's
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// A file whose first line is the bearer token that /v1 and /metrics ask for; CACHELORA_SERVE_TOKEN is
    /// the other way to give it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow another address than loopback without a token
    #[arg(long)]
    pub without_token: bool,
    /// Threads that compute; 0 means one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub workers: usize,
    /// Requests that may wait for a worker; further ones are answered 503
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub queue: usize,
    /// Texts in one request
    #[arg(long, default_value_t = 2048, value_name = "N")]
    pub max_batch: usize,
    /// Bytes in one request's body
    #[arg(long, default_value_t = 8 << 20, value_name = "N")]
    pub max_body: usize,
    /// Seconds that a request's head may take to arrive, and that a connection may be idle between two requests
    #[arg(long, default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub head_timeout: Duration,
    /// Seconds that a request's body may take to arrive
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub body_timeout: Duration,
    /// Seconds that running requests have after a signal to stop
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub stop_timeout: Duration,
    /// What happens to a text with more tokens than the model reads
    #[arg(long, default_value = "truncate")]
    pub on_too_long: OnTooLong,
    /// The ONNX Runtime library file, for a bundle without the fused encoder's weights
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
}

/// What happens to a text with more tokens than the model reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnTooLong {
    /// Its first tokens are used; the header x-cachelora-truncated lists its place in the input
    Truncate,
    /// The request is answered 400
    Reject,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds was expected".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
