//! Cleaning and distance-based under-sampling against imbalanced-learn on real tables
//! (`fixtures/generate_cleaning.py`), and the cases that are easy to get wrong.

use std::collections::BTreeMap;

use counterweight_samplers::{
    Adasyn, AllKnn, Bases, BorderlineSmote, BorderlineVersion, Chain, CondensedNn, EditedNn, Error,
    Keep, NearMiss, NearMissVersion, NeighbourhoodCleaning, OneSidedSelection, Origin, RandomOver,
    RandomUnder, RepeatedEditedNn, Resampler, Smote, SmoteEnn, SmoteTomek, Strategy, TomekLinks,
};
use ndarray::{Array2, array};
use proptest::prelude::{Strategy as _, *};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    name: String,
    x: Vec<Vec<f64>>,
    y: Vec<usize>,
    starts: BTreeMap<usize, usize>,
    kept: BTreeMap<String, Vec<usize>>,
    danger: BTreeMap<usize, Vec<usize>>,
}

fn tables() -> Vec<(Table, Array2<f64>)> {
    let tables: Vec<Table> = serde_json::from_str(include_str!("fixtures/cleaning.json")).unwrap();
    let x = |t: &Table| Array2::from_shape_vec((t.x.len(), t.x[0].len()), t.x.concat()).unwrap();
    tables.into_iter().map(|t| (x(&t), t)).map(|(x, t)| (t, x)).collect()
}

fn method(name: &str, starts: &BTreeMap<usize, usize>) -> Box<dyn Resampler> {
    let enn = EditedNn::new();
    match name {
        "tomek" => Box::new(TomekLinks::new()),
        "tomek_all" => Box::new(TomekLinks::new().with_strategy(Strategy::All)),
        "enn" => Box::new(enn),
        "enn_mode" => Box::new(enn.with_keep(Keep::Mode)),
        "enn_all" => Box::new(enn.with_strategy(Strategy::All).with_k(5)),
        "repeated" => Box::new(RepeatedEditedNn::new()),
        "repeated_mode" => Box::new(RepeatedEditedNn::new().with_keep(Keep::Mode)),
        "all_knn" => Box::new(AllKnn::new()),
        "all_knn_minority" => Box::new(AllKnn::new().with_allow_minority(true).with_k(5)),
        "near_miss_1" => Box::new(NearMiss::new()),
        "near_miss_2" => Box::new(NearMiss::new().with_version(NearMissVersion::Two)),
        "near_miss_3" => Box::new(NearMiss::new().with_version(NearMissVersion::Three)),
        "one_sided" => Box::new(OneSidedSelection::new().with_starts(starts.clone())),
        "condensed" => Box::new(CondensedNn::new().with_starts(starts.clone())),
        "neighbourhood" => Box::new(NeighbourhoodCleaning::new()),
        other => panic!("{other}"),
    }
}

#[test]
fn the_peers_rows_are_kept() {
    let tables = tables();
    assert_eq!(tables.len(), 8);
    for (table, x) in &tables {
        for (name, expected) in &table.kept {
            let plan = method(name, &table.starts).plan(&x, &table.y).unwrap();
            assert_eq!(&plan.kept(), expected, "{name} on {}", table.name);
        }
        for (&class, expected) in &table.danger {
            let danger = BorderlineSmote::new().danger(&x, &table.y, class).unwrap();
            assert_eq!(&danger, expected, "danger on {}", table.name);
        }
    }
}

#[test]
fn what_borderline_smote_and_adasyn_make_comes_from_the_right_rows() {
    for (table, x) in tables() {
        let y = &table.y;
        let count = |labels: &[usize], class| labels.iter().filter(|&&c| c == class).count();
        let most = (0..3).map(|class| count(y, class)).max().unwrap();
        for kind in [BorderlineVersion::One, BorderlineVersion::Two] {
            let plan = BorderlineSmote::new().with_version(kind).plan(&x, y).unwrap();
            for row in &plan.rows()[y.len()..] {
                let Origin::Between { a, b, t } = row.origin else { panic!("{row:?}") };
                assert!(table.danger[&row.class].contains(&a));
                let stranger = y[b] != row.class;
                assert!(t < if stranger { 0.5 } else { 1.0 });
                assert!(!stranger || kind == BorderlineVersion::Two);
            }
            for class in table.danger.keys() {
                assert_eq!(count(&plan.labels(), *class), most);
            }
            assert!(plan.unchanged().is_empty());
        }
        let plan = Adasyn::new().plan(&x, y).unwrap();
        let mut made = vec![0; y.len()];
        for row in &plan.rows()[y.len()..] {
            let Origin::Between { a, b, .. } = row.origin else { panic!("{row:?}") };
            assert_eq!((y[a], y[b]), (row.class, row.class));
            made[a] += 1;
        }
        assert_eq!(plan.len(), (0..3).filter(|&c| count(y, c) > 0).count() * most);
        // In proportion to the strangers among the five nearest, by plain distances.
        for class in (0..3).filter(|&class| (1..most).contains(&count(y, class))) {
            let members: Vec<usize> = (0..y.len()).filter(|&row| y[row] == class).collect();
            let strangers = |row: usize| {
                let apart = |other: usize| {
                    let gap = &x.row(row) - &x.row(other);
                    gap.dot(&gap)
                };
                let mut others: Vec<usize> = (0..y.len()).filter(|&o| o != row).collect();
                others.sort_by(|&a, &b| apart(a).total_cmp(&apart(b)));
                others[..5].iter().filter(|&&o| y[o] != class).count() as f64
            };
            let shares: Vec<f64> = members.iter().map(|&row| strangers(row)).collect();
            let sum: f64 = shares.iter().sum();
            let wanted = (most - members.len()) as f64;
            for (&row, share) in members.iter().zip(&shares) {
                let exact = share / sum * wanted;
                assert!((made[row] as f64 - exact).abs() < 1.0, "{exact} {}", made[row]);
            }
        }
    }
}

#[test]
fn smote_then_cleaning_keeps_the_provenance() {
    let (table, x) = tables().swap_remove(2);
    let chains: [(Box<dyn Resampler>, Chain); 2] = [
        (
            Box::new(SmoteEnn::default()),
            Chain::new(vec![
                Box::new(Smote::new()),
                Box::new(EditedNn::new().with_strategy(Strategy::All)),
            ]),
        ),
        (
            Box::new(SmoteTomek::default()),
            Chain::new(vec![
                Box::new(Smote::new()),
                Box::new(TomekLinks::new().with_strategy(Strategy::All)),
            ]),
        ),
    ];
    for (both, chain) in chains {
        let plan = both.plan(&x, &table.y).unwrap();
        assert_eq!(plan, chain.plan(&x, &table.y).unwrap());
        let smote = Smote::new().plan(&x, &table.y).unwrap();
        assert!(plan.len() < smote.len());
        assert!(plan.rows().iter().all(|row| smote.rows().contains(row)));
    }
    // A second over-sampling may stand between synthetic rows.
    let twice = Chain::new(vec![
        Box::new(Smote::new().with_strategy(Strategy::Change([(1, 20)].into()))),
        Box::new(Smote::new().with_strategy(Strategy::Change([(1, 20)].into()))),
    ]);
    assert!(matches!(twice.plan(&x, &table.y), Err(Error::Nested { .. })));
    let copies = Chain::new(vec![
        Box::new(RandomOver::new()),
        Box::new(RandomUnder::new().with_strategy(Strategy::Counts([(0, 5), (1, 5)].into()))),
    ]);
    let plan = copies.plan(&x, &table.y).unwrap();
    let (rows, labels) = plan.apply(&x).unwrap();
    for (planned, (row, class)) in plan.rows().iter().zip(rows.outer_iter().zip(labels)) {
        let (Origin::Kept(from) | Origin::Copy(from)) = planned.origin else { panic!() };
        assert_eq!((row, class), (x.row(from), table.y[from]));
    }
}

#[test]
fn tomek_links_of_duplicates() {
    let x = array![[0.0], [0.0], [5.0], [6.0], [7.0]];
    let all = TomekLinks::new().with_strategy(Strategy::All);
    assert_eq!(all.plan(&x, &[1, 0, 0, 0, 0]).unwrap().kept(), [2, 3, 4]);
}

#[test]
fn ratios_do_not_truncate_and_one_that_is_met_changes_nothing() {
    let rows = |counts: [usize; 2]| {
        let y: Vec<usize> = (0..2).flat_map(|c| vec![c; counts[c]]).collect();
        (Array2::<f64>::zeros((y.len(), 1)), y)
    };
    let minority = |r: &dyn Resampler, counts: [usize; 2]| {
        let (x, y) = rows(counts);
        let labels = r.plan(&x, &y).unwrap().labels();
        [0, 1].map(|class| labels.iter().filter(|&&c| c == class).count())
    };
    let over = |ratio| RandomOver::new().with_strategy(Strategy::Ratio(ratio));
    let under = |ratio| RandomUnder::new().with_strategy(Strategy::Ratio(ratio));
    assert_eq!(minority(&over(0.57), [100, 50]), [100, 57]);
    assert_eq!(minority(&under(0.07), [200, 7]), [100, 7]);
    assert_eq!(minority(&over(0.3), [100, 50]), [100, 50]);
    assert_eq!(minority(&under(0.3), [100, 50]), [100, 50]);
    let change = |n| RandomUnder::new().with_strategy(Strategy::Change([(0, n)].into()));
    assert_eq!(minority(&change(30), [100, 50]), [70, 50]);
    let (x, y) = rows([100, 50]);
    let message = |r: &dyn Resampler| r.plan(&x, &y).unwrap_err().to_string();
    assert!(message(&change(101)).contains("cannot remove 101"));
    let counts = |class, n| RandomOver::new().with_strategy(Strategy::Counts([(class, n)].into()));
    assert!(message(&counts(7, 3)).contains("class 7"));
    assert!(message(&counts(1, 3)).contains("class 1 has 50 examples"));
    assert!(message(&TomekLinks::new().with_strategy(Strategy::Ratio(0.5))).contains("ratio"));
}

#[test]
fn small_classes_are_named_or_clamped() {
    let x = Array2::from_shape_fn((11, 1), |(row, _)| row as f64);
    let y = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    match Smote::new().plan(&x, &y) {
        Err(Error::TooFew { class: 1, got: 3, needed: 6, .. }) => {}
        other => panic!("{other:?}"),
    }
    let clamped = Smote::new().with_clamp(true).plan(&x, &y).unwrap();
    assert_eq!(clamped.len(), 16);
    let one = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(matches!(
        Smote::new().with_clamp(true).plan(&x, &one),
        Err(Error::TooFew { class: 1, got: 1, needed: 2, .. })
    ));
    let apart = array![[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [9.3]];
    let apart_y = [1, 1, 1, 0, 0, 0, 0];
    assert!(matches!(
        Adasyn::new().with_k(2).plan(&apart, &apart_y),
        Err(Error::NoStrangers { class: 1, .. })
    ));
    let borderline = BorderlineSmote::new().with_k(2).with_m(2);
    let plan = borderline.plan(&apart, &apart_y).unwrap();
    assert_eq!((plan.len(), plan.unchanged()), (7, &[1][..]));
    for method in [
        &EditedNn::new().with_k(20) as &dyn Resampler,
        &RepeatedEditedNn::new().with_k(20),
        &AllKnn::new().with_k(20),
        &NeighbourhoodCleaning::new().with_k(20),
    ] {
        assert!(matches!(method.plan(&x, &y), Err(Error::TooFewRows { got: 11, needed: 21, .. })));
    }
    // The smallest class shrinks too when it is named.
    let fewer = NearMiss::new().with_strategy(Strategy::Counts([(1, 2)].into()));
    let plan = fewer.plan(&x, &y).unwrap();
    assert_eq!(plan.labels().iter().filter(|&&c| c == 1).count(), 2);
}

#[test]
fn distances_need_numbers_and_random_methods_do_not() {
    let x = array![[0.0, 1.0], [f64::NAN, 2.0], [3.0, 4.0]];
    let y = [0, 0, 1];
    assert_eq!(RandomOver::new().plan(&x, &y).unwrap().len(), 4);
    assert_eq!(RandomUnder::new().plan(&x, &y).unwrap().len(), 2);
    for method in [
        &TomekLinks::new() as &dyn Resampler,
        &EditedNn::new().with_k(1),
        &CondensedNn::new(),
        &NearMiss::new().with_k(1),
        &Adasyn::new().with_k(1),
        &BorderlineSmote::new().with_m(1),
    ] {
        let message = method.plan(&x, &y).unwrap_err().to_string();
        assert!(message.contains("row 1, column 0"), "{message}");
    }
}

#[test]
fn balanced_bases_are_used_alike() {
    let x = Array2::from_shape_fn((18, 1), |(row, _)| (row * row) as f64);
    let y: Vec<usize> = (0..18).map(|row| usize::from(row < 4)).collect();
    for plan in [
        RandomOver::new().with_bases(Bases::Balanced).plan(&x, &y).unwrap(),
        Smote::new().with_k(3).with_bases(Bases::Balanced).plan(&x, &y).unwrap(),
    ] {
        let mut uses = [0; 4];
        for row in &plan.rows()[18..] {
            match row.origin {
                Origin::Copy(a) | Origin::Between { a, .. } => uses[a] += 1,
                _ => panic!("{row:?}"),
            }
        }
        assert_eq!(uses.iter().sum::<usize>(), 10);
        assert!(uses.iter().all(|n| [2, 3].contains(n)), "{uses:?}");
    }
}

fn any_data() -> impl proptest::strategy::Strategy<Value = (Array2<f64>, Vec<usize>)> {
    (20..120usize, 1..4usize).prop_flat_map(|(rows, columns)| {
        let values =
            prop::collection::vec((-40..40i32).prop_map(|v| f64::from(v) / 8.0), rows * columns);
        (values, prop::collection::vec(0..3usize, rows)).prop_map(move |(values, y)| {
            (Array2::from_shape_vec((rows, columns), values).unwrap(), y)
        })
    })
}

proptest! {
    #[test]
    fn plans_are_true_to_the_data_at_any_thread_count((x, y) in any_data(), seed: u64) {
        let methods: Vec<Box<dyn Resampler + Sync>> = vec![
            Box::new(TomekLinks::new()),
            Box::new(EditedNn::new().with_strategy(Strategy::All)),
            Box::new(RepeatedEditedNn::new().with_keep(Keep::Mode)),
            Box::new(AllKnn::new()),
            Box::new(CondensedNn::new().with_seed(seed)),
            Box::new(OneSidedSelection::new().with_seed(seed)),
            Box::new(NeighbourhoodCleaning::new()),
            Box::new(NearMiss::new().with_version(NearMissVersion::Three).with_k(1)),
            Box::new(Adasyn::new().with_k(1).with_seed(seed)),
            Box::new(BorderlineSmote::new().with_k(1).with_m(3).with_seed(seed)),
            Box::new(Smote::new().with_clamp(true).with_seed(seed)),
        ];
        for method in methods {
            let run = || method.plan(&x, &y);
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
            // Too small a class is an error, whatever the threads.
            let Ok(plan) = run() else {
                prop_assert!(one.is_err());
                continue;
            };
            prop_assert_eq!(&one.unwrap(), &plan);
            let kept = plan.kept();
            prop_assert!(kept.is_sorted() && kept.windows(2).all(|w| w[0] != w[1]));
            let (rows, labels) = plan.apply(&x).unwrap();
            for (at, planned) in plan.rows().iter().enumerate() {
                prop_assert_eq!(labels[at], planned.class);
                if let Origin::Kept(row) = planned.origin {
                    prop_assert_eq!(rows.row(at), x.row(row));
                    prop_assert_eq!(labels[at], y[row]);
                }
            }
        }
    }
}
