//! Minimisation in a box by limited-memory BFGS.

/// Pairs of steps and gradient changes that are kept (Nocedal's usual choice).
const MEMORY: usize = 8;
/// Armijo's share of the promised decrease.
const DECREASE: f64 = 1e-4;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) iterations: usize,
    /// Largest free gradient component at which the point counts as a minimum.
    pub(super) gradient: f64,
    /// Relative decrease of the function below which it is done.
    pub(super) decrease: f64,
}

/// The lowest point found from `start` and its value, for `f(x) -> (value, gradient)`.
///
/// The direction is that of limited-memory BFGS over the coordinates that no bound holds
/// back (Nocedal 1980; the projected form of Bertsekas 1982); the line search halves a
/// step that is projected into the box until Armijo's condition holds.
pub(super) fn minimise(
    f: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
    start: &[f64],
    low: &[f64],
    high: &[f64],
    limits: Limits,
) -> (Vec<f64>, f64) {
    let n = start.len();
    let clamp = |x: &mut [f64]| {
        for i in 0..n {
            x[i] = x[i].clamp(low[i], high[i]);
        }
    };
    let mut x = start.to_vec();
    clamp(&mut x);
    let mut gradient = vec![0.0; n];
    let mut value = f(&x, &mut gradient);
    if !value.is_finite() {
        return (x, value);
    }
    let mut pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let (mut next, mut next_gradient) = (x.clone(), gradient.clone());
    for _ in 0..limits.iterations {
        let free: Vec<bool> = (0..n)
            .map(|i| {
                !((x[i] <= low[i] && gradient[i] > 0.0) || (x[i] >= high[i] && gradient[i] < 0.0))
            })
            .collect();
        let slope = (0..n).filter(|&i| free[i]).map(|i| gradient[i].abs()).fold(0.0, f64::max);
        if slope <= limits.gradient {
            break;
        }
        let mut direction = descent(&gradient, &free, &pairs);
        let mut promise: f64 = (0..n).map(|i| direction[i] * gradient[i]).sum();
        if promise >= 0.0 || !promise.is_finite() {
            pairs.clear();
            direction = descent(&gradient, &free, &pairs);
            promise = (0..n).map(|i| direction[i] * gradient[i]).sum();
        }
        // Without curvature yet, no coordinate moves by more than a tenth of its range.
        let mut step = 1.0;
        if pairs.is_empty() {
            let reach = (0..n)
                .filter(|&i| direction[i] != 0.0)
                .map(|i| 0.1 * (high[i] - low[i]) / direction[i].abs())
                .fold(f64::INFINITY, f64::min);
            step = reach.min(1.0);
        }
        let mut accepted = false;
        for _ in 0..20 {
            for i in 0..n {
                next[i] = x[i] + step * direction[i];
            }
            clamp(&mut next);
            let new = f(&next, &mut next_gradient);
            if new <= value + DECREASE * step * promise {
                let s: Vec<f64> = (0..n).map(|i| next[i] - x[i]).collect();
                let y: Vec<f64> = (0..n).map(|i| next_gradient[i] - gradient[i]).collect();
                let sy: f64 = s.iter().zip(&y).map(|(a, b)| a * b).sum();
                let yy: f64 = y.iter().map(|v| v * v).sum();
                if sy > 1e-10 * yy {
                    if pairs.len() == MEMORY {
                        pairs.remove(0);
                    }
                    pairs.push((s, y, sy));
                }
                accepted = (value - new) > limits.decrease * value.abs().max(new.abs()).max(1.0);
                value = new;
                std::mem::swap(&mut x, &mut next);
                std::mem::swap(&mut gradient, &mut next_gradient);
                break;
            }
            step *= 0.5;
        }
        if !accepted {
            break;
        }
    }
    (x, value)
}

/// The two-loop recursion over the free coordinates.
fn descent(gradient: &[f64], free: &[bool], pairs: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let n = gradient.len();
    let dot =
        |a: &[f64], b: &[f64]| -> f64 { (0..n).filter(|&i| free[i]).map(|i| a[i] * b[i]).sum() };
    let mut q: Vec<f64> = (0..n).map(|i| if free[i] { gradient[i] } else { 0.0 }).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for (s, y, sy) in pairs.iter().rev() {
        let share = dot(s, &q) / sy;
        for i in 0..n {
            q[i] -= share * y[i];
        }
        shares.push(share);
    }
    if let Some((_, y, sy)) = pairs.last() {
        let scale = sy / dot(y, y).max(f64::MIN_POSITIVE);
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for ((s, y, sy), share) in pairs.iter().zip(shares.iter().rev()) {
        let back = dot(y, &q) / sy;
        for i in 0..n {
            q[i] += (share - back) * s[i];
        }
    }
    (0..n).map(|i| if free[i] { -q[i] } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_rosenbrocks_minimum_inside_and_on_a_bound() {
        let mut f = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let limits = Limits { iterations: 200, gradient: 1e-8, decrease: 0.0 };
        let (x, value) = minimise(&mut f, &[-1.2, 1.0], &[-2.0; 2], &[2.0; 2], limits);
        assert!(value < 1e-12, "{x:?} {value}");
        // With x ≤ 0.5 the minimum is (0.5, 0.25), at 0.25.
        let (x, value) = minimise(&mut f, &[-1.2, 1.0], &[-2.0; 2], &[0.5, 2.0], limits);
        assert!((value - 0.25).abs() < 1e-9 && (x[1] - 0.25).abs() < 1e-6, "{x:?} {value}");
    }
}
