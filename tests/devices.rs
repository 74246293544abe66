//! One suite on every device of this build: flex by default, wgpu with `--features wgpu`.

mod common;

use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, TensorData};
use counterweight::augment::Batch;
use counterweight::encoder::{Architecture, Encoded, TextBatch};
use counterweight::losses::{BatchInfo, Input};
use counterweight::prelude::*;

fn devices() -> Vec<(&'static str, Device)> {
    let devices = [
        #[cfg(feature = "flex")]
        ("flex", Device::flex()),
        #[cfg(feature = "ndarray")]
        ("ndarray", Device::ndarray()),
        #[cfg(feature = "wgpu")]
        ("wgpu", Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
    ];
    devices.into_iter().filter(|(name, device)| works(name, device)).collect()
}

/// Whether the machine has the device; where the peers of the tests are installed it must.
fn works(name: &str, device: &Device) -> bool {
    let works = std::panic::catch_unwind(|| Tensor::<1>::ones([1], device).into_data()).is_ok();
    if !works {
        assert!(std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "no {name}");
        eprintln!("skipped: this machine has no driver for {name}");
    }
    works
}

fn rows(device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..24).map(|i| ((i * 37 % 24) as f32 - 12.0) / 4.0).collect();
    Tensor::from_data(TensorData::new(values, [6, 4]), device)
}

fn close(name: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        // f32 throughout, with another order of summation.
        assert!((g - e).abs() <= 2e-5 * e.abs().max(1.0), "{name}: {g} but flex has {e}");
    }
}

/// Compares what `f` gives on every device with what it gives on flex.
fn agree(what: &str, f: impl Fn(&Device) -> Vec<f64>) {
    let expected = f(&Device::flex());
    assert!(expected.iter().all(|v| v.is_finite()));
    for (name, device) in devices() {
        close(&format!("{what} on {name}"), &f(&device), &expected);
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
    let more: [LossConfig; 4] = [
        weighted.with_smoothing(0.1).into(),
        LdamConfig::new().with_scale(1.0).with_weights(ClassWeights::Balanced).into(),
        AsymmetricConfig::new().with_margin(0.0).into(),
        AsymmetricConfig::new().with_gamma_positive(0.0).with_gamma_negative(0.0).into(),
    ];
    configs.extend(more);
    for config in configs {
        for (reduction, soft) in [
            (Reduction::Mean, false),
            (Reduction::Sum, true),
            (Reduction::WeightedMean, true),
            (Reduction::WeightedMean, false),
        ] {
            agree(&format!("{} {reduction:?} soft {soft}", config.kind()), |device| {
                let tracked = device.clone().autodiff();
                let mut loss = config.init(&profile, &tracked).unwrap();
                let (x, targets) = batch(&config, soft, &tracked);
                let x = x.require_grad();
                let info =
                    BatchInfo { features: Some(&x), teacher: Some(&x), ..BatchInfo::default() };
                loss.begin_batch(&info);
                let value = loss.forward(x.clone(), &targets, reduction);
                let gradient = x.grad(&value.clone().backward()).unwrap();
                loss.end_batch(x.detach(), &targets);
                let mut out: Vec<f64> = gradient.try_into_vec_as().unwrap();
                out.push(value.into_scalar());
                out.extend(loss.state());
                out
            });
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
        agree(&format!("{architecture:?}"), |device| {
            let device = device.clone().autodiff();
            let model = seeded(config.init(&device).unwrap(), 0.3, 3);
            let rows = [vec![5, 6, 7, 8, 9, 3], vec![2, 19], vec![4, 4, 11]].map(|ids| Encoded {
                weights: vec![1.0; ids.len()],
                types: Vec::new(),
                ids,
            });
            let batch = TextBatch::new(&rows.each_ref(), &device);
            let vectors = model.encode(&batch);
            let mut all = read(vectors.clone());
            let gradients = (vectors.clone() * vectors).sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            // A step shows every gradient.
            let model = SgdConfig::new().init().step(0.01, model, gradients);
            all.extend(read(model.encode(&batch)));
            all
        });
    }
}

#[test]
fn training_runs_and_models_move_between_devices() {
    let splits = common::intents();
    for kind in ["ngram", "transformer"] {
        let recipe = Recipe { epochs: 2, ..common::small(kind) };
        for (name, device) in devices() {
            let model = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap().model;
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().join("model");
            model.save(&dir).unwrap();
            let moved = Model::load(&dir, &Device::flex()).unwrap();
            let texts = splits.test.texts();
            let here: Vec<f64> = model.probabilities(texts).unwrap().into_iter().collect();
            let there: Vec<f64> = moved.probabilities(texts).unwrap().into_iter().collect();
            close(&format!("{kind} from {name} to flex"), &there, &here);
        }
    }
}
