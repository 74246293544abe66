//! What all passes over rows on burn's CPU backend share.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Bytes, Shape, TensorData};
use counterweight_core::pages;
use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;
use crate::tasks::{many, share};

pub(crate) type Float = FloatTensor<Flex>;

/// Elements per task: enough to hide the cost of handing it out.
const TASK: usize = 1 << 14;
/// Fewer rows of a matrix product than this are not worth a task.
const PART: usize = 32;
/// Multiplications that take no longer than a number of a pass over rows.
const PRODUCTS: usize = 16;

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

/// Whole rows of one task, for [`Arch::dispatch`].
struct Task<'a, T, F> {
    out: &'a mut [T],
    first: usize,
    f: &'a F,
}

impl<T, F: Fn(usize, &mut [T])> WithSimd for Task<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        (self.f)(self.first, self.out);
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
    fill_blocks(rows, width, columns, by_rows(width, f))
}

/// `f` of every row of a block.
#[inline(always)]
fn by_rows<T>(width: usize, f: impl Fn(usize, &mut [T]) + Sync) -> impl Fn(usize, &mut [T]) + Sync {
    #[inline(always)]
    move |first, out| {
        for (j, row) in out.chunks_exact_mut(width).enumerate() {
            f(first + j, row);
        }
    }
}

/// As [`fill_rows`], by many rows at a time: `f(first row, rows)`.
pub(crate) fn fill_blocks<T: Real>(
    rows: usize,
    width: usize,
    columns: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let chunk = rows_of_task(columns);
    let parallel = many(rows * columns.max(width), rows.div_ceil(chunk));
    pages::filled(rows * width, chunk * width, parallel, |i, out| {
        Arch::new().dispatch(Task { out, first: i * chunk, f: &f });
    })
}

fn rows_of_task(columns: usize) -> usize {
    (TASK / columns.max(1)).max(1)
}

/// As [`fill_rows`] into numbers that are there.
pub(crate) fn change_rows<T: Real>(
    out: &mut [T],
    width: usize,
    columns: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    change_blocks(out, width, columns, by_rows(width, f));
}

/// A matrix whose rows `f(row, numbers)` changed: in their place where nobody else holds them, else
/// in a copy that is made row by row.
pub(crate) fn changed_rows(x: Float, f: impl Fn(usize, &mut [f32]) + Sync) -> Float {
    let mut x = x.to_contiguous();
    let (rows, width) = shape(&x);
    if let Some(own) = own_values::<f32>(&mut x) {
        change_rows(own, width, 2 * width, f);
        return x;
    }
    let chunk = rows_of_task(2 * width);
    let parallel = many(2 * rows * width, rows.div_ceil(chunk));
    let f = by_rows(width, f);
    let out = pages::changed(values::<f32>(&x), chunk * width, parallel, |i, out| {
        Arch::new().dispatch(Task { out, first: i * chunk, f: &f });
    });
    tensor(out, rows, width)
}

/// As [`change_rows`], by many rows at a time: `f(first row, rows)`.
pub(crate) fn change_blocks<T: Real>(
    out: &mut [T],
    width: usize,
    columns: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let chunk = rows_of_task(columns);
    let numbers = out.len() / width * columns.max(width);
    share(numbers, out.chunks_mut(chunk * width).enumerate(), |(i, out)| {
        Arch::new().dispatch(Task { out, first: i * chunk, f: &f });
    });
}

/// Two results with as many rows, of `widths` numbers each, by many rows at a time:
/// `f(first row, rows of one, rows of the other)`. A row reads `columns` numbers.
pub(crate) fn fill_both<T: Real>(
    rows: usize,
    widths: [usize; 2],
    columns: usize,
    f: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) -> [Vec<T>; 2] {
    let mut both = widths.map(|width| pages::zeros(rows * width, T::default()));
    if both.iter().all(|out| !out.is_empty()) {
        let chunk = rows_of_task(columns);
        let [a, b] = &mut both;
        let chunks = a.chunks_mut(chunk * widths[0]).zip(b.chunks_mut(chunk * widths[1]));
        share(rows * columns, chunks.enumerate(), |(i, (out, extra))| {
            Arch::new().dispatch(ChunkTask { out, extra, first: i * chunk, f: &f });
        });
    }
    both
}

/// As [`fill_rows`], in as many equal parts as there are threads: `f(first row, rows, output)`,
/// for matrix products, whose numbers are sums over `depth`.
pub(crate) fn fill_parts<T: Real>(
    rows: usize,
    width: usize,
    depth: usize,
    f: impl Fn(usize, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = pages::zeros(rows * width, T::default());
    if !out.is_empty() {
        let part = rows.div_ceil(rayon::current_num_threads()).max(PART);
        let numbers = rows * width * depth.div_ceil(PRODUCTS);
        share(numbers, out.chunks_mut(part * width).enumerate(), |(i, out)| {
            f(i * part, out.len() / width, out);
        });
    }
    out
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
    let mut out = pages::zeros(rows * width, T::default());
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
        let chunks = out.chunks_mut(chunk * width).zip(more.chunks_mut(extra));
        share(rows * width, chunks.enumerate(), |(i, (out, extra))| {
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
