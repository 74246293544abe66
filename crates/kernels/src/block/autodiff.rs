//! Hand-written derivatives, for every backend.

use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, TensorMetadata};

use super::ops::{BlockOps, Heads};

/// An operation of N tracked inputs: what it keeps, and the gradients of those inputs that
/// are asked for.
trait Derivative<B: BlockOps, const N: usize>: Send + Sync + std::fmt::Debug + 'static {
    type Kept: Clone + Send + Sync + std::fmt::Debug + 'static;
    fn gradients(
        kept: Self::Kept,
        grad: FloatTensor<B>,
        wanted: [bool; N],
    ) -> [Option<FloatTensor<B>>; N];
}

#[derive(Debug)]
struct Node<B, D>(PhantomData<(B, D)>);

impl<B: BlockOps, D: Derivative<B, N>, const N: usize> Backward<B, N> for Node<B, D> {
    type State = D::Kept;

    fn backward(self, ops: Ops<D::Kept, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let wanted = std::array::from_fn(|i| ops.parents[i].is_some());
        let found = D::gradients(ops.state, grad, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// Runs `forward` on the primitives and records `D` when any input is tracked.
fn record<B: BlockOps, C: CheckpointStrategy, D: Derivative<B, N>, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    forward: impl FnOnce([FloatTensor<B>; N]) -> (FloatTensor<B>, D::Kept),
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    match Node::<B, D>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (value, kept) = forward(inputs);
            prep.finish(kept, value)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(inputs).0),
    }
}

#[derive(Debug)]
struct Dense;

impl<B: BlockOps> Derivative<B, 3> for Dense {
    type Kept = (FloatTensor<B>, FloatTensor<B>);

    fn gradients(
        (x, weight): Self::Kept,
        grad: FloatTensor<B>,
        [input, matrix, bias]: [bool; 3],
    ) -> [Option<FloatTensor<B>>; 3] {
        [
            input.then(|| B::dense_input(weight, grad.clone())),
            matrix.then(|| B::dense_weight(x, grad.clone())),
            bias.then(|| B::column_sums(grad)),
        ]
    }
}

#[derive(Debug)]
struct DenseInput;

impl<B: BlockOps> Derivative<B, 2> for DenseInput {
    type Kept = (FloatTensor<B>, FloatTensor<B>);

    fn gradients(
        (weight, x): Self::Kept,
        grad: FloatTensor<B>,
        [matrix, input]: [bool; 2],
    ) -> [Option<FloatTensor<B>>; 2] {
        let none = || {
            B::float_zeros([1, weight.shape()[1]].into(), &weight.device(), weight.dtype().into())
        };
        [
            matrix.then(|| B::dense_weight(grad.clone(), x)),
            input.then(|| B::dense(grad, weight.clone(), none())),
        ]
    }
}

#[derive(Debug)]
struct BatchNormRelu;

impl<B: BlockOps> Derivative<B, 3> for BatchNormRelu {
    type Kept = [FloatTensor<B>; 5];

    fn gradients(
        [x, gamma, beta, mean, inverse]: Self::Kept,
        grad: FloatTensor<B>,
        _: [bool; 3],
    ) -> [Option<FloatTensor<B>>; 3] {
        let (x, gamma, beta) = B::batch_norm_relu_backward(x, gamma, beta, mean, inverse, grad);
        [Some(x), Some(gamma), Some(beta)]
    }
}

#[derive(Debug)]
struct ExactGelu;

impl<B: BlockOps> Derivative<B, 1> for ExactGelu {
    type Kept = FloatTensor<B>;

    fn gradients(x: Self::Kept, grad: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        [Some(B::exact_gelu_backward(x, grad))]
    }
}

#[derive(Debug)]
struct AddNorm;

impl<B: BlockOps> Derivative<B, 4> for AddNorm {
    type Kept = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn gradients(
        (x, residual, gamma, mean, inverse): Self::Kept,
        grad: FloatTensor<B>,
        _: [bool; 4],
    ) -> [Option<FloatTensor<B>>; 4] {
        let (sum, gamma, beta) = B::add_norm_backward(x, residual, gamma, mean, inverse, grad);
        [Some(sum.clone()), Some(sum), Some(gamma), Some(beta)]
    }
}

#[derive(Debug)]
struct Attend;

impl<B: BlockOps> Derivative<B, 1> for Attend {
    type Kept =
        (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Heads);

    fn gradients(
        (qkv, mask, out, lse, drawn, heads): Self::Kept,
        grad: FloatTensor<B>,
        _: [bool; 1],
    ) -> [Option<FloatTensor<B>>; 1] {
        [Some(B::attend_backward(qkv, mask, out, lse, drawn, heads, grad))]
    }
}

#[derive(Debug)]
struct DropOut;

impl<B: BlockOps> Derivative<B, 1> for DropOut {
    type Kept = (FloatTensor<B>, f64);

    fn gradients(
        (drawn, share): Self::Kept,
        grad: FloatTensor<B>,
        _: [bool; 1],
    ) -> [Option<FloatTensor<B>>; 1] {
        [Some(B::drop_backward(drawn, share, grad))]
    }
}

impl<B: BlockOps, C: CheckpointStrategy> BlockOps for Autodiff<B, C> {
    fn dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, Dense, 3>([x, weight, bias], |[x, weight, bias]| {
            (B::dense(x.clone(), weight.clone(), bias), (x, weight))
        })
    }

    fn dense_input(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, DenseInput, 2>([weight, grad], |[weight, grad]| {
            (B::dense_input(weight.clone(), grad.clone()), (weight, grad))
        })
    }

    fn batch_norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (mean, inverse) = (mean.into_primitive(), inverse.into_primitive());
        record::<B, C, BatchNormRelu, 3>([x, gamma, beta], |[x, gamma, beta]| {
            let kept = [x, gamma, beta, mean, inverse];
            let [x, gamma, beta, mean, inverse] = kept.clone();
            (B::batch_norm_relu(x, gamma, beta, mean, inverse), kept)
        })
    }

    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, ExactGelu, 1>([x], |[x]| (B::exact_gelu(x.clone()), x))
    }

    fn add_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let inputs = [x, residual, gamma, beta];
        record::<B, C, AddNorm, 4>(inputs, |[x, residual, gamma, beta]| {
            let (value, mean, inverse) =
                B::add_norm_state(x.clone(), residual.clone(), gamma.clone(), beta, epsilon);
            (value, (x, residual, gamma, mean, inverse))
        })
    }

    fn attend(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: Heads) -> FloatTensor<Self> {
        let mask = mask.into_primitive();
        record::<B, C, Attend, 1>([qkv], |[qkv]| {
            let (out, lse, drawn) = B::attend_state(qkv.clone(), mask.clone(), heads);
            (out.clone(), (qkv, mask, out, lse, drawn, heads))
        })
    }

    fn drop_out(x: FloatTensor<Self>, share: f64) -> FloatTensor<Self> {
        record::<B, C, DropOut, 1>([x], |[x]| {
            let (value, drawn) = B::drop_state(x, share);
            (value, (drawn, share))
        })
    }
}
