//! What a study says of itself: importance, tables, pictures; and one study from another.

use counterweight_tuner::{
    BoxError, Direction, Importance, Nsga2, Random, Sobol, State, Study, Trial,
};

fn objective(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = trial.suggest_float("x", -1.0..=1.0)?;
    let rate = trial.suggest_log_float("rate", 1e-3..=1.0)?;
    let kind = trial.suggest_categorical("kind", &["a", "b"])?;
    if kind == "b" {
        trial.suggest_int("only, \"b\"", 1..=3)?;
    }
    trial.set_user_attr("note", "a,b")?;
    if trial.number() == 3 {
        return Err("failed".into());
    }
    Ok(4.0 * x * x + 0.1 * rate.log10())
}

fn study() -> Study {
    let study = Study::minimize("reports <1>").suggester(Sobol::new()).seed(2);
    study.optimize(60, objective).unwrap();
    study
}

#[test]
fn importance_finds_what_matters() {
    for kind in [Importance::Fanova, Importance::Permutation] {
        let importance = study().importance(kind, 0).unwrap();
        assert_eq!(importance[0].0, "x", "{importance:?}");
        assert!(importance[0].1 > 0.85, "{importance:?}");
        assert!((importance.iter().map(|i| i.1).sum::<f64>() - 1.0).abs() < 1e-9);
    }
    let few = Study::minimize("few").importance(Importance::Fanova, 0).unwrap_err();
    assert_eq!(few.to_string(), "complete trials = 0 is outside [4, inf)");
    assert!(study().importance(Importance::Fanova, 1).is_err());
    let flat = Study::minimize("flat").suggester(Random);
    flat.optimize(9, |trial| Ok(trial.suggest_float("x", 0.0..=1.0)? * 0.0)).unwrap();
    assert_eq!(flat.importance(Importance::Fanova, 0).unwrap(), [("x".to_owned(), 0.0)]);
}

#[test]
fn tables_hold_every_trial() {
    let dir = tempfile::tempdir().unwrap();
    let study = study();
    let (csv, json) = (dir.path().join("s.csv"), dir.path().join("s.json"));
    study.to_csv(&csv).unwrap();
    study.to_json(&json).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let header = "number,state,value,started,completed,seconds,params_kind,\
        \"params_only, \"\"b\"\"\",params_rate,params_x,user_attrs_note";
    assert_eq!(text.lines().next().unwrap(), header);
    assert_eq!(text.lines().count(), 61);
    assert!(text.lines().nth(4).unwrap().starts_with("3,failed,,"));
    assert!(text.contains(",\"a,b\"\n"));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(json["trials"].as_array().unwrap().len(), 60);
    assert_eq!(json["directions"][0], "minimize");
    assert!(study.to_csv(dir.path().join("none/s.csv")).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
}

#[cfg(feature = "plot")]
#[test]
fn pictures_show_the_trials() {
    use counterweight_tuner::Plot;
    let dir = tempfile::tempdir().unwrap();
    let study = study();
    let page = dir.path().join("s.html");
    study.to_html(&page).unwrap();
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("<title>reports &lt;1&gt;</title>"));
    assert_eq!(text.matches("<svg").count(), 6);
    let history = study.svg(&Plot::History).unwrap();
    assert_eq!(history.matches("<circle").count(), 59, "one dot per complete trial");
    let contour = study.svg(&Plot::Contour("x".to_owned(), "rate".to_owned())).unwrap();
    assert!(contour.contains("log10 rate"));
    let lines = study.svg(&Plot::ParallelCoordinates).unwrap();
    assert!(lines.matches("<polyline").count() >= 59);
    // A study without trials has empty pictures, not an error.
    Study::minimize("empty").to_html(dir.path().join("e.html")).unwrap();

    let two =
        Study::new("two", [Direction::Minimize; 2]).suggester(Nsga2::new().with_population(8));
    two.optimize(30, |trial| {
        let x = trial.suggest_float("x", 0.0..=1.0)?;
        let y = trial.suggest_float("y", 0.0..=1.0)?;
        Ok([x + y, 1.0 - x + y])
    })
    .unwrap();
    assert!(two.svg(&Plot::Pareto).unwrap().matches("<circle").count() > 30);
}

#[test]
fn a_study_begins_from_an_earlier_one() {
    let earlier = study();
    let same = Study::minimize("same").seed(9);
    same.add_trials(&earlier).unwrap();
    let copied = same.trials().unwrap();
    assert_eq!(copied.len(), 59, "complete ones");
    assert_eq!(same.best().unwrap().unwrap().params, earlier.best().unwrap().unwrap().params);
    same.optimize(65, objective).unwrap();
    assert_eq!(same.trials().unwrap().len(), 65);

    let other = Study::maximize("other").seed(9);
    other.enqueue_best_of(&earlier, 3).unwrap();
    other.optimize(4, objective).unwrap();
    let trials = other.trials().unwrap();
    assert!(trials.iter().all(|t| t.state != State::Waiting));
    let mut best = earlier.trials().unwrap();
    best.retain(|t| t.state == State::Complete);
    best.sort_by(|a, b| a.values[0].total_cmp(&b.values[0]));
    for (trial, best) in trials.iter().zip(best.iter().take(3)) {
        assert_eq!(trial.params, best.params);
    }
    let two = Study::new("two", [Direction::Minimize; 2]);
    assert!(two.add_trials(&earlier).is_err(), "another number of objectives");
}
