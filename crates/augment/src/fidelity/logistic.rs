//! Multinomial logistic regression with an L2 penalty.

use counterweight_core::minimise;

/// Weights `[classes, width + 1]`, the intercept last.
#[derive(Debug, Clone)]
pub(super) struct Logistic {
    weights: Vec<f64>,
    width: usize,
    classes: usize,
}

impl Logistic {
    /// Minimises `Σ −log p + ‖W‖² / 2` over the rows, scikit-learn's objective at C = 1; the
    /// intercept is not penalised.
    pub(super) fn fit(x: &[f64], width: usize, labels: &[usize], classes: usize) -> Self {
        let mut model = Self { weights: Vec::new(), width, classes };
        let stride = width + 1;
        let n = labels.len() as f64;
        model.weights = minimise(vec![0.0; classes * stride], |w, gradient| {
            gradient.fill(0.0);
            let mut loss = 0.0;
            for (row, &label) in labels.iter().enumerate() {
                let x = &x[row * width..(row + 1) * width];
                let mut p = scores(w, x, classes);
                loss -= softmax(&mut p, label);
                for (class, p) in p.iter().enumerate() {
                    let error = (p - f64::from(u8::from(class == label))) / n;
                    let g = &mut gradient[class * stride..(class + 1) * stride];
                    g.iter_mut().zip(x).for_each(|(g, x)| *g += error * x);
                    g[width] += error;
                }
            }
            let mut penalty = 0.0;
            for class in 0..classes {
                for at in class * stride..class * stride + width {
                    gradient[at] += w[at] / n;
                    penalty += w[at] * w[at] / 2.0;
                }
            }
            (loss + penalty) / n
        });
        model
    }

    /// `[rows · classes]` probabilities.
    pub(super) fn probabilities(&self, x: &[f64]) -> Vec<f64> {
        let mut out = Vec::new();
        for x in x.chunks_exact(self.width.max(1)) {
            let mut p = scores(&self.weights, x, self.classes);
            softmax(&mut p, 0);
            out.extend(p);
        }
        out
    }
}

fn scores(weights: &[f64], x: &[f64], classes: usize) -> Vec<f64> {
    let stride = x.len() + 1;
    (0..classes)
        .map(|class| {
            let w = &weights[class * stride..(class + 1) * stride];
            w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + w[x.len()]
        })
        .collect()
}

/// Turns scores into probabilities and gives the logarithm of one of them.
fn softmax(scores: &mut [f64], class: usize) -> f64 {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln() + top;
    let log = scores[class] - total;
    scores.iter_mut().for_each(|s| *s = (*s - total).exp());
    log
}
