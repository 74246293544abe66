//! Studies: resuming, failing, stopping, and what a journal survives.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use counterweight_tuner::{
    BoxError, Distribution, Error, GaussianProcess, Grid, Params, Random, Space, State, Study,
    Trial, Value,
};
use proptest::prelude::*;

fn objective(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = trial.suggest_float("x", -3.0..=3.0)?;
    let rate = trial.suggest_log_float("rate", 1e-4..=1.0)?;
    let k = trial.suggest_int("k", 1..=9)?;
    let kind = trial.suggest_categorical("kind", &["a", "b"])?;
    let inner = if kind == "a" { trial.suggest_float("inner", 0.0..=1.0)? } else { 0.5 };
    Ok((x - 1.0).powi(2) + rate.log10().abs() * 0.1 + (k - 4).abs() as f64 * 0.1 + inner)
}

fn run(mut study: Study, trials: usize) -> Vec<(Params, Option<f64>)> {
    study.optimize(trials, objective).unwrap();
    study.trials().map(|t| (t.params.clone(), t.value)).collect()
}

#[test]
fn a_killed_study_continues_as_if_it_had_not_been() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.jsonl");
    let new = || Study::minimize("s").suggester(GaussianProcess::new().with_startup(4)).seed(3);
    let whole = run(new(), 12);
    run(new().journal(&path).unwrap(), 7);
    // A kill in the middle of a write.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"op\":\"trial\",\"numb").unwrap();
    drop(file);
    assert_eq!(run(new().journal(&path).unwrap(), 12), whole);
    assert_eq!(run(new().journal(&path).unwrap(), 12), whole, "nothing left to do");

    let other = Study::maximize("s").journal(&path).unwrap_err();
    assert!(matches!(other, Error::OtherStudy { .. }), "{other}");
    std::fs::write(&path, "no json\n").unwrap();
    let broken = new().journal(&path).unwrap_err().to_string();
    assert!(broken.contains("study.jsonl:1"), "{broken}");
}

#[test]
fn failures_are_kept_and_do_not_stop_the_next_run() {
    let mut study = Study::minimize("f").seed(1);
    let error = study
        .optimize(5, |trial| match trial.number() {
            1 => Ok(f64::NAN),
            2 => Err("no memory".into()),
            n => Ok(n as f64),
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "trial 2 failed: no memory");
    study.optimize(5, |trial| Ok(trial.number() as f64)).unwrap();
    let states: Vec<State> = study.trials().map(|t| t.state).collect();
    use State::{Complete, Failed};
    assert_eq!(states, [Complete, Failed, Failed, Complete, Complete]);
    assert_eq!(study.best().unwrap().number, 0);
    let reasons: Vec<_> = study.trials().filter_map(|t| t.reason.clone()).collect();
    assert_eq!(reasons, ["the objective's value is NaN", "no memory"]);
}

#[test]
fn the_stop_flag_ends_a_study_without_losing_or_failing_a_trial() {
    let stop = Arc::new(AtomicBool::new(false));
    let mut study = Study::minimize("s").stop_flag(stop.clone());
    study
        .optimize(9, |trial| {
            if trial.number() == 2 {
                stop.store(true, Ordering::Relaxed);
                return Err("interrupted".into());
            }
            Ok(1.0)
        })
        .unwrap();
    assert_eq!(study.trials().count(), 2);
    stop.store(false, Ordering::Relaxed);
    study.optimize(9, |_| Ok(1.0)).unwrap();
    assert_eq!(study.trials().count(), 9);
}

#[test]
fn ask_and_tell_in_any_order() {
    let mut study = Study::maximize("s");
    let mut first = study.ask().unwrap().unwrap();
    let mut second = study.ask().unwrap().unwrap();
    assert_eq!((first.number(), second.number()), (0, 1));
    first.suggest_float("x", 0.0..=1.0).unwrap();
    second.suggest_float("x", 0.0..=1.0).unwrap();
    study.tell(second, 2.0).unwrap();
    study.tell(first, 1.0).unwrap();
    assert_eq!(study.best().unwrap().number, 1);
    let foreign = Study::maximize("t").ask().unwrap().unwrap();
    assert!(matches!(study.tell(foreign, 0.0), Err(Error::NotRunning { number: 0 })));
}

#[test]
fn bad_ranges_and_settings_are_named() {
    let mut study = Study::minimize("s");
    let mut trial = study.ask().unwrap().unwrap();
    let message = |e: Error| e.to_string();
    let log = trial.suggest_log_float("rate", 0.0..=1.0).unwrap_err();
    let expected = "parameter \"rate\": range 0..=1 is not valid; need low > 0 on a log scale";
    assert_eq!(message(log), expected);
    assert!(trial.suggest_float("x", 1.0..=0.0).is_err());
    assert!(trial.suggest_float("x", f64::NAN..=1.0).is_err());
    assert!(trial.suggest_categorical("c", &[]).is_err());
    trial.suggest_int("k", 0..=3).unwrap();
    assert!(matches!(trial.suggest_int("k", 0..=4), Err(Error::Redefined { .. })));

    let few = GaussianProcess::new().with_startup(1);
    let few = Study::minimize("s").suggester(few).optimize(1, |_| Ok(0.0)).unwrap_err();
    assert_eq!(message(few), "startup = 1 is outside [2, inf)");
    let none = Study::minimize("s").suggester(Grid).optimize(1, |_| Ok(0.0)).unwrap_err();
    assert!(matches!(none, Error::NoSpace));
    let space = Space::new().float("x", 0.0..=1.0).unwrap();
    let mut endless = Study::minimize("s").space(space).suggester(Grid);
    assert!(matches!(endless.optimize(1, |_| Ok(0.0)), Err(Error::NotFinite { .. })));
}

#[test]
fn a_grid_visits_every_point_once() {
    let step = Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) };
    let space = Space::new().with("x", step.clone()).unwrap().int("k", -1..=1).unwrap();
    let mut study = Study::minimize("g").space(space).suggester(Grid);
    let mut seen = Vec::new();
    study
        .optimize(usize::MAX, |trial| {
            let Value::Float(x) = trial.suggest("x", step.clone())? else { unreachable!() };
            seen.push((x.to_bits(), trial.suggest_int("k", -1..=1)?));
            Ok(x)
        })
        .unwrap();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 15);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_suggestion_is_in_its_range(
        seed in any::<u64>(),
        low in -5i64..5,
        width in 0i64..6,
        gp in any::<bool>(),
    ) {
        let study = Study::maximize("p").seed(seed);
        let mut study = if gp {
            study.suggester(GaussianProcess::new().with_startup(3))
        } else {
            study.suggester(Random)
        };
        let step = Distribution::Float { low: 0.5, high: 2.0, log: false, step: Some(0.5) };
        study.optimize(8, |trial| {
            let k = trial.suggest_int("k", low..=low + width)?;
            let x = trial.suggest_log_float("x", 1e-3..=10.0)?;
            let Value::Float(s) = trial.suggest("s", step.clone())? else { unreachable!() };
            let c = trial.suggest_categorical("c", &["a", "b", "c"])?;
            assert!((low..=low + width).contains(&k) && (1e-3..=10.0).contains(&x));
            assert!([0.5, 1.0, 1.5, 2.0].contains(&s));
            Ok(k as f64 - x + s + if c == "b" { 1.0 } else { 0.0 })
        }).unwrap();
    }
}
