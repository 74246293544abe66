//! One file per index sampler.

mod class_aware;
mod effective_number;
mod progressive;
mod repeat_factor;
mod square_root;
mod uniform;
mod weighted;

use std::fmt::Debug;

use counterweight_core::{ensure, rng};
use rand::RngExt;
use serde::{Deserialize, Serialize};

pub use class_aware::ClassAware;
pub use effective_number::EffectiveNumber;
pub use progressive::Progressive;
pub use repeat_factor::RepeatFactor;
pub use square_root::SquareRoot;
pub use uniform::Uniform;
pub use weighted::Weighted;

use crate::Result;
use crate::resample::by_class;

/// Chooses the rows of an epoch from the labels alone.
pub trait IndexSampler: Debug + Send + Sync {
    /// The rows of epoch `epoch`, as many as there are labels. The same seed and epoch
    /// give the same rows.
    fn epoch(&self, epoch: usize) -> Vec<usize>;
}

/// Any index sampler, as a value: in TOML, `kind = "square_root"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SamplerConfig {
    /// Every row once, shuffled.
    #[default]
    Uniform,
    /// Every class equally often.
    ClassAware,
    /// Classes in proportion to the square root of their count.
    SquareRoot,
    /// Classes in proportion to count^power.
    Power {
        /// 0 is class-aware, 0.5 square-root, 1 natural frequency; in `[0, 1]`.
        power: f64,
    },
    /// [`EffectiveNumber`].
    EffectiveNumber {
        /// β in `[0, 1)`.
        beta: f64,
    },
    /// [`RepeatFactor`].
    RepeatFactor {
        /// The frequency below which a class's rows are repeated, in (0, 1].
        threshold: f64,
    },
    /// [`Progressive`].
    Progressive {
        /// Epochs until classes are balanced, at least 2.
        epochs: usize,
    },
    /// [`Weighted`].
    Weighted {
        /// The share of each class, in class-id order.
        weights: Vec<f64>,
    },
}

impl SamplerConfig {
    /// The sampler for a data set's labels.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for no labels or a parameter out of range.
    pub fn init(&self, labels: &[usize], seed: u64) -> Result<Box<dyn IndexSampler>> {
        Ok(match self {
            Self::Uniform => Box::new(Uniform::new(labels, seed)?),
            Self::ClassAware => Box::new(ClassAware::new(labels, seed)?),
            Self::SquareRoot => Box::new(SquareRoot::new(labels, seed)?),
            Self::Power { power } => {
                ensure("power", *power, (0.0..=1.0).contains(power), "[0, 1]")?;
                Box::new(ByClass::new(labels, seed, |n| n.powf(*power))?)
            }
            Self::EffectiveNumber { beta } => Box::new(EffectiveNumber::new(labels, *beta, seed)?),
            Self::RepeatFactor { threshold } => {
                Box::new(RepeatFactor::new(labels, *threshold, seed)?)
            }
            Self::Progressive { epochs } => Box::new(Progressive::new(labels, *epochs, seed)?),
            Self::Weighted { weights } => Box::new(Weighted::new(labels, weights, seed)?),
        })
    }
}

/// Draws a class by weight, then the class's rows in shuffled rounds, so that no row
/// is repeated before all rows of its class were used.
#[derive(Debug, Clone)]
pub(crate) struct ByClass {
    rows: Vec<Vec<usize>>,
    /// Class ids of `rows`, which leaves out classes without any.
    classes: Vec<usize>,
    weights: Vec<f64>,
    len: usize,
    seed: u64,
}

impl ByClass {
    pub(crate) fn new(labels: &[usize], seed: u64, weight: impl Fn(f64) -> f64) -> Result<Self> {
        let by_class = by_class(labels)?;
        let weights = by_class.values().map(|rows| weight(rows.len() as f64)).collect();
        let (classes, rows) = by_class.into_iter().unzip();
        Ok(Self { rows, classes, weights, len: labels.len(), seed })
    }

    /// The weights of the classes that have rows.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Takes the weights of all classes, in class-id order; those not given are 0.
    pub(crate) fn set_weights(&mut self, weights: &[f64]) {
        let weight = |class: &usize| weights.get(*class).copied().unwrap_or(0.0);
        self.weights = self.classes.iter().map(weight).collect();
    }

    /// An epoch by other weights of the classes that have rows.
    pub(crate) fn draw(&self, epoch: usize, weights: &[f64]) -> Vec<usize> {
        use rand::seq::SliceRandom;
        let mut rng = rng(counterweight_core::derive(self.seed, epoch as u64));
        let mut decks = self.rows.clone();
        decks.iter_mut().for_each(|d| d.shuffle(&mut rng));
        let mut next = vec![0; decks.len()];
        let sum = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let cumulative: Vec<f64> = sum.collect();
        let total = cumulative.last().copied().unwrap_or(0.0);
        let draw = |_| {
            let at = rng.random::<f64>() * total;
            let class = cumulative.partition_point(|&c| c <= at).min(decks.len() - 1);
            if next[class] == decks[class].len() {
                decks[class].shuffle(&mut rng);
                next[class] = 0;
            }
            next[class] += 1;
            decks[class][next[class] - 1]
        };
        (0..self.len).map(draw).collect()
    }
}

impl IndexSampler for ByClass {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.draw(epoch, &self.weights)
    }
}
