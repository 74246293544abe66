//! Curves and probability scores against scikit-learn (`fixtures/generate_curves.py`).

use counterweight_metrics::{
    Bootstrap, Constraint, CurveMetric, DeLong, Decision, HCosts, McNemar, MulticlassAuroc,
    Predictions, ScoreCurve, ScoreHistogram, Scores, Temperature, Threshold, ThresholdMetric,
};
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
    h: Option<f64>,
    h_even: Option<f64>,
    h_prior: Option<f64>,
}

#[derive(Deserialize)]
struct Paired {
    truth: Vec<bool>,
    a: Vec<f64>,
    b: Vec<f64>,
    before: f64,
    after: f64,
    before_variance: f64,
    after_variance: f64,
    variance: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Discordant {
    b: u64,
    c: u64,
    exact: f64,
    mid: f64,
    chi: f64,
    corrected: f64,
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
    paired: Vec<Paired>,
    mcnemar: Vec<Discordant>,
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
        let costs = [
            (HCosts::PriorRatio, c.h),
            (HCosts::SeverityRatio(1.0), c.h_even),
            (HCosts::PriorBeta, c.h_prior),
        ];
        for (costs, expected) in costs {
            if let Some(expected) = expected {
                let h = curve.h_measure(costs).unwrap().unwrap();
                assert!((h - expected).abs() < 1e-11, "{costs:?}: {h}, hmeasure {expected}");
            }
        }
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
fn delong_is_its_definition_pair_by_pair() {
    let cases = fixture().paired;
    assert_eq!(cases.len(), 200);
    for c in cases {
        let test = DeLong::test(&c.a, &c.b, &c.truth).unwrap().unwrap();
        near(Some(test.before.auroc), c.before, "AUROC before");
        near(Some(test.after.auroc), c.after, "AUROC after");
        near(Some(test.before.variance), c.before_variance, "variance before");
        near(Some(test.after.variance), c.after_variance, "variance after");
        near(Some(test.variance), c.variance, "variance of the difference");
        near(Some(test.p_value), c.p_value, "p");
        let alone = DeLong::new(&c.a, &c.truth).unwrap().unwrap();
        assert_eq!(alone, test.before);
        let (wide, narrow) = (alone.interval(0.99).unwrap(), alone.interval(0.5).unwrap());
        assert!(wide.low <= narrow.low && narrow.high <= wide.high);
    }
    assert_eq!(DeLong::new(&[0.5, 0.6, 0.7], &[true, false, false]).unwrap(), None);
}

#[test]
fn mcnemar_is_scipys_binomial_and_chi_squared() {
    for c in fixture().mcnemar {
        let test = McNemar { only_before: c.b, only_after: c.c };
        let values = [
            (test.exact(), c.exact),
            (test.mid_p(), c.mid),
            (test.chi_squared(false), c.chi),
            (test.chi_squared(true), c.corrected),
        ];
        for (got, expected) in values {
            assert!((got - expected).abs() < 1e-11, "{test:?}: {got}, scipy {expected}");
        }
    }
}

#[test]
fn the_bootstrap_of_a_curve_is_delongs_interval() {
    // 300 rows, 60 positive, overlapping.
    let truth: Vec<bool> = (0..300).map(|i| i % 5 == 0).collect();
    let noise = |i: usize, k: usize| ((i * k) % 97) as f64 / 97.0;
    let weak: Vec<f64> =
        (0..300).map(|i| noise(i, 31) + if truth[i] { 0.3 } else { 0.0 }).collect();
    let good: Vec<f64> =
        (0..300).map(|i| noise(i, 57) + if truth[i] { 0.5 } else { 0.0 }).collect();
    let run = || {
        let bootstrap = Bootstrap::new().with_resamples(4000).with_seed(1);
        bootstrap.compare_curves(CurveMetric::Auroc, &weak, &good, &truth).unwrap().unwrap()
    };
    let both = run();
    let test = DeLong::test(&weak, &good, &truth).unwrap().unwrap();
    for (ours, theirs) in [
        (both.before, test.before.interval(0.95).unwrap()),
        (both.after, test.after.interval(0.95).unwrap()),
        (both.difference, test.interval(0.95).unwrap()),
    ] {
        assert!((ours.value - theirs.value).abs() < 1e-12);
        assert!((ours.low - theirs.low).abs() < 0.01, "{ours:?} {theirs:?}");
        assert!((ours.high - theirs.high).abs() < 0.01, "{ours:?} {theirs:?}");
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
    assert_eq!(one, both);
    // Reweighting once sorted is the curve of the repeated rows.
    let curve = ScoreCurve::new(&weak, &truth).unwrap();
    for metric in [CurveMetric::Auroc, CurveMetric::AveragePrecision, CurveMetric::Ks] {
        let interval = Bootstrap::new().curve(metric, &weak, &truth).unwrap().unwrap();
        assert!((interval.value - metric.of(&curve).unwrap()).abs() < 1e-12);
        assert!(interval.low < interval.value && interval.value < interval.high);
    }
    assert_eq!(Bootstrap::new().curve(CurveMetric::Ks, &[0.5], &[true]).unwrap(), None);
}

#[test]
fn multiclass_scores_are_scikit_learns() {
    let cases = fixture().multi;
    assert_eq!(cases.len(), 200);
    for c in cases {
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

proptest! {
    #[test]
    fn the_chosen_threshold_is_the_best_of_all(
        items in prop::collection::vec((0..8u8, any::<bool>()), 1..40), least in 0.0..1.0f64,
    ) {
        let scores: Vec<f64> = items.iter().map(|i| f64::from(i.0)).collect();
        let truth: Vec<bool> = items.iter().map(|i| i.1).collect();
        let curve = ScoreCurve::new(&scores, &truth).unwrap();
        // Every decision there is, counted afresh.
        let all: Vec<[f64; 4]> = (0..=8)
            .map(|t| {
                let count = |positive: bool, above: bool| {
                    items.iter().filter(|i| i.1 == positive && (i.0 >= t) == above).count() as f64
                };
                [count(true, true), count(false, true), count(false, false), count(true, false)]
            })
            .collect();
        let recall = |[tp, _, _, fn_]: [f64; 4]| tp / (tp + fn_);
        let specificity = |[_, fp, tn, _]: [f64; 4]| tn / (tn + fp);
        let f1 = |[tp, fp, _, fn_]: [f64; 4]| 2.0 * tp / (2.0 * tp + fp + fn_);
        let cost = |[_, fp, _, fn_]: [f64; 4]| -(fp + 5.0 * fn_) / items.len() as f64;
        let gmean = |c: [f64; 4]| (recall(c) * specificity(c)).sqrt();
        let best = |f: &dyn Fn([f64; 4]) -> f64, keep: &dyn Fn([f64; 4]) -> bool| {
            let values = all.iter().filter(|c| keep(**c)).map(|c| f(*c)).filter(|v| !v.is_nan());
            values.max_by(f64::total_cmp)
        };
        type Value<'a> = &'a dyn Fn([f64; 4]) -> f64;
        let metrics: [(ThresholdMetric, Value<'_>); 3] = [
            (ThresholdMetric::F1, &f1),
            (ThresholdMetric::GMean, &gmean),
            (ThresholdMetric::Cost { false_positive: 1.0, false_negative: 5.0 }, &cost),
        ];
        for (metric, f) in metrics {
            let found = curve.maximise(metric, None).unwrap().map(|t| t.value);
            let expected = best(f, &|_| true);
            prop_assert_eq!(found.is_some(), expected.is_some());
            prop_assert!(found.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-12));
        }
        // Recall at a specificity of at least `least`.
        let constraint = Constraint { metric: ThresholdMetric::Specificity, at_least: least };
        if truth.contains(&true) && truth.contains(&false) {
            let found = curve.maximise(ThresholdMetric::Recall, Some(constraint)).unwrap().unwrap();
            let expected = best(&recall, &|c| specificity(c) >= least).unwrap();
            prop_assert_eq!(found.value, expected);
        }
    }

    #[test]
    fn streams_and_shards_give_the_curve_of_the_whole(
        items in prop::collection::vec((0..100u8, any::<bool>(), 0..3u8), 0..60), cut in 0..60usize,
    ) {
        let cut = cut.min(items.len());
        let (mut whole, mut shards) = (Scores::new(), [Scores::new(), Scores::new()]);
        let (mut fine, mut parts) =
            (ScoreHistogram::new(7).unwrap(), [ScoreHistogram::new(7).unwrap(), ScoreHistogram::new(7).unwrap()]);
        for (i, &(score, positive, weight)) in items.iter().enumerate() {
            // Weights of 1 in the first shard, others in the second.
            let weight = if i < cut { 1.0 } else { f64::from(weight) };
            let score = f64::from(score) / 100.0;
            whole.update_weighted(score, positive, weight).unwrap();
            fine.update_weighted(score, positive, weight).unwrap();
            shards[usize::from(i >= cut)].update_weighted(score, positive, weight).unwrap();
            parts[usize::from(i >= cut)].update_weighted(score, positive, weight).unwrap();
        }
        let [mut merged, rest] = shards;
        let curves = merged.curve().unwrap().merge(&rest.curve().unwrap());
        merged.merge(&rest);
        let [mut histogram, other] = parts;
        histogram.merge(&other).unwrap();
        prop_assert_eq!(&histogram, &fine);
        let exact = whole.curve().unwrap();
        for curve in [curves, merged.curve().unwrap()] {
            for (a, b) in [
                (curve.auroc(), exact.auroc()),
                (curve.average_precision(), exact.average_precision()),
            ] {
                prop_assert_eq!(a.is_some(), b.is_some());
                prop_assert!(a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-12));
            }
        }
        let near = fine.curve().unwrap().auroc();
        prop_assert_eq!(near.is_some(), exact.auroc().is_some());
        if let (Some(a), Some(b), Some(error)) = (near, exact.auroc(), fine.auroc_error()) {
            prop_assert!((a - b).abs() <= error + 1e-12);
        }
    }
}

#[test]
fn a_constraint_that_nothing_reaches_is_an_error() {
    let curve = ScoreCurve::new(&[0.9, 0.5], &[false, true]).unwrap();
    let constraint = Some(Constraint { metric: ThresholdMetric::Precision, at_least: 0.8 });
    let error = curve.maximise(ThresholdMetric::Recall, constraint).unwrap_err().to_string();
    assert!(error.contains("the best found is 0.5"), "{error}");
    let Threshold { threshold, .. } =
        curve.maximise(ThresholdMetric::Accuracy, None).unwrap().unwrap();
    assert_eq!(threshold, f64::INFINITY);
    assert!(curve.maximise(ThresholdMetric::FBeta(0.0), None).is_err());
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
