use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use counterweight_kernels::add_norm;

/// Layer norm (Ba et al. 2016): `γ (x − mean) / √(variance + ε) + β` over each row.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    pub(crate) gamma: Param<Tensor<1>>,
    pub(crate) beta: Param<Tensor<1>>,
    pub(crate) epsilon: f64,
}

impl Norm {
    pub(crate) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Param::from_tensor(Tensor::ones([width], device)),
            beta: Param::from_tensor(Tensor::zeros([width], device)),
            epsilon,
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let beta = Some(self.beta.val());
        burn::tensor::module::layer_norm(x, self.gamma.val(), beta, self.epsilon)
    }

    /// The norm of `x + residual`.
    pub(crate) fn of_sum(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        add_norm(x, residual, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}
