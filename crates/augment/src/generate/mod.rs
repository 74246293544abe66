//! Models of a table that make new rows of a class.

mod codec;
mod copula;
mod critic;
mod gan;
mod layers;
mod mixture;
mod resume;
mod store;
mod training;
mod vae;

use std::fmt::Debug;
use std::path::Path;

use burn::tensor::Device;
use counterweight_core::Progress;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use copula::{Copula, CopulaModel};
pub use gan::{CtGan, Gan, GanModel};
pub use training::Training;
pub use vae::{Tvae, Vae, VaeModel};

use crate::Result;

/// Streams of a generator's seed; 1 and 2 are the codec's.
mod stream {
    pub(super) const TRAIN: u64 = 3;
}

/// A trained model that makes rows of a class.
pub trait Generator: Debug + Send + Sync {
    /// `rows` new rows of a class, by a seed. A column keeps the range and the categories that
    /// were seen in training.
    ///
    /// A network may make a row whose own class column says another class; such rows are
    /// drawn again, up to ten times as many as asked for, and then taken as they are.
    ///
    /// # Errors
    /// [`Error::Class`](crate::Error::Class) for a class without rows in training.
    fn sample(&self, class: usize, rows: usize, seed: u64) -> Result<Array2<f64>>;

    /// Writes the model to one file, all or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn save(&self, path: &Path) -> Result<()>;
}

/// Any generator, as a value: in TOML, `kind = "ct_gan"` and its fields.
///
/// ```
/// use burn::tensor::Device;
/// use counterweight_augment::{Column, Copula, GeneratorConfig, Training};
/// use counterweight_core::NoProgress;
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((60, 3), |(r, c)| ((r * 37 + c * 11) % 53) as f64 / 7.0);
/// let labels: Vec<usize> = (0..60).map(|r| usize::from(r % 4 == 0)).collect();
/// let columns = Column::of(x.view(), &[])?;
/// let training = Training::new(x.view(), &columns, &labels)?;
/// let config = GeneratorConfig::Copula(Copula::new());
/// let model = config.fit(training, &Device::flex(), &NoProgress)?;
/// let rows = model.sample(1, 30, 7)?;
/// assert_eq!(rows.dim(), (30, 3));
/// # Ok::<(), counterweight_augment::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum GeneratorConfig {
    /// The Gaussian copula.
    Copula(Copula),
    /// CTGAN.
    CtGan(CtGan),
    /// TVAE.
    Tvae(Tvae),
    /// A GAN of dense vectors.
    Gan(Gan),
    /// A variational autoencoder of dense vectors.
    Vae(Vae),
}

impl GeneratorConfig {
    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Copula(config) => config.check(),
            Self::CtGan(config) => config.check(),
            Self::Tvae(config) => config.check(),
            Self::Gan(config) => config.check(),
            Self::Vae(config) => config.check(),
        }
    }

    /// Trains on the device; the copula needs none.
    ///
    /// # Errors
    /// As the generator's `fit`.
    pub fn fit(
        &self,
        training: Training<'_>,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<Box<dyn Generator>> {
        Ok(match self {
            Self::Copula(config) => Box::new(config.fit(training)?),
            Self::CtGan(config) => Box::new(config.fit(training, device, progress)?),
            Self::Tvae(config) => Box::new(config.fit(training, device, progress)?),
            Self::Gan(config) => Box::new(config.fit(training, device, progress)?),
            Self::Vae(config) => Box::new(config.fit(training, device, progress)?),
        })
    }
}
