//! Affine transforms of images, one for each image of a batch.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::ops::{GridSampleOptions, GridSamplePaddingMode, InterpolateMode};
use burn::tensor::{Shape, Tensor, TensorData};

/// Each image resampled bilinearly where its affine map points to; outside it is `fill`.
///
/// With offsets `(dx, dy)` of a pixel of the result from the middle of the image, in pixels,
/// row `(a, b, c, d, e, f)` of `maps` reads the image at
/// `(a dx + b dy + c, d dx + e dy + f)` from the middle. On the CPU a flip or a shift by whole
/// pixels moves values without changing them.
///
/// # Shapes
/// `images`: `[batch, channels, height, width]`, `maps`: `[batch, 6]`; result as `images`. Images
/// receive a gradient.
///
/// # Panics
/// When shapes do not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_kernels::warp;
///
/// let device = Device::flex();
/// let image = Tensor::<4>::from_floats([[[[1.0, 2.0], [3.0, 4.0]]]], &device);
/// let flip = Tensor::<2>::from_floats([[-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]], &device);
/// let flipped = warp(image, flip, 0.0).into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(flipped, [2.0, 1.0, 4.0, 3.0]);
/// ```
pub fn warp(images: Tensor<4>, maps: Tensor<2>, fill: f64) -> Tensor<4> {
    assert_eq!(maps.dims(), [images.dims()[0], 6], "one map of six numbers per image");
    Tensor::from_dispatch(<Dispatch as WarpOps>::warp(
        images.into_dispatch(),
        maps.into_dispatch(),
        fill,
    ))
}

#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Capture: cfg(feature = "capture"),
    Remote: cfg(feature = "remote"),
    Cube: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait WarpOps: Backend {
    /// See [`warp`].
    fn warp(images: FloatTensor<Self>, maps: FloatTensor<Self>, fill: f64) -> FloatTensor<Self> {
        composed::<Self>(images, maps, fill)
    }
}

fn composed<B: Backend>(images: FloatTensor<B>, maps: FloatTensor<B>, fill: f64) -> FloatTensor<B> {
    let shape = images.shape();
    let [batch, height, width] = [shape[0], shape[2], shape[3]];
    let (cx, cy) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
    let device = images.device();
    let line = |n: usize, centre: f32, shape: [usize; 3]| {
        let values: Vec<f32> = (0..n).map(|i| i as f32 - centre).collect();
        B::float_from_data(TensorData::new(values, shape), &device)
    };
    let (x, y) = (line(width, cx, [1, 1, width]), line(height, cy, [1, height, 1]));
    // No product of matrices, which a card may round to tf32: a tenth of a pixel.
    let along = |row: usize, size: usize| {
        let number = |column: usize| {
            let at = 3 * row + column;
            let slices = [0..batch, at..at + 1].map(burn::tensor::Slice::from);
            B::float_reshape(B::float_slice(maps.clone(), &slices), Shape::new([batch, 1, 1]))
        };
        let sum = B::float_add(B::float_mul(number(0), x.clone()), number(2));
        let sum = B::float_add(B::float_mul(number(1), y.clone()), sum);
        // To the units of burn's grid, in which the image reaches from −1 to 1.
        let sum = B::float_mul_scalar(sum, (2.0 / size as f32).into());
        B::float_reshape(sum, Shape::new([batch, height, width, 1]))
    };
    let grid = B::float_cat(vec![along(0, width), along(1, height)], 3);
    let options = GridSampleOptions::new(InterpolateMode::Bilinear)
        .with_padding_mode(GridSamplePaddingMode::Zeros)
        .with_align_corners(false);
    if fill == 0.0 {
        return B::float_grid_sample_2d(images, grid, options);
    }
    // Outside is 0, which is the fill of images that are lower by it.
    let lower = B::float_sub_scalar(images, fill.into());
    B::float_add_scalar(B::float_grid_sample_2d(lower, grid, options), fill.into())
}

impl<B: WarpOps, C: CheckpointStrategy> WarpOps for Autodiff<B, C> {
    fn warp(images: FloatTensor<Self>, maps: FloatTensor<Self>, fill: f64) -> FloatTensor<Self> {
        if images.is_tracked() || maps.is_tracked() {
            return composed::<Self>(images, maps, fill);
        }
        FloatTensor::<Self>::new(B::warp(images.into_primitive(), maps.into_primitive(), fill))
    }
}
#[cfg(feature = "cube")]
impl WarpOps for burn::backend::Cube {}
crate::plain::plain_backends!(WarpOps);

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::{Flex, TensorMetadata};
    use burn::tensor::{DType, Shape, TensorData};
    use counterweight_core::pages;

    use super::{WarpOps, composed};
    use crate::rows::{Float, values};
    use crate::tasks::share;

    impl WarpOps for Flex {
        fn warp(images: Float, maps: Float, fill: f64) -> Float {
            if images.dtype() != DType::F32 || maps.dtype() != DType::F32 {
                return composed::<Self>(images, maps, fill);
            }
            let shape = images.shape();
            let [channels, height, width] = [shape[1], shape[2], shape[3]];
            let (images, maps) = (images.to_contiguous(), maps.to_contiguous());
            let size = channels * height * width;
            let mut out = pages::zeros(shape[0] * size, 0f32);
            if size > 0 {
                let all = values::<f32>(&images).chunks(size);
                let maps = values::<f32>(&maps).chunks(6);
                let fill = fill as f32;
                let tasks = out.chunks_mut(size).zip(all).zip(maps);
                share(shape[0] * size, tasks, |((out, image), map)| {
                    one(out, image, map, [height, width], fill);
                });
            }
            let shape = Shape::new([shape[0], channels, height, width]);
            Float::from_data(TensorData::new(out, shape))
        }
    }

    /// All channels of an image.
    fn one(out: &mut [f32], image: &[f32], map: &[f32], [height, width]: [usize; 2], fill: f32) {
        let plane = height * width;
        let unit = |v: f32| v == 1.0 || v == -1.0;
        let whole = map[2].fract() == 0.0 && map[5].fract() == 0.0;
        if whole && unit(map[0]) && unit(map[4]) && map[1] == 0.0 && map[3] == 0.0 {
            for (out, image) in out.chunks_exact_mut(plane).zip(image.chunks_exact(plane)) {
                shift(out, image, map, [height, width], fill);
            }
            return;
        }
        let (cx, cy) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
        for y in 0..height {
            let dy = y as f32 - cy;
            for x in 0..width {
                let dx = x as f32 - cx;
                let u = map[0] * dx + map[1] * dy + map[2] + cx;
                let v = map[3] * dx + map[4] * dy + map[5] + cy;
                let (left, top) = (u.floor(), v.floor());
                let (p, q) = (u - left, v - top);
                let at = y * width + x;
                // A float out of range becomes the nearest integer, far outside.
                let (left, top) = (left as i32, top as i32);
                let (i, j) = (left as usize, top as usize);
                if left >= 0 && top >= 0 && i + 1 < width && j + 1 < height {
                    let from = j * width + i;
                    for c in (0..out.len()).step_by(plane) {
                        let [above, below] = [from, from + width].map(|at| {
                            let pair = &image[c + at..c + at + 2];
                            pair[0] + p * (pair[1] - pair[0])
                        });
                        out[c + at] = above + q * (below - above);
                    }
                } else {
                    edge(&mut out[at..], image, [left, top], [p, q], [height, width], fill);
                }
            }
        }
    }

    /// A channel moved by whole pixels, or mirrored.
    fn shift(out: &mut [f32], image: &[f32], map: &[f32], [height, width]: [usize; 2], fill: f32) {
        // A float out of range becomes the nearest integer, far outside.
        let source = |at: usize, size: usize, sign: f32, by: f32| {
            let at = if sign > 0.0 { at } else { size - 1 - at } as i32;
            at.saturating_add(by as i32)
        };
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let from = source(y, height, map[4], map[5]);
            let row = usize::try_from(from).ok().filter(|row| *row < height);
            let Some(row) = row.map(|row| &image[row * width..(row + 1) * width]) else {
                out.fill(fill);
                continue;
            };
            if map[0] > 0.0 {
                let by = (map[2] as i32).clamp(-(width as i32), width as i32);
                let (skip, lost) = ((-by).max(0) as usize, by.max(0) as usize);
                let (head, rest) = out.split_at_mut(skip);
                let (body, tail) = rest.split_at_mut(width - skip - lost);
                head.fill(fill);
                body.copy_from_slice(&row[lost..width - skip]);
                tail.fill(fill);
            } else {
                for (x, out) in out.iter_mut().enumerate() {
                    let from = source(x, width, map[0], map[2]);
                    *out = usize::try_from(from).ok().and_then(|x| row.get(x)).map_or(fill, |v| *v);
                }
            }
        }
    }

    /// A pixel near the border or outside, in all channels.
    fn edge(
        out: &mut [f32],
        image: &[f32],
        [left, top]: [i32; 2],
        [p, q]: [f32; 2],
        [height, width]: [usize; 2],
        fill: f32,
    ) {
        let plane = height * width;
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| {
            let (x, y) = (left.saturating_add(i), top.saturating_add(j));
            let inside = x >= 0 && x < width as i32 && y >= 0 && y < height as i32;
            let weight = (if i == 0 { 1.0 - p } else { p }) * (if j == 0 { 1.0 - q } else { q });
            (inside && weight > 0.0).then(|| (y as usize * width + x as usize, weight))
        });
        let seen: f32 = corners.iter().flatten().map(|c| c.1).sum();
        for (out, image) in out.iter_mut().step_by(plane).zip(image.chunks_exact(plane)) {
            let inside: f32 = corners.iter().flatten().map(|&(at, w)| w * image[at]).sum();
            *out = inside + (1.0 - seen) * fill;
        }
    }
}
