use std::collections::BTreeMap;

use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How many rows each class should have afterwards, as imbalanced-learn's
/// `sampling_strategy`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Over-sampling: every class but the largest grows to it. Under-sampling: every
    /// class but the smallest shrinks to it.
    #[default]
    Auto,
    /// Only the smallest class (over-sampling).
    Minority,
    /// Only the largest class (under-sampling).
    Majority,
    /// Two classes: minority / majority afterwards, in `(0, 1]`.
    Ratio(f64),
    /// The final count of each named class; the others stay.
    Counts(BTreeMap<usize, usize>),
}

/// Direction of a resampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Over,
    Under,
}

impl Strategy {
    /// The final count of every class present.
    pub(crate) fn targets(
        &self,
        counts: &BTreeMap<usize, usize>,
        direction: Direction,
        method: &'static str,
    ) -> Result<BTreeMap<usize, usize>> {
        let largest = counts.values().copied().max().unwrap_or(0);
        let smallest = counts.values().copied().min().unwrap_or(0);
        let mut targets = counts.clone();
        match (self, direction) {
            (Self::Auto, Direction::Over) => targets.values_mut().for_each(|n| *n = largest),
            (Self::Auto, Direction::Under) => targets.values_mut().for_each(|n| *n = smallest),
            (Self::Minority, _) => {
                if let Some((_, n)) = targets.iter_mut().min_by_key(|(c, n)| (**n, **c)) {
                    *n = largest;
                }
            }
            (Self::Majority, _) => {
                let top = targets.iter().max_by_key(|(c, n)| (**n, std::cmp::Reverse(**c)));
                if let Some(class) = top.map(|(c, _)| *c) {
                    targets.insert(class, smallest);
                }
            }
            (Self::Ratio(ratio), _) => {
                ensure("ratio", *ratio, *ratio > 0.0 && *ratio <= 1.0, "(0, 1]")?;
                if counts.len() != 2 {
                    return Err(Error::RatioClasses { classes: counts.len() });
                }
                for n in targets.values_mut() {
                    if direction == Direction::Over && *n < largest {
                        *n = (largest as f64 * ratio) as usize;
                    } else if direction == Direction::Under && *n > smallest {
                        *n = (smallest as f64 / ratio) as usize;
                    }
                }
            }
            (Self::Counts(wanted), _) => {
                for (&class, &n) in wanted {
                    if !counts.contains_key(&class) {
                        return Err(Error::TooFew { method, class, got: 0, needed: 1 });
                    }
                    targets.insert(class, n);
                }
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
}
