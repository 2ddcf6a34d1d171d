//! What becomes of each connection.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;

/// Accepts connections until `stopped`, then waits until the requests that run are answered.
///
/// `axum::serve` would do it in fewer lines, but it waits for the head of a request as long as the other side likes:
/// whoever opens connections and sends nothing could use up all file descriptors, without knowing any token.
pub async fn serve<L: Listener>(
    mut listener: L,
    routes: Router,
    head_timeout: Duration,
    stopped: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout);
    let running = GracefulShutdown::new();
    let mut stopped = pin!(stopped);
    loop {
        let stream = tokio::select! {
            (stream, _) = listener.accept() => stream,
            () = &mut stopped => break,
        };
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
        let connection = running.watch(connection);
        // Its failure is the other side's: it went away, was too slow, or does not speak HTTP.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    running.shutdown().await;
}
