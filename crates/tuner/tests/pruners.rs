//! Pruners end the same trials at the same steps as Optuna's.

use std::fs;
use std::io::Read;

use counterweight_tuner::{
    Direction, Error, Grid, Hyperband, Percentile, Pruner, Random, Space, State, Study,
    SuccessiveHalving, Tpe, Wilcoxon,
};
use flate2::read::GzDecoder;
use serde_json::Value as Json;

fn pruner(name: &str) -> Box<dyn Fn(Study) -> Study> {
    fn with<P: Pruner + Clone + 'static>(pruner: P) -> Box<dyn Fn(Study) -> Study> {
        Box::new(move |study| study.pruner(pruner.clone()))
    }
    match name {
        "median" => with(Percentile::median()),
        "median_warm" => with(Percentile::median().with_startup(3).with_warmup(4).with_interval(3)),
        "percentile" => with(Percentile::new(25.0).with_least_reports(3)),
        "halving" => with(SuccessiveHalving::new()),
        "halving_auto" => with(
            SuccessiveHalving::new()
                .with_least_resource(None)
                .with_reduction_factor(3)
                .with_early_stopping_rate(1),
        ),
        "halving_boot" => with(
            SuccessiveHalving::new()
                .with_least_resource(1)
                .with_reduction_factor(2)
                .with_bootstrap(2),
        ),
        "hyperband" => with(Hyperband::new().with_full_resource(27)),
        "hyperband_auto" => with(Hyperband::new()),
        "wilcoxon" => with(Wilcoxon::new().with_p(0.2)),
        other => panic!("{other}"),
    }
}

#[test]
fn trials_end_where_optuna_ends_them() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pruners.json");
    let fixture: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let curves: Vec<Vec<f64>> = fixture["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect())
        .collect();
    let mut pruned = 0;
    for (name, ends) in fixture["ends"].as_object().unwrap() {
        let (kind, direction) = name.split_once(' ').unwrap();
        let (direction, sign) = match direction {
            "minimize" => (Direction::Minimize, 1.0),
            _ => (Direction::Maximize, -1.0),
        };
        let study = pruner(kind)(Study::new("s", [direction]).suggester(Random));
        let mut found = Vec::new();
        for curve in &curves {
            let mut trial = study.ask().unwrap().unwrap();
            let mut end = Json::Null;
            for (step, value) in curve.iter().enumerate() {
                trial.report(step as i64, sign * value).unwrap();
                if trial.should_prune().unwrap() {
                    end = step.into();
                    break;
                }
            }
            if end.is_null() {
                let numbers: Vec<f64> = curve.iter().copied().filter(|v| !v.is_nan()).collect();
                let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
                study.tell(trial, sign * mean).unwrap();
            } else {
                pruned += 1;
                study.prune(trial).unwrap();
            }
            found.push(end);
        }
        assert_eq!(Json::from(found), *ends, "{name}");
    }
    assert!(pruned > 300, "{pruned}");
}

#[test]
fn pruned_trials_have_their_last_report_and_teach_the_estimator() {
    let study = Study::minimize("p")
        .suggester(Tpe::new().with_startup(4))
        .pruner(Percentile::median().with_startup(2))
        .seed(3);
    study
        .optimize(40, |trial| {
            let x = trial.suggest_float("x", 0.0..=1.0)?;
            for step in 0..5 {
                trial.report(step, x + 1.0 / (step + 1) as f64)?;
                if trial.should_prune()? {
                    return Err(Error::Pruned.into());
                }
            }
            Ok(x)
        })
        .unwrap();
    let trials = study.trials().unwrap();
    let pruned: Vec<_> = trials.iter().filter(|t| t.state == State::Pruned).collect();
    assert!(pruned.len() > 5);
    for trial in &pruned {
        assert_eq!(trial.value(), trial.last_report().map(|(_, v)| v));
    }
    assert!(study.best().unwrap().unwrap().value().unwrap() < 0.1);
    assert!(study.best().unwrap().unwrap().state == State::Complete);
}

#[test]
fn settings_outside_their_range_are_named() {
    let message = |study: Study| {
        let mut trial = study.ask().unwrap().unwrap();
        trial.report(0, 1.0).unwrap();
        trial.should_prune().unwrap_err().to_string()
    };
    let study = || Study::minimize("s");
    let percentile = message(study().pruner(Percentile::new(101.0)));
    assert_eq!(percentile, "percentile = 101 is outside [0, 100]");
    let factor = message(study().pruner(SuccessiveHalving::new().with_reduction_factor(1)));
    assert_eq!(factor, "reduction factor = 1 is outside [2, inf)");
    let p = message(study().pruner(Wilcoxon::new().with_p(-0.5)));
    assert_eq!(p, "p = -0.5 is outside [0, 1]");
    let several = Study::new("s", [Direction::Minimize, Direction::Minimize]);
    assert_eq!(message(several), "pruning works with 1 objectives, not 2");
    let mut trial = study().ask().unwrap().unwrap();
    assert_eq!(trial.report(-1, 0.0).unwrap_err().to_string(), "step = -1 is outside [0, inf)");
}

/// On real learning curves: 200 perceptrons of 27 epochs (`fixtures/generate_curves.py`).
#[test]
fn halving_finds_the_best_of_real_learning_curves_in_a_quarter_of_the_epochs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/curves.json.gz");
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let curves: Vec<Vec<f64>> = serde_json::from_str(&text).unwrap();
    let full = curves.iter().map(|c| c[26]).fold(0.0, f64::max);
    let space = Space::new().int("index", 0..=199).unwrap();
    for factor in [2, 3, 4] {
        let pruner = SuccessiveHalving::new().with_least_resource(1).with_reduction_factor(factor);
        let study = Study::maximize("asha").space(space.clone()).suggester(Grid::new());
        let study = study.pruner(pruner);
        let mut epochs = 0;
        study
            .optimize(200, |trial| {
                let curve = &curves[trial.suggest_int("index", 0..=199)? as usize];
                for (epoch, &score) in (1..).zip(curve) {
                    epochs += 1;
                    trial.report(epoch, score)?;
                    if trial.should_prune()? {
                        return Err(Error::Pruned.into());
                    }
                }
                Ok(curve[26])
            })
            .unwrap();
        let best = study.best().unwrap().unwrap().value().unwrap();
        assert!(best >= 0.99 * full, "factor {factor}: {best} of {full}");
        let share = f64::from(epochs) / (200.0 * 27.0);
        assert!(share <= 0.25, "factor {factor}: {share} of the epochs");
    }
}
