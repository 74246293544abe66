use std::collections::BTreeMap;

use counterweight_core::{derive, ensure, ensure_length, rng};
use rand::seq::SliceRandom;

use crate::resample::{Resampler, kept, then};
use crate::{Error, Plan, Result, Table};

/// Cross-validation folds with the classes' shares of the whole.
///
/// ```
/// use counterweight_samplers::{Folds, Smote};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((60, 2), |(r, c)| ((r * 7 + c * 3) % 11) as f64);
/// let y: Vec<usize> = (0..60).map(|r| usize::from(r % 5 == 0)).collect();
/// let folds = Folds::stratified(&y, 3, 7)?;
/// for fold in folds.resampled(&x, &y, &Smote::new()) {
///     let fold = fold?;
///     let (train, labels) = fold.plan.apply(&x)?;
///     assert_eq!(labels.iter().filter(|&&c| c == 1).count(), 32);
///     // No synthetic row has a parent that is tested on.
///     assert!(fold.plan.kept().iter().all(|row| !fold.test.contains(row)));
/// #   assert_eq!(train.nrows(), 64);
/// }
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    fold: Vec<usize>,
    count: usize,
}

/// One fold: what to train on, as a plan for the whole data, and the rows to test on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    /// The training rows, resampled.
    pub plan: Plan,
    /// The rows left out, in order.
    pub test: Vec<usize>,
}

impl Folds {
    /// Deals the shuffled rows of each class to `count` folds in turn, so that the folds' counts
    /// of a class differ by at most one, and their sizes too.
    ///
    /// # Errors
    /// [`OutOfRange`](counterweight_core::OutOfRange) for fewer than 2 folds or more than rows.
    pub fn stratified(y: &[usize], count: usize, seed: u64) -> Result<Self> {
        check(count, y.len())?;
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        y.iter().enumerate().for_each(|(row, &class)| rows.entry(class).or_default().push(row));
        let mut fold = vec![0; y.len()];
        let mut next = 0;
        for (class, mut members) in rows {
            members.shuffle(&mut rng(derive(seed, class as u64)));
            for row in members {
                fold[row] = next % count;
                next += 1;
            }
        }
        Ok(Self { fold, count })
    }

    /// The same with all rows of a group in one fold: the groups, largest deviation from the
    /// overall shares first, go each to the fold that keeps the classes most even.
    ///
    /// # Errors
    /// Also for fewer groups than folds, and groups of another length.
    pub fn grouped(y: &[usize], groups: &[usize], count: usize, seed: u64) -> Result<Self> {
        ensure_length("groups", groups.len(), y.len())?;
        let mut classes: Vec<usize> = y.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let mut counts: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let mut total = vec![0.0; classes.len()];
        for (&class, &group) in y.iter().zip(groups) {
            let at = classes.partition_point(|c| *c < class);
            counts.entry(group).or_insert_with(|| vec![0.0; classes.len()])[at] += 1.0;
            total[at] += 1.0;
        }
        check(count, counts.len())?;
        let mut order: Vec<(usize, Vec<f64>)> = counts.into_iter().collect();
        order.shuffle(&mut rng(seed));
        order.sort_by(|a, b| deviation(&b.1).total_cmp(&deviation(&a.1)));
        let mut filled = vec![vec![0.0; classes.len()]; count];
        let mut of_group = BTreeMap::new();
        for (group, counts) in order {
            let uneven = |fold: usize| {
                let share = |class: usize| {
                    let each = filled.iter().enumerate().map(|(at, filled)| {
                        let more = if at == fold { counts[class] } else { 0.0 };
                        (filled[class] + more) / total[class]
                    });
                    deviation(&each.collect::<Vec<_>>())
                };
                (0..classes.len()).map(share).sum::<f64>()
            };
            let size = |fold: usize| filled[fold].iter().sum::<f64>();
            let best = (0..count)
                .min_by(|&a, &b| uneven(a).total_cmp(&uneven(b)).then(size(a).total_cmp(&size(b))));
            let best = best.unwrap_or(0);
            filled[best].iter_mut().zip(&counts).for_each(|(sum, n)| *sum += n);
            of_group.insert(group, best);
        }
        Ok(Self { fold: groups.iter().map(|group| of_group[group]).collect(), count })
    }

    /// The number of folds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: there are at least two.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rows left out in a fold.
    pub fn test(&self, fold: usize) -> Vec<usize> {
        (0..self.fold.len()).filter(|&row| self.fold[row] == fold).collect()
    }

    /// The rows trained on in a fold.
    pub fn train(&self, fold: usize) -> Vec<usize> {
        (0..self.fold.len()).filter(|&row| self.fold[row] != fold).collect()
    }

    /// Every fold with its training rows resampled; the resampler sees no test row.
    ///
    /// # Errors
    /// Each item as [`Resampler::plan`].
    pub fn resampled<'a>(
        &'a self,
        x: &'a dyn Table,
        y: &'a [usize],
        resampler: &'a dyn Resampler,
    ) -> impl Iterator<Item = Result<Fold>> + 'a {
        (0..self.count).map(move |fold| {
            ensure_length("labels", y.len(), self.fold.len())?;
            let train = kept(y, |row| self.fold[row] != fold);
            let plan = then(&x.features()?, train, resampler)?;
            Ok(Fold { plan, test: self.test(fold) })
        })
    }

    /// What a classifier that has not seen a row says of it: `fit` gets the training and the test
    /// rows of a fold and returns one number for each test row.
    ///
    /// # Errors
    /// Those of `fit`, and [`Error::Data`] for another number of values.
    pub fn out_of_fold<E: From<Error>>(
        &self,
        mut fit: impl FnMut(&[usize], &[usize]) -> Result<Vec<f64>, E>,
    ) -> Result<Vec<f64>, E> {
        let mut all = vec![0.0; self.fold.len()];
        for fold in 0..self.count {
            let test = self.test(fold);
            let values = fit(&self.train(fold), &test)?;
            ensure_length("probabilities", values.len(), test.len()).map_err(Error::from)?;
            test.into_iter().zip(values).for_each(|(row, value)| all[row] = value);
        }
        Ok(all)
    }
}

fn check(count: usize, most: usize) -> Result<()> {
    Ok(ensure("folds", count as f64, (2..=most).contains(&count), "[2, rows or groups]")?)
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
}
