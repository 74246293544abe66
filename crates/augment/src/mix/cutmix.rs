use counterweight_core::rng;
use rand::RngExt;

use super::{Weights, blend, upload};
use crate::augmenter::mix_within;
use crate::image::{Rectangle, rectangle_mask};
use crate::macros::config;
use crate::{Augmenter, Batch, Mixer, Result};

config! {
    /// CutMix (Yun et al., ICCV 2019): a rectangle of every image is replaced by that of its
    /// partner, and the targets are mixed by the area that was pasted.
    ///
    /// The rectangle has `√(1 − λ)` of both sides with `λ ~ Beta(α, α)` and its middle anywhere in
    /// the image; the label's share is the exact area after clipping. With partners drawn from
    /// the tail ([`Mixer::mix`]) it pastes rare objects into frequent contexts.
    CutMix {
        /// α > 0. Default: 1.
        with_alpha(alpha: f64 = 1.0),
        /// One λ and one rectangle for the whole batch. Default: false.
        with_per_batch(per_batch: bool = false),
    }
}

impl CutMix {
    /// Checks α.
    ///
    /// # Errors
    /// When α is not positive and finite.
    pub fn init(&self) -> Result<CutMixAugmenter> {
        Ok(CutMixAugmenter { weights: Weights::new(self.alpha, self.alpha, self.per_batch)? })
    }
}

/// See [`CutMix`].
#[derive(Debug, Clone)]
pub struct CutMixAugmenter {
    weights: Weights,
}

impl CutMixAugmenter {
    /// Pastes these rectangles of the partners, one per image.
    ///
    /// # Panics
    /// When shapes do not fit or a rectangle leaves the image.
    pub fn paste(&self, batch: Batch<4>, partners: Batch<4>, rectangles: &[Rectangle]) -> Batch<4> {
        let [_, _, height, width] = batch.features.dims();
        assert_eq!(batch.features.dims(), partners.features.dims(), "partners need the same shape");
        assert_eq!(batch.rows(), rectangles.len(), "one rectangle per image");
        let area = |r: &Rectangle| 1.0 - r.area() as f32 / (height * width) as f32;
        let device = batch.features.device();
        let share = upload(rectangles.iter().map(area).collect(), &device);
        let mask = rectangle_mask(rectangles, [height, width], &device);
        let mask = mask.expand(batch.features.dims());
        Batch {
            features: batch.features.mask_where(mask, partners.features),
            targets: blend(batch.targets, partners.targets, share),
        }
    }
}

impl Mixer<4> for CutMixAugmenter {
    fn mix(&self, batch: Batch<4>, partners: Batch<4>, seed: u64) -> Batch<4> {
        let [rows, _, height, width] = batch.features.dims();
        let mut rng = rng(seed);
        let lambda = self.weights.draw(rows, &mut rng);
        let mut cut = |lambda: f32| {
            let side = (1.0 - lambda).max(0.0).sqrt();
            let middle = [rng.random_range(0..height.max(1)), rng.random_range(0..width.max(1))];
            Rectangle::around(middle, [side * height as f32, side * width as f32], [height, width])
        };
        let rectangles: Vec<Rectangle> = if self.weights.per_batch && rows > 0 {
            vec![cut(lambda[0]); rows]
        } else {
            lambda.into_iter().map(cut).collect()
        };
        self.paste(batch, partners, &rectangles)
    }
}

impl Augmenter<4> for CutMixAugmenter {
    fn augment(&self, batch: Batch<4>, seed: u64) -> Batch<4> {
        mix_within(batch, seed, |batch, order, seed| {
            let partners = batch.select(order);
            self.mix(batch, partners, seed)
        })
    }
}
