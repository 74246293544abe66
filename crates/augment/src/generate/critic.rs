//! A Wasserstein critic and its gradient penalty (see [`CtGan`](super::CtGan)).

use burn::tensor::Tensor;
use counterweight_kernels::dense_transposed;

use super::layers::{layer, slopes};

/// The critic's value of each group of rows, `[groups, 1]`, and the slopes of its layers.
pub(super) fn criticise(
    used: &[Tensor<2>],
    x: Tensor<2>,
    mut mask: impl FnMut(usize, usize) -> Option<Tensor<2>>,
) -> (Tensor<2>, Vec<Tensor<2>>) {
    let hidden = used.len() / 2 - 1;
    let mut kept = Vec::with_capacity(hidden);
    let mut x = x;
    for at in 0..hidden {
        let h = layer(used, at, x);
        let mut slope = slopes(&h);
        let [rows, width] = slope.dims();
        if let Some(mask) = mask(rows, width) {
            slope = slope * mask;
        }
        x = h * slope.clone();
        kept.push(slope);
    }
    (layer(used, hidden, x), kept)
}

/// `mean (‖∇ critic‖ − 1)²` where the critic has these slopes, an expression of the weights.
pub(super) fn gradient_penalty(used: &[Tensor<2>], slopes: Vec<Tensor<2>>) -> Tensor<1> {
    let hidden = slopes.len();
    let mut gradient = used[2 * hidden].clone().transpose();
    for (at, slope) in slopes.into_iter().enumerate().rev() {
        gradient = dense_transposed(gradient * slope, used[2 * at].clone());
    }
    // At 0 the norm has no derivative.
    let norm = (gradient.square().sum_dim(1) + 1e-12).sqrt();
    (norm - 1.0).square().mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use serde_json::Value;

    use super::*;
    use crate::generate::layers::numbers;

    fn rows(value: &Value, device: &Device) -> Tensor<2> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        let columns = rows[0].len();
        let flat: Vec<f32> = rows.concat().into_iter().map(|v| v as f32).collect();
        Tensor::from_data(TensorData::new(flat, [rows.len(), columns]), device)
    }

    /// The penalty as an expression of the weights has the derivative that PyTorch finds by
    /// differentiating twice.
    #[test]
    fn the_gradient_penalty_has_the_derivative_of_pytorch() {
        let file = include_str!("../../tests/fixtures/penalty.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let device = Device::flex().autodiff();
        let all = |value: &Value| -> Vec<Tensor<2>> {
            value.as_array().unwrap().iter().map(|v| rows(v, &device)).collect()
        };
        let used: Vec<_> = all(&file["weights"]).into_iter().map(Tensor::require_grad).collect();
        let mut masks = all(&file["masks"]).into_iter();
        let (value, slopes) = criticise(&used, rows(&file["x"], &device), |_, _| masks.next());
        let close = |tensor: Tensor<2>, expected: &Value| {
            let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
            for (a, b) in numbers(tensor).unwrap().iter().zip(expected) {
                assert!((f64::from(*a) - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}");
            }
        };
        close(value, &file["value"]);
        let penalty = gradient_penalty(&used, slopes);
        let gradients = penalty.clone().backward();
        let penalty = penalty.into_scalar::<f64>();
        let expected = file["penalty"].as_f64().unwrap();
        assert!((penalty - expected).abs() < 1e-4 * expected.max(1.0), "{penalty} {expected}");
        for (at, expected) in file["gradients"].as_array().unwrap().iter().enumerate() {
            close(Tensor::from_inner(used[2 * at].grad(&gradients).unwrap()), expected);
        }
    }
}
