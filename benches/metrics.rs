//! Metrics on large inputs; `peers/metrics_sklearn.py` times scikit-learn on the same sizes.

use std::hint::black_box;

use counterweight::metrics::{Bootstrap, ClassCounts, CurveMetric};
use counterweight::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const ROWS: usize = 10_000_000;
const CLASSES: usize = 1000;

/// Labels of which 7 in 10 are predicted right.
fn labels() -> (Vec<usize>, Vec<usize>) {
    let mut rng = StdRng::seed_from_u64(0);
    (0..ROWS)
        .map(|_| {
            let truth = rng.random_range(0..CLASSES);
            let right = rng.random::<f64>() < 0.7;
            (truth, if right { truth } else { rng.random_range(0..CLASSES) })
        })
        .unzip()
}

/// Scores with a tenth positives, which score higher.
fn scores(rows: usize) -> (Vec<f64>, Vec<bool>) {
    let mut rng = StdRng::seed_from_u64(1);
    (0..rows)
        .map(|_| {
            let positive = rng.random::<f64>() < 0.1;
            (rng.random::<f64>() + if positive { 0.3 } else { 0.0 }, positive)
        })
        .unzip()
}

fn labels_at_scale(c: &mut Criterion) {
    let (truth, predicted) = labels();
    let profile = ClassProfile::from_counts(vec![1; CLASSES]).unwrap();
    let mut group = c.benchmark_group("10M labels, 1000 classes");
    group.sample_size(10);
    group.bench_function("report", |b| {
        b.iter(|| {
            let counts = ClassCounts::from_labels(&truth, &predicted, CLASSES).unwrap();
            let report = ClassificationReport::new(&counts, &profile).unwrap();
            black_box(report.to_string().len())
        })
    });
    group.bench_function("confusion matrix", |b| {
        b.iter(|| black_box(ConfusionMatrix::from_labels(&truth, &predicted, CLASSES).unwrap()))
    });
    group.finish();
}

fn scores_at_scale(c: &mut Criterion) {
    let (values, truth) = scores(ROWS);
    let mut group = c.benchmark_group("10M scores");
    group.sample_size(10);
    group.bench_function("auroc", |b| {
        b.iter(|| black_box(ScoreCurve::new(&values, &truth).unwrap().auroc()))
    });
    group.bench_function("average precision", |b| {
        b.iter(|| black_box(ScoreCurve::new(&values, &truth).unwrap().average_precision()))
    });
    group.finish();
    let (values, truth) = scores(100_000);
    let mut group = c.benchmark_group("100k scores");
    group.sample_size(10);
    group.bench_function("auroc", |b| {
        b.iter(|| black_box(ScoreCurve::new(&values, &truth).unwrap().auroc()))
    });
    group.bench_function("bootstrap of auroc, 1000 resamples", |b| {
        b.iter(|| black_box(Bootstrap::new().curve(CurveMetric::Auroc, &values, &truth).unwrap()))
    });
    group.finish();
}

criterion_group!(benches, labels_at_scale, scores_at_scale);
criterion_main!(benches);
