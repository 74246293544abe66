use counterweight_core::{ensure, ensure_length};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::counts::ratio;
use crate::{ConfusionMatrix, Result};

/// The cost of every decision, by true class, and if wanted of making none.
///
/// [`decide`](Self::decide) takes the decision of the least expected cost,
/// `argmin_j Σ_c p_c cost[c][j]` (Elkan, IJCAI 2001), or abstains where even that costs more
/// than abstaining (Chow 1970).
///
/// ```
/// use counterweight_metrics::CostMatrix;
/// use ndarray::array;
///
/// // Missing class 1 is ten times as bad as a false alarm; asking a person costs 0.5.
/// let costs = CostMatrix::new(array![[0.0, 1.0], [10.0, 0.0]])?.with_abstention(0.5)?;
/// let p = array![[0.99, 0.01], [0.9, 0.1], [0.2, 0.8]];
/// assert_eq!(costs.decide(&p)?, [Some(0), None, Some(1)]);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostMatrix {
    classes: usize,
    /// By true class, then decision.
    costs: Vec<f64>,
    abstention: Option<f64>,
}

impl CostMatrix {
    /// Costs `[true class, decision]`.
    ///
    /// # Errors
    /// For a matrix that is not square, or a cost that is negative or not finite.
    pub fn new(costs: Array2<f64>) -> Result<Self> {
        ensure_length("a row of costs", costs.ncols(), costs.nrows())?;
        for &c in &costs {
            ensure("cost", c, c >= 0.0 && c.is_finite(), "[0, inf)")?;
        }
        Ok(Self {
            classes: costs.nrows(),
            costs: costs.iter().copied().collect(),
            abstention: None,
        })
    }

    /// Allows no decision, at a cost.
    ///
    /// # Errors
    /// For a cost that is negative or not finite.
    pub fn with_abstention(mut self, cost: f64) -> Result<Self> {
        ensure("abstention", cost, cost >= 0.0 && cost.is_finite(), "[0, inf)")?;
        self.abstention = Some(cost);
        Ok(self)
    }

    /// The decision of the least expected cost for each distribution, the first of equals;
    /// `None` abstains.
    ///
    /// # Errors
    /// When the number of columns is not that of the classes.
    pub fn decide(&self, probabilities: &Array2<f64>) -> Result<Vec<Option<usize>>> {
        ensure_length("a row of probabilities", probabilities.ncols(), self.classes)?;
        let row = |p: ndarray::ArrayView1<'_, f64>| {
            let expected = |j: usize| -> f64 {
                p.iter().enumerate().map(|(c, p)| p * self.costs[c * self.classes + j]).sum()
            };
            let best =
                (0..self.classes).map(|j| (expected(j), j)).min_by(|a, b| a.0.total_cmp(&b.0))?;
            let keep = self.abstention.is_none_or(|cost| best.0 <= cost);
            keep.then_some(best.1)
        };
        Ok(probabilities.rows().into_iter().map(row).collect())
    }

    /// The mean cost of decisions already counted; `None` without examples.
    ///
    /// # Errors
    /// When the numbers of classes differ.
    pub fn mean_cost(&self, matrix: &ConfusionMatrix) -> Result<Option<f64>> {
        ensure_length("classes", matrix.classes(), self.classes)?;
        let cells = (0..self.classes).flat_map(|c| (0..self.classes).map(move |j| (c, j)));
        let cost = cells.map(|(c, j)| self.costs[c * self.classes + j] * matrix.get(c, j)).sum();
        Ok(ratio(cost, matrix.total()))
    }
}
