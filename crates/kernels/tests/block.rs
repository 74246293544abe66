//! The block's operations: fused (f32) and by tensor operations (f64) against burn's own
//! operations with burn's own gradients.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::activation::{relu, softmax};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};
use counterweight_kernels::{
    add_norm, attention, batch_norm_relu, dense, dense_transposed, dropout, gelu,
};
use proptest::prelude::*;

/// Held by tests that draw: a device has one stream of random numbers, which a seed begins anew.
static DRAWS: Mutex<()> = Mutex::new(());

fn drawing() -> MutexGuard<'static, ()> {
    DRAWS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers of about a normal distribution, by an index and a seed.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let hash = |i: usize| {
        let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n).map(|i| (0..4).map(|k| hash(4 * i + k)).sum::<f64>() * 2.0 - 4.0).collect()
}

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], dtype: DType) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&device(), dtype)).require_grad()
}

fn read<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_to_vec().unwrap()
}

/// Value and gradients of `Σ f(inputs) · weights`.
fn with_gradients(
    inputs: &[(Vec<f64>, [usize; 2])],
    dtype: DType,
    f: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
) -> Vec<Vec<f64>> {
    let inputs: Vec<Tensor<2>> =
        inputs.iter().map(|(values, shape)| tensor(values, *shape, dtype)).collect();
    let out = f(&inputs);
    let weights = tensor(&numbers(out.shape().num_elements(), 99), out.dims(), dtype);
    let gradients = (out.clone() * weights.detach()).sum().backward();
    let mut all = vec![read(out)];
    all.extend(inputs.iter().map(|x| read(x.grad(&gradients).unwrap())));
    all
}

/// Both implementations against the reference.
fn agree(
    inputs: &[(Vec<f64>, [usize; 2])],
    ours: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
    reference: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
) {
    let expected = with_gradients(inputs, DType::F64, reference);
    for (dtype, tolerance) in [(DType::F64, 1e-7), (DType::F32, 3e-5)] {
        let got = with_gradients(inputs, dtype, ours);
        for (part, (g, e)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(g.len(), e.len());
            let scale = e.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            for (i, (g, e)) in g.iter().zip(e).enumerate() {
                assert!(
                    (g - e).abs() <= tolerance * scale,
                    "{dtype:?}, part {part}, entry {i}: {g}, not {e}"
                );
            }
        }
    }
}

/// Attention by burn's operations.
fn plain_attention(
    qkv: &Tensor<2>,
    mask: &Tensor<2>,
    heads: usize,
    causal: bool,
    kept: Option<&Tensor<4>>,
) -> Tensor<2> {
    let [batch, length] = mask.dims();
    let depth = qkv.dims()[1] / 3 / heads;
    let apart = qkv.clone().reshape([batch, length, 3, heads, depth]);
    let part = |i: usize| {
        let part: Tensor<4> = apart.clone().narrow(2, i, 1).squeeze_dim(2);
        part.swap_dims(1, 2)
    };
    let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (depth as f64).sqrt();
    let mut seen = mask.clone().reshape([batch, 1, 1, length]);
    if causal {
        let before = Tensor::<2>::ones([length, length], (&mask.device(), mask.dtype())).tril(0);
        seen = seen * before.unsqueeze();
    }
    let p = softmax(scores + (seen.clone() - 1.0) * 1e9, 3) * seen;
    let p = match kept {
        Some(kept) => p * kept.clone(),
        None => p,
    };
    p.matmul(part(2)).swap_dims(1, 2).reshape([batch * length, heads * depth])
}

/// Rows that mean nothing, behind a text's last token, as zeros.
fn only_tokens(out: Tensor<2>, mask: &Tensor<2>) -> Tensor<2> {
    let [batch, length] = mask.dims();
    let values = read(mask.clone());
    let row = |text: &[f64]| {
        let last = text.iter().rposition(|&m| m != 0.0).map_or(0, |last| last + 1);
        (0..text.len()).map(|i| f64::from(u8::from(i < last))).collect::<Vec<_>>()
    };
    let rows: Vec<f64> = values.chunks(length).flat_map(row).collect();
    let rows = TensorData::new(rows, [batch * length, 1]);
    out.clone() * Tensor::<2>::from_data(rows, (&out.device(), out.dtype()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn dense_gelu_and_norm_are_burns(
        rows in 1usize..80, inputs in 1usize..40, outputs in 1usize..40, seed: u64,
    ) {
        let x = (numbers(rows * inputs, seed), [rows, inputs]);
        let w = (numbers(inputs * outputs, seed ^ 1), [inputs, outputs]);
        let b = (numbers(outputs, seed ^ 2), [1, outputs]);
        agree(
            &[x.clone(), w, b],
            &|t| dense(t[0].clone(), t[1].clone(), t[2].clone().squeeze_dim(0)),
            &|t| t[0].clone().matmul(t[1].clone()) + t[2].clone(),
        );
        agree(
            std::slice::from_ref(&x),
            &|t| gelu(t[0].clone()),
            &|t| burn::tensor::activation::gelu(t[0].clone()),
        );
        let residual = (numbers(rows * inputs, seed ^ 3), [rows, inputs]);
        let gamma = (numbers(inputs, seed ^ 4), [1, inputs]);
        let beta = (numbers(inputs, seed ^ 5), [1, inputs]);
        if inputs > 1 {
            agree(
                &[x, residual, gamma, beta],
                &|t| {
                    let flat = |i: usize| t[i].clone().squeeze_dim::<1>(0);
                    add_norm(t[0].clone(), t[1].clone(), flat(2), flat(3), 1e-3)
                },
                &|t| {
                    let s = t[0].clone() + t[1].clone();
                    let centred = s.clone() - s.mean_dim(1);
                    let variance = centred.clone().powi_scalar(2).mean_dim(1);
                    centred / (variance + 1e-3).sqrt() * t[2].clone() + t[3].clone()
                },
            );
        }
    }

    #[test]
    fn transposed_products_and_batch_norm_are_burns(
        rows in 1usize..200, inputs in 1usize..40, outputs in 1usize..40, seed: u64,
    ) {
        let x = (numbers(rows * outputs, seed), [rows, outputs]);
        let w = (numbers(inputs * outputs, seed ^ 1), [inputs, outputs]);
        agree(
            &[x.clone(), w],
            &|t| dense_transposed(t[0].clone(), t[1].clone()),
            &|t| t[0].clone().matmul(t[1].clone().transpose()),
        );
        let gamma = (numbers(outputs, seed ^ 4), [1, outputs]);
        let beta = (numbers(outputs, seed ^ 5), [1, outputs]);
        let normed = |t: &[Tensor<2>]| {
            let centred = t[0].clone() - t[0].clone().mean_dim(0);
            let variance = centred.clone().powi_scalar(2).mean_dim(0);
            centred / (variance + 1e-3).sqrt() * t[1].clone() + t[2].clone()
        };
        let inputs = [x, gamma, beta];
        let exact: Vec<Tensor<2>> =
            inputs.iter().map(|(values, shape)| tensor(values, *shape, DType::F64)).collect();
        // ReLU's slope jumps at 0.
        prop_assume!(read(normed(&exact)).iter().all(|y| y.abs() > 1e-5));
        agree(
            &inputs,
            &|t| {
                let flat = |i: usize| t[i].clone().squeeze_dim::<1>(0);
                batch_norm_relu(t[0].clone(), flat(1), flat(2), 1e-3).0
            },
            &|t| relu(normed(t)),
        );
    }

    #[test]
    fn attention_is_burns(
        lengths in prop::collection::vec(0usize..9, 1..4),
        gap in any::<bool>(),
        heads in 1usize..4,
        depth in 1usize..6,
        causal: bool,
        seed: u64,
    ) {
        // It draws what it drops, also where that is nothing.
        let _alone = drawing();
        let (batch, length) = (lengths.len(), 9);
        let mask: Vec<f64> = lengths
            .iter()
            .flat_map(|&n| (0..length).map(move |i| f64::from(u8::from(i < n && !(gap && i == 1)))))
            .collect();
        let columns = 3 * heads * depth;
        let qkv = (numbers(batch * length * columns, seed), [batch * length, columns]);
        let mask = |dtype| tensor(&mask, [batch, length], dtype).detach();
        agree(
            &[qkv],
            &|t| {
                let mask = mask(t[0].dtype());
                only_tokens(attention(t[0].clone(), mask.clone(), heads, causal, 0.0), &mask)
            },
            &|t| {
                let mask = mask(t[0].dtype());
                only_tokens(plain_attention(&t[0], &mask, heads, causal, None), &mask)
            },
        );
    }
}

#[test]
fn what_attention_drops_is_dropped_in_the_gradient_too() {
    let _alone = drawing();
    let (batch, heads, length, depth) = (2, 2, 7, 8);
    let columns = 3 * heads * depth;
    let mut values = numbers(batch * length * columns, 5);
    // Values are unit vectors, so that the output shows the weights.
    for (row, values) in values.chunks_mut(columns).enumerate() {
        for (i, v) in values[2 * heads * depth..].iter_mut().enumerate() {
            *v = f64::from(u8::from(i % depth == row % length));
        }
    }
    for dtype in [DType::F32, DType::F64] {
        let mask = Tensor::<2>::ones([batch, length], (&device(), dtype));
        device().seed(11);
        let qkv = tensor(&values, [batch * length, columns], dtype);
        let out = attention(qkv.clone(), mask.clone(), heads, false, 0.4);
        let shown: Tensor<4> =
            out.clone().reshape([batch, length, heads, depth]).swap_dims(1, 2).narrow(3, 0, length);
        let kept = shown.detach().not_equal_scalar(0.0).float().cast(dtype);
        let share =
            read(kept.clone()).iter().sum::<f64>() / (batch * heads * length * length) as f64;
        assert!((0.4..0.8).contains(&share), "{share} of the weights are left");

        let weights = tensor(&numbers(batch * length * heads * depth, 3), out.dims(), dtype);
        let ours = read(qkv.grad(&(out * weights.clone().detach()).sum().backward()).unwrap());
        let again = tensor(&values, [batch * length, columns], dtype);
        let plain = plain_attention(&again, &mask, heads, false, Some(&(kept / 0.6)));
        let plain = read(again.grad(&(plain * weights.detach()).sum().backward()).unwrap());
        for (o, p) in ours.iter().zip(&plain) {
            assert!((o - p).abs() < 1e-4, "{dtype:?}: {o}, not {p}");
        }
    }
}

#[test]
fn dropout_drops_a_share_and_keeps_the_mean() {
    let _alone = drawing();
    for dtype in [DType::F32, DType::F64] {
        device().seed(3);
        let x = Tensor::<2>::ones([400, 500], (&device(), dtype)).require_grad();
        let (first, second) = (dropout(x.clone(), 0.25), dropout(x.clone(), 0.25));
        let values = read(first.clone());
        let zeros = values.iter().filter(|&&v| v == 0.0).count() as f64 / 200_000.0;
        assert!((zeros - 0.25).abs() < 0.005, "{zeros}");
        assert!(values.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        assert_ne!(values, read(second), "each call draws");
        // Columns and rows alike.
        for k in 0..500 {
            let column = (0..400).filter(|r| values[r * 500 + k] == 0.0).count();
            assert!((50..150).contains(&column), "column {k}: {column} of 400");
        }
        let gradient = read(x.grad(&first.sum().backward()).unwrap());
        assert_eq!(gradient, values, "the gradient passes where the number did");
        device().seed(3);
        assert_eq!(read(dropout(x.clone(), 0.25)), values, "a seed decides");
        assert_eq!(read(dropout(x, 0.0)), vec![1.0; 200_000]);
    }
}

#[test]
fn the_moments_of_columns_come_back_as_constants() {
    let values = [[1.0, -5.0, 1e4], [3.0, -5.0, 1e4], [8.0, -5.0, -1e4]].concat();
    for dtype in [DType::F32, DType::F64] {
        let x = tensor(&values, [3, 3], dtype);
        let [gamma, beta] = [1.0, 0.0].map(|v| Tensor::<1>::full([3], v, (&device(), dtype)));
        for x in [x.clone(), x.inner()] {
            let line = |v: &Tensor<1>| {
                if x.device().is_autodiff() { v.clone() } else { v.clone().inner() }
            };
            let (out, [mean, variance]) =
                batch_norm_relu(x.clone(), line(&gamma), line(&beta), 1e-5);
            assert!(!mean.device().is_autodiff() && !variance.device().is_autodiff());
            let close = |got: Vec<f64>, exact: [f64; 3]| {
                let near = |(g, e): (&f64, f64)| (g - e).abs() <= 1e-6 * e.abs().max(1.0);
                assert!(got.iter().zip(exact).all(near), "{got:?}, not {exact:?}");
            };
            close(read(mean), [4.0, -5.0, 1e4 / 3.0]);
            close(read(variance), [26.0 / 3.0, 0.0, 8e8 / 9.0]);
            let out = read(out);
            close(out[6..].into(), [4.0 / (26f64 / 3.0 + 1e-5).sqrt(), 0.0, 0.0]);
        }
    }
}

#[test]
fn extreme_numbers_stay_finite() {
    let _alone = drawing();
    let device = Device::flex();
    let huge = Tensor::<2>::random([20, 24], Distribution::Uniform(-1e4, 1e4), &device);
    for values in [
        read(gelu(huge.clone())),
        read(attention(huge.clone(), Tensor::ones([4, 5], &device), 2, true, 0.0)),
        read(
            batch_norm_relu(
                huge.clone(),
                Tensor::ones([24], &device),
                Tensor::ones([24], &device),
                0.1,
            )
            .0,
        ),
        read(add_norm(
            huge.clone() * 0.0,
            huge * 0.0,
            Tensor::ones([24], &device),
            Tensor::zeros([24], &device),
            1e-12,
        )),
    ] {
        assert!(values.iter().all(|v| v.is_finite()));
    }
    let x = Tensor::<2>::from_floats([[-1e4, -10.0, 0.0, 10.0, 1e4]], &device);
    for (got, exact) in read(gelu(x)).into_iter().zip([0.0, 0.0, 0.0, 10.0, 1e4]) {
        assert!((got - exact).abs() < 1e-12, "{got}, not {exact}");
    }
}
