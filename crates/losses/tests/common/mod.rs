//! Random inputs that suit each loss. No test file uses all of it.
#![allow(dead_code)]

use burn::tensor::{DType, Device, Tensor, TensorData};
use counterweight_core::{ClassProfile, rng};
use counterweight_losses::{
    AnnealedConfig, AsymmetricConfig, BceConfig, ClassWeightedConfig, ClassWeights,
    CrossEntropyConfig, DeferredConfig, DiceConfig, FocalConfig, FocalRConfig, Input, LdamConfig,
    LogitAdjustedConfig, LossConfig, LossKind, Overlap, PairCost, PairwiseAucConfig, PosWeight,
    RegressionError, SigmoidFocalConfig, Targets, TverskyConfig, Unseen,
};
use rand::RngExt;

/// A loss with an input it understands.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) config: LossConfig,
    pub(crate) counts: Vec<u64>,
    pub(crate) x: Vec<f64>,
    pub(crate) shape: [usize; 2],
    pub(crate) targets: Rows,
}

/// Targets off any device.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Ids(Vec<usize>),
    Soft(Vec<f64>),
}

impl Case {
    pub(crate) fn profile(&self) -> ClassProfile {
        ClassProfile::from_counts(self.counts.iter().copied()).unwrap()
    }

    pub(crate) fn logits(&self, device: &Device, dtype: DType) -> Tensor<2> {
        matrix(&self.x, self.shape, device, dtype)
    }

    pub(crate) fn targets(&self, device: &Device) -> Targets {
        match &self.targets {
            Rows::Ids(ids) => Targets::from_ids(ids, device),
            Rows::Soft(soft) => Targets::Soft(matrix(soft, self.shape, device, DType::F64)),
        }
    }
}

pub(crate) fn matrix(x: &[f64], shape: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
    let data = TensorData::new(x.to_vec(), shape);
    Tensor::<2>::from_data(data, (device, DType::F64)).cast(dtype)
}

/// Every loss with its defaults, and some with other parameters.
pub(crate) fn configs() -> Vec<LossConfig> {
    let mut all: Vec<LossConfig> = LossKind::ALL.iter().map(|kind| kind.config()).collect();
    let effective = || ClassWeights::EffectiveNumber { beta: 0.99 };
    let more: [LossConfig; 19] = [
        CrossEntropyConfig::new().with_weights(ClassWeights::Balanced).with_smoothing(0.2).into(),
        FocalConfig::new().with_gamma(0.5).with_alpha(effective()).into(),
        FocalConfig::new().with_gamma(0.0).into(),
        LogitAdjustedConfig::new().with_tau(1.5).with_unseen(Unseen::One).into(),
        LdamConfig::new().with_scale(1.0).with_weights(effective()).into(),
        SigmoidFocalConfig::new().with_gamma(0.5).without_alpha().into(),
        AsymmetricConfig::new().with_margin(0.0).into(),
        AsymmetricConfig::new().with_gamma_negative(0.5).with_margin(0.3).into(),
        BceConfig::new().with_pos_weight(PosWeight::Value(3.0)).into(),
        DiceConfig::new().with_squared(true).with_over(Overlap::Column).into(),
        DiceConfig::new().with_ignore_absent(true).into(),
        TverskyConfig::focal().with_over(Overlap::Column).into(),
        PairwiseAucConfig::new().with_cost(PairCost::Logistic).into(),
        FocalRConfig::new().with_error(RegressionError::Squared).with_gamma(0.0).into(),
        ClassWeightedConfig::new(FocalConfig::new(), effective()).into(),
        DeferredConfig::new(FocalConfig::new(), LdamConfig::new(), 1).into(),
        AnnealedConfig::new(CrossEntropyConfig::new(), FocalConfig::new(), 0, 4).into(),
        counterweight_losses::SmoothedConfig::new(BceConfig::new(), 0.1).into(),
        counterweight_losses::IgnoreIndexConfig::new(BceConfig::new()).into(),
    ];
    all.extend(more);
    all
}

/// What the loss at the heart of wrappers takes.
pub(crate) fn input(config: &LossConfig) -> Input {
    config.input()
}

/// Losses whose weights are treated as constants, so that differences see another slope.
pub(crate) fn has_fixed_parts(config: &LossConfig) -> bool {
    matches!(config.kind(), LossKind::Seesaw | LossKind::InfluenceBalanced | LossKind::GhmC)
}

/// Losses with hinges, cuts and absolute values, where differences see two slopes.
pub(crate) fn has_kinks(config: &LossConfig) -> bool {
    use LossKind::{ArcFace, Asymmetric, FocalR, LovaszHinge, PairwiseAuc, PartialAuc, Soap};
    matches!(
        config.kind(),
        ArcFace | Asymmetric | FocalR | LovaszHinge | PairwiseAuc | PartialAuc | Soap
    )
}

/// `batch` ≥ 0 and `columns` ≥ 1 are wishes: some inputs have a shape of their own.
pub(crate) fn case(
    config: &LossConfig,
    batch: usize,
    columns: usize,
    scale: f64,
    soft: bool,
    seed: u64,
) -> Case {
    let mut rng = rng(seed);
    let classes = columns.max(2);
    let counts: Vec<u64> = (0..classes)
        .map(|c| if c == 0 { 50 } else { [0, 1, 7, 90, 4000][rng.random_range(0..5)] })
        .collect();
    let kind = config.kind();
    let (rows, width) = match (kind, input(config)) {
        (LossKind::InBatchSoftmax, _) => (batch, batch.max(1)),
        (LossKind::PaCo, _) => (batch, classes + 3),
        (_, Input::Logits | Input::Cosines | Input::Scores) => (batch, classes),
        _ => (batch, columns),
    };
    let scale = if input(config) == Input::Cosines { scale.min(0.97) } else { scale };
    let mut uniform = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
    let x = (0..rows * width).map(|_| uniform(-scale, scale)).collect();
    // Classes without examples have no examples in the batch either.
    let seen: Vec<usize> = (0..classes).filter(|&c| counts[c] > 0).collect();
    let mut id = || seen[(uniform(0.0, 1.0) * seen.len() as f64) as usize % seen.len()];
    let ids: Vec<usize> = (0..rows).map(|_| id()).collect();
    let by_id = matches!(input(config), Input::Embeddings | Input::Cosines)
        || matches!(kind, LossKind::InBatchSoftmax | LossKind::LovaszHinge | LossKind::IgnoreIndex);
    let targets = match input(config) {
        _ if kind == LossKind::LovaszHinge && width == 1 => {
            Rows::Soft(ids.iter().map(|&id| f64::from(id.min(1) as u32)).collect())
        }
        Input::Binary if width == 1 && !soft => Rows::Ids(ids.iter().map(|&i| i.min(1)).collect()),
        Input::Values => Rows::Soft((0..rows * width).map(|_| uniform(-3.0, 3.0)).collect()),
        _ if by_id || !soft => Rows::Ids(ids.iter().map(|&i| i.min(width.max(1) - 1)).collect()),
        Input::Binary => Rows::Soft((0..rows * width).map(|_| uniform(0.0, 1.0)).collect()),
        _ => {
            let mut all = Vec::new();
            for _ in 0..rows {
                let raw: Vec<f64> = (0..width)
                    .map(|c| if counts[c] > 0 { uniform(0.01, 1.0) } else { 0.0 })
                    .collect();
                let total: f64 = raw.iter().sum();
                all.extend(raw.iter().map(|v| v / total));
            }
            Rows::Soft(all)
        }
    };
    let targets = match (kind, targets) {
        // Item ids, not columns.
        (LossKind::InBatchSoftmax, _) => Rows::Ids(ids),
        (_, targets) if input(config) == Input::Embeddings => {
            let _ = targets;
            Rows::Ids(ids)
        }
        (_, targets) => targets,
    };
    Case { config: config.clone(), counts, x, shape: [rows, width], targets }
}
