use rand::{Rng, RngExt};

/// A random forest of regression trees over the unit cube (Breiman 2001): bootstrap
/// samples, the best split over all columns, grown until leaves are pure.
pub(super) struct Forest {
    trees: Vec<Vec<Node>>,
}

enum Node {
    Leaf(f64),
    /// Column, threshold, and where the two sides begin.
    Split {
        column: usize,
        at: f64,
        below: usize,
        above: usize,
    },
}

impl Forest {
    pub(super) fn grow(
        rows: &[Vec<f64>],
        values: &[f64],
        trees: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let grow_one = |_| {
            let sample: Vec<usize> =
                (0..rows.len()).map(|_| rng.random_range(0..rows.len())).collect();
            let mut tree = Vec::new();
            grow(&mut tree, rows, values, sample);
            tree
        };
        Self { trees: (0..trees).map(grow_one).collect() }
    }

    pub(super) fn predict(&self, row: &[f64]) -> f64 {
        let one = |tree: &Vec<Node>| {
            let mut at = 0;
            loop {
                match &tree[at] {
                    Node::Leaf(value) => return *value,
                    Node::Split { column, at: t, below, above } => {
                        at = if row[*column] <= *t { *below } else { *above };
                    }
                }
            }
        };
        self.trees.iter().map(one).sum::<f64>() / self.trees.len() as f64
    }

    /// The share of each tree's variance over the cube that every column explains alone,
    /// averaged over the trees that have any.
    pub(super) fn main_effects(&self, dims: usize) -> Vec<f64> {
        let mut sums = vec![0.0; dims];
        for tree in &self.trees {
            let mut leaves = Vec::new();
            boxes(tree, 0, &mut vec![(0.0, 1.0); dims], &mut leaves);
            let volume = |b: &[(f64, f64)]| b.iter().map(|(l, h)| h - l).product::<f64>();
            let mean: f64 = leaves.iter().map(|(b, v)| volume(b) * v).sum();
            let variance: f64 = leaves.iter().map(|(b, v)| volume(b) * (v - mean).powi(2)).sum();
            if variance <= 1e-300 {
                continue;
            }
            for (k, sum) in sums.iter_mut().enumerate() {
                let mut cuts: Vec<f64> =
                    leaves.iter().flat_map(|(b, _)| [b[k].0, b[k].1]).collect();
                cuts.sort_by(f64::total_cmp);
                cuts.dedup();
                let effect: f64 = cuts
                    .windows(2)
                    .map(|w| {
                        let middle = 0.5 * (w[0] + w[1]);
                        let inside =
                            leaves.iter().filter(|(b, _)| b[k].0 <= middle && middle < b[k].1);
                        let marginal: f64 =
                            inside.map(|(b, v)| v * volume(b) / (b[k].1 - b[k].0)).sum();
                        (w[1] - w[0]) * (marginal - mean).powi(2)
                    })
                    .sum();
                *sum += effect / variance;
            }
        }
        sums
    }
}

fn grow(tree: &mut Vec<Node>, rows: &[Vec<f64>], values: &[f64], sample: Vec<usize>) -> usize {
    let own = tree.len();
    let n = sample.len() as f64;
    let mean = sample.iter().map(|&i| values[i]).sum::<f64>() / n;
    tree.push(Node::Leaf(mean));
    let dims = rows[0].len();
    if sample.len() < 2 || sample.iter().all(|&i| values[i] == values[sample[0]]) {
        return own;
    }
    let mut best: Option<(f64, usize, f64)> = None;
    for column in 0..dims {
        if let Some((gain, at)) = split(rows, values, &sample, column)
            && best.is_none_or(|(top, ..)| gain > top)
        {
            best = Some((gain, column, at));
        }
    }
    let Some((_, column, at)) = best else { return own };
    let (low, high): (Vec<usize>, Vec<usize>) =
        sample.into_iter().partition(|&i| rows[i][column] <= at);
    if low.is_empty() || high.is_empty() {
        return own;
    }
    let below = grow(tree, rows, values, low);
    let above = grow(tree, rows, values, high);
    tree[own] = Node::Split { column, at, below, above };
    own
}

/// The threshold of a column that leaves least variance on both sides, and its gain.
fn split(rows: &[Vec<f64>], values: &[f64], sample: &[usize], column: usize) -> Option<(f64, f64)> {
    let n = sample.len() as f64;
    let mut order: Vec<usize> = sample.to_vec();
    order.sort_by(|&a, &b| rows[a][column].total_cmp(&rows[b][column]));
    let total: f64 = order.iter().map(|&i| values[i]).sum();
    let (mut below, mut best) = (0.0, None::<(f64, f64)>);
    for (i, pair) in order.windows(2).enumerate() {
        below += values[pair[0]];
        let (a, b) = (rows[pair[0]][column], rows[pair[1]][column]);
        let left = (i + 1) as f64;
        let gain = below * below / left + (total - below).powi(2) / (n - left);
        if a != b && best.is_none_or(|(top, _)| gain > top) {
            best = Some((gain, 0.5 * (a + b)));
        }
    }
    best
}

/// A part of the cube by column, and the value in it.
type Leaf = (Vec<(f64, f64)>, f64);

fn boxes(tree: &[Node], at: usize, bounds: &mut Vec<(f64, f64)>, leaves: &mut Vec<Leaf>) {
    match &tree[at] {
        Node::Leaf(value) => leaves.push((bounds.clone(), *value)),
        Node::Split { column, at, below, above } => {
            let kept = bounds[*column];
            bounds[*column].1 = *at;
            boxes(tree, *below, bounds, leaves);
            bounds[*column] = (*at, kept.1);
            boxes(tree, *above, bounds, leaves);
            bounds[*column] = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Of f = 3 x + y over the unit square, x explains 9/10 of the variance.
    #[test]
    fn main_effects_of_a_sum_are_its_variances() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<Vec<f64>> = (0..400).map(|_| vec![rng.random(), rng.random()]).collect();
        let values: Vec<f64> = rows.iter().map(|r| 3.0 * r[0] + r[1]).collect();
        let forest = Forest::grow(&rows, &values, 32, &mut rng);
        let effects = forest.main_effects(2);
        let share = effects[0] / (effects[0] + effects[1]);
        assert!((share - 0.9).abs() < 0.03, "{share}");
        assert!((effects[0] + effects[1]) / 32.0 > 0.9, "a sum has no interaction");
    }
}
