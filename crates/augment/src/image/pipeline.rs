use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{ClassProfile, OutOfRange, Rng, derive, ensure, rng};
use counterweight_kernels::mix_rows;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::geometry::Maps;
use super::rand_augment::RandAugment;
use super::{Rectangle, colour, erase, rectangle_mask};
use crate::strength::{Strength, of_rows};
use crate::{Augmenter, Batch, Result};

/// One step of [`Images`]. Each draws anew for every image, or once for the batch; what it draws is
/// multiplied by the strength of the image's class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ImageTransform {
    /// Mirrors left and right with this probability times the strength.
    FlipHorizontal {
        /// In `[0, 1]`.
        probability: f64,
    },
    /// Mirrors top and bottom with this probability times the strength.
    FlipVertical {
        /// In `[0, 1]`.
        probability: f64,
    },
    /// Turns by up to this many degrees either way.
    Rotate {
        /// In `[0, 180]`.
        degrees: f64,
    },
    /// Larger or smaller by a factor up to `1 + by` either way.
    Scale {
        /// ≥ 0.
        by: f64,
    },
    /// Moves by up to this share of the size.
    Translate {
        /// In `[0, 1]`.
        by: f64,
    },
    /// Shears by up to this many degrees along either axis.
    Shear {
        /// In `[0, 80]`.
        degrees: f64,
    },
    /// A crop of the image's size out of the padded image (He et al. 2016): moves by up to so
    /// many whole pixels.
    Crop {
        /// Pixels of padding.
        padding: usize,
    },
    /// Colour jitter: factors in `1 ± x`, and a turn of the hue, in this order.
    Jitter {
        /// In `[0, 1]`.
        brightness: f64,
        /// In `[0, 1]`.
        contrast: f64,
        /// In `[0, 1]`.
        saturation: f64,
        /// In `[0, 0.5]` of the circle.
        hue: f64,
    },
    /// Adds normal noise.
    Noise {
        /// Its deviation, ≥ 0.
        deviation: f64,
    },
    /// Random erasing (Zhong et al., AAAI 2020), with a square of fixed size also known as Cutout
    /// (DeVries and Taylor 2017): a rectangle becomes 0, with a probability times the strength.
    Erase {
        /// In `[0, 1]`.
        probability: f64,
        /// Smallest and largest share of the image, in `(0, 1)`.
        area: [f64; 2],
        /// Smallest and largest height / width, positive.
        aspect: [f64; 2],
    },
    /// RandAugment.
    RandAugment(RandAugment),
}

/// Image transforms in order, on a batch `[batch, channels, height, width]` of values in `[0, 1]`
/// and on its device, stronger for the tail if wanted. Targets stay.
///
/// Neighbouring geometric steps are one affine map, so that an image is resampled once. Outside of
/// an image is 0.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use counterweight_augment::{Augmenter, Batch, ImageTransform, Images, Strength};
/// use counterweight_core::ClassProfile;
///
/// let profile = ClassProfile::from_counts([900, 100])?;
/// let images = Images::new()
///     .with_transform(ImageTransform::FlipHorizontal { probability: 0.5 })
///     .with_transform(ImageTransform::Rotate { degrees: 15.0 })
///     .with_strength(Strength::Rarity { power: 0.5 })
///     .init(&profile)?;
/// let device = Device::flex();
/// let batch = Batch {
///     features: Tensor::<4>::random([2, 3, 8, 8], Distribution::Default, &device),
///     targets: Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device),
/// };
/// assert_eq!(images.augment(batch, 7).features.dims(), [2, 3, 8, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// The steps. Default: none.
    pub transforms: Vec<ImageTransform>,
    /// By class. Default: the same for all.
    pub strength: Strength,
    /// One draw for the whole batch, as torchvision does when it is given a batch, which is faster and
    /// varies less; noise differs from pixel to pixel all the same. Default: false.
    pub per_batch: bool,
}

impl Images {
    /// No transforms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step.
    #[must_use]
    pub fn with_transform(mut self, transform: ImageTransform) -> Self {
        self.transforms.push(transform);
        self
    }

    /// Sets the strength by class.
    #[must_use]
    pub fn with_strength(mut self, strength: Strength) -> Self {
        self.strength = strength;
        self
    }

    /// Sets whether a step draws once for the whole batch.
    #[must_use]
    pub fn with_per_batch(mut self, per_batch: bool) -> Self {
        self.per_batch = per_batch;
        self
    }

    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        self.strength.check()?;
        self.transforms.iter().try_for_each(ImageTransform::check)
    }

    /// Checks the parameters and takes the classes' counts.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for another number of strengths than classes.
    pub fn init(&self, profile: &ClassProfile) -> Result<ImageAugmenter> {
        self.check()?;
        let strengths = self.strength.of(profile)?;
        let (transforms, per_batch) = (self.transforms.clone(), self.per_batch);
        Ok(ImageAugmenter { transforms, strengths, per_batch })
    }
}

impl ImageTransform {
    fn check(&self) -> Result<()> {
        let unit = |name, v: f64| ensure(name, v, (0.0..=1.0).contains(&v), "[0, 1]");
        let up_to =
            |name, v: f64, most: f64, allowed| ensure(name, v, (0.0..=most).contains(&v), allowed);
        match self {
            Self::FlipHorizontal { probability } | Self::FlipVertical { probability } => {
                unit("probability", *probability)
            }
            Self::Rotate { degrees } => up_to("degrees", *degrees, 180.0, "[0, 180]"),
            Self::Shear { degrees } => up_to("degrees", *degrees, 80.0, "[0, 80]"),
            Self::Scale { by } => up_to("by", *by, f64::MAX, "[0, inf)"),
            Self::Translate { by } => unit("by", *by),
            Self::Crop { .. } => Ok(()),
            Self::Jitter { brightness, contrast, saturation, hue } => {
                unit("brightness", *brightness)?;
                unit("contrast", *contrast)?;
                unit("saturation", *saturation)?;
                up_to("hue", *hue, 0.5, "[0, 0.5]")
            }
            Self::Noise { deviation } => up_to("deviation", *deviation, f64::MAX, "[0, inf)"),
            Self::Erase { probability, area, aspect } => {
                unit("probability", *probability)?;
                range("area", area, 1.0, "(0, 1), the smaller first")?;
                range("aspect", aspect, f64::INFINITY, "(0, inf), the smaller first")
            }
            Self::RandAugment(config) => config.check(),
        }
        .map_err(Into::into)
    }

    fn is_geometric(&self) -> bool {
        matches!(
            self,
            Self::FlipHorizontal { .. }
                | Self::FlipVertical { .. }
                | Self::Rotate { .. }
                | Self::Scale { .. }
                | Self::Translate { .. }
                | Self::Shear { .. }
                | Self::Crop { .. }
        )
    }
}

fn range(
    name: &'static str,
    [low, high]: &[f64; 2],
    most: f64,
    allowed: &'static str,
) -> std::result::Result<(), OutOfRange> {
    ensure(name, *low, *low > 0.0, allowed)?;
    ensure(name, *high, low <= high && *high < most, allowed)
}

/// See [`Images`].
#[derive(Debug, Clone)]
pub struct ImageAugmenter {
    transforms: Vec<ImageTransform>,
    strengths: Vec<f64>,
    per_batch: bool,
}

impl Augmenter<4> for ImageAugmenter {
    fn augment(&self, batch: Batch<4>, seed: u64) -> Batch<4> {
        if batch.rows() == 0 {
            return batch;
        }
        let draws = if self.per_batch { 1 } else { batch.rows() };
        let strength = of_rows(&self.strengths, &batch.targets, draws);
        let mut images = batch.features;
        let mut pending: Option<Maps> = None;
        for (at, transform) in self.transforms.iter().enumerate() {
            let mut rng = rng(derive(seed, at as u64));
            if transform.is_geometric() {
                let [_, _, height, width] = images.dims();
                let maps = geometric(transform, [height, width], &strength, draws, &mut rng);
                pending = Some(match pending {
                    Some(before) => before.then(maps),
                    None => maps,
                });
            } else {
                if let Some(maps) = pending.take() {
                    images = maps.apply(images, 0.0);
                }
                images = values(transform, images, &strength, draws, &mut rng);
            }
        }
        if let Some(maps) = pending {
            images = maps.apply(images, 0.0);
        }
        Batch { features: images, targets: batch.targets }
    }
}

/// So many numbers, drawn on the host.
pub(super) fn drawn(draws: usize, device: &Device, draw: impl FnMut() -> f64) -> Tensor<1> {
    let values: Vec<f32> = std::iter::repeat_with(draw).take(draws).map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [draws]), device)
}

/// −1 with the probability times the strength, else 1.
fn signs(probability: f64, strength: &Tensor<1>, draws: usize, rng: &mut Rng) -> Tensor<1> {
    let drawn = drawn(draws, &strength.device(), || rng.random());
    let flipped = drawn.expand(strength.dims()).lower(strength.clone() * probability);
    flipped.float() * -2.0 + 1.0
}

fn geometric(
    transform: &ImageTransform,
    [height, width]: [usize; 2],
    strength: &Tensor<1>,
    draws: usize,
    rng: &mut Rng,
) -> Maps {
    let device = strength.device();
    let one = strength.ones_like();
    let mut either = |most: f64| {
        drawn(draws, &device, || rng.random_range(-1.0..=1.0)) * strength.clone() * most
    };
    match transform {
        ImageTransform::FlipHorizontal { probability } => {
            Maps::flip(signs(*probability, strength, draws, rng), one)
        }
        ImageTransform::FlipVertical { probability } => {
            Maps::flip(one, signs(*probability, strength, draws, rng))
        }
        ImageTransform::Rotate { degrees } => Maps::rotation(either(degrees.to_radians())),
        ImageTransform::Scale { by } => {
            // As often larger as smaller.
            let factor = either(by.ln_1p()).exp();
            Maps::scaling(factor.clone(), factor)
        }
        ImageTransform::Translate { by } => {
            Maps::translation(either(by * width as f64), either(by * height as f64))
        }
        ImageTransform::Shear { degrees } => {
            let most = degrees.to_radians();
            Maps::shear(either(most).tan(), either(most).tan())
        }
        ImageTransform::Crop { padding } => {
            let most = *padding as f64 + 0.499;
            Maps::translation(either(most).round(), either(most).round())
        }
        _ => Maps::identity(strength),
    }
}

fn values(
    transform: &ImageTransform,
    images: Tensor<4>,
    strength: &Tensor<1>,
    draws: usize,
    rng: &mut Rng,
) -> Tensor<4> {
    let [rows, channels, height, width] = images.dims();
    let device = images.device();
    match transform {
        ImageTransform::Jitter { brightness, contrast, saturation, hue } => {
            let mut either = |most: f64| {
                drawn(draws, &device, || rng.random_range(-1.0..=1.0)) * strength.clone() * most
            };
            let mut images = images;
            if *brightness > 0.0 {
                images = colour::brightness(images, either(*brightness) + 1.0);
            }
            if *contrast > 0.0 {
                images = colour::contrast(images, either(*contrast) + 1.0);
            }
            if *saturation > 0.0 {
                images = colour::saturation(images, either(*saturation) + 1.0);
            }
            if *hue > 0.0 {
                images = colour::hue(images, either(*hue));
            }
            images
        }
        ImageTransform::Noise { deviation } => {
            let seed = rng.random::<u64>();
            let size = channels * height * width;
            let mut noise = vec![0f32; rows * size];
            noise.par_chunks_mut(size.max(1)).enumerate().for_each(|(row, noise)| {
                let mut rng = counterweight_core::rng(derive(seed, row as u64));
                noise.fill_with(|| StandardNormal.sample(&mut rng));
            });
            let noise = Tensor::<2>::from_data(TensorData::new(noise, [rows, size]), &device);
            let own = strength.clone() * *deviation;
            let weights = Tensor::stack::<2>(vec![own.ones_like(), own], 1).expand([rows, 2]);
            let flat = images.reshape([rows, size]);
            mix_rows(flat, noise, weights, Some([0.0, 1.0]))
                .reshape([rows, channels, height, width])
        }
        ImageTransform::Erase { probability, area, aspect } => {
            let none = Rectangle { top: 0, bottom: 0, left: 0, right: 0 };
            let draw = |_| erase::draw(*area, *aspect, [height, width], rng).unwrap_or(none);
            let rectangles: Vec<Rectangle> = (0..draws).map(draw).collect();
            let chosen = signs(*probability, strength, draws, rng).lower_elem(0.0);
            let own = chosen.dims()[0];
            let shape = [own.max(draws), 1, height, width];
            let chosen = chosen.reshape([own, 1, 1, 1]).expand(shape);
            let mask = rectangle_mask(&rectangles, [height, width], &device);
            colour::erase(images, mask.expand(shape).bool_and(chosen))
        }
        ImageTransform::RandAugment(config) => config.apply(images, strength, draws, rng),
        _ => images,
    }
}
