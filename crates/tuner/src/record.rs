use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Direction, Distribution, Params};

/// Free-form notes by name: anything JSON can say.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Under way.
    Running,
    /// Has its values.
    Complete,
    /// Ended early; its value is the last one reported.
    Pruned,
    /// Its objective failed, gave no number, or its process was lost.
    Failed,
    /// Enqueued for whoever asks next.
    Waiting,
}

impl State {
    /// Whether nothing more can happen to the trial.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        })
    }
}

/// A trial as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// The storage's name for it, unique over all its studies.
    pub id: u64,
    /// Position in its study, from 0.
    pub number: u64,
    /// Where it stands.
    pub state: State,
    /// The parameters suggested.
    pub params: Params,
    /// The distributions they were suggested from.
    pub distributions: BTreeMap<String, Distribution>,
    /// One value per objective, for a complete trial; the last one reported, if any, for
    /// a pruned one.
    pub values: Vec<f64>,
    /// What was reported by step.
    pub intermediate: BTreeMap<i64, f64>,
    /// Notes of the user.
    pub user_attrs: Attributes,
    /// Notes of the library: constraints, fixed parameters, the reason of a failure.
    pub system_attrs: Attributes,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}

/// Keys of system attributes. Those without prefix are Optuna's.
pub(crate) mod key {
    pub(crate) const FIXED: &str = "fixed_params";
    pub(crate) const CONSTRAINTS: &str = "constraints";
    pub(crate) const FAILED_TRIAL: &str = "failed_trial";
    pub(crate) const RETRY_HISTORY: &str = "retry_history";
    pub(crate) const FAIL_REASON: &str = "fail_reason";
    pub(crate) const METRIC_NAMES: &str = "study:metric_names";
    /// The random stream a trial draws from, where that is not its number.
    pub(crate) const STREAM: &str = "counterweight:stream";
    /// What the suggester proposed, for workers that ask before all of it is asked for.
    pub(crate) const PLANNED: &str = "counterweight:planned";
    /// Who runs the trial and until when that may be believed.
    pub(crate) const LEASE: &str = "counterweight:lease";
}

impl TrialRecord {
    pub(crate) fn new(id: u64, number: u64, state: State) -> Self {
        Self {
            id,
            number,
            state,
            params: Params::new(),
            distributions: BTreeMap::new(),
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user_attrs: Attributes::new(),
            system_attrs: Attributes::new(),
            started: None,
            completed: None,
        }
    }

    /// The value of a single objective.
    pub fn value(&self) -> Option<f64> {
        match self.values[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// How long it took.
    pub fn duration(&self) -> Option<Duration> {
        self.completed?.duration_since(self.started?).try_into().ok()
    }

    /// The last step and what was reported at it.
    pub fn last_report(&self) -> Option<(i64, f64)> {
        self.intermediate.last_key_value().map(|(&step, &value)| (step, value))
    }

    /// Why a failed trial failed.
    pub fn reason(&self) -> Option<&str> {
        self.system_attrs.get(key::FAIL_REASON)?.as_str()
    }

    /// The constraints' values, by name; unnamed ones by position. At most 0 is feasible.
    pub fn constraints(&self) -> BTreeMap<String, f64> {
        let mut constraints = BTreeMap::new();
        self.each_constraint(|name, value| {
            constraints.insert(name, value);
        });
        constraints
    }

    fn each_constraint(&self, mut take: impl FnMut(String, f64)) {
        for (name, value) in &self.system_attrs {
            let Some(name) = name.strip_prefix(key::CONSTRAINTS) else { continue };
            if name.is_empty() {
                let listed = value.as_array().into_iter().flatten().enumerate();
                listed.filter_map(|(i, v)| Some((i, number(v)?))).for_each(|(i, v)| {
                    take(i.to_string(), v);
                });
            } else if let (Some(name), Some(value)) = (name.strip_prefix(':'), number(value)) {
                take(name.to_owned(), value);
            }
        }
    }

    /// By how much its constraints are broken: the sum of the positive ones, 0 when
    /// feasible.
    pub fn violation(&self) -> f64 {
        let mut sum = 0.0;
        self.each_constraint(|_, value| sum += value.max(0.0));
        sum
    }

    /// The values as losses, when it is complete with one value per direction.
    pub(crate) fn losses(&self, directions: &[Direction]) -> Option<Vec<f64>> {
        let told = self.state == State::Complete && self.values.len() == directions.len();
        told.then(|| directions.iter().zip(&self.values).map(|(d, &v)| d.loss(v)).collect())
    }

    /// Whether it repeats a trial that was lost.
    pub(crate) fn is_retry(&self) -> bool {
        self.system_attrs.contains_key(key::STREAM)
    }
}

/// A number, or one of the three that JSON writes as names.
pub(crate) fn number(json: &serde_json::Value) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => json.as_f64(),
    }
}

/// A study as it is stored, without its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// The storage's name for it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// One direction per objective.
    pub directions: Vec<Direction>,
    /// Notes of the user.
    pub user_attrs: Attributes,
    /// Notes of the library.
    pub system_attrs: Attributes,
}

/// Now, in the microseconds that files and databases keep.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
