//! Changes of values, as torchvision defines them: images in `[0, 1]`, one factor per image or for
//! all.

use burn::tensor::Tensor;
use counterweight_kernels::{equalize_rows, mix_parts, mix_rows};

/// A list as `[.., 1, 1, 1]`.
fn each(factor: Tensor<1>) -> Tensor<4> {
    let n = factor.dims()[0];
    factor.reshape([n, 1, 1, 1])
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
    let [r, g, b] = [0, 1, 2].map(|at| x.clone().narrow(1, at, 1));
    let high = x.clone().max_dim(1);
    let low = x.min_dim(1);
    let range = high.clone() - low;
    let flat = range.clone().equal_elem(0.0);
    let divisor = range.clone().mask_fill(flat, 1.0);
    let [rc, gc, bc] = [&r, &g, &b].map(|c| (high.clone() - c.clone()) / divisor.clone());
    let is_red = r.equal(high.clone());
    let is_green = g.equal(high.clone()).bool_and(is_red.clone().bool_not());
    let from_blue = gc.clone() - rc.clone() + 4.0;
    let sector = from_blue.mask_where(is_green, rc - bc.clone() + 2.0).mask_where(is_red, bc - gc);
    let hue = sector + 6.0 + each(turn * 6.0);
    // Each channel falls from the highest value by a trapezium of the hue.
    let channel = |shift: f64| {
        let k = (hue.clone() + shift).remainder_scalar(6.0);
        let fall = k.clone().min_pair(k * -1.0 + 4.0).clamp(0.0, 1.0);
        high.clone() - range.clone() * fall
    };
    Tensor::cat(vec![channel(5.0), channel(3.0), channel(1.0)], 1).clamp(0.0, 1.0)
}

/// 1 − x where x is at least the threshold.
pub(crate) fn solarize(x: Tensor<4>, threshold: Tensor<1>) -> Tensor<4> {
    let limit = each(threshold).expand(x.dims());
    let bright = x.clone().greater_equal(limit);
    x.clone().mask_where(bright, 1.0 - x)
}

/// The highest of eight bits of each value.
pub(crate) fn posterize(x: Tensor<4>, bits: Tensor<1>) -> Tensor<4> {
    let dropped: Tensor<1> = 8.0 - bits.round();
    let step = each((dropped * std::f64::consts::LN_2).exp().round());
    // What a product of float loses must not cost a level.
    ((x * 255.0 + 1e-3).floor() / step.clone()).floor() * step / 255.0
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
