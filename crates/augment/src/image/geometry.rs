//! Affine maps, one per image, which combine before anything is resampled.

use burn::tensor::Tensor;
use counterweight_kernels::warp;

/// Rows `(a, b, c, d, e, f)` from a pixel of the result to where it is read, in pixels from the
/// middle: each a tensor `[batch]`.
#[derive(Debug, Clone)]
pub(crate) struct Maps([Tensor<1>; 6]);

impl Maps {
    /// `like` has the batch's length.
    fn constant(like: &Tensor<1>, values: [f64; 6]) -> Self {
        Self(values.map(|v| like.zeros_like().add_scalar(v)))
    }

    /// Leaves images as they are.
    pub(crate) fn identity(like: &Tensor<1>) -> Self {
        Self::constant(like, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    }

    /// Turned clockwise by an angle in radians, as torchvision does.
    pub(crate) fn rotation(angle: Tensor<1>) -> Self {
        let (cos, sin) = (angle.clone().cos(), angle.sin());
        let zero = cos.zeros_like();
        Self([cos.clone(), sin.clone(), zero.clone(), -sin, cos, zero])
    }

    /// Larger by a positive factor per axis.
    pub(crate) fn scaling(x: Tensor<1>, y: Tensor<1>) -> Self {
        let zero = x.zeros_like();
        Self([x.recip(), zero.clone(), zero.clone(), zero.clone(), y.recip(), zero])
    }

    /// Moved to the right and down by pixels.
    pub(crate) fn translation(x: Tensor<1>, y: Tensor<1>) -> Self {
        let zero = x.zeros_like();
        let one = zero.clone().add_scalar(1.0);
        Self([one.clone(), zero.clone(), -x, zero, one, -y])
    }

    /// Rows moved in proportion to their distance from the middle, by `tangent` pixels each.
    pub(crate) fn shear(x: Tensor<1>, y: Tensor<1>) -> Self {
        let zero = x.zeros_like();
        let one = zero.clone().add_scalar(1.0);
        Self([one.clone(), x, zero.clone(), y, one, zero])
    }

    /// Mirrored where the sign is −1.
    pub(crate) fn flip(x: Tensor<1>, y: Tensor<1>) -> Self {
        Self::scaling(x, y)
    }

    /// First these maps' transforms, then another's.
    pub(crate) fn then(self, next: Self) -> Self {
        // A pixel of the result is followed back through the last transform first.
        let Self([a, b, c, d, e, f]) = self;
        let Self([p, q, r, s, t, u]) = next;
        let sum = |x: &Tensor<1>, y: &Tensor<1>, m: &Tensor<1>, n: &Tensor<1>| {
            x.clone() * m.clone() + y.clone() * n.clone()
        };
        Self([
            sum(&a, &b, &p, &s),
            sum(&a, &b, &q, &t),
            sum(&a, &b, &r, &u) + c,
            sum(&d, &e, &p, &s),
            sum(&d, &e, &q, &t),
            sum(&d, &e, &r, &u) + f,
        ])
    }

    /// The images under these maps, `fill` outside.
    pub(crate) fn apply(self, images: Tensor<4>, fill: f64) -> Tensor<4> {
        let maps = Tensor::stack::<2>(self.0.to_vec(), 1);
        warp(images, maps, fill)
    }
}
