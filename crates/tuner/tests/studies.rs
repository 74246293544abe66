//! Studies: resuming, failing, stopping, and what a journal survives.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use counterweight_tuner::{
    BoxError, Direction, Distribution, Error, GaussianProcess, Grid, Params, Random, Space, State,
    Study, Trial, TrialRecord, Value,
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

fn run(study: Study, trials: usize) -> Vec<(Params, Option<f64>)> {
    study.optimize(trials, objective).unwrap();
    let told = |t: &Arc<TrialRecord>| (t.params.clone(), t.value());
    study.trials().unwrap().iter().filter(|t| t.state == State::Complete).map(told).collect()
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
fn failures_are_kept_and_the_study_goes_on() {
    let study = Study::minimize("f").seed(1);
    study
        .optimize(7, |trial| match trial.number() {
            1 => Ok(vec![f64::NAN]),
            2 => Err("no memory".into()),
            3 => Ok(vec![f64::NEG_INFINITY]),
            4 => Ok(vec![1.0, 2.0]),
            5 => Ok(vec![f64::INFINITY]),
            n => Ok(vec![n as f64]),
        })
        .unwrap();
    let trials = study.trials().unwrap();
    let states: Vec<State> = trials.iter().map(|t| t.state).collect();
    use State::{Complete, Failed};
    let expected = [Complete, Failed, Failed, Complete, Failed, Complete, Complete];
    assert_eq!(states, expected);
    assert_eq!(study.best().unwrap().unwrap().number, 3, "infinite values are ordered");
    let reasons: Vec<_> = trials.iter().filter_map(|t| t.reason()).collect();
    let several = "the objective gave 2 values for 1 objectives";
    assert_eq!(reasons, ["the objective's value is NaN", "no memory", several]);
}

#[test]
fn the_stop_flag_ends_a_study_without_losing_a_trial() {
    let stop = Arc::new(AtomicBool::new(false));
    let study = Study::minimize("s").stop_flag(stop.clone());
    let mut seeds = Vec::new();
    study
        .optimize(9, |trial| {
            seeds.push(trial.seed());
            trial.suggest_float("x", 0.0..=1.0)?;
            if trial.number() == 2 {
                stop.store(true, Ordering::Relaxed);
                return Err("interrupted".into());
            }
            Ok(1.0)
        })
        .unwrap();
    let cut = study.trials().unwrap()[2].clone();
    assert_eq!((cut.state, cut.reason()), (State::Failed, Some("interrupted")));
    stop.store(false, Ordering::Relaxed);
    study
        .optimize(9, |trial| {
            seeds.push(trial.seed());
            Ok(trial.suggest_float("x", 0.0..=1.0)?)
        })
        .unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials.iter().filter(|t| t.state == State::Complete).count(), 9);
    assert_eq!(trials[3].params, cut.params, "run again with the same parameters");
    assert_eq!(seeds[2], seeds[3], "and the same seed");
    seeds.dedup();
    assert_eq!(seeds.len(), 9);
}

#[test]
fn conditions_to_stop() {
    let count = |study: &Study| study.trials().unwrap().len();
    let study = Study::maximize("t").target(3.0);
    study.optimize(99, |trial| Ok(trial.number() as f64)).unwrap();
    assert_eq!(count(&study), 4);
    let study = Study::minimize("p").patience(5);
    study.optimize(99, |trial| Ok(trial.number() as f64)).unwrap();
    assert_eq!(count(&study), 6);
    let study = Study::minimize("time").timeout(std::time::Duration::ZERO);
    study.optimize(99, |_| Ok(0.0)).unwrap();
    assert_eq!(count(&study), 0);
    let study = Study::minimize("c").on_trial(|_, trial| match trial.number {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    study.optimize(99, |_| Ok(0.0)).unwrap();
    assert_eq!(count(&study), 3);
}

#[test]
fn enqueued_and_fixed_parameters_are_used() {
    let study = Study::minimize("e").fix("kind", "b").seed(2);
    study.enqueue([("x".to_owned(), 0.25.into()), ("k".to_owned(), 7.into())].into()).unwrap();
    study.optimize(3, objective).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials[0].params["x"], Value::Float(0.25));
    assert_eq!(trials[0].params["k"], Value::Int(7));
    assert!(trials[0].params.contains_key("rate"));
    assert!(trials.iter().all(|t| t.params["kind"] == Value::from("b")));
    // One outside its range fails its trial alone.
    study.enqueue([("x".to_owned(), 9.0.into())].into()).unwrap();
    study.optimize(5, objective).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials[3].state, State::Failed);
    assert_eq!(trials[3].reason(), Some("parameter \"x\": 9.0000 is not a value of float -3..=3"));
    assert_eq!(trials[4].state, State::Complete);
}

#[test]
fn feasible_trials_come_first() {
    let study = Study::minimize("c").seed(3);
    study
        .optimize(30, |trial| {
            let x = trial.suggest_float("x", -2.0..=2.0)?;
            trial.set_constraint("right", 0.5 - x)?;
            Ok(x * x)
        })
        .unwrap();
    let best = study.best().unwrap().unwrap();
    assert!(best.violation() == 0.0 && best.value().unwrap() < 0.27, "{best:?}");
    let infeasible = Study::minimize("i");
    infeasible
        .optimize(4, |trial| {
            trial.set_constraint("c", 4.0 - trial.number() as f64)?;
            Ok(trial.number() as f64)
        })
        .unwrap();
    assert_eq!(infeasible.best().unwrap().unwrap().number, 3, "breaks its constraint least");
    let mut trial = infeasible.ask().unwrap().unwrap();
    assert!(trial.set_constraint("c", f64::NAN).is_err());
}

#[test]
fn several_objectives_have_a_front() {
    let study = Study::new("m", [Direction::Minimize, Direction::Maximize]).seed(4);
    study
        .optimize(30, |trial| {
            let x = trial.suggest_float("x", 0.0..=1.0)?;
            Ok([x * x, 1.0 - (x - 1.0).powi(2)])
        })
        .unwrap();
    assert!(matches!(study.best(), Err(Error::Objectives { found: 2, .. })));
    assert_eq!(study.front().unwrap().len(), 30, "every x is a compromise");
    // The area under 1 − (1 − √a)² for a in [0, 1] is 5/6.
    let volume = study.hypervolume(&[1.0, 0.0]).unwrap();
    assert!((0.75..0.834).contains(&volume), "{volume}");
}

#[test]
fn one_parameter_has_one_distribution_in_a_study() {
    let study = Study::minimize("s");
    let mut first = study.ask().unwrap().unwrap();
    first.suggest_int("k", 0..=3).unwrap();
    let mut second = study.ask().unwrap().unwrap();
    second.suggest_int("k", 0..=5).expect("bounds may change");
    let mut third = study.ask().unwrap().unwrap();
    let refused = third.suggest_float("k", 0.0..=1.0).unwrap_err().to_string();
    assert_eq!(refused, "parameter \"k\" is int 0..=3 and cannot be float 0..=1 in the same study");
    study.tell(third, 0.0).unwrap();
}

#[test]
fn a_step_that_does_not_divide_the_range_lowers_it() {
    let step = Distribution::float(0.0..=1.0).in_steps_of(0.3).checked("x").unwrap();
    assert_eq!(step, Distribution::float(0.0..=0.9).in_steps_of(0.3));
    let fits = Distribution::float(0.0..=0.9).in_steps_of(0.1).checked("x").unwrap();
    assert_eq!(fits, Distribution::float(0.0..=0.9).in_steps_of(0.1));
    let whole = Distribution::Int { low: 1, high: 9, log: false, step: 3 }.checked("k").unwrap();
    assert_eq!(whole, Distribution::Int { low: 1, high: 7, log: false, step: 3 });
}

#[test]
fn distinct_studies_do_not_repeat_a_configuration() {
    for grid in [false, true] {
        let study = Study::minimize("d").distinct().seed(5);
        let study = if grid { study } else { study.suggester(Random) };
        let space = Space::new().categorical("a", ["x", "y", "z"]).unwrap();
        let space = space.int("b", 1..=4).unwrap();
        let study = study.space(space.clone());
        study
            .optimize(12, |trial| {
                trial.suggest_all(&space)?;
                Ok(trial.params()["b"].as_f64().unwrap_or(0.0))
            })
            .unwrap();
        let mut seen: Vec<String> =
            study.trials().unwrap().iter().map(|t| format!("{:?}", t.params)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 12);
    }
}

#[test]
fn workers_draw_from_the_same_streams_as_one() {
    let draws = |workers| {
        let study = Study::minimize("w").suggester(Random).seed(6);
        study.optimize_parallel(workers, 24, objective).unwrap();
        let trials = study.trials().unwrap();
        assert!(trials.iter().all(|t| t.state == State::Complete));
        trials.iter().map(|t| (t.params.clone(), t.value())).collect::<Vec<_>>()
    };
    let one = draws(1);
    assert_eq!(one.len(), 24);
    assert_eq!(one, draws(2));
    assert_eq!(one, draws(8));
    let none = Study::minimize("w").optimize_parallel(0, 1, |_| Ok(0.0)).unwrap_err();
    assert!(matches!(none, Error::OutOfRange { .. }));
}

#[test]
fn ask_and_tell_in_any_order() {
    let study = Study::maximize("s");
    let mut first = study.ask().unwrap().unwrap();
    let mut second = study.ask().unwrap().unwrap();
    assert_eq!((first.number(), second.number()), (0, 1));
    first.suggest_float("x", 0.0..=1.0).unwrap();
    second.suggest_float("x", 0.0..=1.0).unwrap();
    study.tell(second, 2.0).unwrap();
    study.tell(first, 1.0).unwrap();
    assert_eq!(study.best().unwrap().unwrap().number, 1);
    let foreign = Study::maximize("t").ask().unwrap().unwrap();
    assert!(matches!(study.tell(foreign, 0.0), Err(Error::Missing { .. })));
}

#[test]
fn bad_ranges_and_settings_are_named() {
    let study = Study::minimize("s");
    let mut trial = study.ask().unwrap().unwrap();
    let message = |e: Error| e.to_string();
    let log = trial.suggest_log_float("rate", 0.0..=1.0).unwrap_err();
    let expected = "parameter \"rate\": range 0..=1 is not valid; need low > 0 on a log scale";
    assert_eq!(message(log), expected);
    assert!(trial.suggest_float("x", 1.0..=0.0).is_err());
    assert!(trial.suggest_float("x", f64::NAN..=1.0).is_err());
    assert!(trial.suggest_categorical::<&str>("c", &[]).is_err());
    trial.suggest_int("k", 0..=3).unwrap();
    assert!(matches!(trial.suggest_int("k", 0..=4), Err(Error::Redefined { .. })));

    let few = GaussianProcess::new().with_startup(1);
    let few = Study::minimize("s").suggester(few).optimize(1, |_| Ok(0.0)).unwrap_err();
    assert_eq!(message(few), "startup = 1 is outside [2, inf)");
    let none = Study::minimize("s").suggester(Grid::new()).optimize(1, |_| Ok(0.0)).unwrap_err();
    assert!(matches!(none, Error::NoSpace { .. }));
    let space = Space::new().float("x", 0.0..=1.0).unwrap();
    let endless = Study::minimize("s").space(space).suggester(Grid::new());
    assert!(matches!(endless.optimize(1, |_| Ok(0.0)), Err(Error::NotFinite { .. })));
}

#[test]
fn a_grid_visits_every_point_once() {
    let step = Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) };
    let space = Space::new().with("x", step.clone()).unwrap().int("k", -1..=1).unwrap();
    let study = Study::minimize("g").space(space).suggester(Grid::new());
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
        let study = if gp {
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
