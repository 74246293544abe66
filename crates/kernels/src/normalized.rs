use burn::tensor::Tensor;

/// Rows of length 1; a row of zeros stays 0. Its gradient is finite for every row.
///
/// # Shapes
/// `[rows, columns]` → the same.
pub fn normalized(x: Tensor<2>) -> Tensor<2> {
    // The largest entry first: squares of huge entries would overflow.
    let top = x.clone().detach().abs().max_dim(1).clamp_min(1e-30);
    let x = x / top;
    let norm = (x.clone().square().sum_dim(1) + 1e-24).sqrt();
    x / norm
}

/// The cosine of each row with each column of the weights; 0 with a vector of zeros.
///
/// # Shapes
/// `[rows, features]` and `[features, classes]` → `[rows, classes]`.
pub fn cosines(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    normalized(x).matmul(normalized(weight.transpose()).transpose())
}
