use counterweight_core::{ensure, ensure_length, rng};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What an item of relevance r is worth in [`RankedQuery::ndcg`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// r (Järvelin and Kekäläinen 2002; scikit-learn).
    #[default]
    Linear,
    /// 2^r − 1 (Burges et al. 2005; most ranking competitions).
    Exponential,
}

impl Gain {
    fn of(self, relevance: f64) -> f64 {
        match self {
            Self::Linear => relevance,
            Self::Exponential => relevance.exp2() - 1.0,
        }
    }
}

/// What average precision at k is divided by, R being the relevant items of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AveragePrecision {
    /// min(k, R): a list full of relevant items scores 1.
    #[default]
    MinOfCutAndRelevant,
    /// R: comparable between cuts (TREC).
    Relevant,
}

/// How items of equal score are ordered; never by their place in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// The expected metric over all orders of tied items (McSherry and Najork, ECIR 2008).
    #[default]
    Expectation,
    /// One random order.
    Seed(u64),
}

/// Tied items: how many, and their relevances' sums.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    relevances: Vec<f64>,
    relevant: usize,
}

impl Group {
    fn new(relevances: Vec<f64>) -> Self {
        let relevant = relevances.iter().filter(|&&r| r > 0.0).count();
        Self { relevances, relevant }
    }

    fn len(&self) -> usize {
        self.relevances.len()
    }
}

/// The ranked items of one query, and what was relevant to it.
///
/// An item is relevant when its relevance is above 0. Every metric is `None` for a query
/// without relevant items (precision and hit rate are 0 there), and a list shorter than
/// the cut k is not padded.
///
/// ```
/// use counterweight_metrics::{Gain, RankedQuery, Ties};
///
/// // Relevances in the order of the list: the better item came second.
/// let query = RankedQuery::from_list(&[1.0, 2.0])?;
/// assert!((query.ndcg(2, Gain::Linear)?.unwrap() - 0.8597).abs() < 1e-4);
/// assert!((query.ndcg(2, Gain::Exponential)?.unwrap() - 0.7967).abs() < 1e-4);
///
/// // Four tied items, one of them relevant: its expected reciprocal rank.
/// let tied = RankedQuery::from_scores(&[0.5; 4], &[0.0, 1.0, 0.0, 0.0], Ties::Expectation)?;
/// assert!((tied.reciprocal_rank().unwrap() - 0.5208).abs() < 1e-4);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RankedQuery {
    groups: Vec<Group>,
    /// Relevances of all relevant items, returned or not, downwards.
    ideal: Vec<f64>,
}

impl RankedQuery {
    /// Ranks candidates by score, highest first.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a score that is NaN or a relevance that is negative or not
    /// finite; [`Error::Data`](crate::Error::Data) for arrays of different lengths.
    pub fn from_scores(scores: &[f64], relevance: &[f64], ties: Ties) -> Result<Self> {
        ensure_length("relevance", relevance.len(), scores.len())?;
        for &score in scores {
            ensure("score", score, !score.is_nan(), "[-inf, inf]")?;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        if let Ties::Seed(seed) = ties {
            // Shuffled first, so that the stable sort leaves tied items in random order.
            order.shuffle(&mut rng(seed));
        }
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let tied = |&a: &usize, &b: &usize| {
            // 0 and −0 are one score, though `total_cmp` orders them.
            ties == Ties::Expectation && scores[a] == scores[b]
        };
        let groups = order
            .chunk_by(tied)
            .map(|rows| rows.iter().map(|&row| relevance[row]).collect())
            .collect();
        Self::new(groups, relevance)
    }

    /// Takes a list as it was shown, and with it everything that was relevant.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a relevance that is negative or not finite.
    pub fn from_list(relevance: &[f64]) -> Result<Self> {
        Self::from_list_and_missed(relevance, &[])
    }

    /// The same with the relevances of relevant items that the list does not hold.
    ///
    /// # Errors
    /// As [`from_list`](Self::from_list).
    ///
    /// ```
    /// use counterweight_metrics::{AveragePrecision, RankedQuery, Gain};
    ///
    /// // Three relevant items, one of them returned, at rank 1.
    /// let query = RankedQuery::from_list_and_missed(&[1.0], &[1.0, 1.0])?;
    /// assert!((query.ndcg(3, Gain::Linear)?.unwrap() - 0.4693).abs() < 1e-4);
    ///
    /// let ten = RankedQuery::from_list_and_missed(&[1.0, 0.0, 1.0, 0.0, 0.0], &[1.0; 8])?;
    /// let at_5 = |by| ten.average_precision(5, by).map(Option::unwrap);
    /// assert!((at_5(AveragePrecision::MinOfCutAndRelevant)? - 0.3333).abs() < 1e-4);
    /// assert!((at_5(AveragePrecision::Relevant)? - 0.1667).abs() < 1e-4);
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn from_list_and_missed(relevance: &[f64], missed: &[f64]) -> Result<Self> {
        let groups = relevance.iter().map(|&r| vec![r]).collect();
        Self::new(groups, &[relevance, missed].concat())
    }

    fn new(groups: Vec<Vec<f64>>, all: &[f64]) -> Result<Self> {
        for &r in all {
            ensure("relevance", r, r >= 0.0 && r.is_finite(), "[0, inf)")?;
        }
        let mut ideal: Vec<f64> = all.iter().copied().filter(|&r| r > 0.0).collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        Ok(Self { groups: groups.into_iter().map(Group::new).collect(), ideal })
    }

    /// The relevant items of the query.
    pub fn relevant(&self) -> usize {
        self.ideal.len()
    }

    /// Groups with the number of items before each.
    fn placed(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.groups.iter().scan(0, |before, group| {
            let start = *before;
            *before += group.len();
            Some((start, group))
        })
    }

    /// Normalised discounted cumulative gain, `DCG@k / ideal DCG@k` with
    /// `DCG@k = Σ_{rank ≤ k} gain / log2(rank + 1)`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn ndcg(&self, k: usize, gain: Gain) -> Result<Option<f64>> {
        check_cut(k)?;
        let discount = |rank: usize| ((rank + 1) as f64).log2().recip();
        let best: f64 =
            self.ideal.iter().take(k).enumerate().map(|(i, &r)| gain.of(r) * discount(i + 1)).sum();
        if best == 0.0 {
            return Ok(None);
        }
        let found: f64 = self
            .placed()
            .map(|(start, group)| {
                let places: f64 = (start + 1..=start + group.len())
                    .take_while(|&rank| rank <= k)
                    .map(discount)
                    .sum();
                let gains: f64 = group.relevances.iter().map(|&r| gain.of(r)).sum();
                places * gains / group.len() as f64
            })
            .sum();
        Ok(Some(found / best))
    }

    /// Expected number of relevant items among the first k.
    fn hits(&self, k: usize) -> f64 {
        self.placed()
            .map(|(start, group)| {
                let inside = k.saturating_sub(start).min(group.len());
                inside as f64 * group.relevant as f64 / group.len() as f64
            })
            .sum()
    }

    /// Relevant items among the first k, divided by k.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn precision(&self, k: usize) -> Result<f64> {
        check_cut(k)?;
        Ok(self.hits(k) / k as f64)
    }

    /// Relevant items among the first k, divided by all relevant items.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn recall(&self, k: usize) -> Result<Option<f64>> {
        check_cut(k)?;
        Ok((self.relevant() > 0).then(|| self.hits(k) / self.relevant() as f64))
    }

    /// Whether a relevant item is among the first k: the chance of it, under ties.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn hit_rate(&self, k: usize) -> Result<f64> {
        check_cut(k)?;
        let miss: f64 = self
            .placed()
            .map(|(start, group)| {
                // The chance that the relevant ones all lie behind the cut of their group.
                let inside = k.saturating_sub(start).min(group.len());
                let (n, r) = (group.len(), group.relevant);
                (0..inside)
                    .map(|j| if n - j > r { (n - j - r) as f64 / (n - j) as f64 } else { 0.0 })
                    .product::<f64>()
            })
            .product();
        Ok(1.0 - miss)
    }

    /// `Σ_{relevant at rank ≤ k} precision at its rank`, divided as `by` says.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn average_precision(&self, k: usize, by: AveragePrecision) -> Result<Option<f64>> {
        check_cut(k)?;
        let divisor = match by {
            AveragePrecision::MinOfCutAndRelevant => k.min(self.relevant()),
            AveragePrecision::Relevant => self.relevant(),
        };
        if divisor == 0 {
            return Ok(None);
        }
        let mut before = 0.0;
        let mut total = 0.0;
        for (start, group) in self.placed() {
            let (n, r) = (group.len() as f64, group.relevant as f64);
            for j in 0..group.len() {
                let rank = start + j + 1;
                if rank > k || group.relevant == 0 {
                    break;
                }
                // Given that place j is relevant, the j before it hold each of the other
                // r − 1 relevant ones with chance (r − 1) / (n − 1).
                let others = if group.len() > 1 { j as f64 * (r - 1.0) / (n - 1.0) } else { 0.0 };
                total += r / n * (before + others + 1.0) / rank as f64;
            }
            before += r;
        }
        Ok(Some(total / divisor as f64))
    }

    /// 1 / rank of the first relevant item of the list; 0 when relevant items exist but
    /// none was returned.
    pub fn reciprocal_rank(&self) -> Option<f64> {
        if self.relevant() == 0 {
            return None;
        }
        let first = self.placed().find(|(_, group)| group.relevant > 0);
        Some(first.map_or(0.0, |(start, group)| {
            let (n, r) = (group.len(), group.relevant);
            // The chance that the first relevant one is at place j, place by place.
            let mut none_before = 1.0;
            let mut expected = 0.0;
            for j in 0..=n - r {
                let here = r as f64 / (n - j) as f64;
                expected += none_before * here / (start + j + 1) as f64;
                none_before *= 1.0 - here;
            }
            expected
        }))
    }
}

/// The mean over the queries that define a metric: an accumulator with `update` and `merge`.
///
/// ```
/// use counterweight_metrics::QueryMean;
///
/// let mut recall = QueryMean::default();
/// [Some(1.0), None, Some(0.5)].map(|value| recall.update(value));
/// assert_eq!((recall.value(), recall.queries()), (Some(0.75), 2));
/// assert_eq!(QueryMean::default().value(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct QueryMean {
    sum: f64,
    queries: u64,
}

impl QueryMean {
    /// Adds a query's value, unless it is undefined.
    pub fn update(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.queries += 1;
        }
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.queries += other.queries;
    }

    /// The mean; `None` when no query defined the metric.
    pub fn value(&self) -> Option<f64> {
        crate::counts::ratio(self.sum, self.queries as f64)
    }

    /// The queries that defined it.
    pub fn queries(&self) -> u64 {
        self.queries
    }
}

fn check_cut(k: usize) -> Result<()> {
    Ok(ensure("k", k as f64, k >= 1, "[1, inf)")?)
}
