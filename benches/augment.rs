//! Mixing, image transforms and text augmentation; `peers/augment_torch.py` times torchvision and nlpaug
//! on the same sizes.

use std::hint::black_box;

use counterweight::augment::{ImageAugmenter, ImageTransform};
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
    let step = |transform| -> ImageAugmenter {
        Images::new().with_transform(transform).init(&profile).unwrap()
    };
    use ImageTransform::*;
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.0 };
    let erase = Erase { probability: 1.0, area: [0.02, 0.33], aspect: [0.3, 3.3] };
    let augmenters: [(&str, Box<dyn Augmenter<4>>); 10] = [
        ("mixup", Box::new(Mixup::new().init().unwrap())),
        ("cutmix", Box::new(CutMix::new().init().unwrap())),
        ("flip", Box::new(step(FlipHorizontal { probability: 0.5 }))),
        ("rotate", Box::new(step(Rotate { degrees: 15.0 }))),
        ("crop", Box::new(step(Crop { padding: 4 }))),
        ("jitter", Box::new(step(jitter))),
        (
            "hue",
            Box::new(step(Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.1 })),
        ),
        ("noise", Box::new(step(Noise { deviation: 0.1 }))),
        ("erase", Box::new(step(erase))),
        ("rand_augment", Box::new(step(RandAugment(Default::default())))),
    ];
    let mut group = c.benchmark_group("256 x 3 x 32 x 32");
    group.sample_size(30);
    for (name, augmenter) in augmenters {
        let batch = batch(&device);
        let mut seed = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                seed += 1;
                let changed = augmenter.augment(batch.clone(), seed);
                // Flex computes at once; the target is small and read for good measure.
                black_box((changed.features, changed.targets.into_data()))
            });
        });
    }
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
