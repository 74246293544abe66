use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, ensure};

/// Where a class stands in the long tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// The few classes with most examples.
    Head,
    /// Between head and tail.
    Mid,
    /// The many classes with few examples.
    Tail,
}

impl Segment {
    /// Head, mid and tail in that order.
    pub const ALL: [Self; 3] = [Self::Head, Self::Mid, Self::Tail];
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Head => "head",
            Self::Mid => "mid",
            Self::Tail => "tail",
        })
    }
}

/// How classes are divided into head, mid and tail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum SegmentRule {
    /// By interaction mass, as in popularity-bias work (Abdollahpouri et al. 2019):
    /// walking from the most frequent class, the head is the classes whose share
    /// of all examples before them is below `head`, the tail those that start
    /// at or above `1 - tail`.
    Mass {
        /// Share of the examples that the head covers, in (0, 1).
        head: f64,
        /// Share of the examples that the tail covers, in (0, 1), `head + tail <= 1`.
        tail: f64,
    },
    /// By count, as in ImageNet-LT (Liu et al. 2019: many-shot above 100, few-shot
    /// below 20).
    Counts {
        /// Head: more examples than this.
        head_above: u64,
        /// Tail: fewer examples than this.
        tail_below: u64,
    },
    /// By rank: the most frequent `head` of the classes, the rarest `tail` of them
    /// (each rounded up).
    Quantiles {
        /// Share of the classes in the head, in (0, 1).
        head: f64,
        /// Share of the classes in the tail, in (0, 1), `head + tail <= 1`.
        tail: f64,
    },
}

impl Default for SegmentRule {
    /// Thirds by rank.
    fn default() -> Self {
        Self::Quantiles { head: 1.0 / 3.0, tail: 1.0 / 3.0 }
    }
}

impl SegmentRule {
    fn check(&self) -> Result<()> {
        match *self {
            Self::Mass { head, tail } | Self::Quantiles { head, tail } => {
                ensure("head", head, head > 0.0 && head < 1.0, "(0, 1)")?;
                ensure("tail", tail, tail > 0.0 && tail < 1.0, "(0, 1)")?;
                ensure("head + tail", head + tail, head + tail <= 1.0 + 1e-9, "(0, 1]")?;
            }
            Self::Counts { head_above, tail_below } => ensure(
                "tail_below",
                tail_below as f64,
                tail_below <= head_above.saturating_add(1),
                "[0, head_above + 1]",
            )?,
        }
        Ok(())
    }

    /// `order` is the class ids from most to least frequent.
    fn segments(&self, counts: &[u64], order: &[usize]) -> Vec<Segment> {
        let mut out = vec![Segment::Mid; counts.len()];
        match *self {
            Self::Mass { head, tail } => {
                let total = counts.iter().sum::<u64>() as f64;
                let mut before = 0.0;
                for &class in order {
                    let share = before / total;
                    if share < head {
                        out[class] = Segment::Head;
                    } else if share >= 1.0 - tail - 1e-12 {
                        out[class] = Segment::Tail;
                    }
                    before += counts[class] as f64;
                }
            }
            Self::Counts { head_above, tail_below } => {
                for (class, &n) in counts.iter().enumerate() {
                    if n > head_above {
                        out[class] = Segment::Head;
                    } else if n < tail_below {
                        out[class] = Segment::Tail;
                    }
                }
            }
            Self::Quantiles { head, tail } => {
                let n = counts.len();
                let take = |share: f64| ((share * n as f64 - 1e-9).ceil() as usize).min(n);
                for &class in &order[..take(head)] {
                    out[class] = Segment::Head;
                }
                let tail_start = (n - take(tail)).max(take(head));
                for &class in &order[tail_start..] {
                    out[class] = Segment::Tail;
                }
            }
        }
        out
    }
}

/// The counts per class of a training set and their division into head, mid and
/// tail.
///
/// Losses, samplers and metrics that need counts take a `&ClassProfile`, so that
/// the class order is never in doubt. `Display` prints the audit table; serde
/// gives JSON.
///
/// ```
/// use counterweight_core::{ClassProfile, Segment};
///
/// let profile = ClassProfile::from_counts([900, 90, 10])?;
/// assert_eq!(profile.imbalance_factor(), 90.0);
/// assert_eq!(profile.segment(2), Segment::Tail);
/// assert_eq!(profile.priors(), [0.9, 0.09, 0.01]);
/// # Ok::<(), counterweight_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct ClassProfile {
    counts: Vec<u64>,
    names: Vec<String>,
    #[serde(skip_serializing)]
    segments: Vec<Segment>,
    rule: SegmentRule,
}

/// A profile as read from a file: the segments follow from the rule.
#[derive(Deserialize)]
struct Stored {
    counts: Vec<u64>,
    names: Vec<String>,
    rule: SegmentRule,
}

impl TryFrom<Stored> for ClassProfile {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        crate::ensure_length("names", stored.names.len(), stored.counts.len())?;
        Self::build(stored.counts, stored.names)?.with_rule(stored.rule)
    }
}

impl ClassProfile {
    /// A profile from counts in class-id order, named `0`, `1`, …
    ///
    /// Zero counts are allowed (a class known but not yet seen).
    ///
    /// # Errors
    /// [`Error::Empty`] when there is no class or no example at all.
    pub fn from_counts(counts: impl IntoIterator<Item = u64>) -> Result<Self> {
        let counts: Vec<u64> = counts.into_iter().collect();
        let names = (0..counts.len()).map(|c| c.to_string()).collect();
        Self::build(counts, names)
    }

    /// Counts class ids against the class names.
    ///
    /// # Errors
    /// [`Error::Empty`] without labels, [`Error::ClassId`] for an id outside
    /// `0..names.len()`.
    pub fn from_labels(labels: &[usize], names: &[String]) -> Result<Self> {
        let mut counts = vec![0; names.len()];
        for (row, &id) in labels.iter().enumerate() {
            *counts.get_mut(id).ok_or(Error::ClassId { id, row, classes: names.len() })? += 1;
        }
        Self::build(counts, names.to_vec())
    }

    fn build(counts: Vec<u64>, names: Vec<String>) -> Result<Self> {
        if counts.iter().all(|&n| n == 0) {
            return Err(Error::Empty { what: "labels" });
        }
        let mut profile =
            Self { segments: Vec::new(), counts, names, rule: SegmentRule::default() };
        profile.segments = profile.rule.segments(&profile.counts, &profile.order());
        Ok(profile)
    }

    /// Divides the classes by another rule (default: thirds by rank).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the rule's shares are not in their ranges.
    pub fn with_rule(mut self, rule: SegmentRule) -> Result<Self> {
        rule.check()?;
        self.segments = rule.segments(&self.counts, &self.order());
        self.rule = rule;
        Ok(self)
    }

    /// Examples per class, in class-id order.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Class names in class-id order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// The number of examples.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of each class; zero for an empty one.
    pub fn priors(&self) -> Vec<f64> {
        let total = self.total() as f64;
        self.counts.iter().map(|&n| n as f64 / total).collect()
    }

    /// The logarithm of each class's share, as logit adjustment needs it: finite, since a
    /// class without examples takes the share of one example.
    pub fn log_priors(&self) -> Vec<f64> {
        let total = self.total() as f64;
        self.counts.iter().map(|&n| (n.max(1) as f64 / total).ln()).collect()
    }

    /// Largest count divided by the smallest non-zero count.
    pub fn imbalance_factor(&self) -> f64 {
        let max = self.counts.iter().max().copied().unwrap_or(0);
        let min = self.counts.iter().filter(|&&n| n > 0).min().copied().unwrap_or(1);
        max as f64 / min as f64
    }

    /// The segment of a class.
    ///
    /// # Panics
    /// When `class` is not below [`classes`](Self::classes), as slice indexing does.
    pub fn segment(&self, class: usize) -> Segment {
        self.segments[class]
    }

    /// The segments in class-id order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The rule that divided the classes.
    pub fn rule(&self) -> SegmentRule {
        self.rule
    }

    /// Class ids from the most to the least frequent; equal counts by id.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.counts.len()).collect();
        order.sort_by_key(|&c| (std::cmp::Reverse(self.counts[c]), c));
        order
    }
}

impl fmt::Display for ClassProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "{:<width$}  {:>8}  {:>7}  segment", "class", "count", "share")?;
        let total = self.total() as f64;
        for class in self.order() {
            writeln!(
                f,
                "{:<width$}  {:>8}  {:>6.2}%  {}",
                self.names[class],
                self.counts[class],
                100.0 * self.counts[class] as f64 / total,
                self.segments[class],
            )?;
        }
        writeln!(
            f,
            "{} examples, {} classes, imbalance factor {:.1}",
            self.total(),
            self.classes(),
            self.imbalance_factor()
        )?;
        for segment in Segment::ALL {
            let members = (0..self.classes()).filter(|&c| self.segments[c] == segment);
            let (n, mass) = members.fold((0, 0), |(n, m), c| (n + 1, m + self.counts[c]));
            writeln!(
                f,
                "  {segment:<4}  {n:>3} classes  {:>5.1}% of the examples",
                100.0 * mass as f64 / total
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(counts: &[u64], rule: SegmentRule) -> Vec<Segment> {
        let profile = ClassProfile::from_counts(counts.iter().copied()).unwrap();
        profile.with_rule(rule).unwrap().segments().to_vec()
    }

    #[test]
    fn each_rule_divides_as_its_definition_says() {
        use Segment::{Head, Mid, Tail};
        let counts = [500, 300, 100, 60, 40];
        let mass = SegmentRule::Mass { head: 0.5, tail: 0.2 };
        assert_eq!(segments(&counts, mass), [Head, Mid, Tail, Tail, Tail]);
        let shots = SegmentRule::Counts { head_above: 100, tail_below: 60 };
        assert_eq!(segments(&counts, shots), [Head, Head, Mid, Mid, Tail]);
        let ranks = SegmentRule::Quantiles { head: 0.2, tail: 0.4 };
        assert_eq!(segments(&counts, ranks), [Head, Mid, Mid, Tail, Tail]);
    }

    #[test]
    fn bad_rules_and_labels_are_named() {
        let profile = ClassProfile::from_counts([3, 1]).unwrap();
        let bad = profile.with_rule(SegmentRule::Mass { head: 1.5, tail: 0.1 });
        assert_eq!(bad.unwrap_err().to_string(), "head = 1.5 is outside (0, 1)");
        let names = ["a".to_owned()];
        let bad = ClassProfile::from_labels(&[0, 3], &names).unwrap_err();
        assert_eq!(bad.to_string(), "class id 3 at row 1 is outside 0..1");
        assert!(ClassProfile::from_counts([0, 0]).is_err());
    }

    #[test]
    fn the_profile_survives_json() {
        let profile = ClassProfile::from_counts([7, 0, 2]).unwrap();
        let json = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<ClassProfile>(&json).unwrap(), profile);
        let short = json.replacen("[7,0,2]", "[7,2]", 1);
        let error = serde_json::from_str::<ClassProfile>(&short).unwrap_err();
        assert!(error.to_string().contains("names has 3 items, expected 2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_rarer_class_is_nearer_the_head(counts in prop::collection::vec(0u64..1000, 1..30)) {
            prop_assume!(counts.iter().any(|&n| n > 0));
            for rule in [
                SegmentRule::default(),
                SegmentRule::Mass { head: 0.6, tail: 0.2 },
                SegmentRule::Counts { head_above: 100, tail_below: 20 },
            ] {
                let profile = ClassProfile::from_counts(counts.clone()).unwrap().with_rule(rule).unwrap();
                let ordered: Vec<_> = profile.order().iter().map(|&c| profile.segment(c)).collect();
                prop_assert!(ordered.is_sorted());
            }
        }
    }
}
