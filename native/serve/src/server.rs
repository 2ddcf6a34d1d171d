//! The routes, and the graceful stop.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cachelora::{Embedder, Options};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::{Arguments, OnTooLong};
use crate::authorization::{self, Token};
use crate::connections;
use crate::embeddings::embeddings;
use crate::failure::Failure;
use crate::listener::Listener;
use crate::metrics::{self, Metrics};
use crate::work::Workers;

/// What every request sees.
pub struct Server {
    /// The bundle.
    pub embedder: Arc<Embedder>,
    /// Its name.
    pub model: String,
    /// The computing threads.
    pub workers: Arc<Workers>,
    /// The counters.
    pub metrics: Metrics,
    /// Texts in one request.
    pub max_batch: usize,
    /// Bytes in one request's body.
    pub max_body: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    token: Option<Token>,
}

/// Serves until a signal stops it.
///
/// # Errors
/// A message: the bundle, the token, the address, or requests that ran on beyond the time to stop.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let server = Arc::new(open(arguments)?);
    // One thread serves sockets; it never computes.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(server.workers.count() + 1)
        .thread_name("cachelora")
        .enable_all()
        .build()
        .map_err(|error| format!("threads: {error}"))?;
    let outcome = runtime.block_on(serve(arguments, server));
    // What still computes after the time to stop is left to the end of the process.
    runtime.shutdown_background();
    outcome
}

fn open(arguments: &Arguments) -> Result<Server, String> {
    let token = Token::configured(arguments.token_file.as_deref())?;
    let open_to_others = arguments.unix_socket.is_none() && !arguments.host.is_loopback();
    if open_to_others && token.is_none() && !arguments.without_token {
        return Err(format!(
            "--host {} lets other machines in: give a token (--token-file FILE or {}), or say --without-token",
            arguments.host,
            authorization::VARIABLE
        ));
    }
    let options = Options {
        on_too_long: match arguments.on_too_long {
            OnTooLong::Truncate => cachelora::OnTooLong::Truncate,
            OnTooLong::Reject => cachelora::OnTooLong::Reject,
        },
        onnxruntime_path: arguments.onnxruntime.clone(),
        ..Options::default()
    };
    let embedder = Embedder::open(&arguments.bundle, &options).map_err(|error| error.to_string())?;
    let manifest = embedder.manifest();
    let own_name = manifest.adapter.as_ref().map_or(&manifest.base_model.id, |adapter| &adapter.id);
    let model = arguments.model_name.as_ref().unwrap_or(own_name).clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = if arguments.workers == 0 { cores } else { arguments.workers };
    let workers = Arc::new(Workers::new(count, arguments.queue));
    Ok(Server {
        metrics: Metrics::new(&model, embedder.fingerprint(), Arc::clone(&workers)),
        embedder: Arc::new(embedder),
        model,
        workers,
        max_batch: arguments.max_batch,
        max_body: arguments.max_body,
        body_timeout: arguments.body_timeout,
        token,
    })
}

async fn serve(arguments: &Arguments, server: Arc<Server>) -> Result<(), String> {
    // Before anybody can know that the server is up: a signal must not find the default handler.
    let stop = stop_on_signals()?;
    let listener = match &arguments.unix_socket {
        Some(path) => Listener::unix(path)?,
        None => Listener::tcp(SocketAddr::new(arguments.host, arguments.port)).await?,
    };
    let routes = routes(Arc::clone(&server));
    let mut stdout = std::io::stdout();
    // Whoever started this may have closed the pipe; that is no reason not to serve.
    let _ = writeln!(stdout, "listening on {}, model {}", listener.address(), server.model)
        .and_then(|()| stdout.flush());

    let stopped = {
        let mut stop = stop.clone();
        async move {
            let _ = stop.wait_for(|&signals| signals >= 1).await;
        }
    };
    let patience = arguments.head_timeout;
    let (serving, _socket_file) = match listener {
        Listener::Tcp(listener) => {
            (tokio::spawn(connections::serve(listener, routes, patience, stopped)), None)
        }
        Listener::Unix(listener, file) => {
            (tokio::spawn(connections::serve(listener, routes, patience, stopped)), Some(file))
        }
    };
    let out_of_patience = {
        let (mut stop, patience) = (stop.clone(), arguments.stop_timeout);
        async move {
            let _ = stop.wait_for(|&signals| signals >= 1).await;
            let _ = tokio::time::timeout(patience, stop.wait_for(|&signals| signals >= 2)).await;
        }
    };
    tokio::select! {
        done = serving => match done {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("a defect of cachelora: {error}")),
        },
        () = out_of_patience => {
            Err(format!("stopped while {} requests were not answered", server.workers.admitted()))
        }
    }
}

/// Counts the signals that ask to stop.
fn stop_on_signals() -> Result<watch::Receiver<u32>, String> {
    let catch = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_modify(|signals| *signals += 1);
        }
    });
    Ok(receiver)
}

fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(models))
        .route("/metrics", get(prometheus))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&server), authorize))
        .route("/healthz", get(health))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(server.max_body))
        .layer(middleware::from_fn_with_state(Arc::clone(&server), count))
        .with_state(server)
}

async fn authorize(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    match &server.token {
        Some(token) if !token.admits(request.headers()) => Failure::unauthorized().into_response(),
        _ => next.run(request).await,
    }
}

async fn count(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = match request.uri().path() {
        "/v1/embeddings" => "/v1/embeddings",
        "/v1/models" => "/v1/models",
        "/healthz" => "/healthz",
        "/metrics" => "/metrics",
        _ => "other",
    };
    let response = next.run(request).await;
    server.metrics.answered(path, response.status().as_u16());
    response
}

async fn health() -> &'static str {
    "ok\n"
}

async fn models(State(server): State<Arc<Server>>) -> impl IntoResponse {
    Json(json!({
        "object": "list",
        "data": [{"id": server.model, "object": "model", "created": 0, "owned_by": "cachelora"}],
    }))
}

async fn prometheus(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], server.metrics.text())
}

async fn wrong_method(request: Request) -> Failure {
    Failure::wrong_method(request.method().as_str(), request.uri().path())
}

async fn no_such_path(request: Request) -> Failure {
    Failure::no_such_path(request.method().as_str(), request.uri().path())
}
