//! Gradients and steps against PyTorch (`fixtures/generate.py`).

mod common;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use common::{Expected, fixtures, values};
use counterweight_encoder::{
    AdamW, Checkpoint, Encoder, TextBatch, Transformer, WeightType, save_checkpoint,
};

#[derive(Module, Debug)]
struct Classifier {
    encoder: Transformer,
    head: Linear,
}

impl Classifier {
    fn load(checkpoint: &Checkpoint, device: &Device) -> Self {
        let file = Expected::read(checkpoint.dir().join("model.safetensors"));
        let weight = TensorData::new(file.floats("classifier.weight"), [3, 16]);
        let mut head = LinearConfig::new(16, 3).init(device);
        let copy = Tensor::<2>::from_data(weight, device).transpose().into_data();
        head.weight = Param::from_tensor(Tensor::from_data(copy, device).require_grad());
        let bias = TensorData::new(file.floats("classifier.bias"), [3]);
        head.bias = Some(Param::from_tensor(Tensor::from_data(bias, device).require_grad()));
        Self { encoder: checkpoint.load(device).unwrap(), head }
    }

    fn loss(&self, batch: &TextBatch) -> Tensor<1> {
        let logits = self.head.forward(self.encoder.encode(batch));
        let labels = Tensor::<1, Int>::from_ints([2, 0, 1], &logits.device());
        CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, labels)
    }
}

/// Puts each parameter's gradient in its place.
struct Derivative<'a>(&'a Gradients);

impl ModuleMapper for Derivative<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let zeros = param.val().inner().zeros_like();
        let gradient = param.val().grad(self.0).unwrap_or(zeros);
        Param::initialized(param.id, gradient)
    }
}

#[test]
fn gradients_and_twenty_steps_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    let dir = fixtures().join("training");
    let e = Expected::read(dir.join("expected.safetensors"));
    let checkpoint = Checkpoint::open(dir).unwrap();
    let heads = checkpoint.head_tensors();
    assert!(heads.contains(&"classifier.weight") && !heads.iter().any(|h| h.contains("layer")));
    let mut model = Classifier::load(&checkpoint, &device);
    let batch = e.batch(false, &device);

    let gradients = model.loss(&batch).backward();
    let root = tempfile::tempdir().unwrap();
    let derivative = model.encoder.clone().map(&mut Derivative(&gradients));
    save_checkpoint(&derivative, checkpoint.config(), WeightType::F32, root.path()).unwrap();
    let ours = Expected::read(root.path().join("model.safetensors"));
    let mut compared = 0;
    for name in ours.file().names() {
        let theirs = e.floats(&format!("grad.bert.{name}"));
        let largest = theirs.iter().fold(0f32, |m, g| m.max(g.abs()));
        for (g, t) in ours.floats(name).iter().zip(&theirs) {
            // The keys' biases have no effect: both gradients there are rounding errors.
            assert!((g - t).abs() <= 1e-3 * largest.max(1e-4), "{name}: {g} but PyTorch has {t}");
        }
        compared += 1;
    }
    assert_eq!(compared, 5 + 2 * 16 + 2);

    // Ours and burn's, whose states are one: they take turns.
    let mut ours = AdamW::new().with_weight_decay(0.01).init().unwrap();
    let burns = || AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
    for (step, expected) in e.floats("losses").into_iter().enumerate() {
        let loss = model.loss(&batch);
        let value = values(loss.clone())[0];
        assert!((value - expected).abs() < 1e-3, "step {step}: {value} but PyTorch has {expected}");
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        if step % 5 == 4 {
            let mut other = burns().from_bytes(ours.into_bytes().unwrap()).unwrap();
            model = other.step(1e-3, model, gradients);
            let fresh = AdamW::new().with_weight_decay(0.01).init().unwrap();
            ours = fresh.from_bytes(other.into_bytes().unwrap()).unwrap();
        } else {
            model = ours.step(1e-3, model, gradients);
        }
    }
}
