//! Running trials.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Study, Values};
use crate::{BoxError, Error, Result, State, Trial, TrialRecord};

/// What an objective's outcome comes to, whatever it returned.
type Outcome = Result<Values, BoxError>;

impl Study {
    /// Runs trials until the study holds `trials` of them (those of earlier runs and
    /// other processes counted, lost ones that are run again counted once), the suggester
    /// has no more points, or a stop condition holds.
    ///
    /// An objective that returns an error or NaN fails its trial, and the study goes on;
    /// one that returns [`Error::Pruned`] prunes it. An objective that fails while the
    /// stop flag is set was interrupted: its trial is run again on resume.
    ///
    /// # Errors
    /// Of suggester and storage.
    pub fn optimize<F, V>(&self, trials: usize, mut objective: F) -> Result<()>
    where
        F: FnMut(&mut Trial) -> Result<V, BoxError>,
        V: Into<Values>,
    {
        let run = Run::new(self, trials);
        run.work(&mut |trial| objective(trial).map(Into::into))
    }

    /// [`optimize`](Self::optimize) with several trials at once in this process. All see
    /// each other's running parameters.
    ///
    /// # Errors
    /// As [`optimize`](Self::optimize), and [`Error::OutOfRange`] for 0 workers.
    pub fn optimize_parallel<F, V>(&self, workers: usize, trials: usize, objective: F) -> Result<()>
    where
        F: Fn(&mut Trial) -> Result<V, BoxError> + Sync,
        V: Into<Values>,
    {
        if workers == 0 {
            return Err(Error::OutOfRange { name: "workers", value: 0.0, allowed: "[1, inf)" });
        }
        let run = Run::new(self, trials);
        std::thread::scope(|scope| {
            let work = || run.work(&mut |trial| objective(trial).map(Into::into));
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let results: Vec<Result<()>> = threads
                .into_iter()
                // A panic of the objective is the caller's.
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect();
            results.into_iter().collect()
        })
    }
}

/// One call of `optimize`.
struct Run<'s> {
    study: &'s Study,
    trials: usize,
    since: Instant,
    bar: ProgressBar,
    over: AtomicBool,
    /// Between counting the trials and starting another.
    gate: Mutex<()>,
}

impl<'s> Run<'s> {
    fn new(study: &'s Study, trials: usize) -> Self {
        let bar =
            if study.progress { ProgressBar::new(trials as u64) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>14} {bar:30} {pos}/{len} {eta} {msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(study.name().to_owned());
        let (since, over) = (Instant::now(), AtomicBool::new(false));
        Self { study, trials, since, bar, over, gate: Mutex::default() }
    }

    /// One worker's loop.
    fn work(&self, objective: &mut dyn FnMut(&mut Trial) -> Outcome) -> Result<()> {
        let result = self.work_until_over(objective);
        if result.is_err() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.bar.finish();
        result
    }

    fn work_until_over(&self, objective: &mut dyn FnMut(&mut Trial) -> Outcome) -> Result<()> {
        while let Some(mut trial) = self.next()? {
            let outcome = objective(&mut trial);
            let study = self.study;
            let pruned = |e: &BoxError| matches!(e.downcast_ref(), Some(Error::Pruned));
            let record = match outcome {
                Ok(values) => study.tell(trial, values)?,
                Err(error) if pruned(&error) => study.prune(trial)?,
                // Interrupted, not failed.
                Err(error) if study.stopped() => {
                    let history = study.trials()?;
                    return study.give_up(&history, trial.record(), &error.to_string(), true);
                }
                Err(error) => study.fail(trial, error.to_string())?,
            };
            self.after(&record)?;
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<Trial>> {
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let late = self.study.timeout.is_some_and(|timeout| self.since.elapsed() >= timeout);
        if late || self.over.load(Ordering::Relaxed) || self.study.stopped() {
            return Ok(None);
        }
        let history = self.study.trials()?;
        let taken = taken(&history);
        self.bar.set_position(taken as u64);
        if taken >= self.trials || self.is_enough(&history) {
            return Ok(None);
        }
        self.study.ask()
    }

    fn after(&self, record: &TrialRecord) -> Result<()> {
        for callback in &self.study.callbacks {
            if callback(self.study, record) == ControlFlow::Break(()) {
                self.over.store(true, Ordering::Relaxed);
            }
        }
        if self.study.progress
            && self.study.directions().len() == 1
            && let Some(best) = self.study.best()?
        {
            let value = best.value().unwrap_or(f64::NAN);
            self.bar.set_message(format!("best {value:.4} (trial {})", best.number));
        }
        Ok(())
    }

    /// Whether the target is reached or patience is over.
    fn is_enough(&self, history: &[Arc<TrialRecord>]) -> bool {
        let study = self.study;
        let complete = history.iter().filter(|t| t.state == State::Complete);
        let reached = |target: f64| {
            let direction = study.directions().first();
            complete.clone().any(|t| {
                t.violation() == 0.0
                    && direction
                        .zip(t.values.first())
                        .is_some_and(|(d, &v)| d.loss(v) <= d.loss(target))
            })
        };
        study.target.is_some_and(reached)
            || study.patience.is_some_and(|patience| self.trials_since_better(history) >= patience)
    }

    /// Ended trials after the last one that was better than all before.
    fn trials_since_better(&self, history: &[Arc<TrialRecord>]) -> usize {
        let study = self.study;
        let mut front: Vec<(f64, Vec<f64>)> = Vec::new();
        let mut waited = 0;
        for trial in history.iter().filter(|t| t.state.is_ended()) {
            waited += 1;
            let Some(losses) = trial.losses(study.directions()) else { continue };
            let violation = trial.violation();
            let no_better = |(v, l): &(f64, Vec<f64>)| {
                *v < violation || (*v == violation && l.iter().zip(&losses).all(|(a, b)| a <= b))
            };
            if !front.iter().any(no_better) {
                front.push((violation, losses));
                waited = 0;
            }
        }
        waited
    }
}

/// Trials begun, a lost one and its repetition counted once, and not before the
/// repetition has begun.
fn taken(history: &[Arc<TrialRecord>]) -> usize {
    let first = history.iter().filter(|t| !t.is_retry() && t.state != State::Waiting).count();
    first - history.iter().filter(|t| t.is_retry() && t.state == State::Waiting).count().min(first)
}
