//! `POST /v1/embeddings`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cachelora::{Error, InputInfo};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::server::Server;

/// Lists the places in the input of texts that were cut, such as `0,5`; absent where none was.
pub static TRUNCATED: HeaderName = HeaderName::from_static("x-cachelora-truncated");
/// The namespace of the vectors: vectors of two fingerprints must never be compared.
pub static FINGERPRINT: HeaderName = HeaderName::from_static("x-cachelora-fingerprint");

/// Texts that one thread computes before another request may have it. A large batch takes all threads when
/// they are free, and holds up a single text by no more than this.
const TEXTS_AT_ONCE: usize = 16;

/// Header values have to stay short.
const LISTED_TRUNCATIONS: usize = 100;

#[derive(Deserialize)]
struct Query {
    model: Option<String>,
    input: serde_json::Value,
    #[serde(default)]
    encoding_format: Format,
    dimensions: Option<usize>,
}

#[derive(Default, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Row>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Row {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    /// The numbers as little-endian float32, in base64.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Answers one request.
pub async fn embeddings(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Failure> {
    let body = read_body(&server, request).await?;
    let began = Instant::now();
    let query: Query =
        serde_json::from_slice(&body).map_err(|error| Failure::invalid(None, format!("body: {error}")))?;
    drop(body);
    let texts = check(&server, query.model.as_deref(), query.dimensions, query.input)?;
    let place = server.workers.admit().map_err(|_| Failure::busy(server.workers.queue()))?;

    let dimension = server.embedder.dimension();
    let format = query.encoding_format;
    let count = texts.len();
    let parts = split(texts);
    let computed: Vec<(Vec<Vector>, Vec<InputInfo>)> =
        stream::iter(parts.into_iter().map(|(first, part)| {
            let embedder = Arc::clone(&server.embedder);
            place.compute(move || {
                let mut vectors = vec![0.0; part.len() * dimension];
                let infos =
                    embedder.embed_batch(&part, &mut vectors).map_err(|error| refused(error, first))?;
                Ok((vectors.chunks_exact(dimension).map(|vector| encode(vector, format)).collect(), infos))
            })
        }))
        .buffered(server.workers.count())
        .map(|outcome| {
            outcome.unwrap_or_else(|panic| Err(Failure::internal(format!("a defect of cachelora: {panic}"))))
        })
        .try_collect()
        .await?;
    drop(place);

    let infos = || computed.iter().flat_map(|(_, infos)| infos);
    let tokens = infos().map(|info| info.tokens).sum();
    let cut: Vec<usize> =
        infos().enumerate().filter(|(_, info)| info.truncated).map(|(index, _)| index).collect();
    let headers = headers(&server, &cut);
    let vectors = computed.into_iter().flat_map(|(vectors, _)| vectors);
    let answer = Answer {
        object: "list",
        data: vectors
            .enumerate()
            .map(|(index, embedding)| Row { object: "embedding", index, embedding })
            .collect(),
        model: &server.model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    let response = (headers, axum::Json(answer)).into_response();
    server.metrics.embedded(count, tokens, cut.len(), began.elapsed().as_secs_f64());
    Ok(response)
}

async fn read_body(server: &Server, request: Request) -> Result<Bytes, Failure> {
    let limit = server.body_timeout;
    match tokio::time::timeout(limit, Bytes::from_request(request, &())).await {
        Err(_) => Err(Failure::body_too_slow(limit.as_secs_f64())),
        Ok(Err(rejection)) => Err(match &rejection {
            BytesRejection::FailedToBufferBody(_) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Failure::body_too_large(server.max_body)
            }
            _ => Failure::invalid(None, rejection.body_text()),
        }),
        Ok(Ok(body)) => Ok(body),
    }
}

/// Returns the texts of a request that can be answered.
fn check(
    server: &Server,
    model: Option<&str>,
    dimensions: Option<usize>,
    input: serde_json::Value,
) -> Result<Vec<String>, Failure> {
    match model {
        None => {
            return Err(Failure::invalid(Some("model"), format!("model: {:?} was expected", server.model)));
        }
        Some(asked) if asked != server.model => return Err(Failure::model_not_found(asked, &server.model)),
        Some(_) => {}
    }
    let dimension = server.embedder.dimension();
    if let Some(asked) = dimensions.filter(|&asked| asked != dimension) {
        let message =
            format!("dimensions: {asked} was asked for, the model has {dimension} and can't be shortened");
        return Err(Failure::invalid(Some("dimensions"), message));
    }
    let invalid = |message: String| Failure::invalid(Some("input"), message);
    let expected = "a text or a list of texts was expected; token ids belong to another model's tokenizer";
    let texts = match input {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(items) => {
            if items.len() > server.max_batch {
                let message =
                    format!("input: {} texts, at most {} go into one request", items.len(), server.max_batch);
                return Err(invalid(message));
            }
            let texts = items.into_iter().enumerate().map(|(index, item)| match item {
                serde_json::Value::String(text) => Ok(text),
                _ => Err(invalid(format!("input[{index}]: {expected}"))),
            });
            texts.collect::<Result<Vec<_>, _>>()?
        }
        _ => return Err(invalid(format!("input: {expected}"))),
    };
    if texts.is_empty() {
        return Err(invalid("input: at least one text was expected".to_owned()));
    }
    Ok(texts)
}

/// Parts of at most [`TEXTS_AT_ONCE`] texts, each with the place of its first text.
fn split(texts: Vec<String>) -> Vec<(usize, Vec<String>)> {
    let mut parts = Vec::with_capacity(texts.len().div_ceil(TEXTS_AT_ONCE));
    for (index, text) in texts.into_iter().enumerate() {
        if index % TEXTS_AT_ONCE == 0 {
            parts.push((index, Vec::with_capacity(TEXTS_AT_ONCE)));
        }
        parts.last_mut().expect("the first index begins a part").1.push(text);
    }
    parts
}

fn refused(error: Error, first: usize) -> Failure {
    match error {
        Error::InputTooLong { index, tokens, max_tokens } => {
            // The place in the request, not in the part that was computed.
            let error = Error::InputTooLong { index: first + index, tokens, max_tokens };
            Failure::invalid(Some("input"), error.to_string())
        }
        other => Failure::internal(other.to_string()),
    }
}

fn encode(vector: &[f32], format: Format) -> Vector {
    match format {
        Format::Float => Vector::Float(vector.to_vec()),
        Format::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Vector::Base64(BASE64_STANDARD.encode(bytes))
        }
    }
}

fn headers(server: &Server, cut: &[usize]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("digits and commas");
    let mut headers = HeaderMap::new();
    headers.insert(&FINGERPRINT, value(server.embedder.fingerprint()));
    if !cut.is_empty() {
        let mut places = String::new();
        for (position, place) in cut.iter().take(LISTED_TRUNCATIONS).enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let _ = write!(places, "{comma}{place}");
        }
        if cut.len() > LISTED_TRUNCATIONS {
            places.push_str(",...");
        }
        headers.insert(&TRUNCATED, value(&places));
    }
    headers
}
