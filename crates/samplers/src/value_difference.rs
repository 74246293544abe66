//! Distances of categories by the classes they go with.

use ndarray::{Array2, ArrayView1};

/// The value difference metric of one column (Stanfill and Waltz 1986):
/// `(Σ_c |P(c | a) − P(c | b)|)²` for categories a and b.
#[derive(Debug)]
pub(crate) struct ValueDifference {
    /// Where the shares of each category begin, and the last end.
    starts: Vec<usize>,
    /// Classes and P(class | category), without those that are 0: no more than there are rows.
    shares: Vec<(u32, f64)>,
    /// All differences, where categories are few.
    table: Option<Array2<f64>>,
}

/// Categories up to which all differences are worked out: a column may have as many as rows.
const FEW: usize = 256;

impl ValueDifference {
    /// Of codes below `levels` and the classes of the same rows.
    pub(crate) fn new(codes: ArrayView1<'_, u32>, levels: usize, classes: &[u32]) -> Self {
        let mut ends = vec![0; levels + 1];
        codes.iter().for_each(|&code| ends[code as usize + 1] += 1);
        for level in 0..levels {
            ends[level + 1] += ends[level];
        }
        let mut places = ends.clone();
        let mut grouped = vec![0; classes.len()];
        for (&code, &class) in codes.iter().zip(classes) {
            grouped[places[code as usize]] = class;
            places[code as usize] += 1;
        }
        let mut starts = vec![0];
        let mut shares = Vec::new();
        for level in ends.windows(2) {
            let rows = &mut grouped[level[0]..level[1]];
            rows.sort_unstable();
            let all = rows.len() as f64;
            shares.extend(
                rows.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64 / all)),
            );
            starts.push(shares.len());
        }
        let mut new = Self { starts, shares, table: None };
        if levels <= FEW {
            let table = |(a, b)| new.measured(a, b);
            new.table = Some(Array2::from_shape_fn((levels, levels), table));
        }
        new
    }

    /// The squared difference of two codes.
    pub(crate) fn squared(&self, a: usize, b: usize) -> f64 {
        self.table.as_ref().map_or_else(|| self.measured(a, b), |table| table[[a, b]])
    }

    /// P(class 0 | code).
    pub(crate) fn first(&self, code: usize) -> f64 {
        self.of(code).first().filter(|share| share.0 == 0).map_or(0.0, |share| share.1)
    }

    fn of(&self, code: usize) -> &[(u32, f64)] {
        &self.shares[self.starts[code]..self.starts[code + 1]]
    }

    fn measured(&self, a: usize, b: usize) -> f64 {
        let (mut a, mut b) = (self.of(a), self.of(b));
        let mut sum = 0.0;
        while let (Some(x), Some(y)) = (a.first(), b.first()) {
            let gap = match x.0.cmp(&y.0) {
                std::cmp::Ordering::Less => x.1,
                std::cmp::Ordering::Greater => y.1,
                std::cmp::Ordering::Equal => (x.1 - y.1).abs(),
            };
            (a, b) = (&a[usize::from(x.0 <= y.0)..], &b[usize::from(y.0 <= x.0)..]);
            sum += gap;
        }
        sum += a.iter().chain(b).map(|share| share.1).sum::<f64>();
        sum * sum
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn differences_are_those_of_the_shares() {
        // Few categories and many, which have no table.
        for levels in [7_u32, 300] {
            let codes = Array1::from_shape_fn(3000, |row| (row as u32 * 7919) % levels);
            let classes: Vec<u32> = (0..3000).map(|row| (row * row) % 5).collect();
            let metric = ValueDifference::new(codes.view(), levels as usize + 1, &classes);
            assert_eq!(metric.table.is_some(), levels == 7);
            let share = |level: usize, class: u32| {
                let rows = codes.iter().zip(&classes).filter(|(code, _)| **code as usize == level);
                let (all, hits) = rows.fold((0, 0), |(all, hits), (_, other)| {
                    (all + 1, hits + usize::from(*other == class))
                });
                if all == 0 { 0.0 } else { hits as f64 / all as f64 }
            };
            // The last level has no rows.
            for (a, b) in [(0, 1), (3, 3), (6, 2), (5, levels as usize), (levels as usize, 1)] {
                let sum: f64 = (0..5).map(|class| (share(a, class) - share(b, class)).abs()).sum();
                assert!((metric.squared(a, b) - sum * sum).abs() < 1e-12, "{levels} {a} {b}");
                assert_eq!(metric.first(a), share(a, 0));
            }
        }
    }
}
