use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which classes are resampled and to how many rows, as imbalanced-learn's
/// `sampling_strategy`.
///
/// The smallest and the largest class are the lowest id of equals.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Over-sampling: every class but the largest grows to it. Under-sampling: every
    /// class but the smallest shrinks to it. Cleaning: every class but the smallest.
    #[default]
    Auto,
    /// Only the smallest class.
    Minority,
    /// Every class but the smallest.
    NotMinority,
    /// Every class but the largest.
    NotMajority,
    /// Every class.
    All,
    /// Only the largest class.
    Majority,
    /// Two classes: minority / majority afterwards, in `(0, 1]`; a ratio that the data exceed
    /// already changes nothing. Counts are rounded down. Not for cleaning.
    Ratio(f64),
    /// The final count of each named class; the others stay. Cleaning takes the names alone.
    Counts(BTreeMap<usize, usize>),
    /// How many rows each named class gains (over-sampling) or loses (under-sampling).
    Change(BTreeMap<usize, usize>),
    /// The final counts as a function of the present ones; classes it leaves out stay. A method
    /// that only names classes takes those it returns. Not serialisable.
    #[serde(skip)]
    Fn(CountsFn),
}

/// Final counts from present ones, both by class.
#[derive(Clone)]
pub struct CountsFn(Arc<Rule>);

type Rule = dyn Fn(&Counts) -> Counts + Send + Sync;

impl fmt::Debug for CountsFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountsFn")
    }
}

/// The same function, not one that does the same.
impl PartialEq for CountsFn {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Direction of a resampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Over,
    Under,
}

type Counts = BTreeMap<usize, usize>;

/// The class with the fewest rows, the lowest id of equals.
pub(crate) fn smallest(counts: &Counts) -> Option<usize> {
    counts.iter().min_by_key(|(class, n)| (**n, **class)).map(|(class, _)| *class)
}

/// The class with the most rows, the lowest id of equals.
fn largest(counts: &Counts) -> Option<usize> {
    counts
        .iter()
        .max_by_key(|(class, n)| (**n, std::cmp::Reverse(**class)))
        .map(|(class, _)| *class)
}

impl Strategy {
    /// A rule of your own.
    ///
    /// ```
    /// use counterweight_samplers::{RandomOver, Resampler, Strategy};
    ///
    /// // Every class at least half as large as the largest.
    /// let half = Strategy::from_fn(|counts| {
    ///     let most = counts.values().copied().max().unwrap_or(0);
    ///     counts.iter().map(|(&class, &n)| (class, n.max(most / 2))).collect()
    /// });
    /// let x = ndarray::Array2::<f64>::zeros((8, 1));
    /// let plan = RandomOver::new().with_strategy(half).plan(&x, &[0, 0, 0, 0, 0, 0, 1, 2])?;
    /// assert_eq!(plan.len(), 6 + 3 + 3);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    pub fn from_fn(
        rule: impl Fn(&BTreeMap<usize, usize>) -> BTreeMap<usize, usize> + Send + Sync + 'static,
    ) -> Self {
        Self::Fn(CountsFn(Arc::new(rule)))
    }

    /// The final count of every class present.
    pub(crate) fn targets(
        &self,
        counts: &Counts,
        direction: Direction,
        method: &'static str,
    ) -> Result<Counts> {
        let most = counts.values().copied().max().unwrap_or(0);
        let least = counts.values().copied().min().unwrap_or(0);
        let mut targets = counts.clone();
        match self {
            Self::Ratio(ratio) => {
                ensure("ratio", *ratio, *ratio > 0.0 && *ratio <= 1.0, "(0, 1]")?;
                if counts.len() != 2 {
                    return Err(Error::RatioClasses { classes: counts.len() });
                }
                for n in targets.values_mut() {
                    // 100 × .57 is 57 less one bit.
                    let whole = |wanted: f64| (wanted * (1.0 + 1e-12)) as usize;
                    if direction == Direction::Over && *n < most {
                        *n = whole(most as f64 * ratio).max(*n);
                    } else if direction == Direction::Under && *n > least {
                        *n = whole(least as f64 / ratio).min(*n);
                    }
                }
            }
            Self::Fn(rule) => {
                let wanted = Self::Counts(rule.0(counts));
                return wanted.targets(counts, direction, method);
            }
            Self::Counts(wanted) => {
                for (&class, &n) in wanted {
                    *named(&mut targets, class, method)? = n;
                }
            }
            Self::Change(wanted) => {
                for (&class, &change) in wanted {
                    let n = named(&mut targets, class, method)?;
                    *n = match direction {
                        Direction::Over => *n + change,
                        Direction::Under => n.checked_sub(change).ok_or(Error::Removal {
                            method,
                            class,
                            got: *n,
                            wanted: change,
                        })?,
                    };
                }
            }
            _ => {
                let chosen = match (self, direction) {
                    (Self::Auto, Direction::Over) => Self::NotMajority.classes(counts, method)?,
                    _ => self.classes(counts, method)?,
                };
                let to = if direction == Direction::Over { most } else { least };
                chosen.into_iter().for_each(|class| {
                    targets.insert(class, to);
                });
            }
        }
        for (&class, &wanted) in &targets {
            let got = counts[&class];
            let wrong = match direction {
                Direction::Over => wanted < got,
                Direction::Under => wanted > got,
            };
            if wrong {
                return Err(Error::Target { method, class, got, wanted });
            }
        }
        Ok(targets)
    }

    /// The classes that a cleaning method may take rows from.
    pub(crate) fn classes(&self, counts: &Counts, method: &'static str) -> Result<BTreeSet<usize>> {
        let (few, many) = (smallest(counts), largest(counts));
        let all = counts.keys().copied();
        Ok(match self {
            Self::Auto | Self::NotMinority => all.filter(|&c| Some(c) != few).collect(),
            Self::NotMajority => all.filter(|&c| Some(c) != many).collect(),
            Self::All => all.collect(),
            Self::Minority => few.into_iter().collect(),
            Self::Majority => many.into_iter().collect(),
            Self::Counts(named) | Self::Change(named) => {
                match named.keys().find(|&class| !counts.contains_key(class)) {
                    Some(&class) => return Err(unknown(method, class)),
                    None => named.keys().copied().collect(),
                }
            }
            Self::Fn(rule) => Self::Counts(rule.0(counts)).classes(counts, method)?,
            Self::Ratio(_) => return Err(Error::NoRatio { method }),
        })
    }
}

fn named<'a>(targets: &'a mut Counts, class: usize, method: &'static str) -> Result<&'a mut usize> {
    targets.get_mut(&class).ok_or(unknown(method, class))
}

fn unknown(method: &'static str, class: usize) -> Error {
    Error::TooFew { method, class, got: 0, needed: 1 }
}
