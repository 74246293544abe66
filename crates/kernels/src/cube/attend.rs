//! Attention that never holds the matrix of its weights (Dao et al., NeurIPS 2022): a unit for each
//! query, or for the gradients of keys and values for each key, and the other side in tiles of shared
//! memory. Any float type, computed in f32.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Distribution};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::rows::{Rows, contiguous, list};
use crate::block::Heads;

/// Units of a cube.
const UNITS: usize = 64;
/// Numbers of a tile of both matrices: 12 kB.
const TILE: usize = 1536;
/// Below every score.
const LOWEST: f32 = f32::MIN;

/// The finaliser of MurmurHash3.
#[cube]
fn hash(h: u32) -> u32 {
    let h = (h ^ (h >> 16)) * 0x85eb_ca6bu32;
    let h = (h ^ (h >> 13)) * 0xc2b2_ae35u32;
    h ^ (h >> 16)
}

/// The seed of a query's weights.
#[cube]
fn seed(drawn: &[f32], row: usize) -> u32 {
    let (a, b) = (u32::reinterpret(drawn[0]), u32::reinterpret(drawn[1]));
    hash(hash(a) ^ hash(b ^ 0x9e37_79b9u32) ^ ((row as u32 + 1) * 0x9e37_79b9u32))
}

/// 0 for what is dropped, whose hash is below a threshold, and `kept` for the others.
#[cube]
fn factor(seed: u32, column: usize, threshold: u32, kept: f32) -> f32 {
    let h = hash(seed ^ (column as u32 * 0x9e37_79b9u32));
    select(h < threshold, f32::new(0.0), kept)
}

/// The product of a vector in registers with row j of a tile.
#[cube]
fn dot<N: Size>(
    a: &Array<Vector<f32, N>>,
    tile: &Shared<[Vector<f32, N>]>,
    j: usize,
    #[comptime] parts: usize,
) -> f32 {
    let mut sums = a[0] * tile[j * parts];
    #[unroll]
    for c in 1..parts {
        sums += a[c] * tile[j * parts + c];
    }
    let mut sum = sums.extract(0usize);
    #[unroll]
    for k in 1usize..N::value() {
        sum += sums.extract(k);
    }
    sum
}

/// `a += by · tile_j`.
#[cube]
fn add<N: Size>(
    a: &mut Array<Vector<f32, N>>,
    tile: &Shared<[Vector<f32, N>]>,
    j: usize,
    by: f32,
    #[comptime] parts: usize,
) {
    #[unroll]
    for c in 0..parts {
        a[c] += tile[j * parts + c] * Vector::new(by);
    }
}

/// A head's part of a row, times `by`.
#[cube]
fn load<F: Float, N: Size>(
    x: &[Vector<F, N>],
    start: usize,
    by: f32,
    #[comptime] parts: usize,
) -> Array<Vector<f32, N>> {
    let mut out = Array::<Vector<f32, N>>::new(parts);
    #[unroll]
    for c in 0..parts {
        out[c] = Vector::<f32, N>::cast_from(x[start + c]) * Vector::new(by);
    }
    out
}

/// A head's part of the rows from `begin`, times `by`, into a tile; behind the last row that one again.
#[cube]
#[allow(clippy::too_many_arguments)]
fn fill<F: Float, N: Size>(
    rows: &mut Shared<[Vector<f32, N>]>,
    x: &[Vector<F, N>],
    start: usize,
    stride: usize,
    begin: usize,
    last: usize,
    by: f32,
    #[comptime] parts: usize,
    #[comptime] tile: usize,
) {
    let mut at = UNIT_POS_X as usize;
    while at < tile * parts {
        let from = start + min(begin + at / parts, last) * stride + at % parts;
        rows[at] = Vector::<f32, N>::cast_from(x[from]) * Vector::new(by);
        at += UNITS;
    }
}

#[cube]
fn zeros<N: Size>(#[comptime] parts: usize) -> Array<Vector<f32, N>> {
    let mut out = Array::<Vector<f32, N>>::new(parts);
    #[unroll]
    for c in 0..parts {
        out[c] = Vector::new(0.0f32);
    }
    out
}

#[cube]
fn store<F: Float, N: Size>(
    x: &Array<Vector<f32, N>>,
    by: f32,
    out: &mut [Vector<F, N>],
    start: usize,
    #[comptime] parts: usize,
) {
    #[unroll]
    for c in 0..parts {
        out[start + c] = Vector::<F, N>::cast_from(x[c] * Vector::new(by));
    }
}

/// See `BlockOps::attend_state`; a unit for each query.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn forward<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    mask: &[f32],
    drawn: &[f32],
    out: &mut [Vector<F, N>],
    lse: &mut [f32],
    length: u32,
    heads: u32,
    stride: u32,
    scale: f32,
    threshold: u32,
    kept: f32,
    #[comptime] parts: usize,
    #[comptime] tile: usize,
    #[comptime] causal: bool,
    #[comptime] drops: bool,
    #[define(F)] _type: ElemType,
) {
    let (length, heads, stride) = (length as usize, heads as usize, stride as usize);
    let task = CUBE_POS_Y as usize;
    let (first, column, width) = (task / heads * length, task % heads * parts, heads * parts);
    let row = CUBE_POS_X as usize * UNITS + UNIT_POS_X as usize;
    let own = min(row, length - 1);
    let mut seed_of = 0u32;
    if comptime!(drops) {
        seed_of = seed(drawn, task * length + own);
    }
    let query = load::<F, N>(qkv, (first + own) * stride + column, scale, parts);
    let mut sum = zeros::<N>(parts);
    let (mut top, mut total) = (f32::new(LOWEST), f32::new(0.0));
    let mut keys = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut values = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut seen = Shared::<[f32]>::new_slice(tile);
    let mut begin = 0usize;
    while begin < length {
        sync_cube();
        let (start, last) = (first * stride + column, length - 1);
        fill::<F, N>(&mut keys, qkv, start + width, stride, begin, last, 1.0f32, parts, tile);
        fill::<F, N>(&mut values, qkv, start + 2 * width, stride, begin, last, 1.0f32, parts, tile);
        if (UNIT_POS_X as usize) < tile {
            seen[UNIT_POS_X as usize] = mask[first + min(begin + UNIT_POS_X as usize, length - 1)];
        }
        sync_cube();
        let mut end = min(tile, length - begin);
        if comptime!(causal) {
            end = min(end, max(own + 1, begin) - begin);
        }
        for j in 0..end {
            if seen[j] != 0.0f32 {
                let score = dot::<N>(&query, &keys, j, parts);
                if score > top {
                    let shrink = (top - score).exp();
                    total *= shrink;
                    #[unroll]
                    for c in 0..parts {
                        sum[c] *= Vector::new(shrink);
                    }
                    top = score;
                }
                let mut weight = (score - top).exp();
                total += weight;
                if comptime!(drops) {
                    weight *= factor(seed_of, begin + j, threshold, kept);
                }
                add::<N>(&mut sum, &values, j, weight, parts);
            }
        }
        begin += tile;
    }
    if row < length {
        // A row that sees nothing is 0.
        let any = total > 0.0f32;
        let share = select(any, 1.0f32 / total, f32::new(0.0));
        store::<F, N>(&sum, share, out, (first + row) * width + column, parts);
        lse[task * length + row] = select(any, top + total.ln(), f32::new(0.0));
    }
}

/// The gradient of the queries, a unit for each, and of each the sum of `out · grad`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn to_queries<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    mask: &[f32],
    drawn: &[f32],
    out: &[Vector<F, N>],
    lse: &[f32],
    grad: &[Vector<F, N>],
    slopes: &mut [Vector<F, N>],
    totals: &mut [f32],
    length: u32,
    heads: u32,
    stride: u32,
    out_stride: u32,
    grad_stride: u32,
    scale: f32,
    threshold: u32,
    kept: f32,
    #[comptime] parts: usize,
    #[comptime] tile: usize,
    #[comptime] causal: bool,
    #[comptime] drops: bool,
    #[define(F)] _type: ElemType,
) {
    let (length, heads, stride) = (length as usize, heads as usize, stride as usize);
    let task = CUBE_POS_Y as usize;
    let (first, column, width) = (task / heads * length, task % heads * parts, heads * parts);
    let row = CUBE_POS_X as usize * UNITS + UNIT_POS_X as usize;
    let own = min(row, length - 1);
    let mut seed_of = 0u32;
    if comptime!(drops) {
        seed_of = seed(drawn, task * length + own);
    }
    let query = load::<F, N>(qkv, (first + own) * stride + column, scale, parts);
    let slope = load::<F, N>(grad, (first + own) * grad_stride as usize + column, 1.0f32, parts);
    let mut products = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for c in 0..parts {
        let made = out[(first + own) * out_stride as usize + column + c];
        products += Vector::<f32, N>::cast_from(made) * slope[c];
    }
    let mut whole = products.extract(0usize);
    #[unroll]
    for k in 1usize..N::value() {
        whole += products.extract(k);
    }
    let sums = lse[task * length + own];
    let mut sum = zeros::<N>(parts);
    let mut keys = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut values = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut seen = Shared::<[f32]>::new_slice(tile);
    let mut begin = 0usize;
    while begin < length {
        sync_cube();
        let (start, last) = (first * stride + column, length - 1);
        fill::<F, N>(&mut keys, qkv, start + width, stride, begin, last, 1.0f32, parts, tile);
        fill::<F, N>(&mut values, qkv, start + 2 * width, stride, begin, last, 1.0f32, parts, tile);
        if (UNIT_POS_X as usize) < tile {
            seen[UNIT_POS_X as usize] = mask[first + min(begin + UNIT_POS_X as usize, length - 1)];
        }
        sync_cube();
        let mut end = min(tile, length - begin);
        if comptime!(causal) {
            end = min(end, max(own + 1, begin) - begin);
        }
        for j in 0..end {
            if seen[j] != 0.0f32 {
                let weight = (dot::<N>(&query, &keys, j, parts) - sums).exp();
                let mut along = dot::<N>(&slope, &values, j, parts);
                if comptime!(drops) {
                    along *= factor(seed_of, begin + j, threshold, kept);
                }
                add::<N>(&mut sum, &keys, j, weight * (along - whole), parts);
            }
        }
        begin += tile;
    }
    if row < length {
        store::<F, N>(&sum, scale, slopes, (first + row) * 3 * width + column, parts);
        totals[task * length + row] = whole;
    }
}

/// The gradients of keys and values, a unit for each.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn to_keys<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    mask: &[f32],
    drawn: &[f32],
    lse: &[f32],
    totals: &[f32],
    grad: &[Vector<F, N>],
    slopes: &mut [Vector<F, N>],
    length: u32,
    heads: u32,
    stride: u32,
    grad_stride: u32,
    scale: f32,
    threshold: u32,
    kept: f32,
    #[comptime] parts: usize,
    #[comptime] tile: usize,
    #[comptime] causal: bool,
    #[comptime] drops: bool,
    #[define(F)] _type: ElemType,
) {
    let (length, heads, stride) = (length as usize, heads as usize, stride as usize);
    let task = CUBE_POS_Y as usize;
    let (first, column, width) = (task / heads * length, task % heads * parts, heads * parts);
    let row = CUBE_POS_X as usize * UNITS + UNIT_POS_X as usize;
    let own = min(row, length - 1);
    let start = (first + own) * stride + column;
    let key = load::<F, N>(qkv, start + width, 1.0f32, parts);
    let value = load::<F, N>(qkv, start + 2 * width, 1.0f32, parts);
    let mut to_key = zeros::<N>(parts);
    let mut to_value = zeros::<N>(parts);
    let visible = mask[first + own] != 0.0f32;
    let mut queries = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut steep = Shared::<[Vector<f32, N>]>::new_slice(tile * parts);
    let mut sums = Shared::<[f32]>::new_slice(tile);
    let mut seeds = Shared::<[u32]>::new_slice(tile);
    let mut wholes = Shared::<[f32]>::new_slice(tile);
    let mut begin = 0usize;
    while begin < length {
        sync_cube();
        let (start, last) = (first * stride + column, length - 1);
        fill::<F, N>(&mut queries, qkv, start, stride, begin, last, scale, parts, tile);
        let beside = grad_stride as usize;
        let start = first * beside + column;
        fill::<F, N>(&mut steep, grad, start, beside, begin, last, 1.0f32, parts, tile);
        if (UNIT_POS_X as usize) < tile {
            let from = task * length + min(begin + UNIT_POS_X as usize, length - 1);
            sums[UNIT_POS_X as usize] = lse[from];
            if comptime!(drops) {
                seeds[UNIT_POS_X as usize] = seed(drawn, from);
            }
            wholes[UNIT_POS_X as usize] = totals[from];
        }
        sync_cube();
        let end = min(tile, length - begin);
        let mut next = 0usize;
        if comptime!(causal) {
            next = min(end, max(own, begin) - begin);
        }
        if visible {
            for i in next..end {
                let weight = (dot::<N>(&key, &queries, i, parts) - sums[i]).exp();
                let mut along = dot::<N>(&value, &steep, i, parts);
                let mut used = weight;
                if comptime!(drops) {
                    let stays = factor(seeds[i], own, threshold, kept);
                    along *= stays;
                    used *= stays;
                }
                add::<N>(&mut to_value, &steep, i, used, parts);
                add::<N>(&mut to_key, &queries, i, weight * (along - wholes[i]), parts);
            }
        }
        begin += tile;
    }
    if row < length {
        let start = (first + row) * 3 * width + column;
        store::<F, N>(&to_key, 1.0f32, slopes, start + width, parts);
        store::<F, N>(&to_value, 1.0f32, slopes, start + 2 * width, parts);
    }
}

/// The sizes of a batch as the kernels take them.
struct Sizes {
    rows: Rows,
    kind: ElemType,
    heads: Heads,
    tasks: usize,
    length: usize,
    depth: usize,
}

impl Sizes {
    fn new(qkv: &CubeTensor, mask: &CubeTensor, heads: Heads, kind: ElemType) -> Self {
        let masked = mask.shape();
        let depth = qkv.shape()[1] / 3 / heads.count;
        let rows = Rows::by_vectors(qkv, if depth.is_multiple_of(4) { 4 } else { 1 });
        Self { rows, kind, heads, tasks: masked[0] * heads.count, length: masked[1], depth }
    }

    fn parts(&self) -> usize {
        self.depth / self.rows.vector
    }

    fn tile(&self) -> usize {
        (TILE / self.depth).min(UNITS)
    }

    fn count(&self) -> CubeCount {
        CubeCount::Static(self.length.div_ceil(UNITS) as u32, self.tasks as u32, 1)
    }

    fn scale(&self) -> f32 {
        (self.depth as f32).powf(-0.5)
    }

    /// The hash below which a weight is dropped, and what the others are multiplied by.
    fn keep(&self) -> (u32, f32) {
        let share = self.heads.dropout;
        ((share * 4_294_967_296.0) as u32, (1.0 / (1.0 - share)) as f32)
    }

    /// A matrix of a number for each query and column of a head, and the vectors between rows.
    fn narrow(&self, x: CubeTensor) -> (CubeTensor, u32) {
        Rows::by_vectors(&x, self.rows.vector).spaced(x)
    }
}

fn mask_of(mask: CubeTensor) -> CubeTensor {
    if mask.dtype == DType::F32 {
        return mask;
    }
    CubeBackend::float_cast(mask, burn::tensor::FloatDType::F32)
}

/// The output, the logarithm of each row's sum, and two numbers that name what was dropped.
pub(super) fn attend(
    qkv: CubeTensor,
    mask: CubeTensor,
    heads: Heads,
    kind: ElemType,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let sizes = Sizes::new(&qkv, &mask, heads, kind);
    let drawn = match heads.dropout > 0.0 {
        true => CubeBackend::float_random(
            [2].into(),
            Distribution::Default,
            &qkv.device(),
            burn::tensor::FloatDType::F32,
        ),
        false => CubeBackend::float_zeros([2].into(), &qkv.device(), burn::tensor::FloatDType::F32),
    };
    let count = sizes.tasks / heads.count * sizes.length;
    let out = sizes.rows.empty([count, heads.count * sizes.depth], qkv.dtype);
    let lse = list(&qkv, sizes.tasks * sizes.length);
    let (threshold, kept) = sizes.keep();
    let (qkv, stride) = sizes.rows.spaced(qkv);
    forward::launch(
        &sizes.rows.client,
        sizes.count(),
        CubeDim::new_1d(UNITS as u32),
        sizes.rows.vector,
        qkv.into_buffer_arg(),
        contiguous(mask_of(mask)),
        contiguous(drawn.clone()),
        out.clone().into_buffer_arg(),
        lse.clone().into_buffer_arg(),
        sizes.length as u32,
        heads.count as u32,
        stride,
        sizes.scale(),
        threshold,
        kept,
        sizes.parts(),
        sizes.tile(),
        heads.causal,
        heads.dropout > 0.0,
        sizes.kind,
    );
    (out, lse, drawn)
}

/// The gradient of `qkv`, from `[qkv, mask, out, lse, drawn, grad]`.
pub(super) fn backward(
    [qkv, mask, out, lse, drawn, grad]: [CubeTensor; 6],
    heads: Heads,
    kind: ElemType,
) -> CubeTensor {
    let sizes = Sizes::new(&qkv, &mask, heads, kind);
    let (out, out_stride) = sizes.narrow(out);
    let (grad, grad_stride) = sizes.narrow(grad);
    let slopes = sizes.rows.lines(qkv.shape()[0], qkv.dtype);
    let totals = list(&qkv, sizes.tasks * sizes.length);
    let (threshold, kept) = sizes.keep();
    let (qkv, stride) = sizes.rows.spaced(qkv);
    let mask = mask_of(mask);
    to_queries::launch(
        &sizes.rows.client,
        sizes.count(),
        CubeDim::new_1d(UNITS as u32),
        sizes.rows.vector,
        qkv.clone().into_buffer_arg(),
        contiguous(mask.clone()),
        contiguous(drawn.clone()),
        out.into_buffer_arg(),
        contiguous(lse.clone()),
        grad.clone().into_buffer_arg(),
        slopes.clone().into_buffer_arg(),
        totals.clone().into_buffer_arg(),
        sizes.length as u32,
        heads.count as u32,
        stride,
        out_stride,
        grad_stride,
        sizes.scale(),
        threshold,
        kept,
        sizes.parts(),
        sizes.tile(),
        heads.causal,
        heads.dropout > 0.0,
        sizes.kind,
    );
    to_keys::launch(
        &sizes.rows.client,
        sizes.count(),
        CubeDim::new_1d(UNITS as u32),
        sizes.rows.vector,
        qkv.into_buffer_arg(),
        contiguous(mask),
        contiguous(drawn),
        contiguous(lse),
        totals.into_buffer_arg(),
        grad.into_buffer_arg(),
        slopes.clone().into_buffer_arg(),
        sizes.length as u32,
        heads.count as u32,
        stride,
        grad_stride,
        sizes.scale(),
        threshold,
        kept,
        sizes.parts(),
        sizes.tile(),
        heads.causal,
        heads.dropout > 0.0,
        sizes.kind,
    );
    slopes
}
