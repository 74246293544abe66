//! What all passes over rows on burn's CPU backend share.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Bytes, Shape, TensorData};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::real::Real;

pub(crate) type Float = FloatTensor<Flex>;

/// Elements per task: enough to hide the cost of handing it out.
const TASK: usize = 1 << 14;

/// Calls a generic function in the float type of the tensor.
macro_rules! by_type {
    ($tensor:expr, $f:ident($($argument:expr),* $(,)?)) => {
        match $tensor.dtype() {
            burn::tensor::DType::F64 => $f::<f64>($($argument),*),
            _ => $f::<f32>($($argument),*),
        }
    };
}

pub(crate) use by_type;

pub(crate) fn shape(tensor: &Float) -> (usize, usize) {
    let dims = tensor.layout().shape();
    (dims[0], dims[1])
}

/// The numbers of a contiguous tensor.
pub(crate) fn values<T: Real>(tensor: &Float) -> &[T] {
    let start = tensor.layout().start_offset();
    &tensor.storage::<T>()[start..start + tensor.layout().num_elements()]
}

pub(crate) fn tensor<T: Real>(values: Vec<T>, rows: usize, columns: usize) -> Float {
    let shape = Shape::from([rows, columns]);
    Float::from_data(TensorData::from_bytes(Bytes::from_elems(values), shape, T::dtype()))
}

/// The rows of one task, for [`Arch::dispatch`].
struct Task<'a, T, F> {
    out: &'a mut [T],
    width: usize,
    first: usize,
    f: &'a F,
}

impl<T, F: Fn(usize, &mut [T])> WithSimd for Task<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (j, row) in self.out.chunks_exact_mut(self.width).enumerate() {
            (self.f)(self.first + j, row);
        }
    }
}

/// `rows × width` numbers whose rows `f(row, output)` fills, in parallel and with the
/// best instructions of the processor. A row reads `columns` numbers.
pub(crate) fn fill_rows<T: Real>(
    rows: usize,
    width: usize,
    columns: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); rows * width];
    change_rows(&mut out, width, columns, f);
    out
}

/// As [`fill_rows`] into numbers that are there.
pub(crate) fn change_rows<T: Real>(
    out: &mut [T],
    width: usize,
    columns: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let chunk = (TASK / columns.max(1)).max(1);
    out.par_chunks_mut(chunk * width).enumerate().for_each(|(i, out)| {
        Arch::new().dispatch(Task { out, width, first: i * chunk, f: &f });
    });
}

/// A tensor's numbers in order, still held by nobody else if they were before.
pub(crate) fn contiguous(tensor: Float) -> Float {
    tensor.to_contiguous()
}

/// The numbers of a contiguous tensor that nobody else holds, to be overwritten: a result in fresh
/// memory costs the system a cleared page for every 4 KB.
pub(crate) fn own_values<T: Real>(tensor: &mut Float) -> Option<&mut [T]> {
    let start = tensor.layout().start_offset();
    let count = tensor.layout().num_elements();
    if !tensor.layout().is_dense_unique_storage() {
        return None;
    }
    tensor.try_storage_mut::<T>().map(|all| &mut all[start..start + count])
}

/// The rows of one task with numbers of its own.
struct ChunkTask<'a, T, F> {
    out: &'a mut [T],
    extra: &'a mut [T],
    first: usize,
    f: &'a F,
}

impl<T, F: Fn(usize, &mut [T], &mut [T])> WithSimd for ChunkTask<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        (self.f)(self.first, self.out, self.extra);
    }
}

/// As [`fill_rows`], by `chunk` rows at a time: `f(first row, rows, extra)`, where `extra` are
/// `extra` more numbers of each chunk, which come back behind one another.
pub(crate) fn fill_chunks<T: Real>(
    rows: usize,
    width: usize,
    chunk: usize,
    extra: usize,
    f: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) -> (Vec<T>, Vec<T>) {
    let mut out = vec![T::default(); rows * width];
    let more = change_chunks(&mut out, width, chunk, extra, f);
    (out, more)
}

/// As [`fill_chunks`] into numbers that are there.
pub(crate) fn change_chunks<T: Real>(
    out: &mut [T],
    width: usize,
    chunk: usize,
    extra: usize,
    f: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) -> Vec<T> {
    let rows = out.len() / width.max(1);
    let mut more = vec![T::default(); rows.div_ceil(chunk) * extra];
    if !out.is_empty() {
        let chunks = out.par_chunks_mut(chunk * width).zip(more.par_chunks_mut(extra));
        chunks.enumerate().for_each(|(i, (out, extra))| {
            Arch::new().dispatch(ChunkTask { out, extra, first: i * chunk, f: &f });
        });
    }
    more
}

/// `f(row, numbers, own)` for each row of `x` with its one number of `own`, on this thread and
/// with the best instructions of the processor.
pub(crate) fn each_row(
    x: &mut [f32],
    width: usize,
    own: &mut [f32],
    f: impl Fn(usize, &mut [f32], &mut f32),
) {
    Arch::new().dispatch(EachRow { x, width, own, f: &f });
}

/// The rows of [`each_row`].
struct EachRow<'a, F> {
    x: &'a mut [f32],
    width: usize,
    own: &'a mut [f32],
    f: &'a F,
}

impl<F: Fn(usize, &mut [f32], &mut f32)> WithSimd for EachRow<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (i, (row, own)) in self.x.chunks_exact_mut(self.width).zip(self.own).enumerate() {
            (self.f)(i, row, own);
        }
    }
}
