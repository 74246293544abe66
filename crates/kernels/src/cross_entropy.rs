use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// Cross entropy of a softmax against any non-negative target row.
///
/// `loss_b = −Σ_c t_bc log softmax(z_b)_c`; rows of `targets` need not sum to 1, so
/// class weights can be multiplied into them.
///
/// # Shapes
/// `logits`, `targets`: `[batch, classes]` of one dtype; result `[batch]`.
pub fn soft_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (log_softmax(logits, 1) * targets).neg().sum_dim(1).squeeze_dim(1)
}
