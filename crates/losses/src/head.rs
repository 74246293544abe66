use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use counterweight_kernels::cosines;

/// A classifier whose logits are cosines: the angle between the features and each class's
/// weight vector, whatever their lengths.
///
/// The norm of a linear layer's weights follows the class counts (Kang et al., ICLR
/// 2020), so that it favours the head; a cosine cannot. LDAM, ArcFace and CosFace take these
/// cosines and scale them themselves; before another loss, multiply by 16 to 30 (the
/// `scale` here).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_losses::CosineHead;
///
/// let device = Device::flex();
/// let head = CosineHead::new(2, 3, &device);
/// let features = Tensor::<2>::from_floats([[3.0, 4.0], [0.0, 0.0]], &device);
/// let cosines: Vec<f32> = head.forward(features).into_data().try_to_vec()?;
/// assert!(cosines.iter().all(|c| c.abs() <= 1.0 + 1e-6));
/// assert_eq!(cosines[3..], [0.0; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct CosineHead {
    /// `[features, classes]`; only the direction of each column matters.
    weight: Param<Tensor<2>>,
    scale: f64,
}

impl CosineHead {
    /// A head with random weights, from the device's generator, and scale 1.
    pub fn new(features: usize, classes: usize, device: &Device) -> Self {
        let initializer = Initializer::KaimingUniform { gain: 1.0, fan_out_only: false };
        let weight = initializer.init_with([features, classes], Some(features), None, device);
        Self { weight, scale: 1.0 }
    }

    /// Sets the factor on the cosines. Default: 1.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// `scale · cos θ`; 0 for a row of zeros.
    ///
    /// # Shapes
    /// `features`: `[batch, features]`, result: `[batch, classes]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        cosines(features, self.weight.val()) * self.scale
    }
}
