//! Rows with gaps between them, as burn lays them out on CUDA, give what rows without do.

use burn::backend::DispatchDevice;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::{Device, DeviceType, TensorData};
use burn_cubecl::{CubeBackend, CubeDevice};
use cubecl::zspace::metadata::Metadata;

use super::{Float, Ids};
use crate::BinaryFocal;
use crate::block::BlockOps;
use crate::mix::MixOps;
use crate::ops::RowOps;

const ROWS: usize = 5;

/// Numbers of a matrix, and NaN in the gaps.
fn matrix(seed: usize, columns: usize, pitch: usize, device: &CubeDevice) -> Float {
    let number = |i: usize, j: usize| ((i * 31 + j * 7 + seed * 13) % 17) as f32 / 17.0;
    let values: Vec<f32> = (0..ROWS * pitch)
        .map(|at| (at / pitch, at % pitch))
        .map(|(i, j)| if j < columns { number(i, j) } else { f32::NAN })
        .collect();
    let mut tensor = from(values, [ROWS, pitch], device);
    *tensor.meta = Metadata::new([ROWS, columns], [pitch, 1]);
    tensor
}

fn from<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &CubeDevice) -> Float {
    CubeBackend::float_from_data(TensorData::new(values, shape), device)
}

fn read(tensor: Float) -> Vec<f32> {
    let data = cubecl::future::block_on(CubeBackend::float_into_data(tensor)).unwrap();
    data.try_to_vec().unwrap()
}

/// What every kernel that reads a matrix makes of one with such gaps.
fn outputs(columns: usize, pitch: usize, device: &CubeDevice) -> Vec<Vec<f32>> {
    let one = |seed| matrix(seed, columns, pitch, device);
    let line = |value: f32| from(vec![value; columns], [1, columns], device);
    let each = || from((0..ROWS).map(|i| i as f32 + 1.0).collect(), [ROWS], device);
    let ids = |n: usize| -> Ids {
        let ids: Vec<i32> = (0..ROWS).map(|i| (i * 29 % n) as i32).collect();
        CubeBackend::int_from_data(TensorData::new(ids, [ROWS, 1]), device)
    };
    let (value, lse) = CubeBackend::log_prob_lse(one(1), ids(columns), line(0.1), line(0.2), 2.0);
    let slope = CubeBackend::log_prob_backward(
        one(1),
        ids(columns),
        line(0.1),
        line(0.2),
        2.0,
        lse.clone(),
        each(),
    );
    let (cost, sums) = CubeBackend::cross_entropy_lse(one(1), one(2), line(0.1), 2.0);
    let steep =
        CubeBackend::cross_entropy_backward(one(1), one(2), line(0.1), 2.0, sums.clone(), each());
    let soft = CubeBackend::log_softmax_rows(one(1), line(0.1), 2.0);
    let back = CubeBackend::log_softmax_rows_backward(one(1), 2.0, one(2));
    let terms = BinaryFocal { gamma_positive: 1.0, gamma_negative: 2.0, margin: 0.1 };
    let binary = CubeBackend::binary_focal(one(1), one(2), line(1.0), line(0.5), terms);
    let (both, slopes) =
        CubeBackend::binary_focal_slope(one(1), one(2), line(1.0), line(0.5), terms);
    let scaled = CubeBackend::scale_rows(one(1), each());
    let weights = from((0..2 * ROWS).map(|i| i as f32).collect(), [ROWS, 2], device);
    let mixed = CubeBackend::mix_pairs(one(1), ids(ROWS), weights);
    let (gamma, beta) = (line(0.3), line(0.7));
    let (normed, mean, inverse) =
        CubeBackend::add_norm_state(one(1), one(2), gamma.clone(), beta, 1e-5);
    let (moments, narrow) = (mean.clone(), inverse.clone());
    let (to_sum, to_gamma, to_beta) =
        CubeBackend::add_norm_backward(one(1), one(2), gamma, moments, narrow, one(3));
    let columns_of = CubeBackend::column_sums(one(1));
    let block = [normed, mean, inverse, to_sum, to_gamma, to_beta, columns_of].map(read);
    let rows =
        [value, lse, slope, cost, sums, steep, soft, back, binary, both, slopes, scaled, mixed];
    rows.map(read).into_iter().chain(block).collect()
}

fn device() -> Option<CubeDevice> {
    let Some(device) = Device::enumerate(DeviceType::Wgpu).into_vec().into_iter().next() else {
        assert!(std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "no wgpu");
        eprintln!("skipped: this machine has no driver for wgpu");
        return None;
    };
    let DispatchDevice::Cube(device) = device.as_dispatch() else { unreachable!("wgpu") };
    Some(device.clone())
}

#[test]
fn lists_of_any_length_have_their_sum() {
    let Some(device) = device() else { return };
    // One cube, two, all of them and more numbers than they take at once.
    for n in [1, 3, 4, 255, 256, 4096, 4097, 8192, 12_345, 1_000_003, 4_194_304] {
        let values: Vec<f32> = (0..n).map(|i| (i % 8) as f32).collect();
        let expected: f64 = values.iter().map(|v| f64::from(*v)).sum();
        for mean in [false, true] {
            let total = CubeBackend::total(from(values.clone(), [n], &device), mean);
            assert_eq!(*total.meta.shape(), [1].into());
            let expected = if mean { expected / n as f64 } else { expected };
            let found = f64::from(read(total)[0]);
            assert!((found - expected).abs() <= 1e-6 * expected, "{n}: {found} for {expected}");
        }
    }
}

#[test]
fn rows_may_have_gaps() {
    let Some(device) = &device() else { return };
    // Read by vectors of four and by single numbers.
    for (columns, pitch) in [(132, 136), (132, 133), (131, 160)] {
        let expected = outputs(columns, columns, device);
        for (i, (got, expected)) in
            outputs(columns, pitch, device).iter().zip(&expected).enumerate()
        {
            assert!(expected.iter().all(|v| v.is_finite()), "kernel {i}");
            assert_eq!(got, expected, "kernel {i}, {columns} columns {pitch} apart");
        }
    }
}
