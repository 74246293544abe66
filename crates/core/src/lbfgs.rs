const MEMORY: usize = 20;
const STEPS: usize = 500;
/// Largest component of the gradient at which a minimum is taken as found.
const FLAT: f64 = 1e-10;

/// Minimises a smooth convex function from `start` by limited-memory BFGS (Liu and Nocedal
/// 1989), with halving until the decrease is sufficient; `f` fills the gradient and gives the
/// value.
///
/// ```
/// let x = counterweight_core::minimise(vec![0.0], |x, gradient| {
///     gradient[0] = 2.0 * (x[0] - 3.0);
///     (x[0] - 3.0).powi(2)
/// });
/// assert!((x[0] - 3.0).abs() < 1e-9);
/// ```
pub fn minimise(start: Vec<f64>, f: impl Fn(&[f64], &mut [f64]) -> f64) -> Vec<f64> {
    let mut x = start;
    let mut gradient = vec![0.0; x.len()];
    let mut value = f(&x, &mut gradient);
    let mut pairs: Vec<Pair> = Vec::with_capacity(MEMORY);
    for _ in 0..STEPS {
        if gradient.iter().all(|g| g.abs() < FLAT) {
            break;
        }
        let mut direction = newton_direction(&pairs, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        // Without curvature yet, a step of length 1 at most.
        let first = if pairs.is_empty() { 1.0 / slope.abs().sqrt().max(1.0) } else { 1.0 };
        let Some((next, next_gradient, next_value)) =
            line_search(&x, &direction, value, slope, first, &f)
        else {
            break;
        };
        let step: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > 0.0 {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push(Pair { step, change, inverse: curvature.recip() });
        }
        (x, gradient, value) = (next, next_gradient, next_value);
    }
    x
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// `−H g` by the two-loop recursion.
fn newton_direction(pairs: &[Pair], gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let alpha = pair.inverse * dot(&pair.step, &q);
        add(&mut q, -alpha, &pair.change);
        alphas.push(alpha);
    }
    if let Some(last) = pairs.last() {
        let scale = 1.0 / (last.inverse * dot(&last.change, &last.change));
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for (pair, alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = pair.inverse * dot(&pair.change, &q);
        add(&mut q, alpha - beta, &pair.step);
    }
    q
}

type Point = (Vec<f64>, Vec<f64>, f64);

fn line_search(
    x: &[f64],
    direction: &[f64],
    value: f64,
    slope: f64,
    first: f64,
    f: &impl Fn(&[f64], &mut [f64]) -> f64,
) -> Option<Point> {
    let mut length = first;
    for _ in 0..50 {
        let next: Vec<f64> = x.iter().zip(direction).map(|(a, d)| a + length * d).collect();
        let mut gradient = vec![0.0; x.len()];
        let reached = f(&next, &mut gradient);
        // The gradient decides where the values are equal to the last bit.
        let flat = (reached - value).abs() <= 1e-14 * value.abs()
            && dot(&gradient, direction).abs() < slope.abs();
        if reached <= value + 1e-4 * length * slope || flat {
            return Some((next, gradient, reached));
        }
        length *= 0.5;
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn add(to: &mut [f64], scale: f64, other: &[f64]) {
    to.iter_mut().zip(other).for_each(|(a, b)| *a += scale * b);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_minimum_of_an_ill_conditioned_bowl() {
        let scales = [1.0, 100.0, 0.01, 3.0];
        let x = minimise(vec![0.0; 4], |x, gradient| {
            let mut value = 0.0;
            for (i, s) in scales.iter().enumerate() {
                let away = x[i] - (i as f64 + 1.0);
                gradient[i] = s * away;
                value += s * away * away / 2.0;
            }
            value
        });
        for (i, v) in x.iter().enumerate() {
            assert!((v - (i as f64 + 1.0)).abs() < 1e-6, "{x:?}");
        }
    }
}
