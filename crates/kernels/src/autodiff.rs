//! Hand-written derivatives, for every backend.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};
use std::marker::PhantomData;

use crate::composed::list;
use crate::ops::RowOps;
use crate::{BinaryFocal, Segments};

/// An operation with one tracked input, the logits: what it keeps, and its gradient.
trait Row<B: RowOps>: Send + Sync + std::fmt::Debug + 'static {
    type Kept: Clone + Send + Sync + std::fmt::Debug + 'static;
    fn gradient(kept: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B>;
}

#[derive(Debug)]
struct Node<B, R>(PhantomData<(B, R)>);

impl<B: RowOps, R: Row<B>> Backward<B, 1> for Node<B, R> {
    type State = R::Kept;

    fn backward(self, ops: Ops<R::Kept, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, grads, |grad| R::gradient(ops.state, grad));
    }
}

/// Runs `forward` on the primitive logits and records `R` when they are tracked.
fn record<B: RowOps, C: CheckpointStrategy, R: Row<B>>(
    logits: FloatTensor<Autodiff<B, C>>,
    forward: impl FnOnce(FloatTensor<B>) -> (FloatTensor<B>, R::Kept),
) -> FloatTensor<Autodiff<B, C>> {
    let node = Node::<B, R>(PhantomData);
    match node.prepare::<C>([logits.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (value, kept) = forward(logits.into_primitive());
            prep.finish(kept, value)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(logits.into_primitive()).0),
    }
}

#[derive(Debug)]
struct LogProb;

impl<B: RowOps> Row<B> for LogProb {
    type Kept = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>, FloatTensor<B>, f64, FloatTensor<B>);

    fn gradient(kept: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        let (logits, ids, shift, margin, scale, lse) = kept;
        B::log_prob_backward(logits, ids, shift, margin, scale, lse, grad)
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: RowOps> Row<B> for CrossEntropy {
    type Kept = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f64, FloatTensor<B>);

    fn gradient(kept: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        let (logits, targets, shift, scale, lse) = kept;
        B::cross_entropy_backward(logits, targets, shift, scale, lse, grad)
    }
}

#[derive(Debug)]
struct LogSoftmax;

impl<B: RowOps> Row<B> for LogSoftmax {
    type Kept = (FloatTensor<B>, f64);

    fn gradient((output, scale): Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::log_softmax_rows_backward(output, scale, grad)
    }
}

#[derive(Debug)]
struct Contrast;

impl<B: RowOps> Row<B> for Contrast {
    type Kept = (FloatTensor<B>, FloatTensor<B>, f64, FloatTensor<B>);

    fn gradient((cosines, ids, scale, lse): Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::contrast_backward(cosines, ids, scale, lse, grad)
    }
}

#[derive(Debug)]
struct Normalize;

impl<B: RowOps> Row<B> for Normalize {
    type Kept = FloatTensor<B>;

    fn gradient(x: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::normalize_backward(x, grad)
    }
}

#[derive(Debug)]
struct Gram;

impl<B: RowOps> Row<B> for Gram {
    type Kept = FloatTensor<B>;

    fn gradient(x: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::gram_backward(x, grad)
    }
}

#[derive(Debug)]
struct GaussianDraw;

impl<B: RowOps> Row<B> for GaussianDraw {
    type Kept = (FloatTensor<B>, FloatTensor<B>);

    fn gradient((parameters, noise): Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::gaussian_draw_backward(parameters, noise, grad)
    }
}

#[derive(Debug)]
struct GaussianDivergence;

impl<B: RowOps> Row<B> for GaussianDivergence {
    type Kept = FloatTensor<B>;

    fn gradient(parameters: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::gaussian_divergence_backward(parameters, grad)
    }
}

#[derive(Debug)]
struct GumbelSoftmax;

impl<B: RowOps> Row<B> for GumbelSoftmax {
    type Kept = (FloatTensor<B>, Segments, f64, bool);

    fn gradient(kept: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        let (out, parts, temperature, linear) = kept;
        B::gumbel_softmax_backward(out, parts, temperature, linear, grad)
    }
}

#[derive(Debug)]
struct SegmentCrossEntropy;

impl<B: RowOps> Row<B> for SegmentCrossEntropy {
    type Kept = (FloatTensor<B>, FloatTensor<B>, Segments);

    fn gradient((x, targets, parts): Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::segment_cross_entropy_backward(x, targets, parts, grad)
    }
}

#[derive(Debug)]
struct Binary;

impl<B: RowOps> Row<B> for Binary {
    type Kept = FloatTensor<B>;

    fn gradient(slope: Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::scale_rows(slope, grad)
    }
}

#[derive(Debug)]
struct Total;

impl<B: RowOps> Row<B> for Total {
    /// Numbers of the list, and whether it is the mean.
    type Kept = (usize, bool);

    fn gradient((n, mean): Self::Kept, grad: FloatTensor<B>) -> FloatTensor<B> {
        let grad = if mean { B::float_div_scalar(grad, (n as f64).into()) } else { grad };
        B::float_expand(grad, [n].into())
    }
}

impl<B: RowOps, C: CheckpointStrategy> RowOps for Autodiff<B, C> {
    fn log_prob(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (shift, margin) = (shift.into_primitive(), margin.into_primitive());
        record::<B, C, LogProb>(logits, |z| {
            let (value, lse) =
                B::log_prob_lse(z.clone(), ids.clone(), shift.clone(), margin.clone(), scale);
            (list::<B>(value), (z, ids, shift, margin, scale, lse))
        })
    }

    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (targets, shift) = (targets.into_primitive(), shift.into_primitive());
        record::<B, C, CrossEntropy>(logits, |z| {
            let (value, lse) =
                B::cross_entropy_lse(z.clone(), targets.clone(), shift.clone(), scale);
            (list::<B>(value), (z, targets, shift, scale, lse))
        })
    }

    fn log_softmax_rows(
        logits: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let shift = shift.into_primitive();
        record::<B, C, LogSoftmax>(logits, |z| {
            let output = B::log_softmax_rows(z, shift, scale);
            (output.clone(), (output, scale))
        })
    }

    fn contrast(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let ids = ids.into_primitive();
        record::<B, C, Contrast>(cosines, |z| {
            let (value, lse) = B::contrast_lse(z.clone(), ids.clone(), scale);
            (list::<B>(value), (z, ids, scale, lse))
        })
    }

    fn normalize(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, Normalize>(x, |x| (B::normalize(x.clone()), x))
    }

    fn gram(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, Gram>(x, |x| (B::gram(x.clone()), x))
    }

    fn gaussian_draw(parameters: FloatTensor<Self>, noise: FloatTensor<Self>) -> FloatTensor<Self> {
        let noise = noise.into_primitive();
        record::<B, C, GaussianDraw>(parameters, |x| {
            (B::gaussian_draw(x.clone(), noise.clone()), (x, noise))
        })
    }

    fn gaussian_divergence(parameters: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, GaussianDivergence>(parameters, |x| (B::gaussian_divergence(x.clone()), x))
    }

    fn gumbel_softmax(
        x: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        parts: Segments,
        temperature: f64,
        linear: bool,
    ) -> FloatTensor<Self> {
        let noise = noise.into_primitive();
        record::<B, C, GumbelSoftmax>(x, |x| {
            let out = B::gumbel_softmax(x, noise, parts.clone(), temperature, linear);
            (out.clone(), (out, parts, temperature, linear))
        })
    }

    fn segment_cross_entropy(
        x: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        parts: Segments,
    ) -> FloatTensor<Self> {
        let targets = targets.into_primitive();
        record::<B, C, SegmentCrossEntropy>(x, |x| {
            let value = B::segment_cross_entropy(x.clone(), targets.clone(), parts.clone());
            (value, (x, targets, parts))
        })
    }

    fn binary_focal(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        positive: FloatTensor<Self>,
        negative: FloatTensor<Self>,
        terms: BinaryFocal,
    ) -> FloatTensor<Self> {
        let [t, p, n] = [targets, positive, negative].map(|x| x.into_primitive());
        if !logits.is_tracked() {
            // Without the slopes, which nobody will ask for.
            let value = B::binary_focal(logits.into_primitive(), t, p, n, terms);
            return <FloatTensor<Self>>::new(value);
        }
        record::<B, C, Binary>(logits, |z| {
            let (value, slope) = B::binary_focal_slope(z, t, p, n, terms);
            (list::<B>(value), slope)
        })
    }

    fn total(x: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        record::<B, C, Total>(x, |x| {
            let n = x.shape()[0];
            (B::total(x, mean), (n, mean))
        })
    }
}
