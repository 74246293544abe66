//! One suite on every device of this build and machine: flex by default, a card or a driver that
//! draws in software with `--features wgpu` or another.

mod common;
#[cfg(feature = "remote")]
#[path = "common/remote.rs"]
mod remote;

use std::sync::LazyLock;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, TensorData};
use counterweight::augment::Batch;
use counterweight::encoder::{Architecture, Encoded, TextBatch};
use counterweight::kernels;
use counterweight::losses::{BatchInfo, Input};
use counterweight::prelude::*;

#[cfg(feature = "remote")]
#[test]
#[ignore = "the process that serves a device to the tests here"]
fn serve() {
    remote::serve();
}

/// Every device of this build and machine, and one that another process serves, by name.
fn devices() -> &'static [(String, Device)] {
    static FOUND: LazyLock<Vec<(String, Device)>> = LazyLock::new(|| {
        #[allow(unused_mut)]
        let mut found: Vec<(String, Device)> =
            device::available().into_iter().map(|it| (it.name, it.device)).collect();
        #[cfg(feature = "remote")]
        {
            static SERVER: LazyLock<remote::Server> = LazyLock::new(remote::Server::start);
            found.push((SERVER.name.clone(), SERVER.device()));
        }
        for wanted in ["vulkan", "wgpu"] {
            let built = cfg!(feature = "wgpu") && (wanted == "wgpu" || cfg!(feature = "vulkan"));
            if built && !found.iter().any(|(name, _)| name.starts_with(wanted)) {
                // Where the peers of the tests are installed there must be one.
                assert!(std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "no {wanted}");
                eprintln!("skipped: this machine has no driver for {wanted}");
            }
        }
        found
    });
    &FOUND
}

fn rows(device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..24).map(|i| ((i * 37 % 24) as f32 - 12.0) / 4.0).collect();
    Tensor::from_data(TensorData::new(values, [6, 4]), device)
}

/// How far a number may be from flex's, of its size or of 1: rounding in another order of
/// summation.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
        _ => 2e-5,
    }
}

fn close(name: &str, got: &[f64], expected: &[f64]) {
    close_in(DType::F32, name, got, expected);
}

fn close_in(dtype: DType, name: &str, got: &[f64], expected: &[f64]) {
    close_within(tolerance(dtype), name, got, expected);
}

fn close_within(tolerance: f64, name: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        let allowed = tolerance * e.abs().max(1.0);
        assert!((g - e).abs() <= allowed, "{name}: {g} but flex has {e}");
    }
}

/// Whether the device may round the factors of a product, as NVIDIA's matrix units do with f32
/// (tf32, 11 bits). Burn's trials choose for each size, so that no product shows it for all.
fn rounds(name: &str) -> bool {
    name.starts_with("cuda")
}

/// A factor as it is, or each number up or down by what such a device may round.
fn factor<const D: usize>(x: Tensor<D>, moved: bool) -> Tensor<D> {
    if !moved {
        return x;
    }
    let (device, shape) = (x.device(), x.dims());
    let count = shape.iter().product::<usize>();
    let by = |i: usize| 1.0 + if i * 37 % 19 < 9 { 1.0 } else { -1.0 } / 2048.0;
    let by = TensorData::new((0..count).map(by).collect::<Vec<f32>>(), shape);
    x * Tensor::from_data(by, &device)
}

/// Moves the parameters of a module.
struct Moved;

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| factor(x.detach(), true).detach().require_grad())
    }
}

/// Compares what multiplies matrices, in groups of one scale. Where the device may round factors,
/// a group may be as far as three times what it moves on flex when `f` moves inputs and
/// parameters by that much: the device rounds what comes between them too.
fn agree_product(what: &str, f: impl Fn(&Device, bool) -> Vec<Vec<f64>>) {
    let expected = f(&Device::flex(), false);
    for (name, device) in devices() {
        let what = format!("{what} on {name}");
        let got = f(device, false);
        assert_eq!(got.len(), expected.len());
        let moved = rounds(name).then(|| f(&Device::flex(), true));
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let Some(moved) = &moved else {
                close(&what, got, expected);
                continue;
            };
            assert_eq!(got.len(), expected.len());
            assert!(got.iter().all(|v| v.is_finite()), "{what}");
            let apart = |a: &[f64]| {
                let gaps = a.iter().zip(expected).map(|(a, e)| (a - e).abs());
                gaps.fold(0.0, f64::max)
            };
            let allowed = 3.0 * apart(&moved[at]) + tolerance(DType::F32);
            assert!(apart(got) <= allowed, "{what}: {} above {allowed}", apart(got));
        }
    }
}

/// Compares what `f` gives on every device with what it gives on flex.
fn agree(what: &str, f: impl Fn(&Device) -> Vec<f64>) {
    let expected = f(&Device::flex());
    assert!(expected.iter().all(|v| v.is_finite()));
    for (name, device) in devices() {
        close(&format!("{what} on {name}"), &f(device), &expected);
    }
}

fn read<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_to_vec().unwrap()
}

/// `rows × columns` numbers between −3 and 3.
fn numbers(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let n = rows * columns;
    let values: Vec<f32> = (0..n).map(|i| ((i * 37 % n) as f32 / n as f32 - 0.5) * 6.0).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// The same from behind. On the host, since burn 0.22.1's fusion records a flip of floats as one of
/// integers, which a remote device refuses.
fn reversed(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let mut values = read(numbers(rows, columns, device));
    values.reverse();
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// A batch of six that suits the loss: class ids, or rows where it takes them.
fn batch(config: &LossConfig, soft: bool, device: &Device) -> (Tensor<2>, Targets) {
    let ids = Targets::from_ids(&[0, 1, 2, 3, 3, 0], device);
    let x = match config.kind() {
        LossKind::InBatchSoftmax => numbers(6, 6, device),
        LossKind::PaCo => numbers(6, 7, device),
        _ => numbers(6, 4, device),
    };
    let dense = || numbers(6, 4, device) / 6.0 + 0.5;
    match config.input() {
        Input::Cosines => (x / 3.5, ids),
        Input::Values => (x, Targets::Soft(dense() * 3.0)),
        Input::Logits if soft => (x, Targets::Soft(dense() / dense().sum_dim(1))),
        Input::Scores | Input::Binary if soft && x.dims() == [6, 4] => {
            // Lovász orders by the labels; the others take shares.
            let labels =
                if config.kind() == LossKind::LovaszHinge { dense().round() } else { dense() };
            (x, Targets::Soft(labels))
        }
        _ => (x, ids),
    }
}

#[test]
fn losses_and_their_gradients_agree() {
    let profile = ClassProfile::from_counts([900, 90, 9, 1]).unwrap();
    let mut configs: Vec<LossConfig> = LossKind::ALL.iter().map(|kind| kind.config()).collect();
    let weighted = CrossEntropyConfig::new().with_weights(ClassWeights::Balanced);
    let more: [LossConfig; 5] = [
        weighted.with_smoothing(0.1).into(),
        LdamConfig::new().with_scale(1.0).with_weights(ClassWeights::Balanced).into(),
        AsymmetricConfig::new().with_margin(0.0).into(),
        AsymmetricConfig::new().with_gamma_positive(0.0).with_gamma_negative(0.0).into(),
        // On cards whole exponents have a way of their own.
        AsymmetricConfig::new().with_gamma_positive(0.5).with_gamma_negative(2.5).into(),
    ];
    configs.extend(more);
    for config in configs {
        for (reduction, soft) in [
            (Reduction::Mean, false),
            (Reduction::Sum, true),
            (Reduction::WeightedMean, true),
            (Reduction::WeightedMean, false),
        ] {
            let what = format!("{} {reduction:?} soft {soft}", config.kind());
            let run = |device: &Device, moved: bool| {
                let tracked = device.clone().autodiff();
                let mut loss = config.init(&profile, &tracked).unwrap();
                let (x, targets) = batch(&config, soft, &tracked);
                let x = factor(x, moved).require_grad();
                let info =
                    BatchInfo { features: Some(&x), teacher: Some(&x), ..BatchInfo::default() };
                loss.begin_batch(&info);
                let value = loss.forward(x.clone(), &targets, reduction);
                let gradient = x.grad(&value.clone().backward()).unwrap();
                loss.end_batch(x.detach(), &targets);
                vec![read(gradient), vec![value.into_scalar()], loss.state()]
            };
            match config.input() {
                Input::Embeddings => agree_product(&what, run),
                _ => agree(&what, |device| run(device, false).concat()),
            }
        }
    }
}

#[test]
fn half_precision_does_not_overflow() {
    let device = Device::flex().autodiff();
    let profile = ClassProfile::from_counts([3, 1]).unwrap();
    let mean = |config: LossConfig, z: [f32; 2], ids: [usize; 2]| {
        let loss = config.init(&profile, &device).unwrap();
        let x = Tensor::<2>::from_floats([[z[0]], [z[1]]], &device).cast(DType::F16).require_grad();
        let value = loss.forward(x.clone(), &Targets::from_ids(&ids, &device), Reduction::Mean);
        let gradient: Vec<f64> =
            x.grad(&value.clone().backward()).unwrap().try_into_vec_as().unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()));
        value.into_scalar::<f64>()
    };
    let bce = mean(BceConfig::new().into(), [0.0, -120.0], [0, 1]);
    assert!((bce - 60.3466).abs() < 1e-3, "{bce}");
    assert_eq!(mean(AsymmetricConfig::new().into(), [-100.0, -6e4], [0, 0]), 0.0);
    assert!(mean(BceConfig::new().into(), [6e4, -6e4], [0, 1]).is_finite());
}

#[test]
fn augmenters_and_plans_agree() {
    let mixup = Mixup::new().init().unwrap();
    let dropout = TokenDropout::new().init().unwrap();
    let y = [0, 0, 0, 0, 1, 1];
    agree("mixup", |device| {
        let targets = Targets::from_ids(&y, device).dense(&rows(device));
        let batch = Batch { features: rows(device), targets };
        let mixed = mixup.augment(batch, 5);
        let mut out: Vec<f64> = mixed.features.try_into_vec_as().unwrap();
        out.extend(mixed.targets.try_into_vec_as::<f64>().unwrap());
        out
    });
    agree("token dropout", |device| {
        let batch = Batch { features: rows(device), targets: rows(device) };
        dropout.augment(batch, 5).features.try_into_vec_as().unwrap()
    });
    let profile = ClassProfile::from_counts([4, 1, 1, 2]).unwrap();
    let remix = Remix::new().init(&profile).unwrap();
    agree("remix", |device| {
        let targets = Targets::from_ids(&y, device).dense(&rows(device));
        let mixed = remix.augment(Batch { features: rows(device), targets }, 5);
        [read(mixed.features), read(mixed.targets)].concat()
    });
    let pictures = |device: &Device| Batch {
        features: (numbers(6, 3 * 7 * 9, device) / 6.0 + 0.5).reshape([6, 3, 7, 9]),
        targets: Targets::from_ids(&y, device).dense(&rows(device)),
    };
    let cutmix = CutMix::new().init().unwrap();
    agree("CutMix", |device| {
        let mixed = cutmix.augment(pictures(device), 5);
        [read(mixed.features), read(mixed.targets)].concat()
    });
    use ImageTransform::{Crop, Erase, FlipHorizontal, Jitter, Noise, Rotate, Scale, Shear};
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2 };
    let erase = Erase { probability: 0.7, area: [0.05, 0.3], aspect: [0.5, 2.0] };
    for steps in [
        vec![FlipHorizontal { probability: 0.5 }, Crop { padding: 2 }],
        vec![Rotate { degrees: 30.0 }, Scale { by: 0.2 }, Shear { degrees: 20.0 }],
        vec![jitter, Noise { deviation: 0.1 }, erase],
    ] {
        let mut once = Images::new().with_per_batch(true);
        once.transforms = steps.clone();
        let augmenter = once.init(&profile).unwrap();
        agree(&format!("one draw of {steps:?}"), |device| {
            read(augmenter.augment(pictures(device), 5).features)
        });
        let mut images = Images::new().with_strength(Strength::Rarity { power: 0.5 });
        images.transforms = steps;
        let augmenter = images.init(&profile).unwrap();
        agree(&format!("{:?}", images.transforms), |device| {
            read(augmenter.augment(pictures(device), 5).features)
        });
        // On a device that tracks, gradients flow and the values are the same.
        agree("with a gradient", |device| {
            let mut batch = pictures(&device.clone().autodiff());
            let pixels = batch.features.require_grad();
            batch.features = pixels.clone();
            let changed = augmenter.augment(batch, 5).features;
            let values = read(changed.clone());
            close("tracked", &values, &read(augmenter.augment(pictures(device), 5).features));
            let gradient = pixels.grad(&changed.sum().backward()).unwrap();
            [values, read(gradient)].concat()
        });
    }
    agree("recoloured", |device| {
        use kernels::Recolour::{Erase, Hue, Posterize, Solarize};
        let all =
            [(Hue, [0.3, -0.4, 0.0]), (Posterize, [16.0, 1.0, 8.0]), (Solarize, [0.5, 0.0, 1.0])];
        let made = all.map(|(change, own)| {
            // Of any hue, and grey from some pixel on.
            let value = |i: usize| [i * 31 % 97, 40][usize::from(i % 50 > 44)] as f32 / 97.0;
            let x = TensorData::new((0..450).map(value).collect::<Vec<_>>(), [3, 150]);
            let x = Tensor::<2>::from_data(x, device);
            let own = Tensor::<1>::from_floats(own, device).reshape([3, 1]);
            let changed = read(kernels::recolour(x.clone(), own.clone(), change));
            let tracked = Tensor::from_inner(x).require_grad();
            let tracked = kernels::recolour(tracked, Tensor::from_inner(own), change);
            close("tracked", &read(tracked), &changed);
            changed
        });
        let device = device.clone().autodiff();
        let slopes = |change, own: [f32; 2]| {
            let x = Tensor::<1>::from_floats([0.75, 2.0, 0.25, -4.0], &device).reshape([2, 2]);
            let (x, own) = (x.require_grad(), Tensor::<1>::from_floats(own, &device));
            let y = kernels::recolour(
                x.clone(),
                own.reshape([-1, if change == Erase { 2 } else { 1 }]),
                change,
            );
            (read(y.clone()), read(x.grad(&y.sum().backward()).unwrap()))
        };
        let erased = slopes(Erase, [0.0, 1.0]);
        assert_eq!(erased, (vec![0.75, 0.0, 0.25, 0.0], vec![1.0, 0.0, 1.0, 0.0]));
        assert_eq!(slopes(Solarize, [0.5, 0.0]).1, [-1.0, -1.0, -1.0, 1.0]);
        made.concat()
    });
    // Many levels, few, and one.
    agree("equalised", |device| {
        let levels = |i: usize| (i * i * 31 % 211 / [1, 40, 211][i / 900]) as f32 / 255.0;
        let levels = TensorData::new((0..2700).map(levels).collect::<Vec<_>>(), [3, 900]);
        let x = Tensor::<2>::from_data(levels, device);
        let even = read(kernels::equalize_rows(x.clone()));
        let tracked = Tensor::from_inner(x).require_grad();
        close("tracked", &read(kernels::equalize_rows(tracked)), &even);
        assert!(even[..900].contains(&1.0) && even[1800..].iter().all(|v| *v == 0.0));
        even
    });
    let x: Vec<f64> = rows(&Device::flex()).try_into_vec_as().unwrap();
    let x = ndarray::Array2::from_shape_vec((6, 4), x).unwrap();
    let plan = Smote::new().with_k(1).plan(&x, &y).unwrap();
    agree("SMOTE plan", |device| {
        plan.apply_tensor(rows(device)).unwrap().try_into_vec_as().unwrap()
    });
    let on_host: Vec<f64> = plan.apply(&x).unwrap().0.iter().copied().collect();
    agree("SMOTE plan against the host", |device| {
        let on_device: Vec<f64> =
            plan.apply_tensor(rows(device)).unwrap().try_into_vec_as().unwrap();
        close("device", &on_device, &on_host);
        on_device
    });
}

#[test]
fn encoders_and_their_gradients_agree() {
    use Architecture::{Bert, Distilbert, Gpt2, Mpnet, Roberta, XlmRoberta};
    for architecture in [Bert, Roberta, XlmRoberta, Distilbert, Mpnet, Gpt2] {
        let config = TransformerConfig {
            architecture,
            vocab_size: 20,
            hidden_size: 12,
            intermediate_size: 20,
            num_attention_heads: 3,
            max_position_embeddings: 12,
            hidden_dropout_prob: 0.0,
            layer_norm_eps: 1e-5,
            pooling: Pooling::Mean,
            ..TransformerConfig::default()
        };
        let agree = |what: &str, prefix: Option<usize>| {
            agree_product(&format!("{architecture:?}{what}"), |device, moved| {
                let device = device.clone().autodiff();
                let mut model = seeded(config.init(&device).unwrap(), 0.3, 3);
                if moved {
                    model = model.map(&mut Moved);
                }
                if let Some(tokens) = prefix {
                    model = model.with_prefix(tokens, 4).unwrap();
                }
                let rows = [vec![5, 6, 7, 8, 9, 3], vec![2, 19], vec![4, 4, 11]]
                    .map(|ids| Encoded { weights: vec![1.0; ids.len()], types: Vec::new(), ids });
                let batch = TextBatch::new(&rows.each_ref(), &device);
                let vectors = model.encode(&batch);
                let before = read(vectors.clone());
                let gradients = (vectors.clone() * vectors).sum().backward();
                let gradients = GradientsParams::from_grads(gradients, &model);
                // A step shows every gradient.
                let model = SgdConfig::new().init().step(0.01, model, gradients);
                vec![before, read(model.encode(&batch))]
            });
        };
        agree("", None);
        agree(" after a prefix", Some(2));
    }
}

#[test]
fn training_runs_and_models_move_between_devices() {
    let splits = common::intents();
    for kind in ["ngram", "transformer"] {
        let recipe = Recipe { epochs: 2, ..common::small(kind) };
        for (name, device) in devices() {
            let model = train(&recipe, &splits, device, &TrainOptions::new()).unwrap().model;
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().join("model");
            model.save(&dir).unwrap();
            let moved = Model::load(&dir, &Device::flex()).unwrap();
            let texts = splits.test.texts();
            let here: Vec<f64> = model.probabilities(texts).unwrap().into_iter().collect();
            let there: Vec<f64> = moved.probabilities(texts).unwrap().into_iter().collect();
            // Probabilities after a stack of layers.
            let allowed = if rounds(name) { 4e-3 } else { tolerance(DType::F32) };
            close_within(allowed, &format!("{kind} from {name} to flex"), &there, &here);
        }
    }
}

#[test]
fn blocks_and_their_gradients_agree() {
    // Tokens of two texts, the second padded; wider than a register of any device.
    let (rows, width, heads) = (14, 36, 3);
    let mask = |device: &Device| {
        let seen: Vec<f32> = (0..rows).map(|i| f32::from(u8::from(i < 11))).collect();
        Tensor::<2>::from_data(TensorData::new(seen, [2, 7]), device)
    };
    // What stands where the mask is 0 has no meaning.
    let attend = |x: Tensor<2>, device: &Device, causal: bool| {
        let mask = mask(device);
        kernels::attention(x, mask.clone(), heads, causal, 0.0) * mask.reshape([rows, 1])
    };
    let vector = |n: usize, device: &Device| numbers(1, n, device).reshape([n]);
    type Op<'a> = Box<dyn Fn(Tensor<2>, &Device, bool) -> Tensor<2> + 'a>;
    let ops: Vec<(&str, Op<'_>)> = vec![
        (
            "dense",
            Box::new(|x, device, moved| {
                let weight = factor(numbers(width, 20, device) / 6.0, moved);
                kernels::dense(x, weight, vector(20, device))
            }),
        ),
        ("gelu", Box::new(|x, _, _| kernels::gelu(x))),
        (
            "add and norm",
            Box::new(|x, device, _| {
                let residual = reversed(rows, width, device);
                kernels::add_norm(x, residual, vector(width, device), vector(width, device), 1e-5)
            }),
        ),
        (
            "batch norm",
            Box::new(|x, device, _| {
                let line = |by: f64| vector(width, device) * by;
                let (y, [mean, variance]) = kernels::batch_norm_relu(x, line(1.0), line(0.3), 1e-3);
                let moments = Tensor::<1>::from_inner(mean + variance).unsqueeze::<2>();
                y + moments
            }),
        ),
        ("attention", Box::new(|x, device, _| attend(x, device, false))),
        ("causal attention", Box::new(|x, device, _| attend(x, device, true))),
    ];
    for (name, op) in &ops {
        let run = |device: &Device, moved: bool| {
            let device = device.clone().autodiff();
            let x = factor(numbers(rows, width, &device) / 3.0, moved).require_grad();
            let y = op(x.clone(), &device, moved);
            let gradient = x.grad(&(y.clone() * y.clone()).sum().backward()).unwrap();
            vec![read(y), read(gradient)]
        };
        match *name {
            "gelu" | "add and norm" | "batch norm" => {
                agree(name, |device| run(device, false).concat())
            }
            _ => agree_product(name, run),
        }
    }
    let halves = |device: &Device, dtype: DType| {
        let device = device.clone().autodiff();
        let x = (numbers(rows, width, &device) / 3.0).cast(dtype).require_grad();
        let residual = reversed(rows, width, &device).cast(dtype);
        let gamma = vector(width, &device).cast(dtype).require_grad();
        let y = kernels::add_norm(x.clone(), residual.clone(), gamma.clone(), gamma.clone(), 1e-5);
        let weight = vector(width, &device).reshape([width, 1]).cast(dtype);
        let z = kernels::dense(y, weight, Tensor::ones([1], (&device, dtype)));
        let gradients = z.clone().sum().backward();
        let gamma = gamma.grad(&gradients).unwrap();
        [read(z), read(x.grad(&gradients).unwrap()), read(gamma)].concat()
    };
    for (name, device) in devices() {
        for dtype in [DType::F16, DType::BF16] {
            if device.supports_dtype(dtype) {
                let what = format!("block in {dtype:?} on {name}");
                close_in(dtype, &what, &halves(device, dtype), &halves(&Device::flex(), dtype));
            }
        }
        let device = device.clone().autodiff();
        device.seed(3);
        let x = Tensor::<2>::ones([200, 200], &device).require_grad();
        let kept = kernels::dropout(x.clone(), 0.25);
        let gradient = x.grad(&kept.clone().sum().backward()).unwrap();
        let kept = read(kept);
        assert_eq!(kept, read(gradient), "{name}");
        let zeros = kept.iter().filter(|&&v| v == 0.0).count() as f64 / kept.len() as f64;
        assert!((zeros - 0.25).abs() < 0.02, "{name}: {zeros}");
        assert!(kept.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6), "{name}");
    }
}

#[test]
fn attention_of_any_size_agrees() {
    // Texts longer than the units and the tiles of a card's kernel, heads of whole vectors or not,
    // and heads wider than it takes.
    for (texts, length, heads, depth) in
        [(2, 7, 3, 4), (2, 70, 3, 5), (1, 130, 2, 32), (2, 33, 1, 64), (1, 9, 2, 72)]
    {
        let (rows, columns) = (texts * length, 3 * heads * depth);
        let run =
            |device: &Device, dtype: DType, halved: Option<DType>, causal: bool, moved: bool| {
                let device = device.clone().autodiff();
                // Tokens in between are hidden too, and the first of all, so that a row sees nothing.
                let seen = |i: usize| f32::from(u8::from(i != 0 && i % 11 != 5 && i % length < 60));
                let seen =
                    TensorData::new((0..rows).map(seen).collect::<Vec<_>>(), [texts, length]);
                let mask = Tensor::<2>::from_data(seen, &device);
                let x = factor(numbers(rows, columns, &device) / 3.0, moved);
                // What is to be exact begins with the numbers that a half has.
                let x = x.cast(halved.unwrap_or(dtype)).cast(dtype).require_grad();
                let y = kernels::attention(x.clone(), mask.clone().cast(dtype), heads, causal, 0.0);
                let y = y * mask.reshape([rows, 1]).cast(dtype);
                let gradient = x.grad(&(y.clone() * y.clone()).sum().backward()).unwrap();
                vec![read(y), read(gradient)]
            };
        for causal in [false, true] {
            let what = format!("attention of {texts} x {heads} x {length} x {depth}, {causal}");
            if depth > 64 {
                agree_product(&what, |device, moved| run(device, DType::F32, None, causal, moved));
            } else {
                agree(&what, |device| run(device, DType::F32, None, causal, false).concat());
            }
            // Tensor operations in halves round after every step; the kernels compute f32.
            let kernels = |name: &str| {
                ["wgpu", "vulkan", "metal", "cuda", "rocm"].iter().any(|api| name.starts_with(api))
            };
            for (name, device) in devices().iter().filter(|(name, _)| depth <= 64 && kernels(name))
            {
                for dtype in [DType::F16, DType::BF16] {
                    if device.supports_dtype(dtype) {
                        let got = run(device, dtype, None, causal, false).concat();
                        let exact = run(&Device::flex(), DType::F32, Some(dtype), causal, false);
                        let expected = exact.concat();
                        close_in(dtype, &format!("{what} in {dtype:?} on {name}"), &got, &expected);
                    }
                }
            }
        }
    }
}

#[test]
fn what_attention_drops_is_dropped_in_the_gradient() {
    let (texts, length, heads, depth) = (2, 90, 2, 8);
    let (rows, width) = (texts * length, heads * depth);
    for (name, device) in devices() {
        let device = device.clone().autodiff();
        device.seed(3);
        let mask = Tensor::<2>::ones([texts, length], &device);
        let x = (numbers(rows, 3 * width, &device) / 3.0).require_grad();
        let out = kernels::attention(x.clone(), mask.clone(), heads, false, 0.3);
        let grad = reversed(rows, width, &device);
        let gradient = x.grad(&(out.clone() * grad.clone()).sum().backward()).unwrap();
        // The output is linear in the values: their part of the gradient gives it back.
        let sum = |a: Tensor<2>, b: Tensor<2>| -> f64 {
            read(a.inner()).iter().zip(read(b.inner())).map(|(a, b)| a * b).sum()
        };
        let values = |x: Tensor<2>| x.slice([0..rows, 2 * width..3 * width]);
        let gradient = Tensor::from_inner(gradient);
        let (there, back) = (sum(out.clone(), grad), sum(values(gradient), values(x.clone())));
        assert!((there - back).abs() < 1e-3 * there.abs().max(1.0), "{name}: {there} and {back}");
        let again = kernels::attention(x, mask.clone(), heads, false, 0.3);
        assert_ne!(read(out.inner()), read(again.inner()), "{name}: drawn anew");
        // Weights of 1/90: what is kept of them is 1 in the mean.
        let ones = Tensor::ones([rows, 3 * width], &device);
        let kept = read(kernels::attention(ones, mask, heads, false, 0.3));
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{name}: {mean}");
    }
}

#[test]
fn rows_of_any_width_agree() {
    // Short rows, rows as wide as a plane of units or a little more, and with and without a
    // multiple of four.
    for columns in [1, 5, 12, 64, 131] {
        let rows = 9;
        let ids: Vec<usize> = (0..rows).map(|i| i * 7 % columns).collect();
        let line = |from: f64, device: &Device| numbers(1, columns, device) / 12.0 + from;
        let share = |device: &Device| {
            let share = reversed(rows, columns, device) / 6.0 + 0.5;
            share.clone() / (share.sum_dim(1) + 0.1)
        };
        let focus = |gamma_positive, gamma_negative, margin| kernels::BinaryFocal {
            gamma_positive,
            gamma_negative,
            margin,
        };
        let focal = |x, device: &Device, terms| {
            let positive = line(1.0, device);
            kernels::binary_focal(x, share(device), positive, line(2.0, device), terms)
        };
        type Op<'a> = Box<dyn Fn(Tensor<2>, &Device) -> Tensor<1> + 'a>;
        let ops: Vec<(&str, Op<'_>)> = vec![
            (
                "log probability",
                Box::new(|x, device| {
                    let Targets::Ids(ids) = Targets::from_ids(&ids, device) else { unreachable!() };
                    kernels::log_prob(x, ids, line(0.0, device), line(0.3, device), 1.7)
                }),
            ),
            (
                "cross entropy",
                Box::new(|x, device| {
                    kernels::soft_cross_entropy(x, share(device), line(0.0, device), 1.7)
                }),
            ),
            (
                "log softmax",
                Box::new(|x, device| {
                    let out = kernels::log_softmax(x, line(0.0, device), 1.7);
                    (out * share(device)).sum_dim(1).squeeze_dim(1)
                }),
            ),
            ("plain", Box::new(|x, device| focal(x, device, kernels::BinaryFocal::PLAIN))),
            ("focal", Box::new(|x, device| focal(x, device, focus(2.0, 2.0, 0.0)))),
            ("margin", Box::new(|x, device| focal(x, device, focus(0.0, 0.0, 0.1)))),
            ("asymmetric", Box::new(|x, device| focal(x, device, focus(1.0, 4.0, 0.05)))),
        ];
        for (name, op) in &ops {
            for scale in [1.0, 3e3] {
                agree(&format!("{name} of {columns} columns times {scale}"), |device| {
                    let device = device.clone().autodiff();
                    let x = (numbers(rows, columns, &device) * scale).require_grad();
                    let y = op(x.clone(), &device);
                    let gradient = x.grad(&y.clone().sum().backward()).unwrap();
                    [read(y), read(gradient)].concat()
                });
            }
        }
        agree(&format!("gaussians of {columns} columns"), |device| {
            let device = device.clone().autodiff();
            let x = (numbers(rows, 2 * columns, &device) / 4.0).require_grad();
            let z = kernels::gaussian_draw(x.clone(), share(&device));
            let far = kernels::gaussian_divergence(x.clone());
            let gradient = x.grad(&(z.clone() * share(&device) + far.clone()).sum().backward());
            [read(z), read(far), read(gradient.unwrap())].concat()
        });
        for linear in [false, true] {
            agree(&format!("segments of {columns} columns"), |device| {
                let device = device.clone().autodiff();
                // Numbers, and segments of one to three columns.
                let wide = [(1, 1), (2, 1), (3, columns.div_ceil(3))];
                let segments = kernels::Segments::new(columns % 3, wide);
                let columns = segments.columns();
                let x = (numbers(rows, columns, &device) / 4.0).require_grad();
                let other = reversed(rows, columns, &device) / 6.0;
                let y = kernels::gumbel_softmax(x.clone(), other.clone(), &segments, 0.5, linear);
                let targets = other.clone().clamp_min(0.0);
                let cost = kernels::segment_cross_entropy(x.clone(), targets, &segments);
                let gradient = x.grad(&((y.clone() * other).sum() + cost.clone().sum()).backward());
                [read(y), read(cost), read(gradient.unwrap())].concat()
            });
        }
        agree(&format!("three parts of {columns} columns"), |device| {
            let device = device.clone().autodiff();
            let plain = numbers(rows, 3 * columns, &device);
            let x = plain.clone().require_grad();
            let y = kernels::mix_parts(x.clone(), &[0.3, 0.6, 0.1]);
            close("tracked", &read(y.clone()), &read(kernels::mix_parts(plain, &[0.3, 0.6, 0.1])));
            let gradient = x.grad(&(y.clone() * y.clone()).sum().backward()).unwrap();
            [read(y), read(gradient)].concat()
        });
        agree(&format!("pairs of {columns} columns"), |device| {
            let device = device.clone().autodiff();
            let partners: Vec<i32> = (0..rows as i32).rev().collect();
            let partners = Tensor::from_data(TensorData::from(partners.as_slice()), &device);
            let x = numbers(rows, columns, &device).require_grad();
            let weights = numbers(rows, 2, &device);
            let plain = kernels::mix_pairs(x.clone().detach(), partners.clone(), weights.clone());
            let tracked = kernels::mix_pairs(x.clone(), partners, weights);
            let gradient = x.grad(&tracked.clone().sum().backward()).unwrap();
            [read(plain), read(tracked), read(gradient)].concat()
        });
    }
}

#[test]
fn very_many_rows_agree() {
    // More than the cubes of a card take at once.
    let (rows, columns) = (33_001, 13);
    let line = |device: &Device| numbers(1, columns, device) / 12.0;
    let spread = |prime: usize, device: &Device| {
        let at = |i: usize| ((i * prime % 1009) as f32 / 1009.0 - 0.5) * 6.0;
        let values: Vec<f32> = (0..rows * columns).map(at).collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), device)
    };
    agree("many rows", |device| {
        let device = device.clone().autodiff();
        let x = spread(7919, &device).require_grad();
        let ids: Vec<usize> = (0..rows).map(|i| i * 7 % columns).collect();
        let Targets::Ids(ids) = Targets::from_ids(&ids, &device) else { unreachable!() };
        let margin = Tensor::zeros([1, columns], &device);
        let own = kernels::log_prob(x.clone(), ids, line(&device), margin, 1.0);
        let targets = spread(104_729, &device) / 6.0 + 0.5;
        let soft = kernels::soft_cross_entropy(x.clone(), targets.clone(), line(&device), 1.0);
        let ones = || Tensor::ones([1, columns], &device);
        let plain = kernels::BinaryFocal::PLAIN;
        let binary = kernels::binary_focal(x.clone(), targets, ones(), ones(), plain);
        let normed = {
            let vector = || line(&device).reshape([columns]);
            kernels::add_norm(x.clone(), spread(1_299_709, &device), vector(), vector(), 1e-5)
        };
        let weight = spread(15_485_863, &device);
        let value =
            own.clone().sum() - soft.clone().sum() + binary.clone().sum() + (normed * weight).sum();
        let gradient = x.grad(&value.backward()).unwrap();
        [read(own), read(soft), read(binary), read(gradient)].concat()
    });
}

#[test]
fn metrics_read_logits_of_any_device() {
    let truth = [0, 1, 2, 3, 3, 0];
    agree("predictions", |device| {
        let predictions = Predictions::from_logits(&truth, rows(device)).unwrap();
        let tally = predictions.tally();
        let mut out: Vec<f64> = predictions.probabilities().iter().copied().collect();
        let profile = ClassProfile::from_counts([2, 1, 1, 2]).unwrap();
        for metric in [Metric::Accuracy, Metric::BalancedAccuracy] {
            out.extend(tally.metric(metric, &profile));
        }
        out
    });
}

#[test]
fn half_precision_agrees_where_a_device_has_it() {
    let profile = ClassProfile::from_counts([900, 90, 9, 1]).unwrap();
    let configs: [LossConfig; 5] = [
        CrossEntropyConfig::new().into(),
        FocalConfig::new().into(),
        LogitAdjustedConfig::new().into(),
        BceConfig::new().into(),
        AsymmetricConfig::new().into(),
    ];
    let run = |config: &LossConfig, device: &Device, dtype: DType| {
        let device = device.clone().autodiff();
        let loss = config.init(&profile, &device).unwrap();
        let (x, targets) = batch(config, false, &device);
        let x = x.cast(dtype).require_grad();
        let value = loss.forward(x.clone(), &targets, Reduction::Mean);
        let gradient = x.grad(&value.clone().backward()).unwrap();
        [read(value), read(gradient)].concat()
    };
    for (name, device) in devices() {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                eprintln!("{name} does not compute in {dtype:?}");
                continue;
            }
            for config in &configs {
                // The inputs are rounded, so the reference takes the rounded ones.
                let expected = run(config, &Device::flex(), dtype);
                let what = format!("{} in {dtype:?} on {name}", config.kind());
                close_in(dtype, &what, &run(config, device, dtype), &expected);
            }
        }
    }
}

#[test]
fn steps_of_adamw_agree() {
    let run = |[rows, columns]: [usize; 2], device: &Device, dtype: DType| {
        let mut weights = numbers(rows, columns, device).cast(dtype);
        let mut moments = [(); 2].map(|()| Tensor::<2>::zeros([rows, columns], device));
        for time in 1..=3 {
            let gradient = (reversed(rows, columns, device) / time).cast(dtype);
            let step = kernels::AdamStep {
                rate: 0.1,
                decay: 0.5,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-8,
                time,
            };
            (weights, moments) = kernels::adam_step(weights, gradient, moments, step);
        }
        assert_eq!(weights.dtype(), dtype);
        let [first, second] = moments;
        [read(weights), read(first), read(second)].concat()
    };
    // With and without a multiple of four, and more than a cube's units.
    for shape in [[1, 1], [3, 5], [31, 20]] {
        for (name, device) in devices() {
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                if device.supports_dtype(dtype) {
                    let what = format!("AdamW of {shape:?} in {dtype:?} on {name}");
                    let expected = run(shape, &Device::flex(), dtype);
                    close_in(dtype, &what, &run(shape, device, dtype), &expected);
                }
            }
        }
    }
}

/// The trained weights, in the order of their names.
fn weights(model: &Model) -> Vec<f64> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("model");
    model.save(&dir).unwrap();
    let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let floats = |name: &&str| {
        let bytes = file.tensor(name).unwrap().data().to_vec();
        bytes
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect()
    };
    names.iter().map(floats).collect::<Vec<Vec<f64>>>().concat()
}

#[test]
fn several_devices_train_the_model_of_one() {
    let splits = common::intents();
    for (kind, augment) in [("ngram", "balanced_mixup"), ("transformer", "none")] {
        let mut recipe = Recipe { epochs: 3, dropout: 0.0, ..common::small(kind) };
        if let EncoderConfig::Transformer(config) = &mut recipe.encoder {
            (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
        }
        recipe.augment = serde_json::from_str(&format!(r#"{{"kind": "{augment}"}}"#)).unwrap();
        let run = |devices: Vec<Device>| {
            let options = TrainOptions::new().with_devices(devices);
            weights(&train(&recipe, &splits, &Device::flex(), &options).unwrap().model)
        };
        let one = run(Vec::new());
        let every: Vec<Device> = devices().iter().map(|(_, device)| device.clone()).collect();
        // Rounding to tf32 in every step is more than another order of summation.
        let exact = devices().iter().all(|(name, _)| !rounds(name));
        let every = if exact { every } else { Vec::new() };
        for devices in [vec![Device::flex()], vec![Device::flex(); 3], every] {
            let workers = devices.len() + 1;
            let several = run(devices);
            let apart = one.iter().zip(&several).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart <= 1e-4, "{kind} on {workers} devices: {apart}");
            assert_eq!(one.len(), several.len());
        }
    }
}

#[test]
fn devices_have_names() {
    for found in device::available() {
        assert_eq!(device::named(&found.name).unwrap(), found.device);
        assert!(Tensor::<1>::ones([3], &found.device).sum().into_scalar::<f32>() == 3.0);
    }
    for (name, reason) in [
        ("abacus", "this build has"),
        ("", "this build has"),
        ("flex:1", "has one device"),
        ("flex:one", "a number from 0"),
    ] {
        let error = device::named(name).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(&format!("{name:?}")), "{error}");
    }
    #[cfg(feature = "wgpu")]
    {
        let error = device::named("wgpu:99").unwrap_err().to_string();
        assert!(error.contains("0 to ") || error.contains("no driver"), "{error}");
    }
}

/// Runs `f` on a device that records operations instead of computing them, so that a tensor
/// read back inside has no value and the read panics.
fn records(what: &str, f: impl FnOnce(&Device)) {
    let device = Device::capture();
    let graph = device.capture_scope(|scope| {
        f(&device);
        scope.complete([], [])
    });
    let operations = graph.unwrap_or_else(|e| panic!("{what}: {e}")).graph.operations.len();
    assert!(operations > 0, "{what} did nothing");
}

/// Numbers that the recording device does not know beforehand, as it knows constants.
fn computed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.exp()
}

#[test]
fn nothing_is_read_back_inside_a_step() {
    let read_back = std::panic::catch_unwind(|| {
        records("a read", |device| drop(computed(rows(device)).sum().into_data()));
    });
    assert!(read_back.is_err(), "the recording device gave a value");

    let profile = ClassProfile::from_counts([900, 90, 9, 1]).unwrap();
    for kind in LossKind::ALL {
        for soft in [false, true] {
            records(&format!("{kind}"), |device| {
                let mut loss = kind.config().init(&profile, device).unwrap();
                let (x, targets) = batch(&kind.config(), soft, device);
                let x = computed(x).clamp(-0.9, 0.9);
                let targets = match targets {
                    Targets::Ids(ids) => Targets::Ids(ids + 0),
                    Targets::Soft(soft) => Targets::Soft(soft + 0.0),
                };
                let info =
                    BatchInfo { features: Some(&x), teacher: Some(&x), ..BatchInfo::default() };
                loss.begin_batch(&info);
                let value = loss.forward(x.clone(), &targets, Reduction::WeightedMean);
                loss.end_batch(x, &targets);
                drop(value);
            });
        }
    }
    let pictures = |device: &Device| Batch {
        features: computed((numbers(6, 3 * 7 * 9, device) / 6.0).reshape([6, 3, 7, 9])),
        targets: computed(numbers(6, 4, device)),
    };
    let plain = |device: &Device| Batch {
        features: computed(rows(device)),
        targets: computed(rows(device)),
    };
    use ImageTransform::{Crop, Erase, FlipHorizontal, Jitter, Noise, Rotate};
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2 };
    let erase = Erase { probability: 0.7, area: [0.05, 0.3], aspect: [0.5, 2.0] };
    let mut images = Images::new();
    images.transforms = vec![
        FlipHorizontal { probability: 0.5 },
        Crop { padding: 2 },
        Rotate { degrees: 30.0 },
        jitter,
        Noise { deviation: 0.1 },
        erase,
    ];
    let images = images.init(&profile).unwrap();
    records("images", |device| drop(images.augment(pictures(device), 5)));
    records("CutMix", |device| drop(CutMix::new().init().unwrap().augment(pictures(device), 5)));
    records("mixup", |device| drop(Mixup::new().init().unwrap().augment(plain(device), 5)));
    records("remix", |device| {
        drop(Remix::new().init(&profile).unwrap().augment(plain(device), 5));
    });
    records("token dropout", |device| {
        drop(TokenDropout::new().init().unwrap().augment(plain(device), 5));
    });
    let x = ndarray::Array2::from_shape_fn((6, 4), |(i, j)| (i * 7 % 5 + j) as f64);
    let plan = Smote::new().with_k(1).plan(&x, &[0, 0, 0, 0, 1, 1]).unwrap();
    records("plan", |device| drop(plan.apply_tensor(computed(rows(device))).unwrap()));
    let config = TransformerConfig {
        vocab_size: 20,
        hidden_size: 12,
        num_attention_heads: 3,
        max_position_embeddings: 12,
        ..TransformerConfig::default()
    };
    records("encoder", |device| {
        let model = config.init(device).unwrap();
        let rows = [vec![5, 6, 7], vec![2, 19]].map(|ids| Encoded {
            weights: vec![1.0; ids.len()],
            types: Vec::new(),
            ids,
        });
        drop(model.encode(&TextBatch::new(&rows.each_ref(), device)));
    });
}
