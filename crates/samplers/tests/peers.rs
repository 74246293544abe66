//! Counts and neighbourhoods against imbalanced-learn (`fixtures/generate.py`).

use std::collections::BTreeMap;

use counterweight_samplers::{Origin, Plan, RandomOver, RandomUnder, Resampler, Smote, Strategy};
use ndarray::Array2;
use serde::Deserialize;

type Counts = BTreeMap<usize, usize>;

#[derive(Deserialize)]
struct Fixture {
    x: Vec<Vec<f64>>,
    y: Vec<usize>,
    binary: Vec<usize>,
    neighbours: BTreeMap<usize, Vec<usize>>,
    smote_auto: Counts,
    smote_minority: Counts,
    smote_counts: Counts,
    smote_ratio: Counts,
    over_auto: Counts,
    under_auto: Counts,
    under_majority: Counts,
    under_ratio: Counts,
}

fn load() -> (Fixture, Array2<f64>) {
    let f: Fixture = serde_json::from_str(include_str!("fixtures/samplers.json")).unwrap();
    let x = Array2::from_shape_vec((f.x.len(), f.x[0].len()), f.x.concat()).unwrap();
    (f, x)
}

fn counts(plan: &Plan) -> Counts {
    let mut counts = Counts::new();
    plan.labels().into_iter().for_each(|c| *counts.entry(c).or_default() += 1);
    counts
}

#[test]
fn every_strategy_gives_the_peers_counts() {
    let (f, x) = load();
    let plan = |r: &dyn Resampler, y: &[usize]| counts(&r.plan(&x, y).unwrap());
    let smote = |s| Smote::new().with_strategy(s);
    assert_eq!(plan(&smote(Strategy::Auto), &f.y), f.smote_auto);
    assert_eq!(plan(&smote(Strategy::Minority), &f.y), f.smote_minority);
    assert_eq!(plan(&smote(Strategy::Counts([(1, 40), (2, 30)].into())), &f.y), f.smote_counts);
    assert_eq!(plan(&smote(Strategy::Ratio(0.37)), &f.binary), f.smote_ratio);
    assert_eq!(plan(&RandomOver::new(), &f.y), f.over_auto);
    let under = |s| RandomUnder::new().with_strategy(s);
    assert_eq!(plan(&under(Strategy::Auto), &f.y), f.under_auto);
    assert_eq!(plan(&under(Strategy::Majority), &f.y), f.under_majority);
    assert_eq!(plan(&under(Strategy::Ratio(0.37)), &f.binary), f.under_ratio);
}

#[test]
fn smote_draws_all_of_the_peers_neighbours_and_no_other() {
    let (f, x) = load();
    let wanted = Strategy::Counts([(2, 2000)].into());
    let plan = Smote::new().with_strategy(wanted).with_seed(1).plan(&x, &f.y).unwrap();
    let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in plan.rows() {
        if let Origin::Between { a, b, t } = row.origin {
            assert!((0.0..1.0).contains(&t));
            assert!(f.neighbours[&a].contains(&b), "{b} is no neighbour of {a}");
            let known = seen.entry(a).or_default();
            if !known.contains(&b) {
                known.push(b);
            }
        }
    }
    assert_eq!(seen.len(), 9);
    assert!(seen.values().all(|found| found.len() == 5));
}
