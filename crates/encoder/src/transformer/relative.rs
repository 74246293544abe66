use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Distance buckets of MPNet's checkpoints.
pub(crate) const BUCKETS: usize = 32;
/// Distances from here on share the last bucket.
const FARTHEST: f32 = 128.0;

/// A learned bias per head and bucketed distance (Raffel et al., JMLR 2020), shared by all
/// layers.
#[derive(Module, Debug)]
pub(crate) struct RelativeBias {
    pub(crate) table: Embedding,
}

impl RelativeBias {
    /// `[heads, length, length]`, row by column.
    pub(crate) fn forward(&self, length: usize, device: &Device) -> Tensor<3> {
        let of = |i: usize| (0..length).map(move |j| bucket(j as i64 - i as i64));
        let buckets: Vec<i32> = (0..length).flat_map(of).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(buckets, [length, length]), device);
        // As a permutation burn 0.22.1's fusion would take it for one of integers.
        self.table.forward(ids).swap_dims(1, 2).swap_dims(0, 1)
    }
}

/// Half of the buckets for each direction: one per distance up to 7, then logarithmic.
fn bucket(distance: i64) -> i32 {
    let half = BUCKETS as i64 / 2;
    let exact = half / 2;
    let side = if distance > 0 { half } else { 0 };
    let far = distance.abs();
    let within = if far < exact {
        far
    } else {
        // In f32, as the peer, whose rounding decides at the edges of buckets.
        let step = (far as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln();
        (exact + (step * (half - exact) as f32) as i64).min(half - 1)
    };
    (side + within) as i32
}
