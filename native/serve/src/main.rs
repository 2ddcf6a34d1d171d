//! An OpenAI-compatible embeddings server over one bundle.
//!
//! | file | subject |
//! |---|---|
//! | `arguments` | the command line |
//! | `listener` | a TCP port or a Unix socket |
//! | `authorization` | the bearer token |
//! | `work` | computing on a bounded number of threads behind a bounded queue |
//! | `embeddings` | `POST /v1/embeddings` |
//! | `failure` | errors in the shape that OpenAI's clients read |
//! | `metrics` | what is counted |
//! | `server` | the routes, and the graceful stop |

mod arguments;
mod authorization;
mod connections;
mod embeddings;
mod failure;
mod listener;
mod metrics;
mod server;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match server::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
