//! Resampling of 100,000 rows of 32 columns, 5 % of them of the rare class;
//! `peers/samplers_imblearn.py` times imbalanced-learn on the same size.

use std::hint::black_box;
use std::time::Duration;

use counterweight::prelude::*;
use counterweight::samplers::{
    AllKnn, CondensedNn, NearMissVersion, NeighbourhoodCleaning, OneSidedSelection,
    RepeatedEditedNn,
};
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::StdRng};

const ROWS: usize = 100_000;
const COLUMNS: usize = 32;

/// Nearly normal columns; the rare class is moved in ten of them.
fn data() -> (Array2<f64>, Vec<usize>) {
    let mut rng = StdRng::seed_from_u64(0);
    let y: Vec<usize> = (0..ROWS).map(|_| usize::from(rng.random::<f64>() < 0.05)).collect();
    let x = Array2::from_shape_fn((ROWS, COLUMNS), |(row, column)| {
        let normal: f64 = (0..6).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 2f64.sqrt();
        normal + if column < 10 { y[row] as f64 } else { 0.0 }
    });
    (x, y)
}

fn samplers(c: &mut Criterion) {
    let (x, y) = data();
    let mut group = c.benchmark_group("100k x 32, 5 %");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_millis(1));
    let methods: Vec<(&str, Box<dyn Resampler>)> = vec![
        ("random over", Box::new(RandomOver::new())),
        ("random under", Box::new(RandomUnder::new())),
        ("SMOTE", Box::new(Smote::new())),
        ("Borderline-SMOTE", Box::new(BorderlineSmote::new())),
        ("ADASYN", Box::new(Adasyn::new())),
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
    group.finish();
}

criterion_group!(benches, samplers);
criterion_main!(benches);
