//! Invariants of scores, decisions and intervals.

use counterweight_core::ClassProfile;
use counterweight_metrics::{
    Bootstrap, ClassCounts, ClassificationReport, Columns, ConfusionMatrix, CostMatrix, Decision,
    DecisionConfig, Error, Floor, Metric, NearestClassMean, Nearness, Predictions, RiskCoverage,
    Tally, tau_normalise,
};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn any_predictions() -> impl Strategy<Value = Predictions> {
    (2..6usize, 1..60usize).prop_flat_map(|(classes, rows)| {
        let truth = prop::collection::vec(0..classes, rows);
        let scores = prop::collection::vec(1e-3..1.0f64, rows * classes);
        (truth, scores).prop_map(move |(truth, scores)| {
            let mut p = Array2::from_shape_vec((rows, classes), scores).unwrap();
            for mut row in p.rows_mut() {
                let sum = row.sum();
                row.mapv_inplace(|v| v / sum);
            }
            Predictions::new(truth, p).unwrap()
        })
    })
}

fn profile_of(p: &Predictions) -> ClassProfile {
    let mut counts = vec![1; p.probabilities().ncols()];
    p.truth().iter().for_each(|&c| counts[c] += 1);
    ClassProfile::from_counts(counts).unwrap()
}

proptest! {
    #[test]
    fn every_score_is_in_its_range(p in any_predictions()) {
        let profile = profile_of(&p);
        let tally = p.tally();
        for metric in Metric::ALL {
            let Some(value) = tally.metric(metric, &profile) else { continue };
            let signed = matches!(metric, Metric::Mcc | Metric::Kappa | Metric::HeadTailGap);
            let high = match metric {
                Metric::LogLoss => f64::INFINITY,
                Metric::Brier => 2.0,
                _ => 1.0,
            };
            let low = if signed { -1.0 } else { 0.0 };
            prop_assert!((low - 1e-9..=high + 1e-9).contains(&value), "{} = {}", metric, value);
        }
    }

    #[test]
    fn shards_merge_to_the_whole(p in any_predictions(), cut in 0..60usize) {
        let cut = cut.min(p.len());
        let mut whole = Tally::new(p.probabilities().ncols());
        let mut rest = whole.clone();
        for row in 0..p.len() {
            let shard = if row < cut { &mut whole } else { &mut rest };
            shard.update(p.truth()[row], &p.probabilities().row(row).to_vec()).unwrap();
        }
        whole.merge(&rest).unwrap();
        let tally = p.tally();
        prop_assert_eq!(whole.confusion(), tally.confusion());
        let profile = profile_of(&p);
        for (a, b) in whole.metrics(&profile).into_iter().zip(tally.metrics(&profile)) {
            prop_assert_eq!(a.is_some(), b.is_some());
            prop_assert!(a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn decisions_give_distributions_and_tau_zero_changes_nothing(
        p in any_predictions(),
        tau in 0.0..5.0f64,
    ) {
        let profile = profile_of(&p);
        let adjusted = Decision::logit_adjustment(&profile, tau).unwrap().decide(&p).unwrap();
        for row in adjusted.probabilities().rows() {
            prop_assert!((row.sum() - 1.0).abs() < 1e-9);
        }
        let none = Decision::logit_adjustment(&profile, 0.0).unwrap().decide(&p).unwrap();
        prop_assert_eq!(none.predicted(), p.predicted());
    }

    #[test]
    fn a_searched_decision_is_no_worse_than_argmax(p in any_predictions()) {
        let profile = profile_of(&p);
        let value = |p: &Predictions, m| p.tally().metric(m, &profile).unwrap();
        let accuracy = value(&p, Metric::Accuracy);
        for config in [
            DecisionConfig::SearchLogitAdjustment {
                maximize: Metric::BalancedAccuracy,
                floor: Some(Floor { metric: Metric::Accuracy, at_least: accuracy }),
            },
            DecisionConfig::SearchThresholds {
                maximize: Metric::BalancedAccuracy,
                floor: Some(Floor { metric: Metric::Accuracy, at_least: accuracy }),
            },
        ] {
            let decided = config.fit(&p, &profile).unwrap().decide(&p).unwrap();
            let balanced = |p| value(p, Metric::BalancedAccuracy);
            prop_assert!(balanced(&decided) >= balanced(&p) - 1e-12);
            prop_assert!(value(&decided, Metric::Accuracy) >= accuracy);
        }
    }
}

proptest! {
    #[test]
    fn the_threshold_of_two_classes_is_the_best_of_all(p in two_classes()) {
        // 1 to 1: the search starts from argmax and reaches e^±1 around it.
        let profile = ClassProfile::from_counts([1, 1]).unwrap();
        let value = |d: &Decision| {
            d.decide(&p).unwrap().tally().metric(Metric::MacroF1, &profile).unwrap()
        };
        let config = DecisionConfig::SearchThresholds { maximize: Metric::MacroF1, floor: None };
        let found = value(&config.fit(&p, &profile).unwrap());
        for step in 0..=200 {
            let share = f64::exp(f64::from(step) / 100.0 - 1.0);
            let threshold = share / (1.0 + share);
            let decision = Decision::thresholds(&[1.0 - threshold, threshold]).unwrap();
            prop_assert!(found >= value(&decision) - 1e-9, "{} {}", found, threshold);
        }
    }
}

fn two_classes() -> impl Strategy<Value = Predictions> {
    prop::collection::vec((0..2usize, 0.01..0.99f64), 2..30).prop_map(|rows| {
        let truth = rows.iter().map(|r| r.0).collect();
        let p = Array2::from_shape_fn((rows.len(), 2), |(r, c)| {
            if c == 1 { rows[r].1 } else { 1.0 - rows[r].1 }
        });
        Predictions::new(truth, p).unwrap()
    })
}

#[test]
fn priors_of_predictions_are_found_and_a_singular_matrix_is_refused() {
    // Recalls .8, .7 and .9; used at priors .1, .3, .6.
    let given = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.05, 0.05, 0.9]];
    let mut held_out = ConfusionMatrix::new(3);
    for (truth, row) in given.iter().enumerate() {
        for (predicted, share) in row.iter().enumerate() {
            held_out.update_weighted(truth, predicted, 100.0 * share).unwrap();
        }
    }
    let priors = [0.1, 0.3, 0.6];
    let mut predicted = Vec::new();
    for class in 0..3 {
        let share: f64 = priors.iter().zip(&given).map(|(prior, row)| prior * row[class]).sum();
        predicted.extend(std::iter::repeat_n(class, (share * 1000.0).round() as usize));
    }
    let found = Decision::estimate_priors_by_predictions(&held_out, &predicted).unwrap();
    for (a, b) in found.iter().zip(priors) {
        assert!((a - b).abs() < 1e-9, "{found:?}");
    }
    let alike = ConfusionMatrix::from_labels(&[0, 1], &[0, 0], 2).unwrap();
    let singular = Decision::estimate_priors_by_predictions(&alike, &[0]).unwrap_err();
    assert!(matches!(singular, Error::Singular));
    let unseen = ConfusionMatrix::from_labels(&[0, 0], &[0, 1], 2).unwrap();
    assert!(Decision::estimate_priors_by_predictions(&unseen, &[0]).is_err());
    assert!(Decision::estimate_priors_by_predictions(&held_out, &[]).is_err());
}

#[test]
fn normalised_weights_means_and_costs_by_hand() {
    let weights = array![[3.0, 4.0], [0.0, 0.5], [0.0, 0.0]];
    assert_eq!(tau_normalise(&weights, 0.0).unwrap(), weights);
    let half = tau_normalise(&weights, 0.5).unwrap();
    assert!((half[[0, 0]] - 3.0 / 5f64.sqrt()).abs() < 1e-12);
    assert_eq!(half.row(2), weights.row(2));
    assert!(tau_normalise(&weights, -1.0).is_err());
    let features = array![[1.0, 0.0], [3.0, 0.0], [0.0, 10.0]];
    let means = NearestClassMean::fit(&features, &[0, 0, 2], 3).unwrap();
    let row = array![[0.5, 4.0]];
    assert_eq!(means.predict(&row, Nearness::Euclidean).unwrap(), [0]);
    assert_eq!(means.predict(&row, Nearness::Cosine).unwrap(), [2]);
    assert_eq!(means.scores(&row, Nearness::Cosine).unwrap()[[0, 1]], f64::NEG_INFINITY);
    assert!(NearestClassMean::fit(&array![[f64::NAN]], &[0], 1).is_err());
    let costs = CostMatrix::new(array![[0.0, 1.0], [4.0, 0.0]]).unwrap();
    // Class 1 from p1 > .2.
    let decided = costs.decide(&array![[0.81, 0.19], [0.79, 0.21]]).unwrap();
    assert_eq!(decided, [Some(0), Some(1)]);
    let matrix = ConfusionMatrix::from_labels(&[0, 0, 1, 1], &[0, 1, 0, 1], 2).unwrap();
    assert_eq!(costs.mean_cost(&matrix).unwrap(), Some(1.25));
    assert!(CostMatrix::new(array![[0.0, 1.0]]).is_err());
    let (p, _) = example();
    let curve = RiskCoverage::new(&p);
    assert_eq!(curve.points().last().map(|p| (p.coverage, p.risk)), Some((1.0, 1.0 / 6.0)));
    // The most confident row is wrong.
    assert_eq!(curve.points()[0].risk, 1.0);
    assert!(curve.area() > 0.0 && curve.most_coverage(1.5).is_err());
}

#[test]
fn a_report_has_every_form() {
    let profile = ClassProfile::from_counts([90, 10, 5]).unwrap();
    let counts = ClassCounts::from_labels(&[0, 0, 0, 1], &[0, 0, 1, 1], 3).unwrap();
    let report = ClassificationReport::new(&counts, &profile).unwrap();
    let text = report.to_text(Columns::Imbalanced);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("class") && lines[0].ends_with("support"), "{text}");
    assert!(lines[3].starts_with("2") && lines[3].contains("n/a"), "{text}");
    assert!(text.contains("accuracy") && text.contains("weighted avg"), "{text}");
    assert!(lines.iter().skip(1).all(|l| l.len() <= lines[0].len()), "{text}");
    let csv = report.to_csv(Columns::Standard);
    assert!(
        csv.starts_with("class,segment,precision,recall,f1,support\n0,head,1.000,0.667"),
        "{csv}"
    );
    assert_eq!(
        report.to_markdown(Columns::Standard).lines().nth(1),
        Some("| --- | --- | ---: | ---: | ---: | ---: |")
    );
    assert!(report.to_html(Columns::Standard).contains("<td>n/a</td>"));
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert!(json["classes"][2]["precision"].is_null());
    assert_eq!(json["accuracy"], 0.75);
    assert!(
        ClassificationReport::new(&counts, &ClassProfile::from_counts([1, 1]).unwrap()).is_err()
    );
}

fn example() -> (Predictions, ClassProfile) {
    let p = array![[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.55, 0.45], [0.4, 0.6], [0.95, 0.05]];
    let truth = vec![0, 0, 0, 0, 1, 1];
    (Predictions::new(truth, p).unwrap(), ClassProfile::from_counts([90, 10]).unwrap())
}

#[test]
fn thresholds_move_the_boundary_where_they_say() {
    let (p, _) = example();
    // Predict class 1 when p1 / .44 > p0 / .56, that is p1 > .44.
    let decided = Decision::thresholds(&[0.56, 0.44]).unwrap().decide(&p).unwrap();
    assert_eq!(decided.predicted(), [0, 0, 0, 1, 1, 0]);
    assert!(Decision::thresholds(&[0.5, 0.0]).is_err());
}

#[test]
fn an_unreachable_floor_is_an_error_with_the_best_value() {
    let (p, profile) = example();
    let config = DecisionConfig::SearchLogitAdjustment {
        maximize: Metric::BalancedAccuracy,
        floor: Some(Floor { metric: Metric::Accuracy, at_least: 0.99 }),
    };
    match config.fit(&p, &profile) {
        Err(Error::FloorUnreachable { best, .. }) => assert!((best - 5.0 / 6.0).abs() < 1e-12),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_predictions_are_refused() {
    let bad = |p: Array2<f64>| Predictions::new(vec![0], p).unwrap_err().to_string();
    assert!(bad(array![[f64::NAN, 1.0]]).contains("row 0 hold NaN"));
    assert!(bad(array![[0.5, 0.4]]).contains("do not sum to 1"));
    assert!(bad(array![[-0.5, 1.5]]).contains("negative"));
    let outside = Predictions::new(vec![2], array![[0.5, 0.5]]).unwrap_err();
    assert_eq!(outside.to_string(), "class id 2 at row 0 is outside 0..2");
}

#[test]
fn the_interval_covers_the_binomial_one_and_equals_itself_at_any_thread_count() {
    let n = 400;
    let truth = vec![0; n];
    let p =
        Array2::from_shape_fn((n, 2), |(r, c)| if (r % 5 == 0) == (c == 1) { 0.9 } else { 0.1 });
    let before = Predictions::new(truth.clone(), p).unwrap();
    let right = Array2::from_shape_fn((n, 2), |(_, c)| if c == 0 { 1.0 } else { 0.0 });
    let after = Predictions::new(truth, right).unwrap();
    let profile = ClassProfile::from_counts([4, 1]).unwrap();
    let run = || Bootstrap::new().with_seed(3).compare(&before, &after, &profile).unwrap();
    let lines = run();
    let accuracy = lines.iter().find(|l| l.metric == Metric::Accuracy).unwrap();
    // 0.8 ± 1.96 · sqrt(.8 · .2 / 400) = ± .0392
    assert!((accuracy.before.low - 0.7608).abs() < 0.008, "{accuracy:?}");
    assert!((accuracy.before.high - 0.8392).abs() < 0.008, "{accuracy:?}");
    assert_eq!((accuracy.after.low, accuracy.after.high), (1.0, 1.0));
    assert!(accuracy.difference.excludes_zero());
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
    assert_eq!(one, lines);
    let other = Predictions::new(vec![1], array![[0.5, 0.5]]).unwrap();
    let error = Bootstrap::new().compare(&before, &other, &profile).unwrap_err();
    assert!(matches!(error, Error::DifferentRows));
    assert!(Bootstrap::new().with_resamples(1).compare(&before, &after, &profile).is_err());
}
