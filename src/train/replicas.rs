//! The encoder's work on a batch, shared among devices.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use counterweight_core::derive;
use counterweight_encoder::{TextBatch, TextClassifier};

/// Devices that compute the vectors of a share of each batch, with copies of the weights as
/// they stand before the step. All that needs the whole batch (mixing, head, loss) stays on
/// the first, so the step is that of one device for every loss.
#[derive(Debug)]
pub(super) struct Replicas {
    devices: Vec<Device>,
    shares: Vec<Share>,
}

/// One call of [`Replicas::features`], until its gradient comes.
#[derive(Debug)]
struct Share {
    /// Copies of the model with the vectors of their rows.
    parts: Vec<(TextClassifier, Tensor<2>)>,
    /// The rows of each part.
    rows: Vec<Vec<usize>>,
    /// All vectors on the first device, without the graph that made them.
    whole: Tensor<2>,
}

impl Replicas {
    /// Devices beside the first, each with autodiff.
    pub(super) fn new(first: &Device, others: &[Device]) -> Self {
        let others = others.iter().map(|device| device.clone().without_autodiff().autodiff());
        let devices = std::iter::once(first.clone()).chain(others).collect();
        Self { devices, shares: Vec::new() }
    }

    /// Starts the generators of a step.
    pub(super) fn seed(&self, seed: u64) {
        for (number, device) in self.devices.iter().enumerate().rev() {
            device.seed(if number == 0 { seed } else { derive(seed, number as u64) });
        }
    }

    /// The vectors of a batch, on the first device. The parts are started one after the other,
    /// since dropout draws from one generator; a card computes while the next is started.
    pub(super) fn features(
        &mut self,
        model: &TextClassifier,
        batch: &TextBatch,
        labels: &[usize],
    ) -> Tensor<2> {
        if self.devices.len() == 1 || labels.len() < self.devices.len() {
            return model.features(batch);
        }
        let first = &self.devices[0];
        let rows = deal(labels, self.devices.len());
        let parts: Vec<(TextClassifier, Tensor<2>)> = (self.devices.iter().zip(&rows))
            .map(|(device, rows)| {
                let copy = model.clone().fork(device);
                let vectors = copy.features(&pick(batch, rows, first, device));
                (copy, vectors)
            })
            .collect();
        let gathered = parts.iter().map(|(_, vectors)| vectors.clone().detach().to_device(first));
        let back = row_numbers(&positions(&rows), first);
        let whole = Tensor::cat(gathered.collect(), 0).select(0, back).detach().require_grad();
        self.shares.push(Share { parts, rows, whole: whole.clone() });
        whole
    }

    /// The gradients of all weights, when the loss's are known on the first device. The parts go
    /// back at the same time; nothing is drawn there.
    pub(super) fn gradients(
        &mut self,
        mut gradients: Gradients,
        model: &TextClassifier,
    ) -> GradientsParams {
        let mut sum = GradientsAccumulator::new();
        for share in std::mem::take(&mut self.shares) {
            let Some(whole) = share.whole.grad_remove(&mut gradients) else { continue };
            let (whole, first) = (&whole, &self.devices[0]);
            let parts: Vec<GradientsParams> = std::thread::scope(|scope| {
                let started: Vec<_> = (share.parts.into_iter().zip(&share.rows).zip(&self.devices))
                    .map(|(((copy, vectors), rows), device)| {
                        scope.spawn(move || {
                            let plain = first.clone().without_autodiff();
                            let own = whole.clone().select(0, row_numbers(rows, &plain));
                            let own = Tensor::from_inner(own).to_device(device);
                            let back = (vectors * own).sum().backward();
                            GradientsParams::from_grads(back, &copy).to_device(&plain, model)
                        })
                    })
                    .collect();
                let join = |started: std::thread::ScopedJoinHandle<'_, GradientsParams>| {
                    started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                started.into_iter().map(join).collect()
            });
            // Always in the devices' order, so that the sum is the same each time.
            parts.into_iter().for_each(|part| sum.accumulate(model, part));
        }
        sum.accumulate(model, GradientsParams::from_grads(gradients, model));
        sum.grads()
    }
}

/// Which rows each of `parts` gets: every class is dealt out in turn, so that no part has two
/// more of a class than another, nor two more rows.
fn deal(labels: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&row| labels[row]);
    (0..parts).map(|part| order.iter().skip(part).step_by(parts).copied().collect()).collect()
}

/// Where each row stands when the parts are put one after the other.
fn positions(rows: &[Vec<usize>]) -> Vec<usize> {
    let mut at: Vec<(usize, usize)> = rows.concat().into_iter().zip(0..).collect();
    at.sort_unstable();
    at.into_iter().map(|(_, position)| position).collect()
}

/// Rows as a tensor.
pub(super) fn row_numbers(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    Tensor::from_data(TensorData::from(rows.as_slice()), device)
}

fn pick(batch: &TextBatch, rows: &[usize], from: &Device, to: &Device) -> TextBatch {
    let rows = row_numbers(rows, from);
    TextBatch {
        ids: batch.ids.clone().select(0, rows.clone()).to_device(to),
        weights: batch.weights.clone().select(0, rows.clone()).to_device(to),
        types: batch.types.clone().map(|types| types.select(0, rows).to_device(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::{deal, positions};

    #[test]
    fn classes_are_spread_evenly() {
        // Sorted by class, as a class-aware sampler may well give them.
        let labels: Vec<usize> = [0; 6].into_iter().chain([1; 5]).chain([2; 3]).collect();
        for parts in [2, 3, 4] {
            let rows = deal(&labels, parts);
            let mut all = rows.concat();
            all.sort_unstable();
            assert_eq!(all, (0..14).collect::<Vec<_>>());
            for class in 0..3 {
                let counts = rows.iter().map(|r| r.iter().filter(|&&i| labels[i] == class).count());
                let (low, high) = (counts.clone().min().unwrap(), counts.max().unwrap());
                assert!(high - low <= 1, "{parts} parts, class {class}: {low} to {high}");
            }
            let sizes = rows.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            let order = rows.concat();
            assert!(positions(&rows).iter().enumerate().all(|(row, &at)| order[at] == row));
        }
    }
}
