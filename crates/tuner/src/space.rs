use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Distribution, Error, Params, Result, Value};

/// A static space: distributions by name, some of which hold only under a condition.
///
/// ```
/// use counterweight_tuner::Space;
///
/// let space = Space::new()
///     .log_float("lr", 1e-4..=1e-1)?
///     .categorical("loss", ["focal", "logit_adjusted"])?
///     .when("loss", ["focal"], |s| s.float("gamma", 0.0..=5.0))?
///     .when("loss", ["logit_adjusted"], |s| s.float("tau", 0.2..=1.0))?;
/// assert_eq!(space.len(), 4);
/// # Ok::<(), counterweight_tuner::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parameter {
    #[serde(flatten)]
    distribution: Distribution,
    /// Active only when each of these parameters has one of these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    when: BTreeMap<String, Vec<Value>>,
}

impl Space {
    /// An empty space.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any distribution.
    ///
    /// # Errors
    /// For a range without values, or a name that is there already.
    pub fn with(mut self, name: &str, distribution: Distribution) -> Result<Self> {
        let distribution = distribution.checked(name)?;
        if let Some(old) = self.get(name) {
            return Err(Error::redefined(name, old, &distribution));
        }
        let parameter = Parameter { distribution, when: BTreeMap::new() };
        self.parameters.insert(name.to_owned(), parameter);
        Ok(self)
    }

    /// Adds a real parameter.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn float(self, name: &str, range: RangeInclusive<f64>) -> Result<Self> {
        self.with(name, Distribution::float(range))
    }

    /// Adds a real parameter on a log scale.
    ///
    /// # Errors
    /// As [`with`](Self::with), and for a range not above 0.
    pub fn log_float(self, name: &str, range: RangeInclusive<f64>) -> Result<Self> {
        self.with(name, Distribution::float(range).on_log_scale())
    }

    /// Adds an integer parameter.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn int(self, name: &str, range: RangeInclusive<i64>) -> Result<Self> {
        self.with(name, Distribution::int(range))
    }

    /// Adds a categorical parameter.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn categorical<V: Into<Value>>(
        self,
        name: &str,
        choices: impl IntoIterator<Item = V>,
    ) -> Result<Self> {
        self.with(name, Distribution::categorical(choices))
    }

    /// Adds parameters that are there only when `parent` has one of `values`. Conditions
    /// nest.
    ///
    /// # Errors
    /// [`Error::Condition`] for a parent that is not there before, or values it cannot
    /// take; errors of `add`.
    pub fn when<V: Into<Value>>(
        self,
        parent: &str,
        values: impl IntoIterator<Item = V>,
        add: impl FnOnce(Self) -> Result<Self>,
    ) -> Result<Self> {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        let before = self.clone();
        let mut grown = add(self)?;
        for (name, parameter) in &mut grown.parameters {
            if !before.parameters.contains_key(name) {
                parameter.when.insert(parent.to_owned(), values.clone());
            }
        }
        grown.check_conditions()?;
        Ok(grown)
    }

    /// Checks every distribution and condition, as after reading a space from a file.
    ///
    /// # Errors
    /// For the first range without values, or condition that cannot be met.
    pub fn check(&self) -> Result<()> {
        for (name, distribution) in self.iter() {
            distribution.clone().checked(name)?;
        }
        self.check_conditions()
    }

    fn check_conditions(&self) -> Result<()> {
        for (name, parameter) in &self.parameters {
            for (parent, values) in &parameter.when {
                let possible = self
                    .get(parent)
                    .is_some_and(|d| !values.is_empty() && values.iter().all(|v| d.contains(v)));
                if !possible || self.depends_on(parent, name) {
                    return Err(Error::Condition { name: name.clone(), parent: parent.clone() });
                }
            }
        }
        Ok(())
    }

    /// Whether `name` or a parent of it waits for `other`.
    fn depends_on(&self, name: &str, other: &str) -> bool {
        let mut open = vec![name];
        let mut seen = Vec::new();
        while let Some(next) = open.pop() {
            if next == other {
                return true;
            }
            if !seen.contains(&next) {
                seen.push(next);
                open.extend(self.conditions(next).map(|(parent, _)| parent));
            }
        }
        false
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// A parameter's distribution.
    pub fn get(&self, name: &str) -> Option<&Distribution> {
        self.parameters.get(name).map(|p| &p.distribution)
    }

    /// The parameters by name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Distribution)> {
        self.parameters.iter().map(|(name, p)| (name.as_str(), &p.distribution))
    }

    /// What has to hold for a parameter to be there: parents and their values.
    pub fn conditions(&self, name: &str) -> impl Iterator<Item = (&str, &[Value])> {
        let when = self.parameters.get(name).map(|p| &p.when);
        when.into_iter().flatten().map(|(parent, values)| (parent.as_str(), values.as_slice()))
    }

    /// Whether a parameter is there, given values of all others.
    pub fn is_active(&self, name: &str, params: &Params) -> bool {
        self.conditions(name).all(|(parent, values)| {
            params.get(parent).is_some_and(|v| values.contains(v)) && self.is_active(parent, params)
        })
    }
}
