//! Changes of values, as torchvision defines them: images in `[0, 1]`, one factor per image or for
//! all.

use burn::tensor::{Bool, Tensor};
use counterweight_kernels::{Recolour, equalize_rows, mix_parts, mix_rows, recolour};

fn recoloured(x: Tensor<4>, own: Tensor<2>, change: Recolour) -> Tensor<4> {
    let shape = x.dims();
    let [n, channels, height, width] = shape;
    recolour(x.reshape([n, channels * height * width]), own, change).reshape(shape)
}

/// 0 where the mask, `[batch or 1, 1, height, width]`, is true.
pub(crate) fn erase(x: Tensor<4>, mask: Tensor<4, Bool>) -> Tensor<4> {
    let own = mask.float().cast(x.dtype()).flatten::<3>(1, 2).flatten(1, 2);
    recoloured(x, own, Recolour::Erase)
}

/// `f x + (1 − f) other`, kept in `[0, 1]`; `other` has one number per image, one channel, or all.
fn toward(x: Tensor<4>, other: Tensor<4>, factor: Tensor<1>) -> Tensor<4> {
    let shape = x.dims();
    let n = shape[0];
    let weights = Tensor::stack::<2>(vec![factor.clone(), factor * -1.0 + 1.0], 1).expand([n, 2]);
    let flat = |tensor: Tensor<4>| {
        let width = tensor.dims()[1..].iter().product::<usize>();
        tensor.reshape([n, width])
    };
    mix_rows(flat(x), flat(other), weights, Some([0.0, 1.0])).reshape(shape)
}

/// Luma `[batch, 1, height, width]`; other than three channels: their mean.
fn grey(x: &Tensor<4>) -> Tensor<4> {
    let [n, channels, height, width] = x.dims();
    let weights = match channels {
        3 => vec![0.2989, 0.587, 0.114],
        _ => vec![1.0 / channels as f64; channels],
    };
    let flat = x.clone().reshape([n, channels * height * width]);
    mix_parts(flat, &weights).reshape([n, 1, height, width])
}

pub(crate) fn brightness(x: Tensor<4>, factor: Tensor<1>) -> Tensor<4> {
    let black = Tensor::<4>::zeros([x.dims()[0], 1, 1, 1], &x.device()).cast(x.dtype());
    toward(x, black, factor)
}

pub(crate) fn contrast(x: Tensor<4>, factor: Tensor<1>) -> Tensor<4> {
    let [n, _, height, width] = x.dims();
    let mean = grey(&x).reshape([n, height * width]).mean_dim(1);
    toward(x, mean.reshape([n, 1, 1, 1]), factor)
}

pub(crate) fn saturation(x: Tensor<4>, factor: Tensor<1>) -> Tensor<4> {
    let grey = grey(&x);
    toward(x, grey, factor)
}

/// Turns the hue by a share of the circle; images of other than three channels have none.
pub(crate) fn hue(x: Tensor<4>, turn: Tensor<1>) -> Tensor<4> {
    if x.dims()[1] != 3 {
        return x;
    }
    recoloured(x, turn.reshape([-1, 1]), Recolour::Hue)
}

/// 1 − x where x is at least the threshold.
pub(crate) fn solarize(x: Tensor<4>, threshold: Tensor<1>) -> Tensor<4> {
    recoloured(x, threshold.reshape([-1, 1]), Recolour::Solarize)
}

/// The highest of eight bits of each value.
pub(crate) fn posterize(x: Tensor<4>, bits: Tensor<1>) -> Tensor<4> {
    let dropped: Tensor<1> = 8.0 - bits.round();
    let step = (dropped * std::f64::consts::LN_2).exp().round();
    recoloured(x, step.reshape([-1, 1]), Recolour::Posterize)
}

/// Each channel stretched to `[0, 1]`; a constant one stays.
pub(crate) fn autocontrast(x: Tensor<4>) -> Tensor<4> {
    let [n, channels, height, width] = x.dims();
    let flat = x.reshape([n * channels, height * width]);
    let low = flat.clone().min_dim(1);
    let range = flat.clone().max_dim(1) - low.clone();
    let constant = range.clone().equal_elem(0.0);
    let low = low.mask_fill(constant.clone(), 0.0);
    let scale = range.mask_fill(constant, 1.0).recip();
    let ones = low.ones_like();
    let weights = Tensor::cat(vec![scale.clone(), low * scale * -1.0], 1);
    mix_rows(flat, ones, weights, Some([0.0, 1.0])).reshape([n, channels, height, width])
}

/// Each channel, of 256 levels, mapped so that its histogram is even.
pub(crate) fn equalize(x: Tensor<4>) -> Tensor<4> {
    let shape = x.dims();
    let [n, channels, height, width] = shape;
    equalize_rows(x.reshape([n * channels, height * width])).reshape(shape)
}

/// Away from the mean of the neighbours (factor above 1) or toward it; the border stays.
pub(crate) fn sharpness(x: Tensor<4>, factor: Tensor<1>) -> Tensor<4> {
    let [n, channels, height, width] = x.dims();
    if height < 3 || width < 3 {
        return x;
    }
    let lines = |dy: usize| x.clone().narrow(2, dy, height - 2);
    let lines = lines(0) + lines(1) + lines(2);
    let columns = |dx: usize| lines.clone().narrow(3, dx, width - 2);
    let middle = x.clone().slice([0..n, 0..channels, 1..height - 1, 1..width - 1]);
    let sum = columns(0) + columns(1) + columns(2) + middle * 4.0;
    let inner = [0..n, 0..channels, 1..height - 1, 1..width - 1];
    let blurred = x.clone().slice_assign(inner, sum / 13.0);
    toward(x, blurred, factor)
}
