//! One suite on every device of this build: flex by default, wgpu with `--features wgpu`.

mod common;

use burn::tensor::TensorData;
use counterweight::augment::Batch;
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
    devices.into()
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

#[test]
fn losses_and_their_gradients_agree() {
    let profile = ClassProfile::from_counts([900, 90, 9, 1]).unwrap();
    let configs: [LossConfig; 6] = [
        CrossEntropyConfig::new().with_weights(ClassWeights::Balanced).with_smoothing(0.1).into(),
        FocalConfig::new().into(),
        SigmoidFocalConfig::new().into(),
        AlphaBceConfig::new().with_alpha(0.8).into(),
        LogitAdjustedConfig::new().into(),
        DeferredConfig::new(CrossEntropyConfig::new(), FocalConfig::new(), 0).into(),
    ];
    for config in configs {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::WeightedMean] {
            agree(&format!("{} {reduction:?}", config.kind()), |device| {
                let tracked = device.clone().autodiff();
                let loss = config.init(&profile, &tracked).unwrap();
                let logits = rows(&tracked).require_grad();
                let targets = Targets::from_ids(&[0, 1, 2, 3, 3, 0], &tracked);
                let value = loss.forward(logits.clone(), &targets, reduction);
                let gradient = logits.grad(&value.backward()).unwrap();
                let mut out: Vec<f64> = gradient.try_into_vec_as().unwrap();
                out.push(value.into_scalar());
                out
            });
        }
    }
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
    let x: Vec<f64> = rows(&Device::flex()).try_into_vec_as().unwrap();
    let x = ndarray::Array2::from_shape_vec((6, 4), x).unwrap();
    let plan = Smote::new().with_k(1).plan(x.view(), &y).unwrap();
    agree("SMOTE plan", |device| {
        plan.apply_tensor(rows(device)).unwrap().try_into_vec_as().unwrap()
    });
    let on_host: Vec<f64> = plan.apply(x.view()).unwrap().0.iter().copied().collect();
    agree("SMOTE plan against the host", |device| {
        let on_device: Vec<f64> =
            plan.apply_tensor(rows(device)).unwrap().try_into_vec_as().unwrap();
        close("device", &on_device, &on_host);
        on_device
    });
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
