//! Trials as points of the unit cube.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Task;
use crate::record::key;
use crate::storage::choice_from_json;
use crate::{Distribution, Params, State, TrialRecord};

/// Discrete columns with more values than this are searched as if continuous.
const MOST_LEVELS: u64 = 1000;
/// Only columns with at most this many values are looked at as parents of others.
const MOST_PARENT_VALUES: u64 = 64;

/// How a coordinate enters a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Squared difference.
    Number,
    /// 0 when equal, 1 when not.
    Category,
}

/// A parameter as a coordinate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(super) distribution: Distribution,
    pub(super) kind: Kind,
    /// The coordinates that values have, where they are few enough to list.
    pub(super) levels: Option<Vec<f64>>,
    /// There only when each of these columns has one of these coordinates.
    pub(super) when: Vec<(usize, Vec<f64>)>,
    /// A coordinate that never changes.
    pub(super) fixed: Option<f64>,
}

impl Column {
    fn new(name: &str, distribution: &Distribution, task: &Task<'_>) -> Self {
        let kind = match distribution {
            Distribution::Categorical { .. } => Kind::Category,
            _ => Kind::Number,
        };
        let levels = distribution
            .cardinality()
            .filter(|&n| n <= MOST_LEVELS)
            .map(|n| (0..n).filter_map(|i| distribution.encode(&distribution.nth(i))).collect());
        let given = task.fixed.get(name).and_then(|v| distribution.encode(v));
        let single = distribution.is_single().then_some(0.5);
        Self {
            name: name.to_owned(),
            distribution: distribution.clone(),
            kind,
            levels,
            when: Vec::new(),
            fixed: given.or(single),
        }
    }

    /// The nearest coordinate that a value has.
    pub(super) fn snap(&self, unit: f64) -> f64 {
        match &self.levels {
            None => self.distribution.encode(&self.distribution.decode(unit)).unwrap_or(unit),
            Some(levels) => levels
                .iter()
                .copied()
                .min_by(|a, b| (a - unit).abs().total_cmp(&(b - unit).abs()))
                .unwrap_or(unit),
        }
    }
}

/// A trial's coordinates, if it has any.
type Row = Option<Arc<[f64]>>;

/// The parameters of a study as columns, and its trials as rows: coordinates in `[0, 1]`,
/// NaN for a parameter that is not there.
///
/// Without a static space the columns are those of all trials so far, the latest
/// distribution of each; that a parameter is only there for some values of another one is
/// read off the trials.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    /// By trial number, once it is told; without a row where it has no place in these
    /// columns.
    rows: Vec<Option<Row>>,
    fixed: Params,
    static_space: bool,
}

impl Table {
    /// Takes in what is new.
    pub(crate) fn update(&mut self, task: &Task<'_>) {
        if let Some(space) = task.space {
            let same = self.static_space
                && self.fixed == *task.fixed
                && self.columns.len() == space.len()
                && self
                    .columns
                    .iter()
                    .all(|c| space.get(&c.name).is_some_and(|d| *d == c.distribution));
            if !same {
                self.rows.clear();
                self.columns = space.iter().map(|(name, d)| Column::new(name, d, task)).collect();
                let place =
                    |columns: &[Column], name: &str| columns.iter().position(|c| c.name == name);
                for i in 0..self.columns.len() {
                    let conditions = space.conditions(&self.columns[i].name);
                    let when = conditions.filter_map(|(parent, values)| {
                        let at = place(&self.columns, parent)?;
                        let encode = |v| self.columns[at].distribution.encode(v);
                        Some((at, values.iter().filter_map(encode).collect()))
                    });
                    self.columns[i].when = when.collect();
                }
            }
        } else if self.static_space || self.fixed != *task.fixed || self.is_outgrown(task) {
            self.rows.clear();
            self.infer(task);
        }
        self.static_space = task.space.is_some();
        self.fixed.clone_from(task.fixed);
        for trial in task.history {
            if !self.knows(trial) && is_told(trial) {
                let (at, row) = (trial.number as usize, self.encode(&trial.params));
                self.rows.resize(self.rows.len().max(at + 1), None);
                self.rows[at] = Some(row);
            }
        }
    }

    fn knows(&self, trial: &TrialRecord) -> bool {
        self.rows.get(trial.number as usize).is_some_and(Option::is_some)
    }

    /// Whether a new trial has a parameter, a distribution or a gap that the columns do
    /// not know.
    fn is_outgrown(&self, task: &Task<'_>) -> bool {
        let new = |t: &&Arc<TrialRecord>| !self.knows(t) && is_told(t);
        task.history.iter().filter(new).any(|t| {
            let row = self.partial(&t.params);
            let known = |c: &Column| match t.distributions.get(&c.name) {
                Some(d) => *d == c.distribution && self.is_there(c, &row),
                None => !c.when.is_empty() && !self.is_there(c, &row),
            };
            let found = self.columns.iter().filter(|c| t.distributions.contains_key(&c.name));
            found.count() < t.distributions.len() || !self.columns.iter().all(known)
        })
    }

    fn infer(&mut self, task: &Task<'_>) {
        let told: Vec<&Arc<TrialRecord>> = task.history.iter().filter(|t| is_told(t)).collect();
        let mut latest: BTreeMap<&str, &Distribution> = BTreeMap::new();
        for trial in &told {
            latest.extend(trial.distributions.iter().map(|(name, d)| (name.as_str(), d)));
        }
        self.columns = latest.iter().map(|(name, d)| Column::new(name, d, task)).collect();
        let rows: Vec<Vec<f64>> = told.iter().map(|t| self.partial(&t.params)).collect();
        for i in 0..self.columns.len() {
            if rows.iter().any(|row| row[i].is_nan()) {
                // With few trials a column of many values explains anything.
                let parents = (0..self.columns.len()).filter(|&p| p != i);
                let when =
                    parents.filter_map(|p| self.explains(p, i, &rows)).min_by_key(|(p, _)| {
                        let parent = &self.columns[*p];
                        let values = parent.levels.as_ref().map_or(usize::MAX, Vec::len);
                        (parent.kind == Kind::Number, values)
                    });
                self.columns[i].when = when.into_iter().collect();
            }
        }
    }

    /// The coordinates of `parent` with which `child` is there, if in all rows it is
    /// there for some coordinates and not for the others.
    fn explains(
        &self,
        parent: usize,
        child: usize,
        rows: &[Vec<f64>],
    ) -> Option<(usize, Vec<f64>)> {
        let column = &self.columns[parent];
        let levels = column.levels.as_ref()?;
        if levels.len() as u64 > MOST_PARENT_VALUES {
            return None;
        }
        let mut there: Vec<Option<bool>> = vec![None; levels.len()];
        for row in rows {
            let here = !row[child].is_nan();
            let Some(level) = levels.iter().position(|l| *l == row[parent]) else {
                // Without the parent there is no child.
                if here {
                    return None;
                }
                continue;
            };
            if there[level].is_some_and(|t| t != here) {
                return None;
            }
            there[level] = Some(here);
        }
        // A number counts only as a threshold: there from one on, or up to one.
        let seen: Vec<bool> = there.iter().flatten().copied().collect();
        let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if column.kind == Kind::Number && changes != 1 {
            return None;
        }
        // A number not seen yet is as the nearest seen; a category not seen has none.
        let nearest = |i: usize| match column.kind {
            Kind::Category => None,
            Kind::Number => (0..levels.len())
                .filter(|&j| there[j].is_some())
                .min_by_key(|&j| j.abs_diff(i))
                .and_then(|j| there[j]),
        };
        let active = (0..levels.len()).filter(|&i| there[i].or_else(|| nearest(i)) == Some(true));
        Some((parent, active.map(|i| levels[i]).collect()))
    }

    /// Whether a column's conditions hold in a point.
    fn is_there(&self, column: &Column, point: &[f64]) -> bool {
        column.when.iter().all(|(parent, values)| {
            values.contains(&point[*parent]) && self.is_there(&self.columns[*parent], point)
        })
    }

    /// Coordinates of the parameters that are given, NaN for the others.
    fn partial(&self, params: &Params) -> Vec<f64> {
        let coordinate = |c: &Column| params.get(&c.name).and_then(|v| c.distribution.encode(v));
        self.columns.iter().map(|c| coordinate(c).unwrap_or(f64::NAN)).collect()
    }

    /// The row of a trial's parameters; `None` when one that ought to be there is not, or
    /// lies outside.
    fn encode(&self, params: &Params) -> Option<Arc<[f64]>> {
        let row = self.partial(params);
        let complete = self.columns.iter().zip(&row).all(|(c, v)| {
            !v.is_nan() || (!params.contains_key(&c.name) && !self.is_there(c, &row))
        });
        (complete && !row.is_empty()).then(|| row.into())
    }

    /// The row of an ended trial.
    pub(crate) fn row(&self, trial: &TrialRecord) -> Option<&Arc<[f64]>> {
        self.rows.get(trial.number as usize)?.as_ref()?.as_ref()
    }

    /// Rows of the running trials but `number`: their parameters so far, the others as
    /// they were planned.
    pub(super) fn running(&self, task: &Task<'_>) -> Vec<Arc<[f64]>> {
        let running = task.history.iter().filter(|t| t.state == State::Running);
        running
            .filter(|t| t.number != task.number)
            .filter_map(|t| {
                let planned = t.system_attrs.get(key::PLANNED).and_then(Json::as_object);
                let planned = planned.into_iter().flatten();
                let mut params: Params =
                    planned.map(|(name, v)| (name.clone(), choice_from_json(v))).collect();
                params.extend(t.params.iter().map(|(k, v)| (k.clone(), v.clone())));
                self.encode(&params)
            })
            .collect()
    }

    /// Snaps every coordinate to a value that can be tried, and removes those that are
    /// not there.
    pub(super) fn settle(&self, point: &mut [f64]) {
        for (unit, column) in point.iter_mut().zip(&self.columns) {
            *unit = column
                .fixed
                .unwrap_or_else(|| column.snap(if unit.is_nan() { 0.5 } else { *unit }));
        }
        self.blank(point);
    }

    /// Removes coordinates that are not there.
    pub(super) fn blank(&self, point: &mut [f64]) {
        if self.columns.iter().any(|c| !c.when.is_empty()) {
            let there: Vec<bool> = self.columns.iter().map(|c| self.is_there(c, point)).collect();
            for (unit, there) in point.iter_mut().zip(there) {
                if !there {
                    *unit = f64::NAN;
                }
            }
        }
    }

    /// The parameters of a point.
    pub(super) fn decode(&self, point: &[f64]) -> Params {
        let values = self.columns.iter().zip(point).filter(|(_, v)| !v.is_nan());
        values.map(|(c, &v)| (c.name.clone(), c.distribution.decode(v))).collect()
    }
}

/// Whether the trial has something to learn from.
fn is_told(trial: &TrialRecord) -> bool {
    matches!(trial.state, State::Complete | State::Pruned) && !trial.params.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxError, Study, Trial};

    #[test]
    fn parameters_of_a_branch_that_comes_late_become_columns() {
        // The last has fewer parameters than are known by then.
        let branches =
            [("net", &["rate", "width"][..]), ("line", &["slope"]), ("tree", &["depth"])];
        let study = Study::minimize("late").seed(1);
        let objective = |trial: &mut Trial| -> Result<f64, BoxError> {
            let method = trial.suggest_categorical("method", &["net", "line", "tree"])?;
            let own = branches.iter().find(|(name, _)| *name == method).map_or(&[][..], |b| b.1);
            for name in own {
                trial.suggest_float(name, 0.0..=1.0)?;
            }
            Ok(1.0)
        };
        let mut table = Table::default();
        for (told, (method, _)) in branches.iter().enumerate() {
            study.enqueue([("method".to_owned(), (*method).into())].into()).unwrap();
            study.optimize(told + 1, objective).unwrap();
            let history = study.trials().unwrap();
            table.update(&Task::after(&history, history.len() as u64));
        }
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["depth", "method", "rate", "slope", "width"]);
        let row = table.row(&study.trials().unwrap()[2]).unwrap();
        assert!(row[0].is_finite() && row[2].is_nan(), "{row:?}");
    }
}
