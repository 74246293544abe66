//! The block's operations: the layer norm of a sum, and sums of columns, any float type computed in f32;
//! attention is beside this.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::attend;
use super::rows::{Rows, Share, contiguous, float, row, total};
use crate::block::{BlockOps, Heads, composed, serves};

type Three = (CubeTensor, CubeTensor, CubeTensor);

/// `x + residual` in f32.
#[cube]
fn sum<F: Float, N: Size>(x: Vector<F, N>, residual: Vector<F, N>) -> Vector<f32, N> {
    Vector::<f32, N>::cast_from(x) + Vector::<f32, N>::cast_from(residual)
}

/// See `BlockOps::add_norm_state`; `share_of_one` is 1 / width.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn forward<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    gamma: &[Vector<F, N>],
    beta: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    mean: &mut [f32],
    inverse: &mut [f32],
    rows: u32,
    vectors: u32,
    turns: u32,
    stride: u32,
    residual_stride: u32,
    share_of_one: f32,
    epsilon: f32,
    #[comptime] share: Share,
    #[define(F)] _type: ElemType,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, beside) = (row * stride as usize, row * residual_stride as usize);
        let mut whole = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            whole += sum::<F, N>(x[start + at], residual[beside + at]);
            at += CUBE_DIM_X as usize;
        }
        let centre = total::<N>(whole, share) * share_of_one;
        let middle = Vector::<f32, N>::new(centre);
        let mut squares = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let gap = sum::<F, N>(x[start + at], residual[beside + at]) - middle;
            squares += gap * gap;
            at += CUBE_DIM_X as usize;
        }
        let variance = total::<N>(squares, share) * share_of_one;
        let narrow = 1.0f32 / (variance + epsilon).sqrt();
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let gap = sum::<F, N>(x[start + at], residual[beside + at]) - middle;
            let scaled = gap * Vector::new(narrow) * Vector::<f32, N>::cast_from(gamma[at]);
            let value = scaled + Vector::<f32, N>::cast_from(beta[at]);
            out[row * vectors + at] = Vector::<F, N>::cast_from(value);
            at += CUBE_DIM_X as usize;
        }
        if UNIT_POS_X == 0 {
            mean[row] = centre;
            inverse[row] = narrow;
        }
    }
}

/// The gradient of the sum; see `composed::add_norm_backward`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn backward<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    gamma: &[Vector<F, N>],
    mean: &[f32],
    inverse: &[f32],
    grad: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    rows: u32,
    vectors: u32,
    turns: u32,
    stride: u32,
    residual_stride: u32,
    grad_stride: u32,
    share_of_one: f32,
    #[comptime] share: Share,
    #[define(F)] _type: ElemType,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, beside) = (row * stride as usize, row * residual_stride as usize);
        let slopes = row * grad_stride as usize;
        let middle = Vector::<f32, N>::new(mean[row]);
        let narrow = Vector::<f32, N>::new(inverse[row]);
        let mut drift = Vector::<f32, N>::new(0.0f32);
        let mut along = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let unit = (sum::<F, N>(x[start + at], residual[beside + at]) - middle) * narrow;
            let h = Vector::<f32, N>::cast_from(grad[slopes + at])
                * Vector::<f32, N>::cast_from(gamma[at]);
            drift += h;
            along += h * unit;
            at += CUBE_DIM_X as usize;
        }
        let drift = Vector::<f32, N>::new(total::<N>(drift, share) * share_of_one);
        let along = Vector::<f32, N>::new(total::<N>(along, share) * share_of_one);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let unit = (sum::<F, N>(x[start + at], residual[beside + at]) - middle) * narrow;
            let h = Vector::<f32, N>::cast_from(grad[slopes + at])
                * Vector::<f32, N>::cast_from(gamma[at]);
            let value = (h - drift - unit * along) * narrow;
            out[row * vectors + at] = Vector::<F, N>::cast_from(value);
            at += CUBE_DIM_X as usize;
        }
    }
}

/// Sums of `grad · unit` and of `grad` over each chunk of rows, a unit for each vector of each
/// chunk.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn slopes<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    mean: &[f32],
    inverse: &[f32],
    grad: &[Vector<F, N>],
    gamma: &mut [Vector<f32, N>],
    beta: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    chunk: u32,
    stride: u32,
    residual_stride: u32,
    grad_stride: u32,
    #[define(F)] _type: ElemType,
) {
    let (part, at) = (ABSOLUTE_POS / vectors as usize, ABSOLUTE_POS % vectors as usize);
    let first = part * chunk as usize;
    if first >= rows as usize {
        terminate!();
    }
    let end = min(first + chunk as usize, rows as usize);
    let mut along = Vector::<f32, N>::new(0.0f32);
    let mut plain = Vector::<f32, N>::new(0.0f32);
    for row in first..end {
        let total = sum::<F, N>(
            x[row * stride as usize + at],
            residual[row * residual_stride as usize + at],
        );
        let unit = (total - Vector::new(mean[row])) * Vector::new(inverse[row]);
        let g = Vector::<f32, N>::cast_from(grad[row * grad_stride as usize + at]);
        along += g * unit;
        plain += g;
    }
    gamma[ABSOLUTE_POS] = along;
    beta[ABSOLUTE_POS] = plain;
}

/// Sums of the columns over each chunk of rows, a unit for each vector of each chunk.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn chunks<F: Float, G: Float, N: Size>(
    x: &[Vector<F, N>],
    out: &mut [Vector<G, N>],
    rows: u32,
    vectors: u32,
    chunk: u32,
    stride: u32,
    #[define(F)] _from: ElemType,
    #[define(G)] _to: ElemType,
) {
    let (part, at) = (ABSOLUTE_POS / vectors as usize, ABSOLUTE_POS % vectors as usize);
    let first = part * chunk as usize;
    if first >= rows as usize {
        terminate!();
    }
    let end = min(first + chunk as usize, rows as usize);
    let mut whole = Vector::<f32, N>::new(0.0f32);
    for row in first..end {
        whole += Vector::<f32, N>::cast_from(x[row * stride as usize + at]);
    }
    out[ABSOLUTE_POS] = Vector::<G, N>::cast_from(whole);
}

/// Rows of a chunk: as many as there are chunks, so that both passes over them are short.
fn chunk(rows: usize) -> usize {
    rows.isqrt().max(1)
}

const F32: ElemType = ElemType::Float(FloatKind::F32);

/// One pass of [`chunks`] over a matrix of the rows' width, from one type to another.
fn sums(
    rows: &Rows,
    x: CubeTensor,
    chunk: usize,
    from: ElemType,
    (dtype, to): (DType, ElemType),
) -> CubeTensor {
    let n = x.meta.shape()[0];
    let parts = n.div_ceil(chunk);
    let out = rows.lines(parts, dtype);
    let (count, cube) = rows.flat_rows(parts);
    let (x, stride) = rows.read(x);
    chunks::launch(
        &rows.client,
        count,
        cube,
        rows.vector,
        x,
        out.clone().into_buffer_arg(),
        n as u32,
        rows.vectors() as u32,
        chunk as u32,
        stride,
        from,
        to,
    );
    out
}

impl BlockOps for CubeBackend {
    fn column_sums(grad: CubeTensor) -> CubeTensor {
        let Some((rows, kind)) = Rows::alike(&[&grad]) else {
            return composed::column_sums::<Self>(grad);
        };
        let dtype = grad.dtype;
        let parts = sums(&rows, grad, chunk(rows.rows), kind, (DType::F32, F32));
        let all = parts.meta.shape()[0];
        sums(&rows, parts, all, F32, (dtype, kind))
    }

    fn add_norm_state(
        x: CubeTensor,
        residual: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        epsilon: f64,
    ) -> Three {
        let Some((rows, kind)) = Rows::alike(&[&x, &residual, &gamma, &beta]) else {
            return composed::add_norm::<Self>(x, residual, gamma, beta, epsilon);
        };
        let out = rows.lines(rows.rows, x.dtype);
        let (mean, inverse) = (rows.one_each(), rows.one_each());
        let (x, stride) = rows.read(x);
        let (residual, residual_stride) = rows.read(residual);
        forward::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            x,
            residual,
            contiguous(gamma),
            contiguous(beta),
            out.clone().into_buffer_arg(),
            mean.clone().into_buffer_arg(),
            inverse.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            residual_stride,
            rows.share_of_one(),
            epsilon as f32,
            rows.share,
            kind,
        );
        (out, mean, inverse)
    }

    fn add_norm_backward(
        x: CubeTensor,
        residual: CubeTensor,
        gamma: CubeTensor,
        mean: CubeTensor,
        inverse: CubeTensor,
        grad: CubeTensor,
    ) -> Three {
        let Some((rows, kind)) = Rows::alike(&[&x, &residual, &gamma, &grad]) else {
            return composed::add_norm_backward::<Self>(x, residual, gamma, mean, inverse, grad);
        };
        let dtype = x.dtype;
        let out = rows.lines(rows.rows, dtype);
        let (x, stride) = rows.spaced(x);
        let (residual, residual_stride) = rows.spaced(residual);
        let (grad, grad_stride) = rows.spaced(grad);
        backward::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            x.clone().into_buffer_arg(),
            residual.clone().into_buffer_arg(),
            contiguous(gamma),
            contiguous(mean.clone()),
            contiguous(inverse.clone()),
            grad.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            residual_stride,
            grad_stride,
            rows.share_of_one(),
            rows.share,
            kind,
        );
        let chunk = chunk(rows.rows);
        let parts = rows.rows.div_ceil(chunk);
        let [along, plain] = [(); 2].map(|()| rows.lines(parts, DType::F32));
        let (count, cube) = rows.flat_rows(parts);
        slopes::launch(
            &rows.client,
            count,
            cube,
            rows.vector,
            x.into_buffer_arg(),
            residual.into_buffer_arg(),
            contiguous(mean),
            contiguous(inverse),
            grad.into_buffer_arg(),
            along.clone().into_buffer_arg(),
            plain.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            chunk as u32,
            stride,
            residual_stride,
            grad_stride,
            kind,
        );
        let whole = |of_parts| sums(&rows, of_parts, parts, F32, (dtype, kind));
        (out, whole(along), whole(plain))
    }

    fn attend_state(qkv: CubeTensor, mask: CubeTensor, heads: Heads) -> Three {
        match float(qkv.dtype) {
            Some(kind) if serves(&qkv.shape(), qkv.dtype, &mask.shape(), heads) => {
                attend::attend(qkv, mask, heads, kind)
            }
            _ => composed::attend::<Self>(qkv, mask, heads),
        }
    }

    fn attend_backward(
        qkv: CubeTensor,
        mask: CubeTensor,
        out: CubeTensor,
        lse: CubeTensor,
        drawn: CubeTensor,
        heads: Heads,
        grad: CubeTensor,
    ) -> CubeTensor {
        match float(qkv.dtype) {
            Some(kind) if serves(&qkv.shape(), qkv.dtype, &mask.shape(), heads) => {
                attend::backward([qkv, mask, out, lse, drawn, grad], heads, kind)
            }
            _ => composed::attend_backward::<Self>(qkv, mask, out, lse, drawn, heads, grad),
        }
    }
}
