//! What is counted.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::work::Workers;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; one short text takes a few milliseconds, a batch of thousands a few seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    path: &'static str,
    status: u16,
}

/// The counters of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    seconds: Histogram,
    texts: Counter,
    tokens: Counter,
    truncated: Counter,
}

impl Metrics {
    /// Counters at zero; `model` and `fingerprint` say what is served.
    pub fn new(model: &str, fingerprint: &str, workers: Arc<Workers>) -> Self {
        let mut registry = Registry::with_prefix("cachelora");
        let requests = Family::<Answer, Counter>::default();
        let seconds = Histogram::new(BUCKETS);
        let (texts, tokens, truncated) = (Counter::default(), Counter::default(), Counter::default());
        registry.register("requests", "Answered requests", requests.clone());
        registry.register_with_unit(
            "embeddings_duration",
            "From an embeddings request's last byte to its answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("texts", "Embedded texts", texts.clone());
        registry.register("tokens", "Tokens of the embedded texts", tokens.clone());
        registry.register("truncated_texts", "Texts that were cut to the model's length", truncated.clone());
        let labels = [("model", model.to_owned()), ("fingerprint", fingerprint.to_owned())];
        registry.register("bundle", "What is served", Info::new(labels));
        registry.register_collector(Box::new(Load(workers)));
        Self { registry, requests, seconds, texts, tokens, truncated }
    }

    /// Counts an answer. `path` is one of the routes, never what a client sent: every value is a series.
    pub fn answered(&self, path: &'static str, status: u16) {
        self.requests.get_or_create(&Answer { path, status }).inc();
    }

    /// Counts embedded texts.
    pub fn embedded(&self, texts: usize, tokens: usize, truncated: usize, seconds: f64) {
        self.texts.inc_by(texts as u64);
        self.tokens.inc_by(tokens as u64);
        self.truncated.inc_by(truncated as u64);
        self.seconds.observe(seconds);
    }

    /// All of it as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a string takes every text");
        text
    }
}

/// The load as it is when somebody asks.
#[derive(Debug)]
struct Load(Arc<Workers>);

impl Collector for Load {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let gauges = [
            ("admitted_requests", "Requests that compute or wait", self.0.admitted()),
            ("workers", "Threads that compute", self.0.count()),
            ("queue_capacity", "Requests that may wait", self.0.queue()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
