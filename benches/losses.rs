//! Forward, and forward with backward, of the main losses on the CPU backend.
//!
//! `cargo bench --bench losses`, and beside it `python benches/peers/losses_torch.py` in the
//! same run: the names agree.

use std::hint::black_box;
use std::time::Duration;

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Distribution, Int};
use counterweight::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};

type Forward = Box<dyn Fn(Tensor<2>, &Targets) -> Tensor<1>>;

/// One input of a loss: a shape, and class ids below `classes`.
struct Shape {
    name: &'static str,
    batch: usize,
    columns: usize,
    classes: usize,
    scale: f64,
}

const SOFTMAX: Shape =
    Shape { name: "4096x1000", batch: 4096, columns: 1000, classes: 1000, scale: 3.0 };
const BINARY: Shape = Shape { name: "65536x1", batch: 65_536, columns: 1, classes: 2, scale: 3.0 };
const EMBEDDINGS: Shape =
    Shape { name: "512x128", batch: 512, columns: 128, classes: 20, scale: 1.0 };

fn inputs(shape: &Shape, device: &Device) -> (Tensor<2>, Targets) {
    device.seed(1);
    let spread = Distribution::Normal(0.0, shape.scale);
    let logits = Tensor::<2>::random([shape.batch, shape.columns], spread, device);
    let ids: Vec<usize> = (0..shape.batch).map(|i| (i * 7919) % shape.classes).collect();
    let ids = Targets::from_ids(&ids, device);
    // The peer's binary losses take numbers, not ids.
    let targets = if shape.columns == 1 { Targets::Soft(ids.indicators(&logits)) } else { ids };
    (logits, targets)
}

fn both(c: &mut Criterion, name: &str, shape: &Shape, loss: impl Fn(&Device) -> Forward) {
    let plain = Device::flex();
    let (logits, targets) = inputs(shape, &plain);
    let forward = loss(&plain);
    c.bench_function(&format!("{name}/{}/forward", shape.name), |b| {
        b.iter(|| black_box(forward(logits.clone(), &targets).into_scalar::<f32>()));
    });
    let tracked = plain.autodiff();
    let (logits, targets) = inputs(shape, &tracked);
    let forward = loss(&tracked);
    c.bench_function(&format!("{name}/{}/backward", shape.name), |b| {
        b.iter(|| {
            let x = logits.clone().detach().require_grad();
            let gradients = forward(x.clone(), &targets).backward();
            black_box(x.grad(&gradients).unwrap())
        });
    });
}

fn losses(c: &mut Criterion) {
    let ours = |config: LossConfig, classes: usize| {
        move |device: &Device| -> Forward {
            let counts = (0..classes).map(|c| 1 + 10_000 / (c as u64 + 1));
            let profile = ClassProfile::from_counts(counts).unwrap();
            let loss = config.init(&profile, device).unwrap();
            Box::new(move |logits, targets| loss.forward(logits, targets, Reduction::Mean))
        }
    };
    both(c, "burn_cross_entropy", &SOFTMAX, |device| {
        let loss = CrossEntropyLossConfig::new().init(device);
        Box::new(move |logits, targets| {
            let ids: Tensor<1, Int> = targets.classes();
            loss.forward(logits, ids)
        })
    });
    let softmax: [LossConfig; 4] = [
        CrossEntropyConfig::new().into(),
        FocalConfig::new().into(),
        LogitAdjustedConfig::new().into(),
        LdamConfig::new().into(),
    ];
    for config in softmax {
        let name = config.kind().to_string();
        both(c, &name, &SOFTMAX, ours(config, SOFTMAX.classes));
    }
    let binary: [LossConfig; 3] =
        [BceConfig::new().into(), SigmoidFocalConfig::new().into(), AsymmetricConfig::new().into()];
    for config in binary {
        let name = config.kind().to_string();
        both(c, &name, &BINARY, ours(config, BINARY.classes));
    }
    both(c, "sup_con", &EMBEDDINGS, ours(SupConConfig::new().into(), EMBEDDINGS.classes));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = losses
}
criterion_main!(benches);
