//! Affine transforms of images, one for each image of a batch.

// Burn deprecates its ndarray backend, which we still serve.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

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
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
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
    let points: Vec<f32> = (0..height * width)
        .flat_map(|i| [(i % width) as f32 - cx, (i / width) as f32 - cy, 1.0])
        .collect();
    let device = images.device();
    let points = B::float_from_data(TensorData::new(points, [1, height * width, 3]), &device);
    // To the units of burn's grid, in which the image reaches from −1 to 1.
    let units = vec![2.0 / width as f32, 2.0 / height as f32];
    let units = B::float_from_data(TensorData::new(units, [1, 1, 2]), &device);
    let maps = B::float_reshape(maps, Shape::new([batch, 2, 3]));
    let maps = B::float_swap_dims(maps, 1, 2);
    let points = B::float_expand(points, Shape::new([batch, height * width, 3]));
    let grid = B::float_mul(B::float_matmul(points, maps), units);
    let grid = B::float_reshape(grid, Shape::new([batch, height, width, 2]));
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
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl WarpOps for burn::backend::Cube {}
#[cfg(feature = "ndarray")]
impl WarpOps for burn::backend::NdArray {}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::{Flex, TensorMetadata};
    use burn::tensor::{DType, Shape, TensorData};
    use rayon::prelude::*;

    use super::{WarpOps, composed};
    use crate::rows::{Float, values};

    impl WarpOps for Flex {
        fn warp(images: Float, maps: Float, fill: f64) -> Float {
            if images.dtype() != DType::F32 || maps.dtype() != DType::F32 {
                return composed::<Self>(images, maps, fill);
            }
            let shape = images.shape();
            let [channels, height, width] = [shape[1], shape[2], shape[3]];
            let (images, maps) = (images.to_contiguous(), maps.to_contiguous());
            let size = channels * height * width;
            let mut out = vec![0f32; shape[0] * size];
            if size > 0 {
                let all = values::<f32>(&images).par_chunks(size);
                let maps = values::<f32>(&maps).par_chunks(6);
                let fill = fill as f32;
                out.par_chunks_mut(size).zip(all).zip(maps).for_each(|((out, image), map)| {
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
        let (cx, cy) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
        let [right, bottom] = [width, height].map(|n| n as i32);
        for y in 0..height {
            let dy = y as f32 - cy;
            for x in 0..width {
                let dx = x as f32 - cx;
                let u = map[0] * dx + map[1] * dy + map[2] + cx;
                let v = map[3] * dx + map[4] * dy + map[5] + cy;
                let (left, top) = (u.floor(), v.floor());
                let (p, q) = (u - left, v - top);
                // A float out of range becomes the nearest integer, far outside.
                let (left, top) = (left as i32, top as i32);
                let at = y * width + x;
                let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| {
                    let (x, y) = (left.saturating_add(i), top.saturating_add(j));
                    let inside = x >= 0 && x < right && y >= 0 && y < bottom;
                    let weight =
                        (if i == 0 { 1.0 - p } else { p }) * (if j == 0 { 1.0 - q } else { q });
                    (inside && weight > 0.0).then(|| (y as usize * width + x as usize, weight))
                });
                let seen: f32 = corners.iter().flatten().map(|c| c.1).sum();
                for (out, image) in out.chunks_exact_mut(plane).zip(image.chunks_exact(plane)) {
                    let inside: f32 = corners.iter().flatten().map(|&(at, w)| w * image[at]).sum();
                    out[at] = inside + (1.0 - seen) * fill;
                }
            }
        }
    }
}
