use serde::{Deserialize, Serialize};

/// Confidence against accuracy in equal-width bins: an accumulator for the expected
/// calibration error.
///
/// `ECE = Σ_b (n_b / N) |accuracy_b − confidence_b|` over bins `(b/B, (b+1)/B]` of the
/// predicted class's probability (Guo et al., ICML 2017; 15 bins there and here).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    bins: Vec<(u64, f64, u64)>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new(15)
    }
}

impl Calibration {
    /// An empty accumulator with `bins` bins (at least 1 is used).
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![(0, 0.0, 0); bins.max(1)] }
    }

    /// Adds a prediction made with `confidence` in `[0, 1]`.
    pub fn update(&mut self, confidence: f64, correct: bool) {
        let last = self.bins.len() - 1;
        let bin = ((confidence * self.bins.len() as f64).ceil() as usize).saturating_sub(1);
        let (n, sum, right) = &mut self.bins[bin.min(last)];
        *n += 1;
        *sum += confidence;
        *right += u64::from(correct);
    }

    /// Adds another shard's counts.
    ///
    /// # Panics
    /// When the numbers of bins differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.bins.len(), other.bins.len(), "different numbers of bins");
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
            mine.2 += theirs.2;
        }
    }

    /// The expected calibration error, `None` without predictions.
    pub fn ece(&self) -> Option<f64> {
        let total: u64 = self.bins.iter().map(|b| b.0).sum();
        let gaps = self.bins.iter().map(|&(_, sum, right)| (right as f64 - sum).abs());
        (total > 0).then(|| gaps.sum::<f64>() / total as f64)
    }

    /// Mean confidence and accuracy of every bin that is not empty, for a reliability
    /// diagram.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let filled = self.bins.iter().filter(|b| b.0 > 0);
        filled.map(|&(n, sum, right)| (sum / n as f64, right as f64 / n as f64)).collect()
    }
}
