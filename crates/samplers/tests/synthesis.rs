//! What over-samplers work out before they draw, against imbalanced-learn on real tables
//! (`fixtures/generate_synthesis.py`), and what their rows must satisfy.

use std::collections::{BTreeMap, BTreeSet};

use counterweight_samplers::{
    ClusterCentroids, Error, Folds, GeometricSmote, InstanceHardness, KMeansSmote, Mwmote, Origin,
    Plan, PlanFidelity, ProWSyn, RandomOver, Relevance, Resampler, SafeLevelSmote, Shrinkage,
    Smote, SmoteN, SmoteNc, Strategy, SupportVectors, Surface, SvmSmote, Voting,
};
use ndarray::{Array2, ArrayView1, array};
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use serde::Deserialize;

#[derive(Deserialize)]
struct Real {
    x: Vec<Vec<f64>>,
    y: Vec<usize>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    support: BTreeMap<String, Vec<usize>>,
    clusters: Clusters,
    mixed_x: Vec<Vec<f64>>,
    mixed: Mixed,
    values: Values,
    noise: Vec<f64>,
    inertia: f64,
    relevance: Phi,
}

#[derive(Deserialize)]
struct Clusters {
    assignment: Vec<usize>,
    weights: BTreeMap<usize, f64>,
}

#[derive(Deserialize)]
struct Mixed {
    spread: f64,
    distances: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Values {
    codes: Vec<Vec<f64>>,
    distances: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Phi {
    y: Vec<f64>,
    points: Vec<[f64; 3]>,
    phi: Vec<f64>,
}

fn matrix(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn tables() -> Vec<(Expected, Array2<f64>, Vec<usize>)> {
    let real: Vec<Real> = serde_json::from_str(include_str!("fixtures/cleaning.json")).unwrap();
    let expected: Vec<Expected> =
        serde_json::from_str(include_str!("fixtures/synthesis.json")).unwrap();
    let both = expected.into_iter().zip(real);
    both.map(|(expected, real)| (expected, matrix(&real.x), real.y)).collect()
}

/// The smallest class.
fn rare(y: &[usize]) -> usize {
    let count = |class: usize| y.iter().filter(|&&c| c == class).count();
    (0..=*y.iter().max().unwrap()).min_by_key(|&class| count(class)).unwrap()
}

fn distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let gap = &a - &b;
    gap.dot(&gap).sqrt()
}

#[test]
fn support_vectors_are_the_peers_and_used_alike() {
    let (mut both, mut either) = (0, 0);
    for (expected, x, y) in tables() {
        let peer: BTreeSet<usize> = expected.support["all"].iter().copied().collect();
        let given = SvmSmote::new().with_support(expected.support["all"].clone());
        let SupportVectors { danger, safe, noise } = given.support(&x, &y, rare(&y)).unwrap();
        assert_eq!(danger, expected.support["danger"], "{}", expected.name);
        assert_eq!(safe, expected.support["safe"], "{}", expected.name);
        assert_eq!(noise, expected.support["noise"], "{}", expected.name);
        let found = SvmSmote::new().support(&x, &y, rare(&y)).unwrap();
        let found: BTreeSet<usize> =
            [found.danger, found.safe, found.noise].concat().into_iter().collect();
        both += peer.intersection(&found).count();
        either += peer.union(&found).count();
        let plan = SvmSmote::new().with_seed(3).plan(&x, &y).unwrap();
        balanced(&plan, &y);
        let ok = |t: f64| (-0.5..1.0).contains(&t);
        assert!(plan.rows().iter().all(|r| match r.origin {
            Origin::Between { a, t, .. } => ok(t) && (y[a] != rare(&y) || found.contains(&a)),
            _ => true,
        }));
    }
    // Both stop within 1e-3 of the conditions; vectors whose weight is as small may differ.
    assert!(both as f64 >= 0.99 * either as f64, "{both} of {either}");
}

/// Every class as large as the largest, the data first, every new row of its class.
fn balanced(plan: &Plan, y: &[usize]) {
    assert_eq!(&plan.kept(), &(0..y.len()).collect::<Vec<_>>());
    let most = (0..=*y.iter().max().unwrap())
        .map(|class| y.iter().filter(|&&c| c == class).count())
        .max()
        .unwrap();
    let labels = plan.labels();
    for class in 0..=*y.iter().max().unwrap() {
        assert_eq!(labels.iter().filter(|&&c| c == class).count(), most);
    }
}

#[test]
fn cluster_weights_are_the_peers() {
    for (expected, x, y) in tables() {
        let smote = KMeansSmote::new()
            .with_threshold(Some(0.01))
            .with_assignment(expected.clusters.assignment.clone());
        let weights = smote.weights(&x, &y, rare(&y)).unwrap();
        assert_eq!(weights.len(), expected.clusters.weights.len(), "{}", expected.name);
        for (cluster, weight) in weights {
            let peer = expected.clusters.weights[&cluster];
            assert!((weight - peer).abs() < 1e-12, "{} {weight} {peer}", expected.name);
        }
        let one = smote.with_strategy(Strategy::Minority);
        let plan = one.plan(&x, &y).unwrap();
        for row in plan.rows() {
            if let Origin::Between { a, b, .. } = row.origin {
                let cluster = &expected.clusters.assignment;
                assert_eq!(cluster[a], cluster[b]);
            }
        }
        assert_eq!(plan, one.plan(&x, &y).unwrap());
        let found = KMeansSmote::new().with_threshold(Some(0.01)).with_clusters(3);
        assert!(found.plan(&x, &y).unwrap().len() > y.len());
    }
}

#[test]
fn categories_are_measured_as_the_peer_does() {
    for (expected, _, y) in tables() {
        let x = matrix(&expected.mixed_x);
        let smote = SmoteNc::new().with_categorical(vec![0, 1]);
        let spread = smote.spread(&x, &y, rare(&y)).unwrap();
        assert!((spread - expected.mixed.spread).abs() < 1e-12);
        let plan = smote.clone().with_strategy(Strategy::Minority).plan(&x, &y).unwrap();
        let members: Vec<usize> = (0..y.len()).filter(|&row| y[row] == rare(&y)).collect();
        let apart = |a: usize, b: usize| {
            let codes = (0..2).filter(|&c| x[[a, c]] != x[[b, c]]).count() as f64;
            let rest: f64 = (2..x.ncols()).map(|c| (x[[a, c]] - x[[b, c]]).powi(2)).sum();
            (codes * spread * spread + rest).sqrt()
        };
        for (at, peer) in expected.mixed.distances.iter().enumerate() {
            let mine: Vec<f64> = plan.set(at).iter().map(|&b| apart(members[at], b)).collect();
            for (a, b) in mine.iter().zip(peer) {
                assert!((a - b).abs() < 1e-9, "{}: {mine:?} {peer:?}", expected.name);
            }
        }
        let (made, _) = plan.apply(&x).unwrap();
        for (row, planned) in made.outer_iter().zip(plan.rows()) {
            if let Origin::Voted { set, .. } = planned.origin {
                for column in [0, 1] {
                    let count =
                        |v: f64| plan.set(set).iter().filter(|&&r| x[[r, column]] == v).count();
                    let most = plan.set(set).iter().map(|&r| count(x[[r, column]])).max().unwrap();
                    assert_eq!(count(row[column]), most);
                }
            }
        }
    }
}

#[test]
fn value_differences_are_the_peers() {
    for (expected, _, y) in tables() {
        let x = matrix(&expected.values.codes);
        let mine = SmoteN::distances(&x, &y).unwrap();
        for (a, line) in expected.values.distances.iter().enumerate() {
            for (b, peer) in line.iter().enumerate() {
                assert!((mine[[a, b]].powi(2) - peer).abs() < 1e-9, "{}", expected.name);
            }
        }
        let plan = SmoteN::new().plan(&x, &y).unwrap();
        balanced(&plan, &y);
        let (made, _) = plan.apply(&x).unwrap();
        for (row, planned) in made.outer_iter().zip(plan.rows()) {
            if let Origin::Voted { set, .. } = planned.origin {
                let seen = |c: usize, v: f64| plan.set(set).iter().any(|&r| x[[r, c]] == v);
                assert!(row.iter().enumerate().all(|(c, &v)| seen(c, v)));
            }
        }
    }
}

#[test]
fn the_smoothed_bootstrap_has_the_peers_noise() {
    for (expected, x, y) in tables() {
        let smooth = |factor| {
            RandomOver::new()
                .with_shrinkage(Shrinkage::All(factor))
                .with_strategy(Strategy::Counts([(rare(&y), 20_000)].into()))
        };
        let plan = smooth(1.0).plan(&x, &y).unwrap();
        for (mine, peer) in plan.scales()[0].iter().zip(&expected.noise) {
            assert!((mine - peer).abs() <= 1e-12 * peer.abs());
        }
        // The noise that comes out is the noise that was planned.
        let (made, _) = plan.apply(&x).unwrap();
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for (row, planned) in made.outer_iter().zip(plan.rows()) {
            if let Origin::Jittered { row: base, .. } = planned.origin {
                for (column, v) in row.iter().enumerate() {
                    let scale = plan.scales()[0][column];
                    if scale > 0.0 {
                        let z = (v - x[[base, column]]) / scale;
                        (sum, squares, n) = (sum + z, squares + z * z, n + 1.0);
                    }
                }
            }
        }
        assert!((sum / n).abs() < 0.02 && (squares / n - 1.0).abs() < 0.03, "{}", expected.name);
        let still = smooth(0.0).plan(&x, &y).unwrap().apply(&x).unwrap().0;
        let copies = RandomOver::new()
            .with_strategy(Strategy::Counts([(rare(&y), 20_000)].into()))
            .plan(&x, &y)
            .unwrap();
        assert_eq!(still.nrows(), copies.len());
    }
    let x = array![[0.0], [1.0], [2.0]];
    let per_class = Shrinkage::Classes([(0, 1.0)].into());
    let missing = RandomOver::new().with_shrinkage(per_class).plan(&x, &[0, 0, 1]);
    assert!(matches!(missing, Err(Error::NoShrinkage { class: 1 })));
    let negative = RandomOver::new().with_shrinkage(Shrinkage::All(-1.0)).plan(&x, &[0, 0, 1]);
    assert!(negative.unwrap_err().to_string().contains("shrinkage"));
}

#[test]
fn centroids_are_as_tight_as_the_peers() {
    for (expected, x, y) in tables() {
        let few = y.iter().filter(|&&c| c == rare(&y)).count();
        let many = (0..=*y.iter().max().unwrap())
            .max_by_key(|&class| y.iter().filter(|&&c| c == class).count())
            .unwrap();
        let only = Strategy::Counts([(many, few)].into());
        let mut inertias = Vec::new();
        for seed in 0..5 {
            let soft = ClusterCentroids::new().with_strategy(only.clone()).with_seed(seed);
            let plan = soft.plan(&x, &y).unwrap();
            let (made, labels) = plan.apply(&x).unwrap();
            assert_eq!(labels.iter().filter(|&&c| c == many).count(), few);
            let mut inertia = 0.0;
            let mut covered = BTreeSet::new();
            for (centre, planned) in made.outer_iter().zip(plan.rows()) {
                let Origin::Centroid { set } = planned.origin else { continue };
                let rows = plan.set(set);
                for (column, v) in centre.iter().enumerate() {
                    let sum: f64 = rows.iter().map(|&r| x[[r, column]]).sum();
                    assert!((sum / rows.len() as f64 - v).abs() < 1e-12);
                }
                inertia += rows.iter().map(|&r| distance(x.row(r), centre).powi(2)).sum::<f64>();
                covered.extend(rows.iter().copied());
            }
            assert_eq!(covered.len(), y.iter().filter(|&&c| c == many).count());
            inertias.push(inertia);
        }
        inertias.sort_by(f64::total_cmp);
        // Both are medians of five; single runs of the peer differ by a tenth.
        let peer = expected.inertia;
        assert!(inertias[2] < 1.06 * peer, "{} {inertias:?} {peer}", expected.name);
        let hard = ClusterCentroids::new().with_strategy(only).with_voting(Voting::Hard);
        let plan = hard.plan(&x, &y).unwrap();
        assert_eq!(plan.kept().len(), plan.len());
        assert_eq!(plan.labels().iter().filter(|&&c| c == many).count(), few);
    }
}

#[test]
fn relevance_is_the_peers_at_its_control_points() {
    for (expected, _, _) in tables() {
        let relevance = Relevance::from_points(expected.relevance.points.clone()).unwrap();
        let ends = [expected.relevance.points[0][0], expected.relevance.points.last().unwrap()[0]];
        for (y, peer) in expected.relevance.y.iter().zip(&expected.relevance.phi) {
            // Beyond the first point the peer takes 1 whatever the point says.
            if (ends[0]..=ends[1]).contains(y) {
                assert!((relevance.at(*y) - peer).abs() < 1e-9, "{y} {peer}");
            }
        }
    }
    // R's boxplot.stats(1:10): hinges 3 and 8; fivenum of nine values: 3 and 7.
    let mut y: Vec<f64> = (1..=10).map(f64::from).collect();
    y.push(40.0);
    let relevance =
        Relevance::of_extremes(&y, counterweight_samplers::Extremes::Both, 1.5).unwrap();
    assert_eq!((relevance.at(6.0), relevance.at(10.0), relevance.at(40.0)), (0.0, 1.0, 1.0));
    assert_eq!(relevance.at(1.0), 0.0);
    assert!((relevance.at(8.0) - 0.5).abs() < 1e-12);
    let none = Relevance::of_extremes(&[1.0, 2.0, 3.0], Default::default(), 1.5);
    assert!(matches!(none, Err(Error::NoExtremes)));
    assert!(Relevance::from_points(vec![[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).is_err());
    assert!(Relevance::from_points(vec![[0.0, 0.0, 0.0], [1.0, 2.0, 0.0]]).is_err());
}

#[test]
fn geometric_rows_lie_in_their_ball() {
    for (_, x, y) in tables().into_iter().take(4) {
        for surface in [Surface::Minority, Surface::Majority, Surface::Combined] {
            for (cut, squeeze) in [(1.0, 0.0), (0.0, 0.0), (-1.0, 0.5), (1.0, 1.0), (0.0, 1.0)] {
                let smote = GeometricSmote::new()
                    .with_surface(surface)
                    .with_truncation(cut)
                    .with_deformation(squeeze);
                let plan = smote.plan(&x, &y).unwrap();
                balanced(&plan, &y);
                let (made, _) = plan.apply(&x).unwrap();
                for (row, planned) in made.outer_iter().zip(plan.rows()) {
                    let Origin::Ball { centre, surface, .. } = planned.origin else { continue };
                    let reach = distance(x.row(centre), x.row(surface));
                    let way = &row - &x.row(centre);
                    let axis = &x.row(surface) - &x.row(centre);
                    let along = way.dot(&axis) / reach.max(1e-300);
                    assert!(distance(row, x.row(centre)) <= reach * (1.0 + 1e-9));
                    assert!(cut != 1.0 || along >= -1e-9 * reach);
                    assert!(cut != -1.0 || along <= 1e-9 * reach);
                    let aside = (way.dot(&way) - along * along).max(0.0).sqrt();
                    assert!(squeeze != 1.0 || aside <= 1e-6 * reach, "{aside} {reach}");
                }
            }
        }
    }
}

#[test]
fn safe_levels_keep_rows_at_the_safe_end() {
    // Two rows of class 1 among strangers, the others among their own.
    let x = array![
        [0.0],
        [0.1],
        [0.2],
        [0.3],
        [0.4],
        [10.0],
        [20.0],
        [9.7],
        [9.8],
        [9.9],
        [10.1],
        [10.2],
        [19.7],
        [19.8],
        [19.9],
        [20.1],
        [20.2],
        [50.0],
        [50.1],
        [50.2],
        [50.3],
        [50.4]
    ];
    let y: Vec<usize> = (0..22).map(|row| usize::from(row < 7)).collect();
    let level = |row: usize| -> usize {
        let mut near: Vec<usize> = (0..22).filter(|&other| other != row).collect();
        near.sort_by(|&a, &b| {
            let to = |other: usize| f64::abs(x[[other, 0]] - x[[row, 0]]);
            to(a).total_cmp(&to(b)).then(a.cmp(&b))
        });
        near[..5].iter().filter(|&&other| y[other] == 1).count()
    };
    let smote = SafeLevelSmote::new().with_strategy(Strategy::Counts([(1, 500)].into()));
    let plan = smote.plan(&x, &y).unwrap();
    assert_eq!(plan.labels().iter().filter(|&&c| c == 1).count(), 500);
    for row in plan.rows() {
        if let Origin::Between { a, b, t } = row.origin {
            let (a, b) = (level(a) as f64, level(b) as f64);
            assert!(a + b > 0.0);
            let (low, high) = match (a, b) {
                (_, 0.0) => (0.0, 0.0),
                _ if a >= b => (0.0, b / a),
                _ => (1.0 - a / b, 1.0),
            };
            assert!((low..=high).contains(&t), "{a} {b} {t}");
        }
    }
    let alone = array![[0.0], [0.1], [5.0], [5.1], [0.2], [0.3], [5.2], [5.3], [0.4], [5.4]];
    let lonely = SafeLevelSmote::new().with_k(1).plan(&alone, &[1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(lonely.unwrap().unchanged(), [1]);
}

#[test]
fn mwmote_stays_within_clusters_and_out_of_noise() {
    // Two far groups of class 1 and one row deep among class 0.
    let mut x = Vec::new();
    let mut y = Vec::new();
    for i in 0..12 {
        let wave = [f64::from(i % 4) * 0.1, f64::from(i / 4) * 0.1];
        for (far, class) in [(0.0, 1), (100.0, 1), (1.0, 0), (50.0, 0), (50.5, 0), (99.0, 0)] {
            x.push(vec![far + wave[0], wave[1]]);
            y.push(class);
        }
    }
    x.push(vec![50.17, 0.13]);
    y.push(1);
    let x = matrix(&x);
    let plan =
        Mwmote::new().with_strategy(Strategy::Counts([(1, 400)].into())).plan(&x, &y).unwrap();
    let mut bases = BTreeSet::new();
    for row in plan.rows() {
        if let Origin::Between { a, b, .. } = row.origin {
            assert!(x[[a, 0]] < 40.0 || x[[a, 0]] > 60.0);
            assert_eq!(x[[a, 0]] < 40.0, x[[b, 0]] < 40.0);
            bases.insert(a);
        }
    }
    assert!(bases.len() > 10);
    for (_, x, y) in tables() {
        balanced(&Mwmote::new().plan(&x, &y).unwrap(), &y);
    }
}

#[test]
fn proximity_levels_have_their_weights() {
    let x = Array2::from_shape_fn((40, 1), |(row, _)| row as f64);
    let y: Vec<usize> = (0..40).map(|row| usize::from(row < 15)).collect();
    let method =
        ProWSyn::new().with_k(3).with_levels(3).with_strategy(Strategy::Change([(1, 100)].into()));
    let plan = method.plan(&x, &y).unwrap();
    // Levels 12..15, 9..12 and the rest; weights 1, e⁻¹ and e⁻².
    let level = |row: usize| {
        if row >= 12 {
            0
        } else if row >= 9 {
            1
        } else {
            2
        }
    };
    let mut counts = [0; 3];
    for row in plan.rows() {
        if let Origin::Between { a, b, .. } = row.origin {
            assert_eq!(level(a), level(b));
            counts[level(a)] += 1;
        }
    }
    assert_eq!(counts, [67, 24, 9]);
}

#[test]
fn discrete_columns_are_rounded_half_to_even() {
    let x = array![
        [-3.0, 1.0],
        [0.0, 1.0],
        [1.0, 2.0],
        [9.0, 1.0],
        [9.0, 2.0],
        [9.0, 2.0],
        [8.0, 1.0],
        [7.0, 2.0]
    ];
    let y = [1, 1, 1, 0, 0, 0, 0, 0];
    let whole = SmoteNc::new().with_categorical(vec![1]).with_discrete(vec![0]).with_k(2);
    let (made, _) = whole.plan(&x, &y).unwrap().apply(&x).unwrap();
    assert!(made.column(0).iter().all(|v: &f64| v.fract() == 0.0));
    let error = |smote: SmoteNc| smote.plan(&x, &y).unwrap_err().to_string();
    assert!(error(SmoteNc::new()).contains("SMOTE"));
    assert!(error(SmoteNc::new().with_categorical(vec![0, 1])).contains("SMOTE-N"));
    assert!(error(SmoteNc::new().with_categorical(vec![2])).contains("column 2"));
    assert!(error(SmoteNc::new().with_categorical(vec![1, 1])).contains("twice"));
    assert!(
        error(SmoteNc::new().with_categorical(vec![1]).with_discrete(vec![1])).contains("twice")
    );
    assert!(error(SmoteNc::new().with_categorical(vec![1])).contains("class 1 has 3"));
}

#[test]
fn votes_are_the_neighbours_and_never_the_other_class() {
    // No spread at all: categories alone, which must still be those of the class.
    let x = array![
        [1.0, 2.0],
        [1.0, 2.0],
        [1.0, 7.0],
        [1.0, 2.0],
        [1.0, 9.0],
        [1.0, 9.0],
        [1.0, 9.0],
        [1.0, 9.0],
        [1.0, 9.0]
    ];
    let y = [1, 1, 1, 1, 0, 0, 0, 0, 0];
    let plan = SmoteNc::new()
        .with_categorical(vec![1])
        .with_k(3)
        .with_strategy(Strategy::Counts([(1, 50)].into()))
        .plan(&x, &y)
        .unwrap();
    let (made, labels) = plan.apply(&x).unwrap();
    for (row, planned) in plan.rows().iter().enumerate().skip(9) {
        let Origin::Voted { a, .. } = planned.origin else { panic!() };
        // Of rows 0, 1 and 3 the neighbours say [2, 2, 7]; of row 2 they say [2, 2, 2].
        assert_eq!((labels[row], made[[row, 1]]), (1, 2.0), "{a}");
    }
}

#[test]
fn hardness_keeps_exactly_what_was_asked() {
    let y: Vec<usize> = (0..30).map(|row| [7, 7, 7, 2, 40][row % 5]).collect();
    let probabilities: Vec<f64> = (0..30).map(|row| ((row * 7) % 10) as f64 / 10.0).collect();
    let x = Array2::from_elem((30, 1), f64::NAN);
    let hardness = InstanceHardness::new().with_probabilities(probabilities.clone());
    let plan = hardness.plan(&x, &y).unwrap();
    for class in [2, 7, 40] {
        let kept: Vec<usize> = plan.kept().into_iter().filter(|&row| y[row] == class).collect();
        assert_eq!(kept.len(), 6);
        let least = kept.iter().map(|&row| probabilities[row]).fold(1.0, f64::min);
        let lost = (0..30).filter(|row| y[*row] == class && !kept.contains(row));
        assert!(lost.map(|row| probabilities[row]).all(|p| p <= least));
    }
    let short = InstanceHardness::new().plan(&x, &y).unwrap_err().to_string();
    assert!(short.contains("probabilities"));
    let wrong = InstanceHardness::new().with_probabilities(vec![2.0; 30]).plan(&x, &y);
    assert!(matches!(wrong, Err(Error::Probability { row: 0, .. })));
}

#[test]
fn folds_are_even_and_groups_whole() {
    let y: Vec<usize> = (0..103).map(|row| [0, 0, 0, 0, 1, 0, 2][row % 7]).collect();
    let folds = Folds::stratified(&y, 4, 3).unwrap();
    for class in 0..3 {
        let counts: Vec<usize> = (0..4)
            .map(|fold| folds.test(fold).into_iter().filter(|&row| y[row] == class).count())
            .collect();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    }
    let mut all: Vec<usize> = (0..4).flat_map(|fold| folds.test(fold)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..103).collect::<Vec<_>>());
    assert_eq!(folds, Folds::stratified(&y, 4, 3).unwrap());
    assert_ne!(folds, Folds::stratified(&y, 4, 4).unwrap());

    let groups: Vec<usize> = (0..103).map(|row| row / 5).collect();
    let whole = Folds::grouped(&y, &groups, 3, 0).unwrap();
    for fold in 0..3 {
        let test: BTreeSet<usize> = whole.test(fold).into_iter().map(|row| groups[row]).collect();
        assert!(whole.train(fold).into_iter().all(|row| !test.contains(&groups[row])));
        let rare = whole.test(fold).into_iter().filter(|&row| y[row] == 2).count();
        assert!((3..=7).contains(&rare), "{rare}");
    }
    assert!(Folds::stratified(&y, 1, 0).is_err() && Folds::grouped(&y, &groups, 22, 0).is_err());

    let x = Array2::from_shape_fn((103, 2), |(r, c)| ((r * 37 + c * 11) % 53) as f64);
    for fold in folds.resampled(&x, &y, &Smote::new()) {
        let fold = fold.unwrap();
        let parents = |origin| match origin {
            Origin::Kept(row) | Origin::Copy(row) => vec![row],
            Origin::Between { a, b, .. } => vec![a, b],
            other => panic!("{other:?}"),
        };
        let seen: BTreeSet<usize> =
            fold.plan.rows().iter().flat_map(|row| parents(row.origin)).collect();
        assert!(fold.test.iter().all(|row| !seen.contains(row)));
        assert_eq!(seen.len() + fold.test.len(), 103);
    }
    let own = folds.out_of_fold::<Error>(|_, test| Ok(test.iter().map(|&r| r as f64).collect()));
    assert_eq!(own.unwrap(), (0..103).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn the_fidelity_report_sees_copies_strangers_and_drift() {
    let (_, x, y) = tables().remove(1);
    let copies = RandomOver::new().plan(&x, &y).unwrap();
    let report = PlanFidelity::of(&copies, &x, &y, 5).unwrap();
    let class = &report.classes[0];
    assert_eq!(class.duplicates, class.synthetic);
    assert_eq!(class.nearest, [0.0; 3]);
    let smote = PlanFidelity::of(&Smote::new().plan(&x, &y).unwrap(), &x, &y, 5).unwrap();
    assert_eq!(smote.classes[0].duplicates, 0);
    assert!(smote.classes[0].drift.iter().all(|d| (0.0..0.5).contains(d)));
    assert!(smote.classes[0].nearest[1] > 0.0);
    // Rows far away from everything drift as far as can be.
    let mut far = x.clone();
    far.row_mut(0).fill(1e3);
    let moved = Plan::new(vec![counterweight_samplers::PlannedRow {
        origin: Origin::Copy(0),
        class: rare(&y),
    }]);
    let lost = PlanFidelity::of(&moved, &far, &y, 5).unwrap();
    assert_eq!(lost.classes[0].among_strangers, f64::from(u8::from(y[0] != rare(&y))));
    let text = smote.to_string();
    assert!(text.contains("duplicates") && text.lines().count() == 2, "{text}");
    assert!(PlanFidelity::of(&copies, &x, &y, 0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_over_sampler_plans_what_was_asked(
        rows in 24..80usize, columns in 1..5usize, seed: u64, classes in 2..4usize, which in 0..9usize,
    ) {
        let mut rng = counterweight_core::rng(seed);
        use rand::RngExt;
        let x = Array2::from_shape_fn((rows, columns + 1), |_| (rng.random::<f64>() * 8.0).round() / 2.0);
        let y: Vec<usize> = (0..rows).map(|row| if row < 7 * (classes - 1) { 1 + row % (classes - 1) } else { 0 }).collect();
        let wanted = Strategy::Change((1..classes).map(|class| (class, 13)).collect());
        let s = |k: &Strategy| k.clone();
        let methods: [Box<dyn Resampler>; 9] = [
            Box::new(Smote::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(SvmSmote::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(SafeLevelSmote::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(GeometricSmote::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(ProWSyn::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(Mwmote::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(SmoteNc::new().with_categorical(vec![0]).with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(SmoteN::new().with_strategy(s(&wanted)).with_seed(seed)),
            Box::new(RandomOver::new().with_shrinkage(Shrinkage::All(0.5)).with_strategy(s(&wanted)).with_seed(seed)),
        ];
        let plan = match methods[which].plan(&x, &y) {
            // Random tables may leave no base.
            Err(Error::AllNoise { .. }) => return Ok(()),
            plan => plan.unwrap(),
        };
        prop_assert_eq!(&plan, &methods[which].plan(&x, &y).unwrap());
        let unchanged = plan.unchanged().len();
        prop_assert_eq!(plan.len(), rows + 13 * (classes - 1 - unchanged));
        let (made, labels) = plan.apply(&x).unwrap();
        prop_assert!(made.iter().all(|v| v.is_finite()));
        prop_assert_eq!(&labels[..rows], &y[..]);
        prop_assert_eq!(made.slice_axis(ndarray::Axis(0), (..rows).into()), x.view());
        for planned in &plan.rows()[rows..] {
            prop_assert_eq!(y[planned.origin.base(&plan)], planned.class);
        }
        // Single precision takes the same plan.
        let small = x.mapv(|v| v as f32);
        let (single, _) = methods[which].plan(&small, &y).unwrap().apply(&small).unwrap();
        for (a, b) in single.iter().zip(&made) {
            prop_assert!((f64::from(*a) - b).abs() < 1e-4);
        }
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
