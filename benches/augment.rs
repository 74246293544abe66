//! Mixing, image transforms and text augmentation; `peers/augment_torch.py` times torchvision and nlpaug
//! on the same sizes.

use std::hint::black_box;

use counterweight::augment::ImageTransform;
use counterweight::prelude::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 256;
const TEXTS: usize = 100_000;

fn batch(device: &Device) -> Batch<4> {
    let n = BATCH * 3 * 32 * 32;
    let values: Vec<f32> = (0..n).map(|i| (i * 7919 % 256) as f32 / 255.0).collect();
    let ids: Vec<usize> = (0..BATCH).map(|i| i % 10).collect();
    Batch {
        features: Tensor::<1>::from_floats(values.as_slice(), device).reshape([BATCH, 3, 32, 32]),
        targets: Targets::from_ids(&ids, device).dense(&Tensor::zeros([BATCH, 10], device)),
    }
}

fn images(c: &mut Criterion) {
    // The C library keeps freed memory only up to twice the largest block that was ever freed; a
    // program that trains has freed larger ones than a batch, and so does PyTorch on import.
    drop(black_box(vec![1u8; 24 << 20]));
    let device = Device::flex();
    let profile = ClassProfile::from_counts([100; 10]).unwrap();
    let mixers: [(&str, Box<dyn Augmenter<4>>); 2] = [
        ("mixup", Box::new(Mixup::new().init().unwrap())),
        ("cutmix", Box::new(CutMix::new().init().unwrap())),
    ];
    for (name, augmenter) in mixers {
        measure(c, &format!("{name}/a draw for each"), &*augmenter, &device);
    }
    let per_batch = Mixup::new().with_per_batch(true).init().unwrap();
    measure(c, "mixup/one draw", &per_batch, &device);
    use ImageTransform::*;
    let jitter =
        |amount, hue| Jitter { brightness: amount, contrast: amount, saturation: amount, hue };
    let steps = [
        ("flip", FlipHorizontal { probability: 0.5 }),
        ("always_flip", FlipHorizontal { probability: 1.0 }),
        ("rotate", Rotate { degrees: 15.0 }),
        ("crop", Crop { padding: 4 }),
        ("jitter", jitter(0.4, 0.0)),
        ("hue", jitter(0.0, 0.1)),
        ("noise", Noise { deviation: 0.1 }),
        ("erase", Erase { probability: 1.0, area: [0.02, 0.33], aspect: [0.3, 3.3] }),
        ("rand_augment", RandAugment(Default::default())),
    ];
    for (draws, per_batch) in [("a draw for each", false), ("one draw", true)] {
        for (name, step) in steps.clone() {
            let images = Images::new().with_transform(step).with_per_batch(per_batch);
            measure(c, &format!("{name}/{draws}"), &images.init(&profile).unwrap(), &device);
        }
    }
}

fn measure(c: &mut Criterion, name: &str, augmenter: &dyn Augmenter<4>, device: &Device) {
    let batch = batch(device);
    let mut seed = 0;
    let mut group = c.benchmark_group("256 x 3 x 32 x 32");
    group.sample_size(30).bench_function(name, |b| {
        b.iter(|| {
            seed += 1;
            let changed = augmenter.augment(batch.clone(), seed);
            // Flex computes at once; the target is small and read for good measure.
            black_box((changed.features, changed.targets.into_data()))
        });
    });
    group.finish();
}

fn texts(c: &mut Criterion) {
    let words =
        "where is my order it should have been here last week please help me select a new dress";
    let words: Vec<&str> = words.split(' ').collect();
    let text = |i: usize| -> String {
        (0..8).map(|j| words[(i * 31 + j * 17) % words.len()]).collect::<Vec<_>>().join(" ")
    };
    let texts: Vec<String> = (0..TEXTS).map(text).collect();
    let classes = vec![0; TEXTS];
    let none =
        Eda::new().with_synonyms(0.0).with_insertions(0.0).with_swaps(0.0).with_deletions(0.0);
    let augmenters: [(&str, Box<dyn TextAugmenter>); 5] = [
        ("eda", Box::new(Eda::new().init().unwrap())),
        ("synonyms", Box::new(none.clone().with_synonyms(0.1).init().unwrap())),
        ("swap", Box::new(none.clone().with_swaps(0.1).init().unwrap())),
        ("delete", Box::new(none.with_deletions(0.1).init().unwrap())),
        ("keyboard", Box::new(CharacterNoise::new().init().unwrap())),
    ];
    let mut group = c.benchmark_group("100,000 texts of 8 words");
    group.sample_size(10).throughput(Throughput::Elements(TEXTS as u64));
    for (name, augmenter) in augmenters {
        group.bench_function(name, |b| {
            b.iter(|| black_box(augmenter.augment_all(&texts, &classes, &[1.0], 1).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, images, texts);
criterion_main!(benches);
