use burn::tensor::Tensor;
use counterweight_core::{OutOfRange, Rng, ensure};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::colour;
use super::geometry::Maps;
use super::pipeline::drawn;
use crate::augmenter::take;

/// RandAugment (Cubuk et al., NeurIPS 2020): for every image, or for the whole batch, `operations` of
/// fourteen operations, at one magnitude, which is multiplied by the strength of its class.
///
/// The operations and their ranges are torchvision's; geometric ones interpolate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Operations per image. Default: 2.
    pub operations: usize,
    /// In `[0, 1]` of each operation's range. Default: 0.3 (9 of torchvision's 31 bins).
    pub magnitude: f64,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { operations: 2, magnitude: 0.3 }
    }
}

const OPERATIONS: usize = 14;

impl RandAugment {
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        let m = self.magnitude;
        ensure("magnitude", m, (0.0..=1.0).contains(&m), "[0, 1]")
    }

    /// `draws` is the number of images, or 1 for all.
    pub(super) fn apply(
        &self,
        mut images: Tensor<4>,
        strength: &Tensor<1>,
        draws: usize,
        rng: &mut Rng,
    ) -> Tensor<4> {
        let (rows, device) = (images.dims()[0], images.device());
        for _ in 0..self.operations {
            let chosen: Vec<usize> = (0..draws).map(|_| rng.random_range(0..OPERATIONS)).collect();
            let signs = drawn(draws, &device, || if rng.random() { 1.0 } else { -1.0 });
            let magnitude = strength.clone() * self.magnitude;
            if let [operation] = chosen[..] {
                images = operate(operation, images, magnitude, signs);
                continue;
            }
            // The images of an operation together, and then all in their old order.
            let mut order: Vec<usize> = (0..rows).collect();
            order.sort_by_key(|&row| chosen[row]);
            let mut parts = Vec::new();
            for group in order.chunk_by(|a, b| chosen[*a] == chosen[*b]) {
                let pick = |x: &Tensor<1>| take(x, group);
                let part = take(&images, group);
                parts.push(operate(chosen[group[0]], part, pick(&magnitude), pick(&signs)));
            }
            let mut back = vec![0; rows];
            order.iter().enumerate().for_each(|(at, &row)| back[row] = at);
            images = take(&Tensor::cat(parts, 0), &back);
        }
        images
    }
}

/// One operation with a magnitude in `[0, 1]` per image or for all.
fn operate(
    operation: usize,
    images: Tensor<4>,
    magnitude: Tensor<1>,
    sign: Tensor<1>,
) -> Tensor<4> {
    let width = images.dims()[3] as f64;
    let height = images.dims()[2] as f64;
    let signed = magnitude.clone() * sign;
    let zero = magnitude.zeros_like();
    let factor = signed.clone() * 0.9 + 1.0;
    match operation {
        0 => images,
        1 => Maps::shear(signed * 0.3, zero).apply(images, 0.0),
        2 => Maps::shear(zero, signed * 0.3).apply(images, 0.0),
        3 => Maps::translation(signed * (150.0 / 331.0 * width), zero).apply(images, 0.0),
        4 => Maps::translation(zero, signed * (150.0 / 331.0 * height)).apply(images, 0.0),
        5 => Maps::rotation(signed * 30f64.to_radians()).apply(images, 0.0),
        6 => colour::brightness(images, factor),
        7 => colour::saturation(images, factor),
        8 => colour::contrast(images, factor),
        9 => colour::sharpness(images, factor),
        // Bits and thresholds have no sign.
        10 => colour::posterize(images, 8.0 - (magnitude * 4.0).round()),
        11 => colour::solarize(images, 1.0 - magnitude),
        12 => colour::autocontrast(images),
        _ => colour::equalize(images),
    }
}
