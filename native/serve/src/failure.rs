//! Errors in the shape that OpenAI's clients read.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer other than success.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    kind: &'static str,
    /// A stable word for programs.
    code: Option<&'static str>,
    /// The field of the request that is at fault.
    field: Option<&'static str>,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, field: None, message: message.into() }
    }

    /// 400: the request can't be understood, or asks for what this server does not do.
    pub fn invalid(field: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { field, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message) }
    }

    /// 401: no token, or a wrong one.
    pub fn unauthorized() -> Self {
        let message = "the bearer token is missing or wrong; send it as `Authorization: Bearer TOKEN`";
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        }
    }

    /// 404: another model than the one that is served.
    pub fn model_not_found(asked: &str, served: &str) -> Self {
        let message = format!("the model {asked:?} is not served here, {served:?} is");
        Self {
            code: Some("model_not_found"),
            field: Some("model"),
            ..Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        }
    }

    /// 404: no such path.
    pub fn no_such_path(method: &str, path: &str) -> Self {
        let message =
            format!("{method} {path}: there are POST /v1/embeddings, GET /v1/models, /healthz and /metrics");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    /// 405: the path exists, with another method.
    pub fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
    }

    /// 408: the body did not arrive in time.
    pub fn body_too_slow(seconds: f64) -> Self {
        let message = format!("the request's body did not arrive within {seconds} seconds");
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
    }

    /// 413: the body is too large.
    pub fn body_too_large(limit: usize) -> Self {
        let message = format!("the request's body has more than {limit} bytes; send fewer texts at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    /// 503: the queue is full.
    pub fn busy(queue: usize) -> Self {
        let message = format!("all workers compute and {queue} requests wait already; try again in a second");
        Self {
            code: Some("server_busy"),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
        }
    }

    /// 500: a defect, or a model that fails.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({
            "error": {"message": self.message, "type": self.kind, "param": self.field, "code": self.code}
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
