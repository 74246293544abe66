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
/// `images`: `[batch, channels, height, width]`, `maps`: `[batch, 6]`, or `[1, 6]` for all; result as
/// `images`. Images receive a gradient.
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
    let ([maps_rows, six], batch) = (maps.dims(), images.dims()[0]);
    let fits = six == 6 && (maps_rows == batch || maps_rows == 1);
    assert!(fits, "a map of six numbers for each of {batch} images or for all");
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
    let maps = B::float_expand(maps, Shape::new([batch, 6]));
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
    use crate::tasks::many;

    impl WarpOps for Flex {
        fn warp(images: Float, maps: Float, fill: f64) -> Float {
            if images.dtype() != DType::F32 || maps.dtype() != DType::F32 {
                return composed::<Self>(images, maps, fill);
            }
            let shape = images.shape();
            let [channels, height, width] = [shape[1], shape[2], shape[3]];
            let (images, maps) = (images.to_contiguous(), maps.to_contiguous());
            let maps = values::<f32>(&maps);
            if maps.chunks(6).all(|map| map == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]) {
                return images;
            }
            // With one map for all its places are found once for a few images, which the cache holds;
            // where pixels only move there are none to find.
            let together = if maps.len() == 6 && !moves(maps) { 8 } else { 1 };
            let (size, all) = (together * channels * height * width, values::<f32>(&images));
            let parallel = many(all.len(), shape[0].div_ceil(together));
            let out = pages::filled(all.len(), size, parallel, |at, out: &mut [f32]| {
                let map = &maps[6 * at % maps.len()..][..6];
                let images = &all[at * size..][..out.len()];
                warped(out, images, map, [height, width], fill as f32);
            });
            let shape = Shape::new([shape[0], channels, height, width]);
            Float::from_data(TensorData::new(out, shape))
        }
    }

    /// Whether every pixel of the result is one of the image, or outside of it.
    fn moves(map: &[f32]) -> bool {
        let unit = |v: f32| v == 1.0 || v == -1.0;
        let whole = map[2].fract() == 0.0 && map[5].fract() == 0.0;
        whole && unit(map[0]) && unit(map[4]) && map[1] == 0.0 && map[3] == 0.0
    }

    /// All channels of the images of one map.
    fn warped(out: &mut [f32], image: &[f32], map: &[f32], [height, width]: [usize; 2], fill: f32) {
        let plane = height * width;
        let channels = image.chunks_exact(plane);
        if moves(map) {
            for (out, image) in out.chunks_exact_mut(plane).zip(channels) {
                shift(out, image, map, [height, width], fill);
            }
            return;
        }
        let (cx, cy) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
        let mut places = vec![Place::default(); width];
        for y in 0..height {
            let dy = y as f32 - cy;
            for (x, place) in places.iter_mut().enumerate() {
                let dx = x as f32 - cx;
                let u = map[0] * dx + map[1] * dy + map[2] + cx;
                let v = map[3] * dx + map[4] * dy + map[5] + cy;
                *place = Place::new([u, v], [height, width], fill);
            }
            for (out, image) in out.chunks_exact_mut(plane).zip(channels.clone()) {
                for (out, place) in out[y * width..][..width].iter_mut().zip(&places) {
                    *out = place.read(image);
                }
            }
        }
    }

    /// Four pixels of a channel, their weights and what the outside adds.
    #[derive(Clone, Copy, Default)]
    struct Place {
        at: [u32; 4],
        weights: [f32; 4],
        outside: f32,
    }

    impl Place {
        #[inline(always)]
        fn new([u, v]: [f32; 2], [height, width]: [usize; 2], fill: f32) -> Self {
            let ([left, right], x) = Self::along(u, width);
            let ([top, bottom], y) = Self::along(v, height);
            let row = width as u32;
            Self {
                at: [
                    top * row + left,
                    top * row + right,
                    bottom * row + left,
                    bottom * row + right,
                ],
                weights: [y[0] * x[0], y[0] * x[1], y[1] * x[0], y[1] * x[1]],
                outside: fill * (1.0 - (x[0] + x[1]) * (y[0] + y[1])),
            }
        }

        /// The two neighbours of a coordinate, and their weights: 0 outside.
        #[inline(always)]
        fn along(at: f32, size: usize) -> ([u32; 2], [f32; 2]) {
            let last = size as f32;
            // Not below 0, a number is cut as it is rounded down, without a call of the C library. NaN stays.
            let moved = (at + 2.0).clamp(0.0, last + 2.0);
            let first = moved as i32;
            let share = moved - first as f32;
            let inside = |i: i32| if i >= 0 && i < size as i32 { 1.0 } else { 0.0 };
            let kept = |i: i32| i.clamp(0, size as i32 - 1) as u32;
            let (first, second) = (first - 2, first - 1);
            let weights = [(1.0 - share) * inside(first), share * inside(second)];
            ([kept(first), kept(second)], weights)
        }

        #[inline(always)]
        fn read(&self, image: &[f32]) -> f32 {
            let pixel = |i: usize| self.weights[i] * image[self.at[i] as usize];
            pixel(0) + pixel(1) + (pixel(2) + pixel(3)) + self.outside
        }
    }

    /// A channel moved by whole pixels, or mirrored.
    fn shift(out: &mut [f32], image: &[f32], map: &[f32], [height, width]: [usize; 2], fill: f32) {
        let mirrored = map[0] < 0.0;
        let by = (map[2] as i32).clamp(-(width as i32), width as i32);
        let (before, behind) = ((-by).max(0) as usize, by.max(0) as usize);
        let (head, tail) = if mirrored { (behind, before) } else { (before, behind) };
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let at = if map[4] > 0.0 { y } else { height - 1 - y } as i32;
            // A float out of range becomes the nearest integer, far outside.
            let from = at.saturating_add(map[5] as i32);
            let row = usize::try_from(from).ok().filter(|row| *row < height);
            let Some(row) = row.map(|row| &image[row * width..(row + 1) * width]) else {
                out.fill(fill);
                continue;
            };
            let seen = &row[behind..width - before];
            out[..head].fill(fill);
            out[width - tail..].fill(fill);
            let body = &mut out[head..width - tail];
            if mirrored {
                body.iter_mut().zip(seen.iter().rev()).for_each(|(out, v)| *out = *v);
            } else {
                body.copy_from_slice(seen);
            }
        }
    }
}
