use std::collections::BTreeMap;

use super::{Suggester, Task};
use crate::{Distribution, Error, Params, Result, Value};

/// Exhaustive search over a static space of finite distributions (floats need a step), or
/// over values given by name.
///
/// The point of a trial is its position among the trials that were not enqueued, so that
/// several processes share one grid without a gap; the last parameter by name varies
/// fastest, and the study ends after the last point. Points that differ only in
/// parameters that are not active are one point.
///
/// ```
/// use counterweight_tuner::{Grid, Space, Study};
///
/// let space = Space::new().int("k", 1..=3)?.categorical("loss", ["a", "b"])?;
/// let study = Study::maximize("grid").space(space).suggester(Grid::new());
/// study.optimize(100, |trial| Ok(trial.suggest_int("k", 1..=3)? as f64))?;
/// assert_eq!(study.trials()?.len(), 6);
/// # Ok::<(), counterweight_tuner::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Grid {
    values: BTreeMap<String, Vec<Value>>,
}

impl Grid {
    /// All values of the study's space.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these values of a parameter. The space then need not be static nor finite.
    #[must_use]
    pub fn with_values<V: Into<Value>>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.values.insert(name.into(), values.into_iter().map(Into::into).collect());
        self
    }
}

impl Suggester for Grid {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        let mut axes: BTreeMap<&str, Axis<'_>> = BTreeMap::new();
        if task.space.is_none() && self.values.is_empty() {
            return Err(Error::NoSpace { suggester: "grid search" });
        }
        for (name, distribution) in task.space.into_iter().flat_map(|s| s.iter()) {
            if !self.values.contains_key(name) {
                let n = distribution
                    .cardinality()
                    .ok_or_else(|| Error::NotFinite { name: name.to_owned() })?;
                axes.insert(name, Axis::All(distribution, n));
            }
        }
        for (name, values) in &self.values {
            let distribution = task.space.and_then(|s| s.get(name));
            if values.is_empty() {
                return Err(Error::NoChoices { name: name.clone() });
            }
            let mut axis = Vec::new();
            for value in values {
                let adopted = distribution.map_or(Some(value.clone()), |d| d.adopt(value));
                match (adopted, distribution) {
                    (None, Some(d)) => return Err(crate::trial::not_a_value(name, value, d)),
                    (value, _) => axis.extend(value),
                }
            }
            axes.insert(name, Axis::Some(axis));
        }
        // Fixed parameters are no axis.
        for (name, value) in task.fixed {
            if let Some(axis) = axes.get_mut(name.as_str()) {
                *axis = Axis::Some(vec![value.clone()]);
            }
        }
        let conditional = task
            .space
            .is_some_and(|s| s.iter().any(|(name, _)| s.conditions(name).next().is_some()));
        if !conditional {
            return Ok(point(&axes, task.point));
        }
        // Count only the points that differ in active parameters: those whose inactive
        // ones are at their first value.
        let mut left = task.point;
        for index in 0.. {
            let Some(params) = point(&axes, index) else { return Ok(None) };
            let distinct = task.space.is_none_or(|space| {
                axes.iter().all(|(name, axis)| {
                    space.is_active(name, &params) || params.get(*name) == Some(&axis.nth(0))
                })
            });
            if distinct {
                if left == 0 {
                    return Ok(Some(params));
                }
                left -= 1;
            }
        }
        Ok(None)
    }
}

/// The values of one parameter.
enum Axis<'d> {
    /// Of a distribution, with their number.
    All(&'d Distribution, u64),
    Some(Vec<Value>),
}

impl Axis<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::All(_, n) => *n,
            Self::Some(values) => values.len() as u64,
        }
    }

    fn nth(&self, index: u64) -> Value {
        match self {
            Self::All(distribution, _) => distribution.nth(index),
            Self::Some(values) => values[index as usize].clone(),
        }
    }
}

/// The `index`-th point of the product of all axes.
fn point(axes: &BTreeMap<&str, Axis<'_>>, index: u64) -> Option<Params> {
    let mut left = index;
    let mut params = Params::new();
    for (name, axis) in axes.iter().rev() {
        params.insert((*name).to_owned(), axis.nth(left % axis.len()));
        left /= axis.len();
    }
    (left == 0).then_some(params)
}
