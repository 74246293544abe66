//! Sums of lists.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::rows::{Share, UNITS, contiguous, list, total};

/// Numbers that a unit adds at least, if there are so many.
const EACH: usize = 16;
/// Cubes at most, whose sums one more cube adds.
const CUBES: usize = 1024;

/// Each cube's sum of every so many vectors, times `by`.
#[cube(launch)]
fn sums<N: Size>(x: &[Vector<f32, N>], out: &mut [f32], vectors: u32, by: f32) {
    let mut part = Vector::<f32, N>::new(0.0f32);
    let mut at = ABSOLUTE_POS;
    while at < vectors as usize {
        part += x[at];
        at += CUBE_COUNT * CUBE_DIM_X as usize;
    }
    let whole = total::<N>(part, Share::Memory);
    if UNIT_POS_X == 0 {
        out[CUBE_POS] = whole * by;
    }
}

fn pass(x: CubeTensor, n: usize, cubes: usize, by: f32) -> CubeTensor {
    let out = list(&x, cubes);
    let vector = if n.is_multiple_of(4) { 4 } else { 1 };
    sums::launch(
        &x.client.clone(),
        CubeCount::Static(cubes as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        vector,
        contiguous(x),
        out.clone().into_buffer_arg(),
        (n / vector) as u32,
        by,
    );
    out
}

/// The sum of n numbers times `by`.
pub(super) fn of(x: CubeTensor, n: usize, by: f32) -> CubeTensor {
    let cubes = n.div_ceil(UNITS * EACH).min(CUBES);
    if cubes == 1 {
        return pass(x, n, 1, by);
    }
    pass(pass(x, n, cubes, 1.0), cubes, 1, by)
}
