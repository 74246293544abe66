//! A step of AdamW.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::{CubeBackend, tensor::CubeTensor};
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::rows::{UNITS, contiguous, float};
use crate::adam::{AdamOps, AdamStep, composed};

/// A unit for each vector; moments are f32, weights and gradient of one type.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn one_pass<F: Float, N: Size>(
    weights: &[Vector<F, N>],
    gradient: &[Vector<F, N>],
    first: &[Vector<f32, N>],
    second: &[Vector<f32, N>],
    new_weights: &mut [Vector<F, N>],
    new_first: &mut [Vector<f32, N>],
    new_second: &mut [Vector<f32, N>],
    vectors: u32,
    beta_1: f32,
    beta_2: f32,
    fresh_1: f32,
    fresh_2: f32,
    correction: f32,
    rate: f32,
    kept: f32,
    epsilon: f32,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS >= vectors as usize {
        terminate!();
    }
    let i = ABSOLUTE_POS;
    let g = Vector::<f32, N>::cast_from(gradient[i]);
    let w = Vector::<f32, N>::cast_from(weights[i]);
    let m = first[i] * Vector::new(beta_1) + g * Vector::new(fresh_1);
    let v = second[i] * Vector::new(beta_2) + g * g * Vector::new(fresh_2);
    let root = (v * Vector::new(correction)).sqrt() + Vector::new(epsilon);
    let w = w * Vector::new(kept) - m / root * Vector::new(rate);
    new_first[i] = m;
    new_second[i] = v;
    new_weights[i] = Vector::<F, N>::cast_from(w);
}

impl AdamOps for CubeBackend {
    fn adam(
        weights: CubeTensor,
        gradient: CubeTensor,
        first: CubeTensor,
        second: CubeTensor,
        step: AdamStep,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let n = weights.shape().num_elements();
        let fits = gradient.dtype == weights.dtype
            && [&first, &second].iter().all(|moment| moment.dtype == DType::F32)
            && (1..u32::MAX as usize).contains(&n);
        let (Some(kind), true) = (float(weights.dtype), fits) else {
            return composed::<Self>(weights, gradient, first, second, step);
        };
        let like = |x: &CubeTensor| {
            let (client, device) = (x.client.clone(), x.device.clone());
            empty_device_contiguous_dtype(client, device, x.shape(), x.dtype)
        };
        let (new_weights, new_first, new_second) = (like(&weights), like(&first), like(&second));
        let vector = [4, 2].into_iter().find(|&vector| n.is_multiple_of(vector)).unwrap_or(1);
        let client = weights.client.clone();
        let cube = CubeDim::new_1d(UNITS as u32);
        let [c1, c2] = step.corrections();
        one_pass::launch(
            &client,
            calculate_cube_count_elemwise(&client, n / vector, cube),
            cube,
            vector,
            contiguous(weights),
            contiguous(gradient),
            contiguous(first),
            contiguous(second),
            new_weights.clone().into_buffer_arg(),
            new_first.clone().into_buffer_arg(),
            new_second.clone().into_buffer_arg(),
            (n / vector) as u32,
            step.beta_1 as f32,
            step.beta_2 as f32,
            (1.0 - step.beta_1) as f32,
            (1.0 - step.beta_2) as f32,
            (1.0 / c2) as f32,
            (step.rate / c1) as f32,
            (1.0 - step.rate * step.decay) as f32,
            step.epsilon as f32,
            kind,
        );
        (new_weights, new_first, new_second)
    }
}
