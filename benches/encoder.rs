//! A forward pass and a training step of MiniLM's size, 16 texts of 128 tokens, and the parts
//! of its blocks. Beside it `peers/encoder.py`, PyTorch on the same shapes.
//!
//! `cargo bench --bench encoder [-- filter]`

use std::hint::black_box;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use counterweight::core::ClassProfile;
use counterweight::encoder::{
    AdamW, Encoder, Pooling, TextBatch, Transformer, TransformerConfig, seeded,
};
use counterweight::losses::{CrossEntropyConfig, Loss, Reduction, Targets};
use counterweight_kernels::{add_norm, attention, dense, gelu};
use criterion::{Criterion, criterion_group, criterion_main};

const TEXTS: usize = 16;
const TOKENS: usize = 128;

/// all-MiniLM-L6-v2.
fn minilm() -> TransformerConfig {
    TransformerConfig {
        vocab_size: 30_522,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        attention_probs_dropout_prob: 0.1,
        max_position_embeddings: 512,
        pooling: Pooling::Cls,
        ..TransformerConfig::default()
    }
}

#[derive(Module, Debug)]
struct Classifier {
    encoder: Transformer,
    head: Linear,
}

fn model(device: &Device) -> Classifier {
    let encoder = seeded(minilm().init(device).expect("a valid size"), 0.02, 1);
    Classifier { encoder, head: LinearConfig::new(384, 10).init(device) }
}

fn batch(device: &Device) -> TextBatch {
    let uniform = Distribution::Uniform(1000.0, 20_000.0);
    TextBatch {
        ids: Tensor::<2>::random([TEXTS, TOKENS], uniform, device).int(),
        weights: Tensor::ones([TEXTS, TOKENS], device),
        types: None,
    }
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("minilm");
    group.sample_size(10);
    let device = Device::flex();
    let (plain, texts) = (model(&device), batch(&device));
    group.bench_function("forward", |b| {
        b.iter(|| black_box(plain.encoder.encode(&texts).sum().into_data()));
    });
    let device = device.autodiff();
    let texts = batch(&device);
    let profile = ClassProfile::from_counts(vec![1; 10]).expect("ten classes");
    let loss = CrossEntropyConfig::new().init(&profile, &device).expect("a valid loss");
    let labels: Vec<usize> = (0..TEXTS).map(|i| i % 10).collect();
    let targets = Targets::from_ids(&labels, &device);
    let mut optimizer = AdamW::new().init().expect("the defaults");
    let mut trained = Some(model(&device));
    group.bench_function("training step", |b| {
        b.iter(|| {
            let Some(model) = trained.take() else { return };
            let logits = model.head.forward(model.encoder.encode(&texts));
            let loss = loss.forward(logits, &targets, Reduction::Mean);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            trained = Some(optimizer.step(2e-5, model, gradients));
            black_box(loss.into_data());
        });
    });
    group.finish();
}

fn parts(c: &mut Criterion) {
    let mut group = c.benchmark_group("block");
    group.sample_size(20);
    let device = Device::flex();
    let rows = TEXTS * TOKENS;
    let normal = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &device);
    let (x, inner) = (normal([rows, 384]), normal([rows, 1536]));
    let (up, down, three) = (normal([384, 1536]), normal([1536, 384]), normal([384, 1152]));
    let zeros = |n: usize| Tensor::<1>::zeros([n], &device);
    let qkv = normal([rows, 1152]);
    let mask = Tensor::<2>::ones([TEXTS, TOKENS], &device);
    group.bench_function("dense 384 to 1152", |b| {
        b.iter(|| black_box(dense(x.clone(), three.clone(), zeros(1152))));
    });
    group.bench_function("dense 384 to 1536", |b| {
        b.iter(|| black_box(dense(x.clone(), up.clone(), zeros(1536))));
    });
    group.bench_function("dense 1536 to 384", |b| {
        b.iter(|| black_box(dense(inner.clone(), down.clone(), zeros(384))));
    });
    group.bench_function("gelu", |b| b.iter(|| black_box(gelu(inner.clone()))));
    group.bench_function("add and norm", |b| {
        b.iter(|| black_box(add_norm(x.clone(), x.clone(), zeros(384), zeros(384), 1e-12)));
    });
    group.bench_function("attention", |b| {
        b.iter(|| black_box(attention(qkv.clone(), mask.clone(), 12, false, 0.0)));
    });
    group.finish();
}

criterion_group!(benches, whole, parts);
criterion_main!(benches);
