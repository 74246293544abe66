//! Invariants of plans and index samplers.

use burn::data::dataset::{Dataset, InMemDataset};
use burn::tensor::Device;
use std::sync::Arc;

use counterweight_samplers::{
    ClassAware, EffectiveNumber, Error, Imbalance, IndexSampler, Origin, Plan, Progressive,
    RandomOver, RandomUnder, RepeatFactor, Resampler, SampledDataset, SamplerConfig, Smote,
    SquareRoot, Strategy, Uniform, Weighted,
};
use ndarray::{Array2, array};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

fn any_data() -> impl proptest::strategy::Strategy<Value = (Array2<f64>, Vec<usize>)> {
    (1..4usize, prop::collection::vec(7..30usize, 2..4)).prop_flat_map(|(columns, counts)| {
        let y: Vec<usize> =
            counts.iter().enumerate().flat_map(|(c, &n)| std::iter::repeat_n(c, n)).collect();
        prop::collection::vec(-1e3..1e3f64, y.len() * columns).prop_map(move |values| {
            (Array2::from_shape_vec((y.len(), columns), values).unwrap(), y.clone())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn plans_are_seeded_serialisable_and_apply_the_same_everywhere(
        (x, y) in any_data(),
        seed in any::<u64>(),
    ) {
        let resamplers: [Box<dyn Resampler>; 3] = [
            Box::new(RandomOver::new().with_seed(seed)),
            Box::new(RandomUnder::new().with_seed(seed)),
            Box::new(Smote::new().with_seed(seed)),
        ];
        for resampler in &resamplers {
            let plan = resampler.plan(&x, &y).unwrap();
            prop_assert_eq!(&plan, &resampler.plan(&x, &y).unwrap());
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(&plan, &serde_json::from_str::<Plan>(&json).unwrap());

            let (out, labels) = plan.apply(&x).unwrap();
            for row in plan.rows() {
                let parents = match row.origin {
                    Origin::Between { a, b, .. } => [a, b],
                    Origin::Kept(i) | Origin::Copy(i) => [i, i],
                    _ => unreachable!(),
                };
                prop_assert!(parents.iter().all(|&p| y[p] == row.class));
            }
            let mut streamed = Vec::new();
            for batch in plan.batches(&x, 7) {
                streamed.extend(batch.unwrap().0);
            }
            prop_assert_eq!(&streamed, &out.iter().copied().collect::<Vec<_>>());
            // A synthetic row lies within the range of the data.
            for (column, of) in out.columns().into_iter().zip(x.columns()) {
                let (low, high) = of.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                prop_assert!(column.iter().all(|v| (low - 1e-9..=high + 1e-9).contains(v)));
            }
            let device = Device::flex();
            let values: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            let tensor = burn::tensor::Tensor::<2>::from_data(
                burn::tensor::TensorData::new(values, [x.nrows(), x.ncols()]), &device);
            let on_device: Vec<f32> =
                plan.apply_tensor(tensor).unwrap().into_data().try_to_vec().unwrap();
            for (a, b) in on_device.iter().zip(&out) {
                prop_assert!((f64::from(*a) - b).abs() < 1e-2);
            }
            prop_assert_eq!(labels.len(), out.nrows());
        }
    }

    #[test]
    fn smote_keeps_a_minoritys_mean((x, y) in any_data()) {
        // SMOTE's rows average to the class's in expectation.
        let largest = y.iter().filter(|&&c| c == 0).count().max(30);
        let plan = Smote::new()
            .with_strategy(Strategy::Counts([(0, largest * 100)].into()))
            .plan(&x, &y).unwrap();
        let (out, labels) = plan.apply(&x).unwrap();
        for (before, after) in x.columns().into_iter().zip(out.columns()) {
            let of = |values: ndarray::ArrayView1<f64>, labels: &[usize]| {
                let members: Vec<f64> =
                    values.iter().zip(labels).filter(|&(_, &c)| c == 0).map(|(v, _)| *v).collect();
                let mean = members.iter().sum::<f64>() / members.len() as f64;
                let spread = members.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
                (mean, (spread / members.len() as f64).sqrt())
            };
            let ((m1, s1), (m2, s2)) = (of(before, &y), of(after, &labels));
            // Neighbours are not a symmetric relation, so the mean moves a little.
            prop_assert!((m1 - m2).abs() < 0.6 * s1);
            prop_assert!(s2 <= 1.1 * s1);
        }
    }

    #[test]
    fn index_samplers_give_an_epoch_of_valid_rows(
        labels in prop::collection::vec(0..5usize, 1..200),
        seed in any::<u64>(),
        epoch in 0..5usize,
    ) {
        for config in [
            SamplerConfig::Uniform,
            SamplerConfig::ClassAware,
            SamplerConfig::SquareRoot,
            SamplerConfig::Power { power: 0.3 },
            SamplerConfig::EffectiveNumber { beta: 0.99 },
            SamplerConfig::RepeatFactor { threshold: 0.2 },
            SamplerConfig::Progressive { epochs: 3 },
            SamplerConfig::Weighted { weights: vec![0.5, 1.0, 2.0, 0.1, 4.0] },
        ] {
            let sampler = config.init(&labels, seed).unwrap();
            let rows = sampler.epoch(epoch);
            prop_assert_eq!(rows.len(), labels.len());
            prop_assert!(rows.iter().all(|&r| r < labels.len()));
            prop_assert_eq!(&rows, &sampler.epoch(epoch));
        }
    }
}

#[test]
fn class_shares_are_those_of_each_sampler() {
    let labels: Vec<usize> =
        [900, 90, 10].iter().enumerate().flat_map(|(c, &n)| vec![c; n]).collect();
    let shares = |sampler: &dyn IndexSampler| {
        let mut counts = [0.0; 3];
        for epoch in 0..50 {
            sampler.epoch(epoch).into_iter().for_each(|r| counts[labels[r]] += 1.0 / 50_000.0);
        }
        counts
    };
    let near = |got: [f64; 3], expected: [f64; 3]| {
        for (g, e) in got.iter().zip(expected) {
            assert!((g - e).abs() < 0.01, "{got:?} {expected:?}");
        }
    };
    near(shares(&Uniform::new(&labels, 1).unwrap()), [0.9, 0.09, 0.01]);
    near(shares(&ClassAware::new(&labels, 1).unwrap()), [1.0 / 3.0; 3]);
    let roots = [30.0, 90f64.sqrt(), 10f64.sqrt()];
    let sum: f64 = roots.iter().sum();
    near(shares(&SquareRoot::new(&labels, 1).unwrap()), roots.map(|r| r / sum));
    let normal = |weights: [f64; 3]| {
        let sum: f64 = weights.iter().sum();
        weights.map(|w| w / sum)
    };
    let effective = [900, 90, 10].map(|n| n as f64 * 0.01 / (1.0 - 0.99f64.powi(n)));
    near(shares(&EffectiveNumber::new(&labels, 0.99, 1).unwrap()), normal(effective));
    // Of t = .2 the classes at .09 and .01 are repeated.
    let repeated = [900.0, 90.0 * (0.2f64 / 0.09).sqrt(), 10.0 * 20f64.sqrt()];
    near(shares(&RepeatFactor::new(&labels, 0.2, 1).unwrap()), normal(repeated));
    near(shares(&Weighted::new(&labels, &[0.0, 1.0, 3.0], 1).unwrap()), [0.0, 0.25, 0.75]);
    let progressive = Progressive::new(&labels, 3, 1).unwrap();
    let share = |epoch: usize| {
        let rows = progressive.epoch(epoch);
        rows.iter().filter(|&&row| labels[row] == 0).count() as f64 / 1000.0
    };
    for (epoch, expected) in [(0, 0.9), (1, 0.45 + 1.0 / 6.0), (2, 1.0 / 3.0), (9, 1.0 / 3.0)] {
        assert!((share(epoch) - expected).abs() < 0.06, "{epoch}: {}", share(epoch));
    }
    for bad in [
        EffectiveNumber::new(&labels, 1.0, 1).err(),
        RepeatFactor::new(&labels, 0.0, 1).err(),
        Progressive::new(&labels, 1, 1).err(),
        Weighted::new(&labels, &[1.0], 1).err(),
        Weighted::new(&labels, &[1.0, -1.0, 1.0], 1).err(),
        Weighted::new(&labels, &[0.0; 3], 1).err(),
    ] {
        assert!(bad.is_some());
    }
}

#[test]
fn long_tails_are_made() {
    let cifar = Imbalance::Exponential { factor: 200.0 };
    let expected = [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25];
    assert_eq!(cifar.counts(5000, 10).unwrap(), expected);
    let step = Imbalance::Step { factor: 10.0, minority: 0.5 };
    assert_eq!(step.counts(100, 5).unwrap(), [100, 100, 100, 10, 10]);
    let labels: Vec<usize> = (0..600).map(|row| row % 3).collect();
    let plan = Imbalance::Exponential { factor: 100.0 }.plan(&labels, 7).unwrap();
    let count = |class| plan.labels().iter().filter(|&&c| c == class).count();
    assert_eq!([count(0), count(1), count(2)], [200, 20, 2]);
    assert!(plan.kept().is_sorted());
    assert_eq!(plan, Imbalance::Exponential { factor: 100.0 }.plan(&labels, 7).unwrap());
    assert_ne!(plan, Imbalance::Exponential { factor: 100.0 }.plan(&labels, 8).unwrap());
    let given = Imbalance::Counts(vec![5, 0, 7]);
    assert_eq!(given.plan(&labels, 0).unwrap().len(), 12);
    let message = |i: Imbalance| i.plan(&labels, 0).unwrap_err().to_string();
    assert!(message(Imbalance::Counts(vec![201, 1, 1])).contains("class 0 has 200 examples"));
    assert!(message(Imbalance::Counts(vec![1, 1])).contains("counts has 2 items, expected 3"));
    assert!(message(Imbalance::Exponential { factor: 0.5 }).contains("factor = 0.5"));
}

#[test]
fn bad_data_are_named() {
    let x = array![[0.0], [f64::NAN], [1.0]];
    let message = |e: Error| e.to_string();
    let nan = Smote::new().plan(&x, &[0, 1, 1]).unwrap_err();
    assert_eq!(message(nan), "feature at row 1, column 0 is NaN; features must be finite");
    let x = array![[0.0], [1.0], [2.0], [3.0]];
    let few = Smote::new().plan(&x, &[0, 0, 0, 1]).unwrap_err();
    assert_eq!(message(few), "class 1 has 1 examples, but SMOTE needs at least 6");
    let short = RandomOver::new().plan(&x, &[0]).unwrap_err();
    assert_eq!(message(short), "labels has 1 items, expected 4");
    let ratio = RandomOver::new().with_strategy(Strategy::Ratio(1.5)).plan(&x, &[0, 0, 0, 1]);
    assert_eq!(message(ratio.unwrap_err()), "ratio = 1.5 is outside (0, 1]");
    let k = Smote::new().with_k(0).plan(&x, &[0, 0, 0, 1]).unwrap_err();
    assert_eq!(message(k), "k = 0 is outside [1, inf)");
    let shrink = Strategy::Counts([(0, 1)].into());
    let shrink = RandomOver::new().with_strategy(shrink).plan(&x, &[0, 0, 0, 1]).unwrap_err();
    assert!(message(shrink).contains("class 0 has 3 examples"));
    let power = SamplerConfig::Power { power: 2.0 }.init(&[0], 0).unwrap_err();
    assert_eq!(message(power), "power = 2 is outside [0, 1]");
    let texts = Smote::new().with_k(1).plan(&x, &[0, 0, 1, 1]).unwrap();
    assert_eq!(texts.pick(&["a", "b", "c", "d"]).unwrap(), ["a", "b", "c", "d"]);
    assert!(texts.pick(&["a"]).is_err());
}

#[test]
fn a_sampled_dataset_reads_the_samplers_rows() {
    let data = Arc::new(InMemDataset::new(vec![10, 11, 12, 13]));
    let sampler = ClassAware::new(&[0, 0, 0, 1], 3).unwrap();
    let epoch = SampledDataset::<_, i32>::new(data, &sampler, 2);
    let items: Vec<i32> = (0..4).map(|i| epoch.get(i).unwrap()).collect();
    let expected: Vec<i32> = sampler.epoch(2).into_iter().map(|r| 10 + r as i32).collect();
    assert_eq!(items, expected);
}
