use counterweight_core::Rng;
use rand::RngExt;

use super::Rectangle;

/// A rectangle of a share of the image and an aspect ratio in these ranges (Zhong et al., AAAI
/// 2020); none when ten draws do not fit.
pub(super) fn draw(
    area: [f64; 2],
    aspect: [f64; 2],
    [height, width]: [usize; 2],
    rng: &mut Rng,
) -> Option<Rectangle> {
    for _ in 0..10 {
        let share = rng.random_range(area[0]..=area[1]) * (height * width) as f64;
        let ratio = rng.random_range(aspect[0].ln()..=aspect[1].ln()).exp();
        let [h, w] = [(share * ratio).sqrt(), (share / ratio).sqrt()].map(|v| v.round() as usize);
        if h < height && w < width {
            let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
            return Some(Rectangle { top, bottom: top + h, left, right: left + w });
        }
    }
    None
}
