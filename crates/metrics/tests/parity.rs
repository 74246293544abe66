//! Against scikit-learn and imbalanced-learn (`fixtures/generate.py`).

use std::collections::BTreeMap;

use counterweight_core::ClassProfile;
use counterweight_metrics::{ClassificationReport, Metric, Predictions};
use ndarray::Array2;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    precision: f64,
    recall: f64,
    #[serde(rename = "f1-score")]
    f1: f64,
    support: f64,
}

#[derive(Deserialize)]
struct Case {
    truth: Vec<usize>,
    probabilities: Vec<Vec<f64>>,
    classes: usize,
    accuracy: f64,
    balanced_accuracy: f64,
    macro_f1: f64,
    g_mean: f64,
    mcc: f64,
    ece: f64,
    report: BTreeMap<String, Row>,
}

fn close(got: Option<f64>, expected: f64, name: &str) {
    let got = got.unwrap_or(0.0);
    assert!((got - expected).abs() < 1e-12, "{name}: {got} but the peer has {expected}");
}

#[test]
fn scores_are_the_peers() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap();
    for case in cases {
        let p =
            Array2::from_shape_vec((case.truth.len(), case.classes), case.probabilities.concat());
        let predictions = Predictions::new(case.truth.clone(), p.unwrap()).unwrap();
        let mut counts = vec![0; case.classes];
        case.truth.iter().for_each(|&c| counts[c] += 1);
        let profile = ClassProfile::from_counts(counts).unwrap();
        let tally = predictions.tally();
        let value = |m| tally.metric(m, &profile);
        close(value(Metric::Accuracy), case.accuracy, "accuracy");
        close(value(Metric::BalancedAccuracy), case.balanced_accuracy, "balanced accuracy");
        close(value(Metric::MacroF1), case.macro_f1, "macro F1");
        close(value(Metric::GMean), case.g_mean, "G-mean");
        close(value(Metric::Mcc), case.mcc, "MCC");
        close(value(Metric::Ece), case.ece, "ECE");
        let report = ClassificationReport::new(tally.confusion(), &profile);
        for row in report.classes() {
            let Some(expected) = case.report.get(&row.name) else { continue };
            close(row.precision, expected.precision, "precision");
            close(row.recall, expected.recall, "recall");
            close(row.f1, expected.f1, "F1");
            close(Some(row.support as f64), expected.support, "support");
        }
    }
}
