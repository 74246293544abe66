use counterweight_core::{ClassProfile, Segment, ensure};
use serde::{Deserialize, Serialize};

use crate::Result;

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

/// What recommendation lists show, against how popular the items were in training.
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
/// let lists = [vec![0], vec![0]];
/// let monopoly = ItemExposure::new(&lists, &profile)?;
/// assert_eq!(monopoly.gini(GiniScale::Items), Some(0.75));
/// assert_eq!(monopoly.gini(GiniScale::ItemsLessOne), Some(1.0));
/// assert_eq!(monopoly.coverage(), 0.25);
/// assert_eq!(monopoly.average_popularity(), Some(70.0));
///
/// let profile = ClassProfile::from_counts([70, 20, 6])?;
/// let lists = [vec![0, 0, 0, 0, 1, 1, 2, 2]];
/// let spread = ItemExposure::new(&lists, &profile)?;
/// assert!((spread.entropy(EntropyBase::Nats).unwrap() - 1.0397).abs() < 1e-4);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ItemExposure<'a> {
    lists: &'a [Vec<usize>],
    profile: &'a ClassProfile,
    /// How often each item is shown.
    shown: Vec<u64>,
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
    /// Counts the items of recommendation lists, best first, one per user.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for an item id outside the profile, naming list
    /// and id.
    pub fn new(lists: &'a [Vec<usize>], profile: &'a ClassProfile) -> Result<Self> {
        let mut shown = vec![0; profile.classes()];
        for (row, list) in lists.iter().enumerate() {
            for &id in list {
                let classes = profile.classes();
                let slot = shown.get_mut(id).ok_or(counterweight_core::Error::ClassId {
                    id,
                    row,
                    classes,
                })?;
                *slot += 1;
            }
        }
        Ok(Self { lists, profile, shown })
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

    /// The mean over lists of `f` averaged over a list's items; lists without items are
    /// left out, `None` when all are.
    fn per_list(&self, f: impl Fn(usize) -> f64) -> Option<f64> {
        let means =
            self.lists.iter().filter(|list| !list.is_empty()).map(|list| {
                Some(list.iter().map(|&item| f(item)).sum::<f64>() / list.len() as f64)
            });
        super::mean_over_queries(means).map(|(mean, _)| mean)
    }

    /// Average recommendation popularity, ARP: the mean training count of the items of a list,
    /// averaged over lists (Yin et al., VLDB 2012).
    pub fn average_popularity(&self) -> Option<f64> {
        self.per_list(|item| self.profile.counts()[item] as f64)
    }

    /// APLT: the share of tail items in a list, averaged over lists (Abdollahpouri et al.,
    /// FLAIRS 2019).
    pub fn tail_share(&self) -> Option<f64> {
        self.per_list(|item| f64::from(u8::from(self.profile.segment(item) == Segment::Tail)))
    }

    /// ACLT: the mean number of tail items in a list (Abdollahpouri et al., FLAIRS 2019);
    /// empty lists count.
    pub fn tail_count(&self) -> Option<f64> {
        let tail = |list: &Vec<usize>| {
            list.iter().filter(|&&item| self.profile.segment(item) == Segment::Tail).count()
        };
        let total: usize = self.lists.iter().map(tail).sum();
        (!self.lists.is_empty()).then(|| total as f64 / self.lists.len() as f64)
    }

    /// Mean self-information of a list's items, `−log2 p`, averaged over lists. An item
    /// without interactions counts as one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer users than an item's
    /// interactions: p would exceed 1.
    pub fn novelty(&self, space: Novelty) -> Result<Option<f64>> {
        let most = self.profile.counts().iter().copied().max().unwrap_or(0);
        let total = match space {
            Novelty::Interactions => self.profile.total(),
            Novelty::Users(users) => {
                let ok = users >= most.max(1);
                ensure("users", users as f64, ok, "at least the largest item count")?;
                users
            }
        };
        let counts = self.profile.counts();
        Ok(self.per_list(|item| (total as f64 / counts[item].max(1) as f64).log2()))
    }

    /// EPC: expected popularity complement, the mean of `1 − p`, p an item's share of the
    /// users, discounted by rank, `Σ (1 − p) d(r) / Σ d(r)`, d(r) = 1 / log2(r + 1) (Vargas
    /// and Castells, RecSys 2011), averaged over lists.
    ///
    /// # Errors
    /// As [`novelty`](Self::novelty).
    pub fn popularity_complement(&self, users: u64) -> Result<Option<f64>> {
        let most = self.profile.counts().iter().copied().max().unwrap_or(0);
        ensure("users", users as f64, users >= most.max(1), "at least the largest item count")?;
        let values = self.lists.iter().filter(|list| !list.is_empty()).map(|list| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (i, &item) in list.iter().enumerate() {
                let d = discount(i + 1);
                sum += d * (1.0 - self.profile.counts()[item] as f64 / users as f64);
                weights += d;
            }
            Some(sum / weights)
        });
        Ok(super::mean_over_queries(values).map(|(mean, _)| mean))
    }

    /// Head, mid and tail: items, training interactions, places and exposure.
    pub fn report(&self) -> Vec<ExposureReport> {
        let total = self.profile.total() as f64;
        let places = self.places() as f64;
        let mut exposure = vec![0.0; self.shown.len()];
        for list in self.lists {
            for (i, &item) in list.iter().enumerate() {
                exposure[item] += discount(i + 1);
            }
        }
        let all: f64 = exposure.iter().sum();
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
                    exposure: share(sum(&|i| exposure[i]), all),
                }
            })
            .collect()
    }

    /// PopRSP: how unevenly the segments are shown, the standard deviation over the mean of
    /// the chance that an item of a segment is shown where it could be (Zhu et al., SIGIR
    /// 2020, ranking-based statistical parity). `seen` are the items each user knew in
    /// training, which are not recommended. 0 is parity; `None` when nothing is shown.
    pub fn statistical_parity(&self, seen: &[Vec<usize>]) -> Option<f64> {
        self.spread(
            |list, item| list.contains(&item),
            |user, item| !seen.get(user).is_some_and(|known| known.contains(&item)),
        )
    }

    /// PopREO: the same over the items that were relevant to the user (`relevant`, from the
    /// test set): equal opportunity of a segment's liked items to be shown.
    pub fn equal_opportunity(&self, relevant: &[Vec<usize>]) -> Option<f64> {
        self.spread(
            |list, item| list.contains(&item),
            |user, item| relevant.get(user).is_some_and(|liked| liked.contains(&item)),
        )
    }

    /// Relative standard deviation over segments of shown / possible.
    fn spread(
        &self,
        shown: impl Fn(&[usize], usize) -> bool,
        possible: impl Fn(usize, usize) -> bool,
    ) -> Option<f64> {
        let mut counts = [[0u64; 2]; 3];
        for (user, list) in self.lists.iter().enumerate() {
            for item in 0..self.shown.len() {
                if possible(user, item) {
                    let segment = self.profile.segment(item);
                    let at = Segment::ALL.iter().position(|&s| s == segment)?;
                    counts[at][0] += u64::from(shown(list, item));
                    counts[at][1] += 1;
                }
            }
        }
        let rates: Vec<f64> = (counts.iter().filter(|[_, n]| *n > 0))
            .map(|[hit, n]| *hit as f64 / *n as f64)
            .collect();
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
