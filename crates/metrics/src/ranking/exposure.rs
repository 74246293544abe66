use std::collections::HashSet;

use counterweight_core::{ClassProfile, Segment, ensure, ensure_length};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::counts::ratio;

/// The largest value of the Gini index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiniScale {
    /// (n − 1) / n for a monopoly over n items: the usual index.
    #[default]
    Items,
    /// 1 for a monopoly: divided by (n − 1) / n.
    ItemsLessOne,
}

/// The base of the logarithm in [`ItemExposure::entropy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyBase {
    /// e: nats.
    #[default]
    Nats,
    /// 2: bits.
    Bits,
    /// The number of items: between 0 and 1.
    Items,
}

/// The chance of an item behind its self-information in [`ItemExposure::novelty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Novelty {
    /// The item's share of all interactions (Zhou et al., PNAS 2010, over events).
    #[default]
    Interactions,
    /// The share of users who interacted with it (Vargas and Castells, RecSys 2011).
    Users(u64),
}

/// What recommendation lists show, against how popular the items were in training: an
/// accumulator with `update` and `merge`, in memory proportional to the items.
///
/// Classes of the profile are the items, its counts their interactions, and its segments
/// head, mid and tail.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_metrics::{EntropyBase, GiniScale, ItemExposure};
///
/// let profile = ClassProfile::from_counts([70, 20, 6, 4])?;
/// // Everybody is shown the first item only.
/// let mut monopoly = ItemExposure::new(&profile);
/// monopoly.update(&[0])?;
/// monopoly.update(&[0])?;
/// assert_eq!(monopoly.gini(GiniScale::Items), Some(0.75));
/// assert_eq!(monopoly.gini(GiniScale::ItemsLessOne), Some(1.0));
/// assert_eq!(monopoly.coverage(), 0.25);
/// assert_eq!(monopoly.average_popularity(), Some(70.0));
///
/// let profile = ClassProfile::from_counts([70, 20, 6])?;
/// let spread = ItemExposure::of_lists(&[vec![0, 0, 0, 0, 1, 1, 2, 2]], &profile)?;
/// assert!((spread.entropy(EntropyBase::Nats).unwrap() - 1.0397).abs() < 1e-4);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ItemExposure<'a> {
    profile: &'a ClassProfile,
    /// How often each item is shown, and with what weight by rank.
    shown: Vec<u64>,
    exposure: Vec<f64>,
    lists: u64,
    tail_items: u64,
    /// Sums over the lists that hold items, of means within a list.
    filled: u64,
    popularity: f64,
    tail_share: f64,
    log_popularity: f64,
    discounted_popularity: f64,
}

/// One line of numbers per segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExposureReport {
    /// The segment.
    pub segment: Segment,
    /// Its items.
    pub items: usize,
    /// Its share of the training interactions.
    pub interactions: f64,
    /// Its share of the places shown.
    pub shown: f64,
    /// Its share of the exposure, a place at rank r counting `1 / log2(r + 1)` (Singh and
    /// Joachims, KDD 2018).
    pub exposure: f64,
}

impl<'a> ItemExposure<'a> {
    /// Nothing shown yet.
    pub fn new(profile: &'a ClassProfile) -> Self {
        Self {
            profile,
            shown: vec![0; profile.classes()],
            exposure: vec![0.0; profile.classes()],
            lists: 0,
            tail_items: 0,
            filled: 0,
            popularity: 0.0,
            tail_share: 0.0,
            log_popularity: 0.0,
            discounted_popularity: 0.0,
        }
    }

    /// Counts the items of recommendation lists, best first, one per user.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for an item id outside the profile, naming list
    /// and id.
    pub fn of_lists(lists: &[Vec<usize>], profile: &'a ClassProfile) -> Result<Self> {
        let mut exposure = Self::new(profile);
        lists.iter().try_for_each(|list| exposure.update(list))?;
        Ok(exposure)
    }

    /// Adds one list, best first.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for an item id outside the profile; nothing of the
    /// list is added then.
    pub fn update(&mut self, list: &[usize]) -> Result<()> {
        for &id in list {
            crate::counts::check_ids(id, id, self.lists as usize, self.shown.len())?;
        }
        self.lists += 1;
        if list.is_empty() {
            return Ok(());
        }
        let (mut popularity, mut logs, mut tail) = (0.0, 0.0, 0u64);
        let (mut discounted, mut discounts) = (0.0, 0.0);
        for (place, &item) in list.iter().enumerate() {
            let (count, d) = (self.profile.counts()[item], discount(place + 1));
            self.shown[item] += 1;
            self.exposure[item] += d;
            popularity += count as f64;
            logs += (count.max(1) as f64).log2();
            tail += u64::from(self.profile.segment(item) == Segment::Tail);
            discounted += d * count as f64;
            discounts += d;
        }
        let n = list.len() as f64;
        self.filled += 1;
        self.tail_items += tail;
        self.popularity += popularity / n;
        self.tail_share += tail as f64 / n;
        self.log_popularity += logs / n;
        self.discounted_popularity += discounted / discounts;
        Ok(())
    }

    /// Adds another shard, counted on the same profile.
    ///
    /// # Errors
    /// When the numbers of items differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure_length("items", other.shown.len(), self.shown.len())?;
        self.shown.iter_mut().zip(&other.shown).for_each(|(a, b)| *a += b);
        self.exposure.iter_mut().zip(&other.exposure).for_each(|(a, b)| *a += b);
        self.lists += other.lists;
        self.tail_items += other.tail_items;
        self.filled += other.filled;
        self.popularity += other.popularity;
        self.tail_share += other.tail_share;
        self.log_popularity += other.log_popularity;
        self.discounted_popularity += other.discounted_popularity;
        Ok(())
    }

    /// How often each item is shown, by item id.
    pub fn shown(&self) -> &[u64] {
        &self.shown
    }

    fn places(&self) -> u64 {
        self.shown.iter().sum()
    }

    /// The share of items shown at least once (catalogue coverage).
    pub fn coverage(&self) -> f64 {
        let seen = self.shown.iter().filter(|&&n| n > 0).count();
        seen as f64 / self.shown.len() as f64
    }

    /// Gini index of how often items are shown: 0 when all are shown alike.
    ///
    /// `None` when nothing is shown (or one item exists, on the scale n − 1).
    pub fn gini(&self, scale: GiniScale) -> Option<f64> {
        let (n, total) = (self.shown.len() as f64, self.places() as f64);
        if total == 0.0 {
            return None;
        }
        let mut sorted = self.shown.clone();
        sorted.sort_unstable();
        let weighted: f64 = (sorted.iter().enumerate())
            .map(|(i, &x)| (2.0 * (i as f64 + 1.0) - n - 1.0) * x as f64)
            .sum();
        let gini = weighted / (n * total);
        match scale {
            GiniScale::Items => Some(gini),
            GiniScale::ItemsLessOne => (n > 1.0).then(|| gini * n / (n - 1.0)),
        }
    }

    /// Shannon entropy of the items shown, `−Σ p log p`. `None` when nothing is shown (or
    /// one item exists, in base n).
    pub fn entropy(&self, base: EntropyBase) -> Option<f64> {
        let total = self.places() as f64;
        if total == 0.0 {
            return None;
        }
        let nats: f64 = self
            .shown
            .iter()
            .filter(|&&n| n > 0)
            .map(|&n| n as f64 / total)
            .map(|p| -p * p.ln())
            .sum();
        let unit = match base {
            EntropyBase::Nats => 1.0,
            EntropyBase::Bits => std::f64::consts::LN_2,
            EntropyBase::Items => (self.shown.len() as f64).ln(),
        };
        (unit > 0.0).then(|| nats / unit)
    }

    /// A sum over the lists that hold items, as a mean; `None` without such lists.
    fn per_list(&self, sum: f64) -> Option<f64> {
        ratio(sum, self.filled as f64)
    }

    /// Average recommendation popularity, ARP: the mean training count of the items of a list,
    /// averaged over lists (Yin et al., VLDB 2012).
    pub fn average_popularity(&self) -> Option<f64> {
        self.per_list(self.popularity)
    }

    /// APLT: the share of tail items in a list, averaged over lists (Abdollahpouri et al.,
    /// FLAIRS 2019).
    pub fn tail_share(&self) -> Option<f64> {
        self.per_list(self.tail_share)
    }

    /// ACLT: the mean number of tail items in a list (Abdollahpouri et al., FLAIRS 2019);
    /// empty lists count.
    pub fn tail_count(&self) -> Option<f64> {
        ratio(self.tail_items as f64, self.lists as f64)
    }

    /// Mean self-information of a list's items, `−log2 p`, averaged over lists. An item
    /// without interactions counts as one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer users than an item's
    /// interactions: p would exceed 1.
    pub fn novelty(&self, space: Novelty) -> Result<Option<f64>> {
        let total = match space {
            Novelty::Interactions => self.profile.total(),
            Novelty::Users(users) => self.users(users)?,
        };
        Ok(self.per_list(self.log_popularity).map(|mean| (total as f64).log2() - mean))
    }

    /// Users, who must be as many as the interactions of any item.
    fn users(&self, users: u64) -> Result<u64> {
        let most = self.profile.counts().iter().copied().max().unwrap_or(0);
        let ok = users >= most.max(1);
        ensure("users", users as f64, ok, "at least the largest item count")?;
        Ok(users)
    }

    /// EPC: expected popularity complement, the mean of `1 − p`, p an item's share of the
    /// users, discounted by rank, `Σ (1 − p) d(r) / Σ d(r)`, d(r) = 1 / log2(r + 1) (Vargas
    /// and Castells, RecSys 2011), averaged over lists.
    ///
    /// # Errors
    /// As [`novelty`](Self::novelty).
    pub fn popularity_complement(&self, users: u64) -> Result<Option<f64>> {
        let users = self.users(users)? as f64;
        Ok(self.per_list(self.discounted_popularity).map(|mean| 1.0 - mean / users))
    }

    /// Head, mid and tail: items, training interactions, places and exposure.
    pub fn report(&self) -> Vec<ExposureReport> {
        let total = self.profile.total() as f64;
        let places = self.places() as f64;
        let all: f64 = self.exposure.iter().sum();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Segment::ALL
            .into_iter()
            .map(|segment| {
                let of: Vec<usize> = (0..self.shown.len())
                    .filter(|&item| self.profile.segment(item) == segment)
                    .collect();
                let sum = |f: &dyn Fn(usize) -> f64| of.iter().map(|&item| f(item)).sum::<f64>();
                ExposureReport {
                    segment,
                    items: of.len(),
                    interactions: share(sum(&|i| self.profile.counts()[i] as f64), total),
                    shown: share(sum(&|i| self.shown[i] as f64), places),
                    exposure: share(sum(&|i| self.exposure[i]), all),
                }
            })
            .collect()
    }

    /// The share of the exposure of each group of items (brands, sellers, languages), by name;
    /// `groups` names the group of each item.
    ///
    /// # Errors
    /// When `groups` has another length than the items.
    pub fn by_group<S: AsRef<str>>(&self, groups: &[S]) -> Result<Vec<(String, f64)>> {
        ensure_length("groups", groups.len(), self.exposure.len())?;
        let all: f64 = self.exposure.iter().sum();
        let share = |(group, items): (&str, Vec<usize>)| {
            let sum: f64 = items.iter().map(|&item| self.exposure[item]).sum();
            (group.to_owned(), if all > 0.0 { sum / all } else { 0.0 })
        };
        Ok(crate::fairness::rows_by_group(groups).into_iter().map(share).collect())
    }
}

/// How evenly the segments of items are shown where they could be: an accumulator over users
/// (Zhu et al., SIGIR 2020).
///
/// With the items a user did not know as candidates this is PopRSP, ranking-based statistical
/// parity; with the items of the test set that the user liked it is PopREO, ranking-based
/// equal opportunity.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_metrics::SegmentParity;
///
/// let items = ClassProfile::from_counts([80, 15, 5])?;
/// let mut liked = SegmentParity::new(&items);
/// liked.update(&[0], [0, 2])?; // liked both, was shown the popular one
/// assert_eq!(liked.spread(), Some(1.0));
/// liked.update(&[2], [0, 2])?;
/// assert_eq!(liked.spread(), Some(0.0));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SegmentParity<'a> {
    profile: &'a ClassProfile,
    /// By segment: shown, and possible.
    counts: [[u64; 2]; 3],
}

impl<'a> SegmentParity<'a> {
    /// No users yet.
    pub fn new(profile: &'a ClassProfile) -> Self {
        Self { profile, counts: [[0; 2]; 3] }
    }

    /// Adds a user: the list shown, and the items that could have been.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for an item id outside the profile.
    pub fn update(
        &mut self,
        list: &[usize],
        candidates: impl IntoIterator<Item = usize>,
    ) -> Result<()> {
        let shown: HashSet<usize> = list.iter().copied().collect();
        let mut counts = self.counts;
        for item in candidates {
            crate::counts::check_ids(item, item, 0, self.profile.classes())?;
            let segment = &mut counts[match self.profile.segment(item) {
                Segment::Head => 0,
                Segment::Mid => 1,
                Segment::Tail => 2,
            }];
            segment[0] += u64::from(shown.contains(&item));
            segment[1] += 1;
        }
        self.counts = counts;
        Ok(())
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Standard deviation over mean of the segments' shares of candidates shown: 0 is parity.
    /// Segments without candidates are left out; `None` when nothing is shown.
    pub fn spread(&self) -> Option<f64> {
        let rates: Vec<f64> =
            (self.counts.iter()).filter_map(|&[hit, n]| ratio(hit as f64, n as f64)).collect();
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        if mean == 0.0 {
            return None;
        }
        let variance = rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / rates.len() as f64;
        Some(variance.sqrt() / mean)
    }
}

fn discount(rank: usize) -> f64 {
    ((rank + 1) as f64).log2().recip()
}
