//! Resampling of 100,000 rows of 32 columns, 5 % of them of the rare class, and of 20,000 where the
//! peer takes minutes; `peers/samplers_imblearn.py` times imbalanced-learn on the same sizes.

use std::hint::black_box;
use std::time::Duration;

use counterweight::prelude::*;
use counterweight::samplers::{
    AllKnn, CondensedNn, GeometricSmote, KMeansSmote, Mwmote, NearMissVersion,
    NeighbourhoodCleaning, OneSidedSelection, ProWSyn, RepeatedEditedNn, SafeLevelSmote, Shrinkage,
    SmoteN, SmoteNc,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const ROWS: usize = 100_000;
const COLUMNS: usize = 32;
const CATEGORICAL: usize = 8;

/// Nearly normal columns; the rare class is moved in ten of them.
fn data(rows: usize) -> (Array2<f64>, Vec<usize>) {
    let mut rng = StdRng::seed_from_u64(0);
    let y: Vec<usize> = (0..rows).map(|_| usize::from(rng.random::<f64>() < 0.05)).collect();
    let x = Array2::from_shape_fn((rows, COLUMNS), |(row, column)| {
        let normal: f64 = (0..6).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 2f64.sqrt();
        normal + if column < 10 { y[row] as f64 } else { 0.0 }
    });
    (x, y)
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1));
    group
}

fn samplers(c: &mut Criterion) {
    let (x, y) = data(ROWS);
    let mut group = group(c, "100k x 32, 5 %");
    let methods: Vec<(&str, Box<dyn Resampler>)> = vec![
        ("random over", Box::new(RandomOver::new())),
        ("smoothed bootstrap", Box::new(RandomOver::new().with_shrinkage(Shrinkage::All(1.0)))),
        ("random under", Box::new(RandomUnder::new())),
        ("SMOTE", Box::new(Smote::new())),
        ("Borderline-SMOTE", Box::new(BorderlineSmote::new())),
        ("ADASYN", Box::new(Adasyn::new())),
        ("KMeans-SMOTE", Box::new(KMeansSmote::new().with_threshold(Some(0.01)))),
        ("Safe-Level-SMOTE", Box::new(SafeLevelSmote::new())),
        ("Geometric SMOTE", Box::new(GeometricSmote::new())),
        ("ProWSyn", Box::new(ProWSyn::new())),
        ("MWMOTE", Box::new(Mwmote::new())),
        ("NearMiss 1", Box::new(NearMiss::new())),
        ("NearMiss 2", Box::new(NearMiss::new().with_version(NearMissVersion::Two))),
        ("NearMiss 3", Box::new(NearMiss::new().with_version(NearMissVersion::Three))),
        ("Tomek links", Box::new(TomekLinks::new())),
        ("ENN", Box::new(EditedNn::new())),
        ("repeated ENN", Box::new(RepeatedEditedNn::new())),
        ("AllKNN", Box::new(AllKnn::new())),
        ("one-sided selection", Box::new(OneSidedSelection::new())),
        ("neighbourhood cleaning", Box::new(NeighbourhoodCleaning::new())),
        ("condensed", Box::new(CondensedNn::new())),
    ];
    for (name, method) in methods {
        group.bench_function(name, |b| b.iter(|| black_box(method.fit_resample(&x, &y).unwrap())));
    }
    group.bench_function("ENN by a graph", |b| {
        b.iter(|| {
            let table = Approximate::new(&x);
            let plan = EditedNn::new().plan(&table, &y).unwrap();
            assert!(table.recall().is_some_and(|recall| recall > 0.5));
            black_box(plan.apply(&x).unwrap())
        });
    });
    let mixed = with_categories(&x);
    let nc = SmoteNc::new().with_categorical((0..CATEGORICAL).collect());
    group.bench_function("SMOTE-NC", |b| {
        b.iter(|| black_box(nc.fit_resample(&mixed, &y).unwrap()));
    });
    let codes = mixed.slice_axis(Axis(1), (0..CATEGORICAL).into()).to_owned();
    group.bench_function("SMOTE-N", |b| {
        b.iter(|| black_box(SmoteN::new().fit_resample(&codes, &y).unwrap()));
    });
    group.finish();
}

fn slow_peers(c: &mut Criterion) {
    let (x, y) = data(20_000);
    let mut group = group(c, "20k x 32, 5 %");
    let methods: Vec<(&str, Box<dyn Resampler>)> = vec![
        ("SVM-SMOTE", Box::new(SvmSmote::new())),
        ("cluster centroids", Box::new(ClusterCentroids::new())),
    ];
    for (name, method) in methods {
        group.bench_function(name, |b| b.iter(|| black_box(method.fit_resample(&x, &y).unwrap())));
    }
    group.finish();
}

/// The first columns as six categories of the same size.
fn with_categories(x: &Array2<f64>) -> Array2<f64> {
    let mut mixed = x.clone();
    for mut column in mixed.columns_mut().into_iter().take(CATEGORICAL) {
        let mut sorted = column.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let cuts: Vec<f64> = (1..6).map(|cut| sorted[cut * ROWS / 6]).collect();
        column.mapv_inplace(|v| cuts.iter().filter(|cut| **cut < v).count() as f64);
    }
    mixed
}

criterion_group!(benches, samplers, slow_peers);
criterion_main!(benches);
