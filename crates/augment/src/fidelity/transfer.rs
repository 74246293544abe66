use counterweight_core::ensure_length;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::logistic::Logistic;
use super::space::Space;
use crate::{Column, Result};

/// Train on synthetic, test on real (Esteban et al. 2017): a logistic regression learns from one
/// table and is tested on another.
///
/// Beside the scores of the same model trained on real rows they say whether the synthetic ones
/// carry what a classifier needs.
#[derive(Debug, Clone)]
pub struct Transfer<'a> {
    test: ArrayView2<'a, f64>,
    labels: &'a [usize],
    columns: &'a [Column],
}

/// Scores of one class on real rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransferScores {
    /// F1 of the most probable class, 0 when it is never predicted.
    pub f1: f64,
    /// Average precision of its probability.
    pub average_precision: f64,
}

impl<'a> Transfer<'a> {
    /// Real rows to test on, which nothing was trained on.
    ///
    /// # Errors
    /// When there are none, arrays do not fit or a number is infinite.
    pub fn new(
        test: ArrayView2<'a, f64>,
        labels: &'a [usize],
        columns: &'a [Column],
    ) -> Result<Self> {
        crate::table::check(test, columns, Some(labels), true)?;
        Ok(Self { test, labels, columns })
    }

    /// The scores of `class` after training on these rows.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn scores(
        &self,
        x: ArrayView2<'_, f64>,
        labels: &[usize],
        class: usize,
    ) -> Result<TransferScores> {
        crate::table::check(x, self.columns, Some(labels), true)?;
        let classes = 1 + labels.iter().chain(self.labels).chain([&class]).max().unwrap_or(&0);
        let space = Space::of(x, self.columns);
        let (train, width) = space.features(x);
        let (test, _) = space.features(self.test);
        let model = Logistic::fit(&train, width, labels, classes);
        let p = model.probabilities(&test);
        ensure_length("probabilities", p.len(), self.labels.len() * classes)?;
        let rows = p.chunks_exact(classes).zip(self.labels);
        let mut scored: Vec<(f64, bool)> = Vec::new();
        let [mut hits, mut predicted, mut real] = [0.0; 3];
        for (p, &label) in rows {
            let best = (0..classes).rev().max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap_or(0);
            scored.push((p[class], label == class));
            hits += f64::from(u8::from(best == class && label == class));
            predicted += f64::from(u8::from(best == class));
            real += f64::from(u8::from(label == class));
        }
        let f1 = if hits > 0.0 { 2.0 * hits / (predicted + real) } else { 0.0 };
        Ok(TransferScores { f1, average_precision: average_precision(scored) })
    }
}

/// `Σ (recall step) · precision`, equal scores together; 0 without a positive.
fn average_precision(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = scored.iter().filter(|s| s.1).count() as f64;
    let (mut seen, mut hits, mut sum) = (0.0, 0.0, 0.0);
    for group in scored.chunk_by(|a, b| a.0 == b.0) {
        let found = group.iter().filter(|s| s.1).count() as f64;
        seen += group.len() as f64;
        hits += found;
        sum += found * hits / seen;
    }
    if positives > 0.0 { sum / positives } else { 0.0 }
}
