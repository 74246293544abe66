//! Checks analytic gradients against central differences, for our losses and for
//! yours.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{Loss, Reduction, Targets};

/// The disagreement between an analytic gradient and central differences.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientReport {
    /// Largest `|analytic − numeric| / max(1, |analytic|, |numeric|)`.
    pub worst: f64,
    /// Where it is: `[row, column]`.
    pub at: [usize; 2],
    /// The analytic gradient there.
    pub analytic: f64,
    /// The numeric gradient there.
    pub numeric: f64,
}

/// Compares the gradient of a loss (with [`Reduction::Sum`]) with respect to the
/// logits against central differences of step `1e-5`, in f64.
///
/// `device` must support f64 (flex and ndarray do); autodiff is added here. `logits`
/// is row by row, `[batch, classes]`; `targets` are built from a device by the closure,
/// since they must live beside the logits.
///
/// Smooth losses should agree to about `1e-8`; at kinks (clamps) they need not.
///
/// # Panics
/// When `logits` is ragged or a tensor cannot be read back.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_core::ClassProfile;
/// use counterweight_losses::{FocalConfig, Targets, testing::check_gradient};
///
/// let device = Device::flex();
/// let profile = ClassProfile::from_counts([8, 2])?;
/// let loss = FocalConfig::new().init(&profile, &device)?;
/// let report = check_gradient(&loss, &[vec![0.3, -1.2]], &device, |d| {
///     Targets::Ids(Tensor::from_ints([1], d))
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
    const STEP: f64 = 1e-5;
    let (rows, columns) = (logits.len(), logits.first().map_or(0, Vec::len));
    let flat: Vec<f64> = logits.concat();
    assert_eq!(flat.len(), rows * columns, "logits are ragged");
    let plain = device.clone().without_autodiff();
    let tensor = |values: &[f64], device: &Device| {
        let data = TensorData::new(values.to_vec(), [rows, columns]);
        Tensor::<2>::from_data(data, (device, DType::F64))
    };

    let tracked = plain.clone().autodiff();
    let input = tensor(&flat, &tracked).require_grad();
    let value = loss.forward(input.clone(), &targets(&tracked), Reduction::Sum);
    let gradients = value.backward();
    let analytic: Vec<f64> = match input.grad(&gradients) {
        Some(grad) => grad.into_data().try_to_vec().expect("an f64 tensor reads back as f64"),
        None => vec![0.0; flat.len()],
    };

    let there = targets(&plain);
    let sum = |values: &[f64]| -> f64 {
        let losses = loss.per_example(tensor(values, &plain), &there);
        losses
            .into_data()
            .try_to_vec::<f64>()
            .expect("an f64 tensor reads back as f64")
            .iter()
            .sum()
    };
    let mut report = GradientReport { worst: 0.0, at: [0, 0], analytic: 0.0, numeric: 0.0 };
    let mut shifted = flat.clone();
    for (i, &exact) in analytic.iter().enumerate() {
        let x = flat[i];
        let mut side = |delta: f64| {
            shifted[i] = x + delta;
            sum(&shifted)
        };
        let numeric = (side(STEP) - side(-STEP)) / (2.0 * STEP);
        shifted[i] = x;
        let gap = (exact - numeric).abs() / exact.abs().max(numeric.abs()).max(1.0);
        if gap > report.worst || gap.is_nan() {
            report = GradientReport {
                worst: gap,
                at: [i / columns, i % columns],
                analytic: exact,
                numeric,
            };
        }
    }
    report
}
