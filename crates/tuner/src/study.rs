use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::suggester::{Observation, Random, Suggester, Task};
use crate::{
    BoxError, Error, Journal, Memory, Record, Result, Space, State, Storage, Trial, TrialRecord,
};

/// Whether small or large values are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Small values are better.
    Minimize,
    /// Large values are better.
    Maximize,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        })
    }
}

/// A search: trials, the suggester that proposes them and the storage that keeps them.
///
/// With [`journal`](Self::journal) a study continues where it was killed; the same seed
/// gives the same trials whether or not it was interrupted.
#[derive(Debug)]
pub struct Study {
    name: String,
    direction: Direction,
    suggester: Box<dyn Suggester>,
    storage: Box<dyn Storage>,
    space: Option<Space>,
    trials: BTreeMap<u64, TrialRecord>,
    running: BTreeSet<u64>,
    seed: u64,
    progress: bool,
    stop: Option<Arc<AtomicBool>>,
    started: bool,
}

impl Study {
    /// A study for small values, with random search in memory.
    pub fn minimize(name: impl Into<String>) -> Self {
        Self::new(name.into(), Direction::Minimize)
    }

    /// A study for large values, with random search in memory.
    pub fn maximize(name: impl Into<String>) -> Self {
        Self::new(name.into(), Direction::Maximize)
    }

    fn new(name: String, direction: Direction) -> Self {
        Self {
            name,
            direction,
            suggester: Box::new(Random),
            storage: Box::new(Memory::default()),
            space: None,
            trials: BTreeMap::new(),
            running: BTreeSet::new(),
            seed: 0,
            progress: false,
            stop: None,
            started: false,
        }
    }

    /// Sets the search algorithm.
    #[must_use]
    pub fn suggester(mut self, suggester: impl Suggester + 'static) -> Self {
        self.suggester = Box::new(suggester);
        self
    }

    /// Sets the seed of all suggestions. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Fixes the space, so that the suggester knows all parameters from the first trial.
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.space = Some(space);
        self
    }

    /// Shows a progress bar with the best value on standard error (silent when that is
    /// not a terminal).
    #[must_use]
    pub fn progress(mut self) -> Self {
        self.progress = true;
        self
    }

    /// Stops before the next trial once the flag is set (by a Ctrl-C handler, say).
    #[must_use]
    pub fn stop_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Keeps the study in any storage and loads what it holds.
    ///
    /// # Errors
    /// When it cannot be read or holds another study.
    pub fn storage(mut self, mut storage: impl Storage + 'static) -> Result<Self> {
        let records = storage.load()?;
        self.started = !records.is_empty();
        for record in records {
            match record {
                Record::Study { name, direction } => {
                    if name != self.name || direction != self.direction {
                        return Err(Error::OtherStudy {
                            path: storage.path().map(Path::to_owned).unwrap_or_default(),
                            found: format!("{direction} {name}"),
                            expected: format!("{} {}", self.direction, self.name),
                        });
                    }
                }
                Record::Trial(trial) => {
                    trial.space.check()?;
                    self.trials.insert(trial.number, trial);
                }
            }
        }
        self.storage = Box::new(storage);
        Ok(self)
    }

    /// Keeps the study in a file of JSON lines.
    ///
    /// # Errors
    /// When it cannot be read or holds another study.
    pub fn journal(self, path: impl Into<PathBuf>) -> Result<Self> {
        self.storage(Journal::open(path)?)
    }

    /// All ended trials by number.
    pub fn trials(&self) -> impl Iterator<Item = &TrialRecord> {
        self.trials.values()
    }

    /// The best complete trial, the first of equals.
    pub fn best(&self) -> Option<&TrialRecord> {
        let mut best: Option<(f64, &TrialRecord)> = None;
        for trial in self.trials.values() {
            if let Some(score) = self.score(trial)
                && best.is_none_or(|(top, _)| score > top)
            {
                best = Some((score, trial));
            }
        }
        best.map(|(_, trial)| trial)
    }

    /// Starts a trial under the smallest free number, so that a trial lost to a kill is
    /// run again. `None` when the suggester has no more points.
    ///
    /// # Errors
    /// From the suggester.
    pub fn ask(&mut self) -> Result<Option<Trial>> {
        let mut number = 0;
        while self.trials.contains_key(&number) || self.running.contains(&number) {
            number += 1;
        }
        let seed = mix(self.seed, number);
        let scored = self.trials.values().filter_map(|t| Some((&t.params, self.score(t)?)));
        let observations: Vec<Observation<'_>> =
            scored.map(|(params, score)| Observation { params, score }).collect();
        let space = self.space.clone().or_else(|| self.shared_space());
        let task = Task { observations: &observations, space: space.as_ref(), number, seed };
        let planned = self.suggester.suggest(&task)?;
        Ok(planned.map(|planned| {
            self.running.insert(number);
            Trial::new(number, planned, mix(seed, 1))
        }))
    }

    /// Ends a trial with its value; a value that is no number makes it failed.
    ///
    /// # Errors
    /// When the trial is not running or the storage cannot be written.
    pub fn tell(&mut self, trial: Trial, value: f64) -> Result<()> {
        if value.is_finite() {
            self.end(trial, Some(value), None)
        } else {
            self.end(trial, None, Some(format!("the objective's value is {value}")))
        }
    }

    /// Ends a trial as failed.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn fail(&mut self, trial: Trial, reason: impl Into<String>) -> Result<()> {
        self.end(trial, None, Some(reason.into()))
    }

    fn end(&mut self, trial: Trial, value: Option<f64>, reason: Option<String>) -> Result<()> {
        let number = trial.number();
        if !self.running.contains(&number) {
            return Err(Error::NotRunning { number });
        }
        if !self.started {
            self.storage
                .append(&Record::Study { name: self.name.clone(), direction: self.direction })?;
            self.started = true;
        }
        let record = trial.into_record(value, reason);
        self.storage.append(&Record::Trial(record.clone()))?;
        self.running.remove(&number);
        self.trials.insert(number, record);
        Ok(())
    }

    /// Runs trials until the study holds `trials` finished ones (those of earlier runs
    /// counted), the suggester has no more points, or the stop flag is set.
    ///
    /// # Errors
    /// The first error of the objective ([`Error::Objective`]); its trial is recorded as
    /// failed, so nothing is lost and the study can go on. Errors of storage and
    /// suggester likewise.
    pub fn optimize<F>(&mut self, trials: usize, mut objective: F) -> Result<()>
    where
        F: FnMut(&mut Trial) -> Result<f64, BoxError>,
    {
        let bar = self.bar(trials as u64);
        while self.trials.len() < trials && !self.stopped() {
            let Some(mut trial) = self.ask()? else { break };
            let number = trial.number();
            match objective(&mut trial) {
                Ok(value) => self.tell(trial, value)?,
                // An objective interrupted by the stop flag did not fail: its trial is
                // run again on resume.
                Err(_) if self.stopped() => {
                    self.running.remove(&number);
                    break;
                }
                Err(source) => {
                    self.fail(trial, source.to_string())?;
                    return Err(Error::Objective { number, source });
                }
            }
            bar.set_position(self.trials.len() as u64);
            if let Some((value, best)) = self.best().and_then(|t| Some((t.value?, t.number))) {
                bar.set_message(format!("best {value:.4} (trial {best})"));
            }
        }
        bar.finish();
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|s| s.load(Ordering::Relaxed))
    }

    fn score(&self, trial: &TrialRecord) -> Option<f64> {
        let value = trial.value.filter(|_| trial.state == State::Complete)?;
        Some(match self.direction {
            Direction::Maximize => value,
            Direction::Minimize => -value,
        })
    }

    /// The parameters that every complete trial has, as Optuna's intersection search
    /// space.
    fn shared_space(&self) -> Option<Space> {
        let mut complete = self.trials.values().filter(|t| t.state == State::Complete);
        let mut space = complete.next()?.space.clone();
        complete.for_each(|t| space.intersect(&t.space));
        (!space.is_empty()).then_some(space)
    }

    fn bar(&self, trials: u64) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(trials).with_prefix(self.name.clone());
        let template = "{prefix:>14} {bar:30} {pos}/{len} {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(self.trials.len() as u64);
        bar
    }
}

/// SplitMix64's finaliser: an independent seed per trial.
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
