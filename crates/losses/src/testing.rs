//! Checks the gradients of losses, of ours and of yours.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{Loss, Targets};

/// The disagreement between two gradients of one loss.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientReport {
    /// Largest `|checked − reference| / max(1, |checked|, |reference|)`; NaN when either is.
    pub worst: f64,
    /// Where it is: `[row, column]`.
    pub at: [usize; 2],
    /// The gradient by autodiff there.
    pub checked: f64,
    /// What it is compared with there.
    pub reference: f64,
}

impl GradientReport {
    fn compare(checked: &[f64], reference: &[f64], columns: usize) -> Self {
        let mut report = Self { worst: 0.0, at: [0, 0], checked: 0.0, reference: 0.0 };
        for (i, (&c, &r)) in checked.iter().zip(reference).enumerate() {
            let gap = (c - r).abs() / c.abs().max(r.abs()).max(1.0);
            if gap > report.worst || gap.is_nan() {
                let at = [i / columns, i % columns];
                report = Self { worst: gap, at, checked: c, reference: r };
                if gap.is_nan() {
                    break;
                }
            }
        }
        report
    }
}

/// Compares the gradient by autodiff of the sum of a loss with central differences, in f64.
///
/// The differences are Richardson's: two of steps 1e-4 and 5e-5, extrapolated, so smooth
/// losses should agree to about `1e-8`; at kinks (clamps, hinges) they need not. A loss
/// that treats parts of itself as constants disagrees by design.
///
/// `device` must support f64 (flex does); autodiff is added here. `logits` is row by row,
/// `[batch, columns]`; `targets` are built by the closure, since they must live beside
/// the logits.
///
/// # Panics
/// When `logits` is ragged or a tensor cannot be read back.
///
/// ```
/// use burn::tensor::Device;
/// use counterweight_core::ClassProfile;
/// use counterweight_losses::{FocalConfig, Targets, testing::check_gradient};
///
/// let device = Device::flex();
/// let profile = ClassProfile::from_counts([8, 2])?;
/// let loss = FocalConfig::new().init(&profile, &device)?;
/// let report = check_gradient(&loss, &[vec![0.3, -1.2]], &device, |device| {
///     Targets::from_ids(&[1], device)
/// });
/// assert!(report.worst < 1e-7, "{report:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_gradient(
    loss: &dyn Loss,
    logits: &[Vec<f64>],
    device: &Device,
    targets: impl Fn(&Device) -> Targets,
) -> GradientReport {
    const STEP: f64 = 1e-4;
    let columns = columns(logits);
    let mut flat: Vec<f64> = logits.concat();
    let checked = gradient(loss, &flat, columns, device, &targets, DType::F64);
    let plain = device.clone().without_autodiff();
    let there = targets(&plain);
    let mut sum = |i: usize, delta: f64| -> f64 {
        let x = flat[i];
        flat[i] = x + delta;
        let losses = loss.per_example(tensor(&flat, columns, &plain, DType::F64), &there);
        flat[i] = x;
        let data = losses.into_data();
        data.try_to_vec::<f64>().expect("an f64 tensor reads back as f64").iter().sum()
    };
    let reference: Vec<f64> = (0..checked.len())
        .map(|i| {
            let mut slope = |step: f64| (sum(i, step) - sum(i, -step)) / (2.0 * step);
            let (wide, narrow) = (slope(STEP), slope(STEP / 2.0));
            (4.0 * narrow - wide) / 3.0
        })
        .collect();
    GradientReport::compare(&checked, &reference, columns)
}

/// Compares the gradient by autodiff in f32 with that in f64.
///
/// # Panics
/// As [`check_gradient`].
pub fn check_gradient_f32(
    loss: &dyn Loss,
    logits: &[Vec<f64>],
    device: &Device,
    targets: impl Fn(&Device) -> Targets,
) -> GradientReport {
    let columns = columns(logits);
    let flat: Vec<f64> = logits.concat();
    let single = gradient(loss, &flat, columns, device, &targets, DType::F32);
    let double = gradient(loss, &flat, columns, device, &targets, DType::F64);
    GradientReport::compare(&single, &double, columns)
}

fn columns(logits: &[Vec<f64>]) -> usize {
    let columns = logits.first().map_or(1, Vec::len);
    assert!(logits.iter().all(|row| row.len() == columns), "logits are ragged");
    columns.max(1)
}

fn tensor(values: &[f64], columns: usize, device: &Device, dtype: DType) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
    Tensor::<2>::from_data(data, (device, DType::F64)).cast(dtype)
}

fn gradient(
    loss: &dyn Loss,
    flat: &[f64],
    columns: usize,
    device: &Device,
    targets: &impl Fn(&Device) -> Targets,
    dtype: DType,
) -> Vec<f64> {
    let tracked = device.clone().without_autodiff().autodiff();
    let input = tensor(flat, columns, &tracked, dtype).require_grad();
    let value = loss.per_example(input.clone(), &targets(&tracked)).sum();
    match input.grad(&value.backward()) {
        Some(grad) => grad.into_data().iter::<f64>().collect(),
        None => vec![0.0; flat.len()],
    }
}
