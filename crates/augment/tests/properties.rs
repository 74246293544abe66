//! Invariants of the augmenters.

use burn::tensor::{Device, Tensor, TensorData};
use counterweight_augment::{Augmenter, Batch, Mixup, TokenDropout};
use proptest::prelude::*;

/// Rows with distinct values, and one-hot targets that name the row.
fn batch(rows: usize, columns: usize) -> Batch<2> {
    let device = Device::flex();
    let values: Vec<f32> = (0..rows * columns).map(|i| (i / columns) as f32).collect();
    let hot: Vec<f32> =
        (0..rows * rows).map(|i| f32::from(u8::from(i / rows == i % rows))).collect();
    Batch {
        features: Tensor::from_data(TensorData::new(values, [rows, columns]), &device),
        targets: Tensor::from_data(TensorData::new(hot, [rows, rows]), &device),
    }
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

proptest! {
    #[test]
    fn mixup_mixes_features_and_targets_by_the_same_weights(
        rows in 1..9usize,
        columns in 1..4usize,
        alpha in 0.05..5.0f64,
        per_batch in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mixup = Mixup::new().with_alpha(alpha).with_per_batch(per_batch).init().unwrap();
        let mixed = mixup.augment(batch(rows, columns), seed);
        let again = mixup.augment(batch(rows, columns), seed);
        let (x, t) = (values(mixed.features), values(mixed.targets));
        prop_assert_eq!(&x, &values(again.features));
        for (x, t) in x.chunks(columns).zip(t.chunks(rows)) {
            prop_assert!((t.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!(t.iter().filter(|&&w| w != 0.0).count() <= 2);
            // A row's value is its number, so the targets say what the mix must be.
            let expected: f32 = t.iter().enumerate().map(|(row, w)| row as f32 * w).sum();
            prop_assert!(x.iter().all(|v| (v - expected).abs() < 1e-4));
        }
    }

    #[test]
    fn token_dropout_zeroes_and_changes_nothing_else(
        rows in 1..20usize,
        columns in 1..30usize,
        rate in 0.0..0.99f64,
        protect in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let dropout = TokenDropout::new().with_rate(rate).with_protect_first(protect).init().unwrap();
        let ones = Tensor::<2>::ones([rows, columns], &Device::flex());
        let input = Batch { features: ones.clone(), targets: ones };
        let kept = values(dropout.augment(input, seed).features);
        prop_assert!(kept.iter().all(|&v| v == 0.0 || v == 1.0));
        if protect {
            prop_assert!(kept.iter().step_by(columns).all(|&v| v == 1.0));
        }
    }
}

#[test]
fn rates_hold_in_the_long_run() {
    let ones = Tensor::<2>::ones([400, 100], &Device::flex());
    let input = Batch { features: ones.clone(), targets: ones };
    let dropout = TokenDropout::new().with_rate(0.3).with_protect_first(false).init().unwrap();
    let kept: f32 = values(dropout.augment(input, 1).features).iter().sum();
    assert!((kept / 40_000.0 - 0.7).abs() < 0.01);
}

#[test]
fn bad_parameters_are_named() {
    let alpha = |a| Mixup::new().with_alpha(a).init().unwrap_err().to_string();
    assert_eq!(alpha(0.0), "alpha = 0 is outside (0, inf)");
    assert_eq!(alpha(f64::NAN), "alpha = NaN is outside (0, inf)");
    let rate = TokenDropout::new().with_rate(1.0).init().unwrap_err().to_string();
    assert_eq!(rate, "rate = 1 is outside [0, 1)");
}
