use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use crate::{Error, Result, derive, ensure, rng};

/// A seeded, stratified split in which groups (duplicates, users) stay whole.
///
/// Each class is spread over the parts in proportion to the shares. Groups are
/// placed largest first, in seeded order among equals, each where it is most
/// wanted by its first row's class, so no group crosses parts.
///
/// **Classes too rare to split.** A class with fewer groups than there are parts
/// cannot be in all of them; it goes whole to the first part (training). Nothing
/// is deleted: the class stays in the label set, and metrics average over the
/// classes that the test part holds.
///
/// ```
/// use counterweight_core::Split;
///
/// let y = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2];
/// let [train, test]: [Vec<usize>; 2] =
///     Split::stratified([0.5, 0.5]).with_seed(1).indices(&y)?.try_into().unwrap();
/// assert!(train.contains(&10), "the single example of class 2 is kept for training");
/// assert_eq!(test.len(), 5);
/// # Ok::<(), counterweight_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Split<'a> {
    shares: Vec<f64>,
    seed: u64,
    groups: Option<&'a [usize]>,
}

impl<'a> Split<'a> {
    /// Parts with the given shares, which must be positive and sum to 1. Seed 0.
    pub fn stratified(shares: impl Into<Vec<f64>>) -> Self {
        Self { shares: shares.into(), seed: 0, groups: None }
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Rows with the same group value stay in the same part.
    #[must_use]
    pub fn with_groups(mut self, groups: &'a [usize]) -> Self {
        self.groups = Some(groups);
        self
    }

    /// The row indices of each part, ascending.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for bad shares, [`Error::Empty`] without rows,
    /// [`Error::Length`] when groups and labels differ in length.
    pub fn indices(&self, labels: &[usize]) -> Result<Vec<Vec<usize>>> {
        self.check(labels)?;
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in 0..labels.len() {
            let group = self.groups.map_or(row, |g| g[row]);
            members.entry(group).or_default().push(row);
        }
        let mut by_class: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
        for rows in members.into_values() {
            by_class.entry(labels[rows[0]]).or_default().push(rows);
        }
        let mut parts = vec![Vec::new(); self.shares.len()];
        for (class, mut groups) in by_class {
            if groups.len() < parts.len() {
                parts[0].extend(groups.into_iter().flatten());
                continue;
            }
            groups.shuffle(&mut rng(derive(self.seed, class as u64)));
            groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
            self.place(groups, &mut parts);
        }
        for part in &mut parts {
            part.sort_unstable();
        }
        Ok(parts)
    }

    fn place(&self, groups: Vec<Vec<usize>>, parts: &mut [Vec<usize>]) {
        let total: usize = groups.iter().map(Vec::len).sum();
        let mut filled = vec![0usize; parts.len()];
        let mut left = groups.len();
        for rows in groups {
            let empty = filled.iter().filter(|&&n| n == 0).count();
            // Every part gets at least one group of the class, else the one that
            // is furthest below its share.
            let must_fill = left <= empty;
            let wanted = |p: usize| self.shares[p] * total as f64 - filled[p] as f64;
            let part = (0..parts.len())
                .filter(|&p| !must_fill || filled[p] == 0)
                .max_by(|&a, &b| wanted(a).total_cmp(&wanted(b)).then(b.cmp(&a)))
                .unwrap_or(0);
            filled[part] += rows.len();
            left -= 1;
            parts[part].extend(rows);
        }
    }

    fn check(&self, labels: &[usize]) -> Result<()> {
        for &share in &self.shares {
            ensure("share", share, share > 0.0 && share <= 1.0, "(0, 1]")?;
        }
        let sum: f64 = self.shares.iter().sum();
        ensure("sum of shares", sum, (sum - 1.0).abs() < 1e-6, "{1}")?;
        if labels.is_empty() {
            return Err(Error::Empty { what: "labels" });
        }
        self.groups
            .map_or(Ok(()), |groups| crate::ensure_length("groups", groups.len(), labels.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_a_partition_and_groups_stay_whole(
            rows in prop::collection::vec((0usize..5, 0usize..40), 1..200),
            seed in any::<u64>(),
        ) {
            let labels: Vec<_> = rows.iter().map(|r| r.0).collect();
            let groups: Vec<_> = rows.iter().map(|r| r.1).collect();
            let parts = Split::stratified([0.7, 0.1, 0.2])
                .with_seed(seed).with_groups(&groups).indices(&labels).unwrap();
            let mut all: Vec<_> = parts.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows.len()).collect::<Vec<_>>());
            for (p, part) in parts.iter().enumerate() {
                for other in &parts[p + 1..] {
                    for &row in part {
                        prop_assert!(other.iter().all(|&o| groups[o] != groups[row]));
                    }
                }
            }
        }

        #[test]
        fn shares_hold_within_one_row_per_class(counts in prop::collection::vec(3usize..80, 1..6)) {
            let labels: Vec<usize> =
                counts.iter().enumerate().flat_map(|(c, &n)| std::iter::repeat_n(c, n)).collect();
            let parts = Split::stratified([0.5, 0.3, 0.2]).with_seed(3).indices(&labels).unwrap();
            for (class, &n) in counts.iter().enumerate() {
                for (part, share) in parts.iter().zip([0.5, 0.3, 0.2]) {
                    let got = part.iter().filter(|&&r| labels[r] == class).count() as f64;
                    prop_assert!((got - share * n as f64).abs() <= 1.5 && got >= 1.0);
                }
            }
        }
    }

    #[test]
    fn the_seed_decides_and_bad_shares_are_refused() {
        let y = vec![0; 50];
        let split = |seed| Split::stratified([0.5, 0.5]).with_seed(seed).indices(&y).unwrap();
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
        let bad = Split::stratified([0.5, 0.6]).indices(&y).unwrap_err();
        assert!(bad.to_string().contains("1.1"));
    }
}
