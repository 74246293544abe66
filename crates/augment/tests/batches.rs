//! Invariants of the augmenters of batches.

use burn::tensor::{Device, Tensor, TensorData};
use counterweight_augment::{
    Augmenter, Batch, CutMix, ImageTransform, Images, Mixer, Mixup, RandAugment, Rectangle, Remix,
    Strength, TokenDropout,
};
use counterweight_core::ClassProfile;
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

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Images of one value each, `row / rows`, and one-hot targets that name the row.
fn images(rows: usize, channels: usize, height: usize, width: usize) -> Batch<4> {
    let Batch { features, targets } = batch(rows, channels * height * width);
    let features = features / rows as f32;
    Batch { features: features.reshape([rows, channels, height, width]), targets }
}

fn all_transforms() -> Vec<ImageTransform> {
    use ImageTransform::*;
    vec![
        FlipHorizontal { probability: 1.0 },
        FlipVertical { probability: 0.5 },
        Rotate { degrees: 40.0 },
        Jitter { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.3 },
        Scale { by: 0.3 },
        Translate { by: 0.2 },
        Shear { degrees: 20.0 },
        Crop { padding: 2 },
        Noise { deviation: 0.1 },
        Erase { probability: 1.0, area: [0.02, 0.33], aspect: [0.3, 3.3] },
        RandAugment(counterweight_augment::RandAugment { operations: 2, magnitude: 0.5 }),
    ]
}

fn with(transforms: Vec<ImageTransform>, strength: Strength) -> Images {
    let mut images = Images::new().with_strength(strength);
    images.transforms = transforms;
    images
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

    /// A share of the pixels is the partner's, and exactly that share of the target.
    #[test]
    fn the_label_of_cutmix_is_the_area_that_was_pasted(
        rows in 1..6usize,
        height in 1..9usize,
        width in 1..9usize,
        alpha in 0.05..5.0f64,
        per_batch in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let cutmix = CutMix::new().with_alpha(alpha).with_per_batch(per_batch).init().unwrap();
        let batch = images(rows, 2, height, width);
        let mixed = cutmix.augment(batch.clone(), seed);
        let again = values(cutmix.augment(batch, seed).features);
        let (x, t) = (values(mixed.features), values(mixed.targets));
        prop_assert_eq!(&x, &again);
        let size = 2 * height * width;
        for (row, (x, t)) in x.chunks(size).zip(t.chunks(rows)).enumerate() {
            prop_assert!((t.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            for (of, share) in t.iter().enumerate() {
                let value = of as f32 / rows as f32;
                let pixels = x.iter().filter(|v| **v == value).count();
                prop_assert!((pixels as f32 / size as f32 - share).abs() < 1e-6, "{row} {of}");
            }
        }
    }

    #[test]
    fn image_transforms_keep_shape_range_and_targets(
        rows in 0..5usize,
        channels in prop::sample::select(vec![1usize, 3, 4]),
        height in 1..9usize,
        width in 1..9usize,
        per_batch in any::<bool>(),
        tail in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let profile = ClassProfile::from_counts((1..=rows.max(1) as u64).map(|n| 3 * n)).unwrap();
        let strength = if tail { Strength::Rarity { power: 0.5 } } else { Strength::Same };
        let images_of = with(all_transforms(), strength).with_per_batch(per_batch);
        let augmenter = images_of.init(&profile).unwrap();
        let mut batch = images(rows.max(1), channels, height, width);
        if rows == 0 {
            batch = batch.select(&[]);
        }
        let changed = augmenter.augment(batch.clone(), seed);
        prop_assert_eq!(changed.features.dims(), batch.features.dims());
        prop_assert_eq!(values(changed.targets), values(batch.targets.clone()));
        let x = values(changed.features);
        prop_assert!(x.iter().all(|v| (-1e-6..=1.000_001).contains(v)), "{:?}", x);
        let again = augmenter.augment(batch, seed);
        prop_assert_eq!(x, values(again.features));
    }

    #[test]
    fn strength_0_changes_no_image(
        channels in prop::sample::select(vec![1usize, 3]),
        seed in any::<u64>(),
    ) {
        use ImageTransform::*;
        let profile = ClassProfile::from_counts([3, 3, 3]).unwrap();
        let nothing = Strength::Classes { strengths: vec![0.0; 3] };
        // Equalising and stretching have no magnitude to be 0.
        let steps: Vec<_> =
            all_transforms().into_iter().filter(|t| !matches!(t, RandAugment(_))).collect();
        let augmenter = with(steps, nothing).init(&profile).unwrap();
        let batch = images(3, channels, 5, 7);
        let changed = values(augmenter.augment(batch.clone(), seed).features);
        for (a, b) in changed.iter().zip(values(batch.features)) {
            prop_assert!((a - b).abs() < 1e-5, "{a} {b}");
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

#[test]
fn a_weight_of_1_is_the_identity_and_a_batch_of_one_comes_back() {
    let mixup = Mixup::new().init().unwrap();
    let batch = batch(3, 4);
    let partners = batch.select(&[2, 0, 1]);
    let same = mixup.mix_by(batch.clone(), partners.clone(), vec![1.0; 3]);
    assert_eq!(values(same.features), values(batch.features.clone()));
    assert_eq!(values(same.targets), values(batch.targets.clone()));
    let other = mixup.mix_by(batch.clone(), partners.clone(), vec![0.0; 3]);
    assert_eq!(values(other.features), values(partners.features));
    let one = batch.select(&[1]);
    let profile = ClassProfile::from_counts([5, 5, 5]).unwrap();
    let remix = Remix::new().init(&profile).unwrap();
    for changed in [mixup.augment(one.clone(), 1), remix.augment(one.clone(), 1)] {
        assert_eq!(values(changed.features), values(one.features.clone()));
        assert_eq!(values(changed.targets), values(one.targets.clone()));
    }
    let one = images(2, 1, 3, 3).select(&[1]);
    let changed = CutMix::new().init().unwrap().augment(one.clone(), 3);
    assert_eq!(values(changed.features), values(one.features));
}

#[test]
fn a_pasted_rectangle_is_exactly_the_partners() {
    let batch = images(2, 1, 2, 3);
    let partners = batch.select(&[1, 0]);
    let corner = Rectangle { top: 1, bottom: 2, left: 0, right: 2 };
    let none = Rectangle { top: 0, bottom: 0, left: 0, right: 0 };
    let mixed = CutMix::new().init().unwrap().paste(batch, partners, &[corner, none]);
    assert_eq!(values(mixed.features)[..6], [0.0, 0.0, 0.0, 0.5, 0.5, 0.0]);
    let t = values(mixed.targets);
    assert!((t[0] - 4.0 / 6.0).abs() < 1e-6 && t[2..] == [0.0, 1.0], "{t:?}");
}

/// The three cases of Remix, and features that are mixed whatever the label.
#[test]
fn remix_gives_the_label_to_the_rarer_class() {
    let profile = ClassProfile::from_counts([90, 30, 29]).unwrap();
    let remix = Remix::new().with_kappa(3.0).with_tau(0.4).init(&profile).unwrap();
    let batch = batch(3, 1);
    // 0 with 1: three times as frequent. 1 with 2: about as frequent. 2 with 0.
    let partners = batch.select(&[1, 2, 0]);
    let label = |lambda: f32| {
        let mixed = remix.mix_by(batch.clone(), partners.clone(), vec![lambda; 3]);
        let x = values(mixed.features);
        assert!((x[0] - (1.0 - lambda)).abs() < 1e-6);
        let t = values(mixed.targets);
        [t[0], t[4], t[8]]
    };
    let near = |got: [f32; 3], expected: [f32; 3]| {
        assert!(
            got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{got:?} {expected:?}"
        );
    };
    near(label(0.3), [0.0, 0.3, 0.3]);
    near(label(0.5), [0.5, 0.5, 0.5]);
    near(label(0.7), [0.7, 0.7, 1.0]);
}

/// Manifold mixup: gradients reach what was mixed, from the row and from its partner.
#[test]
fn gradients_flow_through_a_mix() {
    let device = Device::flex().autodiff();
    let hidden = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device).require_grad();
    let targets = Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
    let batch = Batch { features: hidden.clone(), targets };
    let partners = batch.select(&[1, 0]);
    let mixed = Mixup::new().init().unwrap().mix_by(batch, partners, vec![0.9, 0.6]);
    let weight = Tensor::<2>::from_floats([[1.0, 1.0], [10.0, 10.0]], &device);
    let gradient = hidden.grad(&(mixed.features * weight).sum().backward()).unwrap();
    let expected = [0.9 + 4.0, 0.9 + 4.0, 0.1 + 6.0, 0.1 + 6.0];
    for (a, b) in values(gradient).iter().zip(expected) {
        assert!((a - b).abs() < 1e-5);
    }
}

/// Partners of another batch: every row mixed with the one at its place, so that a class-aware batch
/// balances the labels.
#[test]
fn partners_may_come_from_a_balanced_batch() {
    let profile = ClassProfile::from_counts([8, 1, 1]).unwrap();
    let all = batch(3, 2);
    let (own, balanced) = (all.select(&[0, 0, 0]), all.select(&[0, 1, 2]));
    let mixed = Mixup::new().init().unwrap().mix(own.clone(), balanced.clone(), 4);
    let t = values(mixed.targets);
    assert_eq!(t[0], 1.0);
    assert!(t[4] > 0.0 && t[8] > 0.0);
    let remixed = Remix::new().with_tau(1.0).init(&profile).unwrap().mix(own, balanced, 4);
    assert_eq!(values(remixed.targets)[3..], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn the_tail_is_changed_more() {
    let profile = ClassProfile::from_counts([400, 100, 4]).unwrap();
    let strengths = Strength::Rarity { power: 0.5 }.of(&profile).unwrap();
    assert_eq!(strengths, [0.1, 0.2, 1.0]);
    let noise = vec![ImageTransform::Noise { deviation: 0.02 }];
    let augmenter = with(noise, Strength::Rarity { power: 0.5 }).init(&profile).unwrap();
    let batch = images(3, 1, 20, 20);
    let batch = Batch { features: batch.features * 0.5 + 0.25, ..batch };
    let changed = values(augmenter.augment(batch.clone(), 1).features);
    let before = values(batch.features);
    let mut spread = [0.0f32; 3];
    for (i, (a, b)) in changed.iter().zip(before).enumerate() {
        spread[i / 400] += (a - b).powi(2) / 400.0;
    }
    let spread = spread.map(f32::sqrt);
    for (found, expected) in spread.iter().zip([0.002, 0.004, 0.02]) {
        assert!((found / expected - 1.0).abs() < 0.15, "{spread:?}");
    }
}

/// Four times the same image of many values.
fn alike() -> Batch<4> {
    let pixels: Vec<f32> = (0..4 * 3 * 8 * 9).map(|i| (i % 216 * 89 % 97) as f32 / 97.0).collect();
    let device = Device::flex();
    let features = Tensor::from_data(TensorData::new(pixels, [4, 3, 8, 9]), &device);
    Batch { features, targets: batch(4, 1).targets }
}

#[test]
fn one_draw_serves_the_whole_batch_and_otherwise_each_image_has_its_own() {
    let profile = ClassProfile::from_counts([3, 3, 3, 3]).unwrap();
    let changes = |transform: &ImageTransform, per_batch: bool| {
        let images = with(vec![transform.clone()], Strength::Same).with_per_batch(per_batch);
        let augmenter = images.init(&profile).unwrap();
        (0..20).map(move |seed| values(augmenter.augment(alike(), seed).features))
    };
    let same = |x: &Vec<f32>| x.chunks(216).all(|image| image == &x[..216]);
    for transform in all_transforms() {
        if matches!(transform, ImageTransform::Noise { .. }) {
            assert!(!changes(&transform, true).any(|x| same(&x)), "noise is of each pixel");
            continue;
        }
        let one: Vec<_> = changes(&transform, true).collect();
        assert!(one.iter().all(same), "{transform:?}");
        assert!(one.iter().any(|x| *x != values(alike().features)), "{transform:?}");
        let sure = matches!(transform, ImageTransform::FlipHorizontal { .. });
        assert!(sure || changes(&transform, false).any(|x| !same(&x)), "{transform:?}");
    }
}

#[test]
fn one_draw_is_as_strong_as_each_class_allows() {
    let profile = ClassProfile::from_counts([400, 100, 25, 4]).unwrap();
    let jitter =
        ImageTransform::Jitter { brightness: 0.5, contrast: 0.0, saturation: 0.0, hue: 0.0 };
    let images = with(vec![jitter], Strength::Rarity { power: 0.5 }).with_per_batch(true);
    let mut batch = alike();
    batch.features = batch.features * 0.5 + 0.1;
    let before = values(batch.features.clone());
    let after = values(images.init(&profile).unwrap().augment(batch, 3).features);
    let factor = |row: usize| after[216 * row] / before[216 * row] - 1.0;
    assert!(factor(3).abs() > 0.05, "{}", factor(3));
    for (row, strength) in [0.1, 0.2, 0.4, 1.0].into_iter().enumerate() {
        assert!((factor(row) / factor(3) - strength).abs() < 1e-4, "{row}");
    }
}

#[test]
fn other_bad_parameters_are_named_too() {
    let profile = ClassProfile::from_counts([5, 5]).unwrap();
    let of = |transform| {
        let images = Images::new().with_transform(transform);
        images.init(&profile).unwrap_err().to_string()
    };
    assert_eq!(of(ImageTransform::Rotate { degrees: 200.0 }), "degrees = 200 is outside [0, 180]");
    let erase = ImageTransform::Erase { probability: 0.5, area: [0.5, 0.2], aspect: [0.3, 3.3] };
    assert_eq!(of(erase), "area = 0.2 is outside (0, 1), the smaller first");
    let strong = ImageTransform::RandAugment(RandAugment { operations: 1, magnitude: 1.5 });
    assert_eq!(of(strong), "magnitude = 1.5 is outside [0, 1]");
    let three = Strength::Classes { strengths: vec![1.0; 3] };
    let error = Images::new().with_strength(three).init(&profile).unwrap_err().to_string();
    assert_eq!(error, "strengths has 3 items, expected 2");
    let kappa = Remix::new().with_kappa(0.5).init(&profile).unwrap_err().to_string();
    assert_eq!(kappa, "kappa = 0.5 is outside [1, inf)");
}
