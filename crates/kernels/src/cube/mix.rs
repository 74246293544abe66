//! Weighted sums of rows.

use cubecl::prelude::*;

/// See `MixOps::mix_pairs`; a unit for each vector.
#[cube(launch)]
pub(super) fn pairs<I: Int, N: Size>(
    x: &[Vector<f32, N>],
    partners: &[I],
    weights: &[f32],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    stride: u32,
    #[define(I)] _type: ElemType,
) {
    let vectors = vectors as usize;
    if ABSOLUTE_POS >= rows as usize * vectors {
        terminate!();
    }
    let row = ABSOLUTE_POS / vectors;
    let at = ABSOLUTE_POS % vectors;
    let other = u32::cast_from(partners[row]) as usize;
    let stride = stride as usize;
    let own = x[row * stride + at] * Vector::new(weights[2 * row]);
    out[ABSOLUTE_POS] = own + x[other * stride + at] * Vector::new(weights[2 * row + 1]);
}
