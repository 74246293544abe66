//! Suggesters: what they find, and that they go on as they would have.

use counterweight_tuner::{
    Auto, BoxError, CmaEs, Direction, GaussianProcess, Grid, Nsga2, Params, Pending, Random, Sobol,
    Space, State, Study, Suggester, Tpe, Trial,
};
use proptest::prelude::*;

/// Branin's function, minimum 0.397887 at three points.
fn branin(trial: &mut Trial) -> Result<f64, BoxError> {
    use std::f64::consts::PI;
    let x = trial.suggest_float("x", -5.0..=10.0)?;
    let y = trial.suggest_float("y", 0.0..=15.0)?;
    let inner = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    Ok(inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0)
}

/// Each branch has parameters of its own; 0 at the best.
fn branches(trial: &mut Trial) -> Result<f64, BoxError> {
    let shared = trial.suggest_float("shared", 0.0..=1.0)?;
    let own = match trial.suggest_categorical("method", &["tree", "net"])? {
        "tree" => (trial.suggest_int("depth", 1..=12)? - 5).abs() as f64 * 0.1,
        _ => 0.3 + (trial.suggest_log_float("rate", 1e-4..=1.0)?.log10() + 2.0).powi(2),
    };
    Ok(own + (shared - 0.3).powi(2))
}

fn named(name: &str) -> Box<dyn Fn(Study) -> Study> {
    fn with<S: Suggester + 'static>(make: fn() -> S) -> Box<dyn Fn(Study) -> Study> {
        Box::new(move |study| study.suggester(make()))
    }
    match name {
        "auto" => with(Auto::new),
        "gp" => with(|| GaussianProcess::new().with_startup(4)),
        "gp-liar" => {
            with(|| GaussianProcess::new().with_startup(4).with_pending(Pending::ConstantLiar))
        }
        "tpe" => with(|| Tpe::new().with_startup(4)),
        "cma-es" => with(CmaEs::new),
        "nsga2" => with(|| Nsga2::new().with_population(6)),
        "sobol" => with(Sobol::new),
        _ => with(|| Random),
    }
}

const ALL: [&str; 7] = ["auto", "gp", "tpe", "cma-es", "nsga2", "sobol", "random"];

fn median_best(
    name: &str,
    trials: usize,
    objective: fn(&mut Trial) -> Result<f64, BoxError>,
) -> f64 {
    let mut best: Vec<f64> = (0..5)
        .map(|seed| {
            let study = named(name)(Study::minimize("s").seed(seed));
            study.optimize(trials, objective).unwrap();
            study.best().unwrap().unwrap().value().unwrap()
        })
        .collect();
    best.sort_by(f64::total_cmp);
    best[2]
}

#[test]
fn models_find_what_chance_does_not() {
    let random = median_best("random", 40, branin);
    assert!(median_best("auto", 40, branin) < 0.398);
    assert!(median_best("tpe", 40, branin) < random);
    let random = median_best("random", 40, branches);
    assert!(median_best("auto", 40, branches) < 0.01);
    assert!(median_best("tpe", 40, branches) < random);
}

#[test]
fn a_study_that_was_cut_goes_on_with_the_trials_it_would_have_had() {
    for name in ALL {
        let told = |study: &Study| -> Vec<(Params, Vec<f64>)> {
            study.trials().unwrap().iter().map(|t| (t.params.clone(), t.values.clone())).collect()
        };
        let whole = named(name)(Study::minimize("s").seed(8));
        whole.optimize(30, branches).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.log");
        for trials in [7, 19, 30] {
            let study = named(name)(Study::minimize("s").seed(8)).journal(&path).unwrap();
            study.optimize(trials, branches).unwrap();
            assert_eq!(told(&study), told(&whole)[..trials], "{name} after {trials}");
        }
    }
}

/// That `ratio` is there for two of three methods is learnt from the trials.
#[test]
fn a_finite_space_is_not_tried_twice() {
    for seed in 0..3 {
        let study = Study::minimize("f").seed(seed);
        study
            .optimize(60, |trial| {
                let k = trial.suggest_int("k", 1..=8)?;
                let ratio = match trial.suggest_categorical("method", &["none", "over", "smote"])? {
                    "none" => 1.0,
                    _ => trial.suggest_float_step("ratio", 0.2..=1.0, 0.2)?,
                };
                Ok((k - 3).abs() as f64 + ratio)
            })
            .unwrap();
        let mut seen: Vec<String> =
            study.trials().unwrap().iter().map(|t| format!("{:?}", t.params)).collect();
        seen.sort();
        seen.dedup();
        assert!(seen.len() >= 58, "{} of 60 of the 88 points", seen.len());
        assert_eq!(study.best().unwrap().unwrap().value(), Some(0.2));
    }
}

#[test]
fn workers_are_sent_to_different_places() {
    for name in ["gp", "gp-liar", "tpe"] {
        let study = named(name)(Study::minimize("s").seed(2));
        study.optimize(20, branin).unwrap();
        let mut trials: Vec<Trial> = (0..6).map(|_| study.ask().unwrap().unwrap()).collect();
        let values: Vec<f64> = trials.iter_mut().map(|t| branin(t).unwrap()).collect();
        let places: Vec<[f64; 2]> = trials
            .iter()
            .map(|t| ["x", "y"].map(|name| t.params()[name].as_f64().unwrap() / 15.0))
            .collect();
        for i in 0..6 {
            for j in 0..i {
                let far = (places[i][0] - places[j][0]).hypot(places[i][1] - places[j][1]);
                assert!(far > 1e-4, "{name}: {places:?}");
            }
        }
        for (trial, value) in trials.into_iter().zip(values) {
            study.tell(trial, value).unwrap();
        }
    }
}

#[test]
fn a_constrained_minimum_is_found_on_its_border() {
    let study = Study::minimize("c").seed(1);
    study
        .optimize(40, |trial| {
            let x = trial.suggest_float("x", 0.0..=1.0)?;
            let y = trial.suggest_float("y", 0.0..=1.0)?;
            trial.set_constraint("sum", 1.2 - x - y)?;
            Ok(x * x + 2.0 * y * y)
        })
        .unwrap();
    let best = study.best().unwrap().unwrap();
    // At (0.8, 0.4): 0.96.
    assert!(best.violation() == 0.0 && best.value().unwrap() < 0.975, "{best:?}");
}

#[test]
fn several_objectives_are_spread_over_the_front() {
    for name in ["auto", "nsga2", "tpe"] {
        let volume = |suggester: &str| {
            let study = Study::new("m", [Direction::Minimize; 2]).seed(5);
            let study = named(suggester)(study);
            study
                .optimize(60, |trial| {
                    let x = trial.suggest_float("x", 0.0..=1.0)?;
                    let rest: f64 = (0..4)
                        .map(|i| trial.suggest_float(&format!("y{i}"), 0.0..=1.0))
                        .sum::<Result<f64, _>>()?;
                    let g = 1.0 + rest;
                    Ok([x, g * (1.0 - (x / g).sqrt())])
                })
                .unwrap();
            study.hypervolume(&[1.1, 4.0]).unwrap()
        };
        assert!(volume(name) > volume("random"), "{name}");
    }
}

#[test]
fn settings_and_spaces_a_suggester_cannot_use_are_named() {
    let message = |study: Study| study.ask().unwrap_err().to_string();
    let two = || Study::new("s", [Direction::Minimize; 2]);
    assert_eq!(message(two().suggester(CmaEs::new())), "CMA-ES works with 1 objectives, not 2");
    let one = || Study::minimize("s");
    let sigma = message(one().suggester(CmaEs::new().with_sigma(0.0)));
    assert_eq!(sigma, "sigma = 0 is outside (0, 1]");
    let few = message(one().suggester(Nsga2::new().with_population(1)));
    assert_eq!(few, "population = 1 is outside [2, inf)");
    assert!(message(one().suggester(Tpe::new().with_candidates(0))).contains("[1, inf)"));
    let space = Space::new().int("k", 1..=3).unwrap();
    let outside = one().space(space).suggester(Grid::new().with_values("k", [2, 4]));
    assert_eq!(message(outside), "parameter \"k\": 4 is not a value of int 1..=3");
}

#[test]
fn a_grid_leaves_out_what_is_not_there() {
    let space = Space::new()
        .categorical("a", ["x", "y"])
        .and_then(|s| s.when("a", ["y"], |s| s.int("b", 1..=3)))
        .unwrap();
    let study = Study::minimize("g").space(space.clone()).suggester(Grid::new());
    study
        .optimize(99, |trial| {
            trial.suggest_all(&space)?;
            Ok(0.0)
        })
        .unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials.len(), 4, "x, and y with three values");
    assert_eq!(trials.iter().filter(|t| t.params.contains_key("b")).count(), 3);
    let wrong = Space::new().categorical("a", ["x"]).unwrap();
    let wrong = wrong.when("a", ["z"], |s| s.int("b", 1..=3)).unwrap_err().to_string();
    assert_eq!(wrong, "parameter \"b\" waits for \"a\", which cannot have the values asked for");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// In any static space, with infinite and equal values too.
    #[test]
    fn every_suggestion_is_a_value_of_its_distribution(
        seed in any::<u64>(),
        suggester in 0..ALL.len(),
        low in -5i64..5,
        width in 0i64..40,
        choices in 1usize..5,
        flat in any::<bool>(),
    ) {
        let space = Space::new()
            .int("k", low..=low + width)
            .and_then(|s| s.log_float("x", 1e-3..=10.0))
            .and_then(|s| s.categorical("c", (0..choices).map(|i| format!("c{i}"))))
            .and_then(|s| s.when("c", ["c0"], |s| s.float("only", -1.0..=-1.0)))
            .unwrap();
        let study = named(ALL[suggester])(Study::maximize("p").seed(seed)).space(space.clone());
        study.optimize(14, |trial| {
            let params = trial.suggest_all(&space)?.clone();
            for (name, value) in &params {
                assert!(space.get(name).unwrap().contains(value), "{name} {value:?}");
            }
            assert_eq!(params.contains_key("only"), params["c"] == "c0".into());
            let value = params["x"].as_f64().unwrap();
            Ok(match trial.number() {
                _ if flat => 1.0,
                3 => f64::INFINITY,
                5 => f64::NEG_INFINITY,
                _ => value,
            })
        }).unwrap();
        prop_assert!(study.trials().unwrap().iter().all(|t| t.state == State::Complete));
    }
}
