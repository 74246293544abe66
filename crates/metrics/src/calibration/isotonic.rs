use counterweight_core::ensure_length;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Isotonic regression: the non-decreasing function of the least squared error (pool adjacent
/// violators; for calibration Zadrozny and Elkan, KDD 2002), linear between its points and
/// constant beyond them, as scikit-learn's with `out_of_bounds="clip"`.
///
/// ```
/// use counterweight_metrics::Isotonic;
///
/// let fitted = Isotonic::fit(&[0.1, 0.2, 0.3, 0.4], &[0.0, 1.0, 0.0, 1.0])?;
/// assert_eq!(fitted.apply(0.2), 0.5);
/// assert_eq!(fitted.apply(0.9), 1.0);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Neighbours that share one value.
struct Block {
    from: f64,
    to: f64,
    sum: f64,
    weight: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

impl Isotonic {
    /// Fits values to scores; rows of equal score count as their mean.
    ///
    /// # Errors
    /// For no rows, arrays of different lengths, or a score or value that is not finite.
    pub fn fit(scores: &[f64], values: &[f64]) -> Result<Self> {
        ensure_length("values", values.len(), scores.len())?;
        if scores.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "scores" }.into());
        }
        for (row, (&score, &value)) in scores.iter().zip(values).enumerate() {
            if let Some(value) = [score, value].into_iter().find(|v| !v.is_finite()) {
                return Err(Error::Score { row, value });
            }
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let x = scores[tied[0]];
            let sum = tied.iter().map(|&row| values[row]).sum();
            let mut block = Block { from: x, to: x, sum, weight: tied.len() as f64 };
            while let Some(last) = blocks.pop_if(|last| last.mean() >= block.mean()) {
                block = Block {
                    from: last.from,
                    sum: last.sum + block.sum,
                    weight: last.weight + block.weight,
                    ..block
                };
            }
            blocks.push(block);
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for block in blocks {
            x.push(block.from);
            y.push(block.mean());
            if block.to > block.from {
                x.push(block.to);
                y.push(block.mean());
            }
        }
        Ok(Self { x, y })
    }

    /// The value at a score.
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.x.partition_point(|&x| x < score);
        match (above.checked_sub(1).map(|i| (self.x[i], self.y[i])), self.x.get(above)) {
            (None, _) => self.y[0],
            (Some((_, y)), None) => y,
            (Some((x0, y0)), Some(&x1)) => y0 + (self.y[above] - y0) * ((score - x0) / (x1 - x0)),
        }
    }

    /// The points `(score, value)` between which it is linear.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.x.iter().copied().zip(self.y.iter().copied())
    }
}
