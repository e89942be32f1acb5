//! The behaviour suite of the `Analyzer` trait on this implementation.

use kubernaut_core::testkit::analyzer::analyzer_suite;
use kubernaut_diagnosis::{Diagnosis, DiagnosisConfig};

#[tokio::test]
async fn diagnosis_keeps_the_rules_of_an_analyzer() {
    analyzer_suite(|cluster| Diagnosis::new(cluster, DiagnosisConfig::default())).await;
}
