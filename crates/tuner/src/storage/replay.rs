use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::op::{Op, Scope};
use crate::{Distribution, Error, Result, State, StudyRecord, TrialRecord};

/// The fold of operations: what a storage holds after them.
#[derive(Debug, Clone, Default)]
pub(super) struct Replay {
    studies: BTreeMap<u64, StudyRecord>,
    /// Ids of a study's trials by number.
    numbers: HashMap<u64, Vec<u64>>,
    /// By id, with the study of each.
    trials: Vec<(u64, Arc<TrialRecord>)>,
    /// The first distribution of a study's parameter: later ones must go with it.
    first: HashMap<u64, BTreeMap<String, Distribution>>,
    created: u64,
}

impl Replay {
    pub(super) fn studies(&self) -> Vec<StudyRecord> {
        self.studies.values().cloned().collect()
    }

    pub(super) fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        self.study(study)?;
        let ids = self.numbers.get(&study).into_iter().flatten();
        Ok(ids.map(|&id| self.trials[id as usize].1.clone()).collect())
    }

    fn study(&self, id: u64) -> Result<&StudyRecord> {
        self.studies.get(&id).ok_or(Error::Missing { what: "study", id })
    }

    /// A trial that can still change.
    fn open(&mut self, id: u64) -> Result<&mut TrialRecord> {
        let found = self.trials.get_mut(id as usize);
        let (_, trial) = found.ok_or(Error::Missing { what: "trial", id })?;
        if trial.state.is_ended() {
            return Err(Error::Ended { number: trial.number, state: trial.state });
        }
        Ok(Arc::make_mut(trial))
    }

    /// Refuses distributions that do not go with the study's first ones of their names.
    fn admit<'d>(
        &mut self,
        study: u64,
        distributions: impl Iterator<Item = (&'d String, &'d Distribution)> + Clone,
    ) -> Result<()> {
        let first = self.first.entry(study).or_default();
        for (name, new) in distributions.clone() {
            if let Some(old) = first.get(name)
                && !old.is_compatible(new)
            {
                return Err(Error::redefined(name, old, new));
            }
        }
        for (name, new) in distributions {
            if !first.contains_key(name) {
                first.insert(name.clone(), new.clone());
            }
        }
        Ok(())
    }

    /// Does one operation, or leaves everything as it was.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Option<u64>> {
        match op {
            Op::CreateStudy { name, directions } => {
                if self.studies.values().any(|s| s.name == *name) {
                    return Err(Error::Exists { name: name.clone() });
                }
                let id = self.created;
                self.created += 1;
                let study = StudyRecord {
                    id,
                    name: name.clone(),
                    directions: directions.clone(),
                    user_attrs: Default::default(),
                    system_attrs: Default::default(),
                };
                self.studies.insert(id, study);
                return Ok(Some(id));
            }
            Op::DeleteStudy { study } => {
                self.study(*study)?;
                self.studies.remove(study);
                self.numbers.remove(study);
                self.first.remove(study);
            }
            Op::SetStudyAttr { study, scope, key, value } => {
                self.study(*study)?;
                if let Some(record) = self.studies.get_mut(study) {
                    let attrs = match scope {
                        Scope::User => &mut record.user_attrs,
                        Scope::System => &mut record.system_attrs,
                    };
                    attrs.insert(key.clone(), value.clone());
                }
            }
            Op::CreateTrial { study, started, template } => {
                self.study(*study)?;
                let id = self.trials.len() as u64;
                let number = self.numbers.get(study).map_or(0, Vec::len) as u64;
                let mut trial = match template {
                    Some(template) => TrialRecord { id, number, ..(**template).clone() },
                    None => TrialRecord::new(id, number, State::Running),
                };
                trial.started = *started;
                self.admit(*study, trial.distributions.iter())?;
                self.numbers.entry(*study).or_default().push(id);
                self.trials.push((*study, Arc::new(trial)));
                return Ok(Some(id));
            }
            Op::SetParam { trial, name, internal, distribution } => {
                self.open(*trial)?;
                let value =
                    distribution.from_internal(*internal).ok_or_else(|| Error::NotAValue {
                        name: name.clone(),
                        value: (*internal).into(),
                        distribution: Box::new(distribution.clone()),
                    })?;
                let study = self.trials[*trial as usize].0;
                self.admit(study, std::iter::once((name, distribution)))?;
                let record = self.open(*trial)?;
                record.params.insert(name.clone(), value);
                record.distributions.insert(name.clone(), distribution.clone());
            }
            Op::SetState { trial, state, values, at } => {
                let record = self.open(*trial)?;
                if *state == State::Running {
                    // Of two that claim a waiting trial the first has it.
                    if record.state == State::Running {
                        return Ok(None);
                    }
                    record.started = Some(*at);
                }
                if state.is_ended() {
                    record.completed = Some(*at);
                }
                record.state = *state;
                if let Some(values) = values {
                    record.values.clone_from(values);
                }
                if *state == State::Running {
                    return Ok(Some(*trial));
                }
            }
            Op::Report { trial, step, value } => {
                self.open(*trial)?.intermediate.insert(*step, *value);
            }
            Op::SetTrialAttr { trial, scope, key, value } => {
                let record = self.open(*trial)?;
                let attrs = match scope {
                    Scope::User => &mut record.user_attrs,
                    Scope::System => &mut record.system_attrs,
                };
                attrs.insert(key.clone(), value.clone());
            }
        }
        Ok(None)
    }
}

/// The result of the last operation that has one.
pub(super) fn apply_all(
    ops: &[Op],
    mut apply: impl FnMut(&Op) -> Result<Option<u64>>,
) -> Result<Option<u64>> {
    let mut last = None;
    for op in ops {
        let made = apply(op)?;
        if matches!(op, Op::CreateStudy { .. } | Op::CreateTrial { .. })
            || matches!(op, Op::SetState { state: State::Running, .. })
        {
            last = made;
        }
    }
    Ok(last)
}
