use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{Error, Params, Result, Value};

/// What values a parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// Real numbers in `[low, high]`.
    Float {
        /// Lower bound, inclusive.
        low: f64,
        /// Upper bound, inclusive.
        high: f64,
        /// Uniform in the logarithm; needs `low > 0`.
        #[serde(default)]
        log: bool,
        /// Only `low + i · step`; not together with `log`.
        #[serde(default)]
        step: Option<f64>,
    },
    /// Integers in `[low, high]`.
    Int {
        /// Lower bound, inclusive.
        low: i64,
        /// Upper bound, inclusive.
        high: i64,
        /// Uniform in the logarithm; needs `low > 0`.
        #[serde(default)]
        log: bool,
    },
    /// One of some names.
    Categorical {
        /// The names.
        choices: Vec<String>,
    },
}

impl Distribution {
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let range = |low: f64, high: f64, allowed| {
            Err(Error::Range { name: name.to_owned(), low, high, allowed })
        };
        match *self {
            Self::Float { low, high, .. }
                if !(low.is_finite() && high.is_finite() && low <= high) =>
            {
                range(low, high, "finite low <= high")
            }
            Self::Float { low, high, log: true, .. } if low <= 0.0 => {
                range(low, high, "low > 0 on a log scale")
            }
            Self::Float { low, high, log, step: Some(step) }
                if log || step.is_nan() || step <= 0.0 =>
            {
                range(low, high, "a step > 0, and no log scale with it")
            }
            Self::Int { low, high, .. } if low > high => {
                range(low as f64, high as f64, "low <= high")
            }
            Self::Int { low, high, log: true } if low <= 0 => {
                range(low as f64, high as f64, "low > 0 on a log scale")
            }
            Self::Categorical { ref choices } if choices.is_empty() => {
                Err(Error::NoChoices { name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The number of values, `None` when continuous.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { low, high, .. } if low == high => Some(1),
            Self::Float { step: None, .. } => None,
            Self::Float { low, high, step: Some(step), .. } => {
                Some(((high - low) / step + 1e-9).floor() as u64 + 1)
            }
            Self::Int { low, high, .. } => Some(high.abs_diff(*low).saturating_add(1)),
            Self::Categorical { choices } => Some(choices.len() as u64),
        }
    }

    /// The `index`-th value of a finite distribution; the last one beyond its end.
    pub(crate) fn nth(&self, index: u64) -> Value {
        match self {
            Self::Float { low, high, step, .. } => {
                Value::Float((low + index as f64 * step.unwrap_or(0.0)).min(*high))
            }
            Self::Int { low, high, .. } => {
                Value::Int(low.saturating_add_unsigned(index).min(*high))
            }
            Self::Categorical { choices } => {
                let last = choices.len().saturating_sub(1);
                Value::Text(choices.get((index as usize).min(last)).cloned().unwrap_or_default())
            }
        }
    }

    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Value {
        match self {
            Self::Categorical { choices } => {
                Value::Text(choices[rng.random_range(0..choices.len())].clone())
            }
            _ => self.decode(rng.random()),
        }
    }

    /// The value at `unit` in `[0, 1]` of a number's range (uniform over integers and
    /// steps); of categories, the one whose equal share holds `unit`.
    pub(crate) fn decode(&self, unit: f64) -> Value {
        let unit = unit.clamp(0.0, 1.0);
        match *self {
            Self::Float { low, high, log: true, .. } => {
                let value = (low.ln() + unit * (high.ln() - low.ln())).exp();
                Value::Float(value.clamp(low, high))
            }
            Self::Float { low, high, step: None, .. } => {
                Value::Float((low + unit * (high - low)).clamp(low, high))
            }
            Self::Int { low, high, log: true } => {
                let (a, b) = ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln());
                Value::Int(((a + unit * (b - a)).exp().round() as i64).clamp(low, high))
            }
            _ => {
                let n = self.cardinality().unwrap_or(1);
                self.nth(((unit * n as f64) as u64).min(n - 1))
            }
        }
    }

    /// The inverse of [`decode`](Self::decode): the middle of the value's share.
    /// `None` for a value that is not of this distribution.
    pub(crate) fn encode(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (Self::Float { low, high, .. }, _) if low == high => Some(0.5),
            (Self::Float { low, high, log, step }, Value::Float(_) | Value::Int(_)) => {
                let v = match value {
                    Value::Int(v) => *v as f64,
                    Value::Float(v) => *v,
                    Value::Text(_) => return None,
                };
                let unit = match step {
                    _ if *log => (v.ln() - low.ln()) / (high.ln() - low.ln()),
                    None => (v - low) / (high - low),
                    Some(step) => (((v - low) / step).round() + 0.5) / self.cardinality()? as f64,
                };
                (-1e-9..=1.0 + 1e-9).contains(&unit).then(|| unit.clamp(0.0, 1.0))
            }
            (Self::Int { low, high, log }, Value::Int(v)) => {
                let unit = if *log {
                    let (a, b) = ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln());
                    ((*v as f64).ln() - a) / (b - a)
                } else {
                    (v.checked_sub(*low)? as f64 + 0.5) / self.cardinality()? as f64
                };
                (0.0..=1.0).contains(&unit).then_some(unit)
            }
            (Self::Categorical { choices }, Value::Text(v)) => {
                let index = choices.iter().position(|c| c == v)?;
                Some((index as f64 + 0.5) / choices.len() as f64)
            }
            _ => None,
        }
    }
}

/// A static space: distributions by name.
///
/// ```
/// use counterweight_tuner::{Distribution, Space};
///
/// let space = Space::new()
///     .float("gamma", 0.0..=5.0)?
///     .log_float("lr", 1e-4..=1e-1)?
///     .categorical("loss", ["focal", "logit_adjusted"])?;
/// assert_eq!(space.len(), 3);
/// # Ok::<(), counterweight_tuner::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    parameters: BTreeMap<String, Distribution>,
}

impl Space {
    /// An empty space.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any distribution.
    ///
    /// # Errors
    /// For a range without values.
    pub fn with(mut self, name: &str, distribution: Distribution) -> Result<Self> {
        distribution.check(name)?;
        self.parameters.insert(name.to_owned(), distribution);
        Ok(self)
    }

    /// Adds a real parameter.
    ///
    /// # Errors
    /// For a range without values.
    pub fn float(self, name: &str, range: std::ops::RangeInclusive<f64>) -> Result<Self> {
        self.with(name, float(range, false))
    }

    /// Adds a real parameter on a log scale.
    ///
    /// # Errors
    /// For a range without values or not above 0.
    pub fn log_float(self, name: &str, range: std::ops::RangeInclusive<f64>) -> Result<Self> {
        self.with(name, float(range, true))
    }

    /// Adds an integer parameter.
    ///
    /// # Errors
    /// For a range without values.
    pub fn int(self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<Self> {
        let (low, high) = range.into_inner();
        self.with(name, Distribution::Int { low, high, log: false })
    }

    /// Adds a categorical parameter.
    ///
    /// # Errors
    /// Without choices.
    pub fn categorical<S: Into<String>>(
        self,
        name: &str,
        choices: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let choices = choices.into_iter().map(Into::into).collect();
        self.with(name, Distribution::Categorical { choices })
    }

    /// Checks every distribution, as after reading a space from a file.
    ///
    /// # Errors
    /// For the first range without values.
    pub fn check(&self) -> Result<()> {
        self.parameters.iter().try_for_each(|(name, d)| d.check(name))
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
        self.parameters.get(name)
    }

    /// The parameters by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        self.parameters.iter().map(|(name, d)| (name.as_str(), d))
    }

    pub(crate) fn insert(&mut self, name: &str, distribution: Distribution) {
        self.parameters.insert(name.to_owned(), distribution);
    }

    /// The parameters that both spaces define alike.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.parameters.retain(|name, d| other.get(name) == Some(d));
    }

    /// Whether `params` gives every parameter a value of its distribution.
    pub(crate) fn encode(&self, params: &Params) -> Option<Vec<f64>> {
        self.iter().map(|(name, d)| d.encode(params.get(name)?)).collect()
    }

    pub(crate) fn decode(&self, point: &[f64]) -> Params {
        let named = self.iter().zip(point);
        named.map(|((name, d), &unit)| (name.to_owned(), d.decode(unit))).collect()
    }
}

pub(crate) fn float(range: std::ops::RangeInclusive<f64>, log: bool) -> Distribution {
    let (low, high) = range.into_inner();
    Distribution::Float { low, high, log, step: None }
}
