//! Scores against scikit-learn, imbalanced-learn, fairlearn and torchmetrics
//! (`fixtures/generate.py`), 200 random cases each, with weights, missing classes, truths of a
//! single class and ties.

use std::collections::BTreeMap;

use counterweight_core::ClassProfile;
use counterweight_metrics::{
    Average, ClassCounts, ClassScore, ConfusionMatrix, FairnessReport, KappaWeights, LabelSets,
    Metric, Predictions, RegressionErrors,
};
use ndarray::Array2;
use serde::Deserialize;

type Values = BTreeMap<String, Option<f64>>;

#[derive(Deserialize)]
struct Labels {
    classes: usize,
    truth: Vec<usize>,
    parts: Vec<Vec<f64>>,
    predicted: Vec<usize>,
    weights: Vec<f64>,
    class: BTreeMap<String, Vec<Option<f64>>>,
    #[serde(rename = "macro")]
    macro_: Values,
    weighted: Values,
    micro: Values,
    scores: Values,
}

#[derive(Deserialize)]
struct Groups {
    truth: Vec<bool>,
    predicted: Vec<bool>,
    groups: Vec<String>,
    parity: Option<f64>,
    parity_ratio: Option<f64>,
    opportunity: Option<f64>,
    opportunity_ratio: Option<f64>,
    odds: Option<f64>,
    odds_ratio: Option<f64>,
    predictive: Option<f64>,
    tpr: Option<Vec<f64>>,
    fpr: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Sets {
    truth: Vec<Vec<bool>>,
    predicted: Vec<Vec<bool>>,
    weights: Vec<f64>,
    #[serde(flatten)]
    values: Values,
}

#[derive(Deserialize)]
struct Regression {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    mae: f64,
    mse: f64,
    rmse: f64,
    geometric: f64,
}

#[derive(Deserialize)]
struct Fixture {
    labels: Vec<Labels>,
    groups: Vec<Groups>,
    sets: Vec<Sets>,
    values: Vec<Regression>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/scores.json")).unwrap()
}

#[track_caller]
fn same(got: Option<f64>, expected: Option<f64>, what: &str) {
    let close = match (got, expected) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (None, None) => true,
        _ => false,
    };
    assert!(close, "{what}: {got:?}, the peer {expected:?}");
}

fn score(name: &str) -> ClassScore {
    match name {
        "precision" => ClassScore::Precision,
        "recall" => ClassScore::Recall,
        "specificity" => ClassScore::Specificity,
        "f1" => ClassScore::F1,
        "f2" => ClassScore::FBeta(2.0),
        "jaccard" => ClassScore::Jaccard,
        "g_mean" => ClassScore::GMean,
        "iba" => ClassScore::IndexBalancedAccuracy(0.1),
        "informedness" => ClassScore::Informedness,
        "markedness" => ClassScore::Markedness,
        other => panic!("{other}"),
    }
}

#[test]
fn scores_of_labels_are_the_peers() {
    let cases = fixture().labels;
    assert_eq!(cases.len(), 200);
    for (i, c) in cases.iter().enumerate() {
        let counts =
            ClassCounts::from_weighted_labels(&c.truth, &c.predicted, &c.weights, c.classes)
                .unwrap();
        let matrix =
            ConfusionMatrix::from_weighted_labels(&c.truth, &c.predicted, &c.weights, c.classes)
                .unwrap();
        for counts in [&counts, &matrix.counts()] {
            for (name, values) in &c.class {
                for (class, &expected) in values.iter().enumerate() {
                    // For a class that takes every row specificity may be 0/0 or, by rounding
                    // of weights, a ratio of two numbers of 1e-16.
                    let occurs = counts.support(class) + counts.predicted(class) > 0.0;
                    if occurs || expected.is_some() {
                        let what = format!("case {i}, {name} of {class}");
                        same(counts.score(score(name), class), expected, &what);
                    }
                }
            }
            for (average, values) in [
                (Average::Macro, &c.macro_),
                (Average::Weighted, &c.weighted),
                (Average::Micro, &c.micro),
            ] {
                for (name, &expected) in values {
                    let what = format!("case {i}, {average:?} {name}");
                    same(counts.average(score(name), average), expected, &what);
                }
            }
            let value = |name: &str| match name {
                "accuracy" => counts.accuracy(),
                "balanced_accuracy" => counts.balanced_accuracy(),
                "adjusted" => counts.adjusted_balanced_accuracy(),
                "hamming" => counts.accuracy().map(|a| 1.0 - a),
                "mcc" => counts.mcc(),
                "kappa" => counts.kappa(),
                "kappa_linear" => matrix.weighted_kappa(KappaWeights::Linear),
                "kappa_quadratic" => matrix.weighted_kappa(KappaWeights::Quadratic),
                "g_mean" => counts.g_mean(),
                "g_mean_corrected" => counts.corrected_g_mean(0.01).unwrap(),
                "macro_mae" => matrix.macro_absolute_error(),
                other => panic!("{other}"),
            };
            let of_probabilities = ["ece", "mce", "log_loss", "brier"];
            for (name, &expected) in &c.scores {
                if !of_probabilities.contains(&name.as_str()) {
                    same(value(name), expected, &format!("case {i}, {name}"));
                }
            }
        }
        let p: Vec<f64> = c.parts.concat().into_iter().map(|part| part / 1009.0).collect();
        let p = Array2::from_shape_vec((c.truth.len(), c.classes), p).unwrap();
        let predictions = Predictions::new(c.truth.clone(), p).unwrap();
        let profile = ClassProfile::from_counts(vec![1; c.classes]).unwrap();
        let tally = predictions.tally();
        same(tally.metric(Metric::Ece, &profile), c.scores["ece"], "ECE");
        same(tally.calibration().mce(), c.scores["mce"], "MCE");
        for loss in [tally.metric(Metric::LogLoss, &profile), Some(predictions.log_loss())] {
            same(loss, c.scores["log_loss"], "log loss");
        }
        for brier in [tally.metric(Metric::Brier, &profile), Some(predictions.brier())] {
            same(brier, c.scores["brier"], "Brier");
        }
    }
}

#[test]
fn fairness_is_fairlearns() {
    let cases = fixture().groups;
    assert_eq!(cases.len(), 200);
    for c in cases {
        let report = FairnessReport::new(&c.truth, &c.predicted, &c.groups).unwrap();
        let (parity, odds) = (report.demographic_parity(), report.equalised_odds());
        let opportunity = report.equal_opportunity();
        same(parity.map(|d| d.difference), c.parity, "demographic parity");
        let defined = |expected: Option<f64>, got: Option<f64>, what: &str| {
            // Where a group lacks positives fairlearn compares a 0.
            if expected.is_some() {
                same(got, expected, what);
            }
        };
        defined(c.parity_ratio, parity.and_then(|d| d.ratio), "demographic parity ratio");
        defined(c.opportunity, opportunity.map(|d| d.difference), "equal opportunity");
        defined(c.opportunity_ratio, opportunity.and_then(|d| d.ratio), "equal opportunity ratio");
        defined(c.odds, odds.map(|d| d.difference), "equalised odds");
        defined(c.odds_ratio, odds.and_then(|d| d.ratio), "equalised odds ratio");
        let predictive = report.predictive_parity().map(|d| d.difference);
        defined(c.predictive, predictive, "predictive parity");
        for (i, group) in report.groups.iter().enumerate() {
            defined(c.tpr.as_ref().map(|v| v[i]), group.true_positive_rate, "TPR");
            defined(c.fpr.as_ref().map(|v| v[i]), group.false_positive_rate, "FPR");
        }
    }
}

#[test]
fn scores_of_label_sets_are_scikit_learns() {
    let cases = fixture().sets;
    assert_eq!(cases.len(), 200);
    for (i, c) in cases.iter().enumerate() {
        let mut whole = LabelSets::new(c.truth[0].len());
        let mut rest = whole.clone();
        for (row, (t, p)) in c.truth.iter().zip(&c.predicted).enumerate() {
            let shard = if row % 2 == 0 { &mut whole } else { &mut rest };
            shard.update_weighted(t, p, c.weights[row]).unwrap();
        }
        whole.merge(&rest).unwrap();
        let average = |score, average| whole.counts().average(score, average);
        for (name, &expected) in &c.values {
            let got = match name.as_str() {
                "subset" => whole.subset_accuracy(),
                "hamming" => whole.hamming_loss(),
                "sample_precision" => whole.sample_precision(),
                "sample_recall" => whole.sample_recall(),
                "sample_f1" => whole.sample_f1(),
                "sample_jaccard" => whole.sample_jaccard(),
                "macro_f1" => average(ClassScore::F1, Average::Macro),
                "micro_f1" => average(ClassScore::F1, Average::Micro),
                "weighted_f1" => average(ClassScore::F1, Average::Weighted),
                "micro_precision" => average(ClassScore::Precision, Average::Micro),
                "macro_recall" => average(ClassScore::Recall, Average::Macro),
                other => panic!("{other}"),
            };
            same(got, expected, &format!("case {i}, {name}"));
        }
    }
}

#[test]
fn errors_of_values_are_scikit_learns_and_scipys() {
    let cases = fixture().values;
    assert_eq!(cases.len(), 200);
    for c in cases {
        let mut parts = [RegressionErrors::default(), RegressionErrors::default()];
        for (i, (&t, &p)) in c.truth.iter().zip(&c.predicted).enumerate() {
            parts[i % 2].update(t, p).unwrap();
        }
        let [mut all, rest] = parts;
        all.merge(&rest);
        same(all.mean_absolute(), Some(c.mae), "MAE");
        same(all.mean_squared(), Some(c.mse), "MSE");
        same(all.root_mean_squared(), Some(c.rmse), "RMSE");
        same(all.geometric_mean(), Some(c.geometric), "geometric mean");
    }
    let mut errors = RegressionErrors::default();
    assert_eq!(errors.mean_absolute(), None);
    assert!(errors.update(f64::NAN, 0.0).is_err());
    assert_eq!(errors.rows(), 0);
}

#[test]
fn uniform_weights_change_nothing() {
    // imbalanced-learn's specificity of these is not .5.
    let (truth, predicted) = ([0, 0, 1, 1], [0, 1, 1, 0]);
    let twice = ClassCounts::from_weighted_labels(&truth, &predicted, &[2.0; 4], 2).unwrap();
    let once = ClassCounts::from_labels(&truth, &predicted, 2).unwrap();
    assert_eq!(twice.specificity(1), Some(0.5));
    for score in [ClassScore::Precision, ClassScore::GMean, ClassScore::Markedness] {
        for class in 0..2 {
            assert_eq!(twice.score(score, class), once.score(score, class));
        }
        assert_eq!(twice.average(score, Average::Weighted), once.average(score, Average::Weighted));
    }
    assert_eq!((twice.mcc(), twice.kappa()), (once.mcc(), once.kappa()));
}

#[test]
fn nothing_and_what_is_wrong() {
    let none = ClassCounts::from_labels(&[], &[], 3).unwrap();
    assert_eq!((none.accuracy(), none.balanced_accuracy(), none.mcc()), (None, None, None));
    assert_eq!((none.kappa(), none.g_mean()), (None, None));
    assert_eq!(none.average(ClassScore::F1, Average::Micro), None);
    let outside = ClassCounts::from_labels(&[0, 1, 0], &[0, 1, 5], 2).unwrap_err().to_string();
    assert_eq!(outside, "class id 5 at row 2 is outside 0..2");
    let large = vec![0; 10_000];
    let mut wrong = large.clone();
    wrong[9_000] = 7;
    let outside = ConfusionMatrix::from_labels(&wrong, &large, 2).unwrap_err().to_string();
    assert_eq!(outside, "class id 7 at row 9000 is outside 0..2");
    assert!(ClassCounts::from_labels(&[0], &[], 2).is_err());
    let weights = ClassCounts::from_weighted_labels(&[0], &[0], &[-1.0], 2).unwrap_err();
    assert_eq!(weights.to_string(), "weight = -1 is outside [0, inf)");
    let mut counts = ClassCounts::new(2);
    assert!(counts.update(0, 2).is_err() && counts.update_weighted(0, 0, f64::NAN).is_err());
    assert!(counts.merge(&ClassCounts::new(3)).is_err());
    assert_eq!(counts, ClassCounts::new(2));
    assert!(counts.corrected_g_mean(2.0).is_err());
    assert!(LabelSets::new(2).update(&[true], &[true, false]).is_err());
}

#[test]
fn threads_and_shards_count_the_same() {
    let truth: Vec<usize> = (0..50_000).map(|i| i * 7 % 11).collect();
    let predicted: Vec<usize> = (0..50_000).map(|i| i * 5 % 11).collect();
    let whole = ClassCounts::from_labels(&truth, &predicted, 11).unwrap();
    let matrix = ConfusionMatrix::from_labels(&truth, &predicted, 11).unwrap();
    let mut streamed = ClassCounts::new(11);
    for (&t, &p) in truth.iter().zip(&predicted) {
        streamed.update(t, p).unwrap();
    }
    assert_eq!((&streamed, &matrix.counts()), (&whole, &whole));
}
