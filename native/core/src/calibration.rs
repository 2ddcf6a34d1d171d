//! Thresholds for a bounded false-hit rate, as `cachelora calibrate` wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::bundle::{self, file, unique_keys};
use crate::{Error, Result};

/// The domain whose rows are those of all domains together.
pub const ALL_DOMAINS: &str = "all";

/// The content of `calibration.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Calibration {
    /// The probability with which each bound holds, for instance 0.95.
    pub confidence: f64,
    /// Per domain, one threshold for each budget that could be calibrated.
    #[serde(deserialize_with = "unique_keys")]
    pub domains: BTreeMap<String, Vec<Threshold>>,
}

/// One calibrated threshold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Threshold {
    /// The budget: at most this share of near misses may reach the threshold.
    pub max_false_hit_rate: f64,
    /// The lowest cosine similarity at which a cached answer may be reused.
    pub threshold: f32,
}

impl Calibration {
    /// Reads `calibration.json`.
    ///
    /// # Errors
    /// [`Error::BundleInvalid`] if the file is not of the expected form.
    pub fn from_file(path: &Path) -> Result<Self> {
        let invalid = |problem: String| Error::BundleInvalid { path: path.to_owned(), problem };
        let bytes = file::read(path, file::most_bytes(bundle::CALIBRATION))
            .map_err(|error| invalid(error.to_string()))?;
        let calibration: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        for (domain, thresholds) in &calibration.domains {
            for entry in thresholds {
                if !(-1.0..=1.0).contains(&entry.threshold) {
                    return Err(invalid(format!(
                        "domains.{domain}: threshold {} is no cosine similarity (-1 to 1)",
                        entry.threshold
                    )));
                }
            }
        }
        Ok(calibration)
    }

    /// The threshold of `domain` for the budget `max_false_hit_rate`.
    ///
    /// # Errors
    /// [`Error::NotCalibrated`], listing what there is. Budgets are not interpolated: the statistical
    /// bound holds only for the ones that were tested.
    pub fn threshold(&self, domain: &str, max_false_hit_rate: f64) -> Result<f32> {
        let thresholds = self.domains.get(domain).ok_or_else(|| {
            let domains = self.domains.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::NotCalibrated(format!(
                "no threshold was calibrated for domain '{domain}'; there are: {domains} ('{ALL_DOMAINS}' is every domain together)"
            ))
        })?;
        thresholds
            .iter()
            .find(|entry| (entry.max_false_hit_rate - max_false_hit_rate).abs() < 1e-9)
            .map(|entry| entry.threshold)
            .ok_or_else(|| {
                let budgets = thresholds.iter().map(|entry| entry.max_false_hit_rate.to_string()).collect::<Vec<_>>();
                let budgets = if budgets.is_empty() { "none".to_owned() } else { budgets.join(", ") };
                Error::NotCalibrated(format!(
                    "no threshold of domain '{domain}' was calibrated for a false-hit rate of {max_false_hit_rate}; \
                     calibrated budgets: {budgets}; run `cachelora calibrate --budget {max_false_hit_rate}`"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        serde_json::from_str(
            r#"{"schema_version": "1.0", "confidence": 0.95, "domains": {
                "law": [{"max_false_hit_rate": 0.05, "threshold": 0.875, "negatives": 80}],
                "medical": []}}"#,
        )
        .unwrap()
    }

    #[test]
    fn finds_what_was_calibrated() {
        assert_eq!(calibration().threshold("law", 0.05).unwrap(), 0.875);
    }

    #[test]
    fn lists_what_there_is() {
        let message = calibration().threshold("sports", 0.05).unwrap_err().to_string();
        assert!(message.contains("law, medical"), "{message}");
        let message = calibration().threshold("law", 0.01).unwrap_err().to_string();
        assert!(message.contains("calibrated budgets: 0.05"), "{message}");
        let message = calibration().threshold("medical", 0.01).unwrap_err().to_string();
        assert!(message.contains("calibrated budgets: none"), "{message}");
    }

    #[test]
    fn refuses_a_threshold_that_is_no_cosine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("calibration.json");
        let json =
            r#"{"confidence": 0.95, "domains": {"law": [{"max_false_hit_rate": 0.05, "threshold": 1.5}]}}"#;
        std::fs::write(&path, json).unwrap();
        let message = Calibration::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("domains.law"), "{message}");
    }
}
