//! One table for the device that `BURN_DEVICE` names: losses with their gradient, the parts
//! and a step of MiniLM, a plan and augmenters applied. Beside it `peers/devices_torch.py`, PyTorch on the
//! same device with the same names.
//!
//! `BURN_DEVICE=vulkan cargo bench --features vulkan --bench devices -- [--dtype bf16] [FILTER]`

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Distribution, FloatDType, Tensor};
use clap::Parser;
use counterweight::augment::{Augmenter, Batch};
use counterweight::encoder::{
    AdamW, Encoder, Pooling, TextBatch, Transformer, TransformerConfig, seeded,
};
use counterweight::kernels;
use counterweight::prelude::*;
use counterweight::samplers::{Plan, Resampler};

#[derive(Parser)]
struct Args {
    /// Only measurements whose name holds this.
    filter: Option<String>,
    /// The numbers of the model and the losses: f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Few rows, as for the processor, also on a card.
    #[arg(long)]
    small: bool,
    /// This many times the rows for the losses, which on a card makes traffic of launches.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Milliseconds for each measurement.
    #[arg(long, default_value_t = 300)]
    time: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    device: Device,
    filter: String,
    time: Duration,
    large: bool,
    times: usize,
}

impl Bench {
    /// Prints the median of seven groups, each as many calls as fit and one wait for the device.
    /// `bytes` is the least traffic of a call.
    fn run<T>(&self, name: &str, bytes: usize, mut call: impl FnMut() -> T) {
        if !name.contains(&self.filter) {
            return;
        }
        let wait = || self.device.sync().expect("the device answers");
        for _ in 0..5 {
            drop(call());
            wait();
        }
        let mut group = |calls: u32| {
            let start = Instant::now();
            for _ in 1..calls {
                drop(call());
            }
            let last = call();
            wait();
            drop(last);
            start.elapsed() / calls
        };
        let one = group(3).max(Duration::from_micros(1));
        let calls = ((self.time / 7).as_nanos() / one.as_nanos()).clamp(1, 1000) as u32;
        let mut times: Vec<f64> = (0..7).map(|_| group(calls).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let rate = match bytes {
            0 => String::new(),
            _ => format!("{:9.0} GB/s", bytes as f64 / times[3] / 1e9),
        };
        println!("{name:<44} {:10.3} ms{rate}", times[3] * 1e3);
    }
}

fn main() {
    let args = Args::parse();
    let dtype = match args.dtype.as_str() {
        "f16" => FloatDType::F16,
        "bf16" => FloatDType::BF16,
        _ => FloatDType::F32,
    };
    let mut device = device::from_env().expect("a device of this build and machine");
    if !device.supports_dtype(dtype) {
        println!("{device:?} does not compute in {}", args.dtype);
        return;
    }
    device.configure(dtype).expect("nothing was made on it before");
    let found = device::available().into_iter().find(|found| found.device == device);
    let card = found.as_ref().is_some_and(|found| found.card);
    println!("{device:?} {} {}", found.map_or(String::new(), |it| it.description), args.dtype);
    let bench = Bench {
        device,
        filter: args.filter.unwrap_or_default(),
        time: Duration::from_millis(args.time),
        large: card && !args.small,
        times: args.times,
    };
    losses(&bench);
    block(&bench);
    minilm(&bench);
    batches(&bench);
}

/// The size of a number on the device.
fn width(device: &Device) -> usize {
    let probe = Tensor::<1>::zeros([1], device);
    DType::size(&probe.dtype())
}

type Forward = Box<dyn Fn(Tensor<2>, &Targets) -> Tensor<1>>;

fn losses(bench: &Bench) {
    let rows = bench.times * if bench.large { 32_768 } else { 4096 };
    let soft: [LossConfig; 4] = [
        CrossEntropyConfig::new().into(),
        FocalConfig::new().into(),
        LogitAdjustedConfig::new().into(),
        LdamConfig::new().into(),
    ];
    // Logits are read twice, the gradient written.
    step(bench, "burn_cross_entropy", [rows, 1000], 3, |_, device| {
        let loss = CrossEntropyLossConfig::new().init(device);
        Box::new(move |logits, targets| loss.forward(logits, targets.classes()))
    });
    for config in soft {
        loss(bench, config, [rows, 1000], 3);
    }
    let binary: [LossConfig; 3] =
        [BceConfig::new().into(), SigmoidFocalConfig::new().into(), AsymmetricConfig::new().into()];
    for config in binary {
        // Logits and targets are read twice, the gradient written.
        loss(bench, config, [rows * 16, 64], 5);
    }
    loss(bench, SupConConfig::new().into(), [if bench.large { 4096 } else { 512 }, 128], 0);
}

fn loss(bench: &Bench, config: LossConfig, shape: [usize; 2], passes: usize) {
    step(bench, &config.kind().to_string(), shape, passes, |profile, device| {
        let loss = config.init(profile, device).expect("the defaults");
        Box::new(move |logits, targets| loss.forward(logits, targets, Reduction::Mean))
    });
}

fn step(
    bench: &Bench,
    name: &str,
    [rows, columns]: [usize; 2],
    passes: usize,
    loss: impl FnOnce(&ClassProfile, &Device) -> Forward,
) {
    if !format!("{name}/{rows}x{columns}/forward and backward").contains(&bench.filter) {
        return;
    }
    let device = bench.device.clone().autodiff();
    device.seed(1);
    let spread = if passes == 0 { 1.0 } else { 3.0 };
    let logits = Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, spread), &device);
    let classes = if passes == 0 { 20 } else { columns };
    let counts = (0..classes).map(|c| 1 + 10_000 / (c as u64 + 1));
    let profile = ClassProfile::from_counts(counts).expect("counts above 0");
    let loss = loss(&profile, &device);
    let targets = if passes == 5 {
        let share = Tensor::<2>::random([rows, columns], Distribution::Default, &device);
        Targets::Soft(share.greater_elem(0.9).float())
    } else {
        let ids: Vec<usize> = (0..rows).map(|i| (i * 7919) % classes).collect();
        Targets::from_ids(&ids, &device)
    };
    let bytes = passes * rows * columns * width(&device);
    bench.run(&format!("{name}/{rows}x{columns}/forward and backward"), bytes, || {
        let x = logits.clone().detach().require_grad();
        let gradients = loss(x.clone(), &targets).backward();
        x.grad(&gradients)
    });
}

/// The parts of one block of MiniLM, each forward and backward.
fn block(bench: &Bench) {
    let texts = if bench.large { 128 } else { 16 };
    let rows = texts * 128;
    let device = bench.device.clone().autodiff();
    device.seed(1);
    let normal = |shape: [usize; 2]| {
        Tensor::<2>::random(shape, Distribution::Normal(0.0, 0.05), &device).require_grad()
    };
    let line = |width: usize| Tensor::<1>::ones([width], &device).require_grad();
    type Part<'a> = Box<dyn Fn(Tensor<2>) -> Tensor<2> + 'a>;
    let parts: [(String, usize, Part<'_>); 5] = [
        (format!("dense/{rows}x384x1536"), 384, {
            let (weight, bias) = (normal([384, 1536]), line(1536));
            Box::new(move |x| kernels::dense(x, weight.clone(), bias.clone()))
        }),
        (format!("gelu/{rows}x1536"), 1536, Box::new(kernels::gelu)),
        (format!("add norm/{rows}x384"), 384, {
            let (residual, gamma, beta) = (normal([rows, 384]), line(384), line(384));
            Box::new(move |x| {
                let (gamma, beta) = (gamma.clone(), beta.clone());
                kernels::add_norm(x, residual.clone(), gamma, beta, 1e-12)
            })
        }),
        (format!("attention/{texts}x12x128x32"), 3 * 384, {
            let mask = Tensor::ones([texts, 128], &device);
            Box::new(move |x| kernels::attention(x, mask.clone(), 12, false, 0.1))
        }),
        (format!("dropout/{rows}x384"), 384, Box::new(|x| kernels::dropout(x, 0.1))),
    ];
    for (name, width, part) in parts {
        let name = format!("{name}/forward and backward");
        if name.contains(&bench.filter) {
            let x = normal([rows, width]);
            let one = part(x.clone()).detach();
            bench.run(&name, 0, || {
                let x = x.clone().detach().require_grad();
                let y = part(x.clone());
                x.grad(&(y * one.clone()).sum().backward())
            });
        }
    }
}

#[derive(Module, Debug)]
struct Classifier {
    encoder: Transformer,
    head: Linear,
}

fn classifier(device: &Device) -> Classifier {
    // all-MiniLM-L6-v2.
    let config = TransformerConfig {
        vocab_size: 30_522,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        attention_probs_dropout_prob: 0.1,
        max_position_embeddings: 512,
        pooling: Pooling::Cls,
        ..TransformerConfig::default()
    };
    let encoder = seeded(config.init(device).expect("a valid size"), 0.02, 1);
    Classifier { encoder, head: LinearConfig::new(384, 10).init(device) }
}

fn minilm(bench: &Bench) {
    for texts in if bench.large { vec![16, 128] } else { vec![16] } {
        let batch = |device: &Device| {
            let ids: Vec<i32> =
                (0..texts * 128).map(|i| 1000 + (i * 7919 % 19_000) as i32).collect();
            let ids = burn::tensor::TensorData::new(ids, [texts, 128]);
            TextBatch {
                ids: Tensor::from_data(ids, device),
                weights: Tensor::ones([texts, 128], device),
                types: None,
            }
        };
        let name = format!("minilm/{texts}x128");
        if !format!("{name}/forward {name}/training step").contains(&bench.filter) {
            continue;
        }
        let device = bench.device.clone();
        let (model, inputs) = (classifier(&device), batch(&device));
        bench.run(&format!("{name}/forward"), 0, || {
            model.head.forward(model.encoder.encode(&inputs))
        });
        let device = device.autodiff();
        let inputs = batch(&device);
        let profile = ClassProfile::from_counts(vec![1; 10]).expect("ten classes");
        let loss = CrossEntropyConfig::new().init(&profile, &device).expect("the defaults");
        let labels: Vec<usize> = (0..texts).map(|i| i % 10).collect();
        let targets = Targets::from_ids(&labels, &device);
        let mut optimizer = AdamW::new().init().expect("the defaults");
        let mut trained = Some(classifier(&device));
        bench.run(&format!("{name}/training step"), 0, || {
            let model = trained.take().expect("put back below");
            let logits = model.head.forward(model.encoder.encode(&inputs));
            let value = loss.forward(logits, &targets, Reduction::Mean);
            let gradients = GradientsParams::from_grads(value.backward(), &model);
            trained = Some(optimizer.step(2e-5, model, gradients));
        });
    }
}

fn batches(bench: &Bench) {
    let device = &bench.device;
    let rows = if bench.large { 200_000 } else { 20_000 };
    let wide = Tensor::<2>::random([rows, 64], Distribution::Default, device);
    if "plan/SMOTE applied".contains(&bench.filter) {
        let plan = smote(rows);
        let out = plan.len();
        // Two rows are read for each that is written, at most.
        let bytes = 3 * out * 64 * width(device);
        bench.run("plan/SMOTE applied", bytes, || plan.apply_tensor(wide.clone()).expect("fits"));
    }
    let [n, side] = if bench.large { [256, 224] } else { [64, 64] };
    let pixels = Tensor::<4>::random([n, 3, side, side], Distribution::Default, device);
    let targets = Tensor::<2>::random([n, 10], Distribution::Default, device);
    let batch = || Batch { features: pixels.clone(), targets: targets.clone() };
    let once = n * 3 * side * side * width(device);
    let profile = ClassProfile::from_counts(vec![1; 10]).expect("ten classes");
    let mixup = Mixup::new().init().expect("the defaults");
    let mut seed = 0;
    bench.run(&format!("mixup/{n}x3x{side}x{side}"), 3 * once, || {
        seed += 1;
        mixup.augment(batch(), seed).features
    });
    let cutmix = CutMix::new().init().expect("the defaults");
    bench.run(&format!("cutmix/{n}x3x{side}x{side}"), 2 * once, || {
        seed += 1;
        cutmix.augment(batch(), seed).features
    });
    use ImageTransform::{Crop, FlipHorizontal, Jitter, Rotate};
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.0 };
    for (name, steps) in [
        ("flip and crop", vec![FlipHorizontal { probability: 0.5 }, Crop { padding: 4 }]),
        ("rotation", vec![Rotate { degrees: 15.0 }]),
        ("jitter", vec![jitter]),
    ] {
        let mut images = Images::new();
        images.transforms = steps;
        let images = images.init(&profile).expect("ranges as documented");
        bench.run(&format!("{name}/{n}x3x{side}x{side}"), 2 * once, || {
            seed += 1;
            images.augment(batch(), seed).features
        });
    }
}

/// A plan that doubles a tenth of the rows.
fn smote(rows: usize) -> Plan {
    let few = rows / 10;
    let x = ndarray::Array2::from_shape_fn((rows, 2), |(i, j)| ((i * 7919 + j * 31) % 1009) as f64);
    let y: Vec<usize> = (0..rows).map(|i| usize::from(i < few)).collect();
    let strategy = Strategy::Counts([(1, 2 * few)].into());
    Smote::new().with_strategy(strategy).plan(&x, &y).expect("two classes with neighbours")
}
