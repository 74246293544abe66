//! Curves and probability scores against scikit-learn (`fixtures/generate_curves.py`).

use counterweight_metrics::{Decision, MulticlassAuroc, Predictions, ScoreCurve, Temperature};
use ndarray::{Array2, array};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Binary {
    scores: Vec<f64>,
    truth: Vec<bool>,
    weights: Vec<f64>,
    rate: f64,
    auroc: f64,
    partial: f64,
    ap: f64,
    ks: f64,
}

#[derive(Deserialize)]
struct Multi {
    truth: Vec<usize>,
    p: Vec<Vec<f64>>,
    ovr: f64,
    ovr_weighted: f64,
    ovo: f64,
    ovo_weighted: f64,
    log_loss: f64,
    brier: f64,
    top_2: f64,
    temperature: f64,
    scaled_log_loss: f64,
}

#[derive(Deserialize)]
struct Fixture {
    binary: Vec<Binary>,
    multi: Vec<Multi>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/curves.json")).unwrap()
}

fn near(got: Option<f64>, expected: f64, what: &str) {
    let got = got.unwrap();
    assert!((got - expected).abs() < 1e-12, "{what}: {got}, scikit-learn {expected}");
}

#[test]
fn binary_curves_are_scikit_learns() {
    let cases = fixture().binary;
    assert_eq!(cases.len(), 200);
    for c in cases {
        let curve = ScoreCurve::weighted(&c.scores, &c.truth, &c.weights).unwrap();
        near(curve.auroc(), c.auroc, "AUROC");
        near(curve.partial_auroc(c.rate).unwrap(), c.partial, "partial AUROC");
        near(curve.average_precision(), c.ap, "AP");
        near(curve.ks(), c.ks, "KS");
        // Shards give the same as the whole, in either order.
        let cut = c.scores.len() / 2;
        let part = |from: usize, to: usize| {
            let (s, t, w) = (&c.scores[from..to], &c.truth[from..to], &c.weights[from..to]);
            ScoreCurve::weighted(s, t, w).unwrap()
        };
        let (a, b) = (part(0, cut), part(cut, c.scores.len()));
        near(a.merge(&b).auroc(), c.auroc, "merged AUROC");
        near(b.merge(&a).average_precision(), c.ap, "merged AP");
    }
}

#[test]
fn multiclass_scores_are_scikit_learns() {
    for c in fixture().multi {
        let classes = c.p[0].len();
        let p = Array2::from_shape_vec((c.truth.len(), classes), c.p.concat()).unwrap();
        let predictions = Predictions::new(c.truth, p).unwrap();
        let auroc = |average| predictions.auroc(average).unwrap();
        near(auroc(MulticlassAuroc::OneVsRestMacro), c.ovr, "OvR");
        near(auroc(MulticlassAuroc::OneVsRestWeighted), c.ovr_weighted, "OvR weighted");
        near(auroc(MulticlassAuroc::OneVsOneMacro), c.ovo, "OvO");
        near(auroc(MulticlassAuroc::OneVsOneWeighted), c.ovo_weighted, "OvO weighted");
        near(Some(predictions.log_loss()), c.log_loss, "log loss");
        near(Some(predictions.brier()), c.brier, "Brier");
        near(Some(predictions.top_k(2).unwrap()), c.top_2, "top 2");
        let fitted = Temperature::fit(&predictions);
        // Random probabilities: the best temperature may be the bound itself.
        let gap = (fitted.value() / c.temperature).ln().abs();
        assert!(gap < 1e-3, "{} {}", fitted.value(), c.temperature);
        let scaled = Predictions::new(
            predictions.truth().to_vec(),
            fitted.apply(predictions.probabilities()),
        );
        assert!((scaled.unwrap().log_loss() - c.scaled_log_loss).abs() < 1e-9);
    }
}

proptest! {
    #[test]
    fn order_and_uniform_weights_change_nothing(
        items in prop::collection::vec((0..5u8, any::<bool>()), 0..40), w in 0.1..9.0f64,
    ) {
        let scores: Vec<f64> = items.iter().map(|i| f64::from(i.0)).collect();
        let truth: Vec<bool> = items.iter().map(|i| i.1).collect();
        let curve = ScoreCurve::new(&scores, &truth).unwrap();
        let (s, t): (Vec<f64>, Vec<bool>) = items.iter().rev().map(|i| (f64::from(i.0), i.1)).unzip();
        prop_assert_eq!(&ScoreCurve::new(&s, &t).unwrap(), &curve);
        let weighted = ScoreCurve::weighted(&scores, &truth, &vec![w; items.len()]).unwrap();
        let both = [
            (curve.auroc(), weighted.auroc()),
            (curve.average_precision(), weighted.average_precision()),
            (curve.ks(), weighted.ks()),
            (curve.lift(0.3).unwrap(), weighted.lift(0.3).unwrap()),
        ];
        for (a, b) in both {
            prop_assert_eq!(a.is_some(), b.is_some());
            prop_assert!(a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-9));
        }
        // AUROC is the chance that a positive scores above a negative.
        let pairs = items.iter().flat_map(|a| items.iter().map(move |b| (a, b)));
        let (mut won, mut all) = (0.0, 0.0);
        for (a, b) in pairs.filter(|(a, b)| a.1 && !b.1) {
            won += if a.0 > b.0 { 1.0 } else if a.0 == b.0 { 0.5 } else { 0.0 };
            all += 1.0;
        }
        prop_assert_eq!(curve.auroc().is_some(), all > 0.0);
        prop_assert!(curve.auroc().is_none_or(|area| (area - won / all).abs() < 1e-12));
    }
}

#[test]
fn thresholds_and_lift_by_hand() {
    let curve =
        ScoreCurve::new(&[0.9, 0.8, 0.7, 0.6, 0.5], &[true, false, true, false, false]).unwrap();
    assert_eq!(curve.precision_at_recall(0.5).unwrap(), Some((1.0, 0.9)));
    assert_eq!(curve.precision_at_recall(1.0).unwrap(), Some((2.0 / 3.0, 0.7)));
    assert_eq!(curve.recall_at_precision(0.6).unwrap(), Some((1.0, 0.7)));
    assert_eq!(curve.recall_at_precision(1.0).unwrap(), Some((0.5, 0.9)));
    assert!((curve.lift(0.2).unwrap().unwrap() - 2.5).abs() < 1e-12);
    assert!((curve.lift(1.0).unwrap().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(curve.points().count(), 5);
}

#[test]
fn what_is_undefined_is_none_and_what_is_wrong_is_named() {
    let one_class = ScoreCurve::new(&[0.1, 0.2], &[true, true]).unwrap();
    assert_eq!((one_class.auroc(), one_class.ks()), (None, None));
    assert_eq!(one_class.average_precision(), Some(1.0));
    assert_eq!(one_class.partial_auroc(0.5).unwrap(), None);
    let none = ScoreCurve::new(&[], &[]).unwrap();
    assert_eq!((none.auroc(), none.average_precision()), (None, None));
    let message =
        |scores: &[f64], truth: &[bool]| ScoreCurve::new(scores, truth).unwrap_err().to_string();
    assert_eq!(message(&[0.5, f64::NAN], &[true, false]), "score NaN of row 1 is not a number");
    assert_eq!(message(&[0.5], &[]), "truth has 0 items, expected 1");
    let bad = one_class.partial_auroc(0.0).unwrap_err().to_string();
    assert_eq!(bad, "max_rate = 0 is outside (0, 1]");
    let tied = Predictions::new(vec![0], array![[0.5, 0.5]]).unwrap();
    assert_eq!(tied.top_k(1).unwrap(), 0.5);
    assert!(tied.curve(2).is_err());
}

#[test]
fn no_adjustment_is_the_identity_to_the_bit() {
    let p = array![[0.1, 0.3, 0.6], [0.25, 0.5, 0.25]];
    assert_eq!(Temperature::new(1.0).unwrap().apply(&p), p);
    assert_eq!(Decision::argmax(3).apply(&p).unwrap(), p);
    let even = [0.2, 0.3, 0.5];
    assert_eq!(Decision::prior_correction(&even, &even).unwrap().apply(&p).unwrap(), p);
}

#[test]
fn a_shift_of_priors_is_found_and_undone() {
    // Three kinds of rows, known per class; trained on even priors, used at 1 to 4.
    let given = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]];
    let posterior = |kind: usize, priors: [f64; 2]| {
        let joint = [priors[0] * given[0][kind], priors[1] * given[1][kind]];
        let total = joint[0] + joint[1];
        [joint[0] / total, joint[1] / total]
    };
    let mut rows = Vec::new();
    for (kind, n) in [(0, 22), (1, 28), (2, 50)] {
        rows.extend(std::iter::repeat_n(posterior(kind, [0.5, 0.5]), n));
    }
    let p = Array2::from(rows);
    let priors = Decision::estimate_priors(&p, &[0.5, 0.5]).unwrap();
    assert!((priors[0] - 0.2).abs() < 1e-6, "{priors:?}");
    let corrected = Decision::prior_correction(&[0.5, 0.5], &priors).unwrap().apply(&p).unwrap();
    for (row, kind) in [(0, 0), (30, 1), (99, 2)] {
        let expected = posterior(kind, [0.2, 0.8]);
        assert!((corrected[[row, 0]] - expected[0]).abs() < 1e-6);
    }
    let message = Decision::prior_correction(&[0.5, 0.5], &[1.5, 0.5]).unwrap_err().to_string();
    assert_eq!(message, "prior = 1.5 is outside (0, 1]");
    assert!(Decision::prior_correction(&[0.5, 0.5], &[0.5, 0.4]).is_err());
    assert!(Decision::estimate_priors(&Array2::zeros((0, 2)), &[0.5, 0.5]).is_err());
}
