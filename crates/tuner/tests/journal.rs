//! The journal file: what it survives, and what it shares with Optuna's.

mod common;

use std::fs;
use std::path::Path;

use counterweight_tuner::{
    Distribution, Error, Journal, Op, Random, Scope, State, Storage, Study, TrialRecord,
};
use serde_json::{Value as Json, json};

use self::common::{assert_same, dump};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/optuna.log");

fn study(path: &Path) -> Study {
    Study::minimize("s").suggester(Random).seed(5).journal(path).unwrap()
}

#[test]
fn optunas_journal_is_read_as_optuna_reads_it() {
    let expected = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/optuna.json");
    let expected: Json = serde_json::from_slice(&fs::read(expected).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    fs::copy(FIXTURE, &path).unwrap();
    assert_same(&dump(&Journal::open(&path).unwrap()), &expected, "fixture");
    assert_eq!(fs::read(&path).unwrap(), fs::read(FIXTURE).unwrap(), "reading changes nothing");
}

/// Every kind of line that Optuna wrote, done again by us, is the same bytes but for the
/// worker's name.
#[test]
fn our_lines_are_optunas_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let theirs = fs::read_to_string(FIXTURE).unwrap();
    let journal = Journal::open(&path).unwrap();
    let source = Journal::open(FIXTURE).unwrap();
    let record = source.studies().unwrap().remove(0);
    let (name, directions) = (record.name.clone(), record.directions.clone());
    let attr = |scope, key: &str, value: &Json| {
        let (key, value) = (key.to_owned(), value.clone());
        Op::SetStudyAttr { study: 0, scope, key, value }
    };
    let mut ops = vec![Op::CreateStudy { name, directions }];
    ops.extend(record.user_attrs.iter().map(|(k, v)| attr(Scope::User, k, v)));
    ops.extend(record.system_attrs.iter().map(|(k, v)| attr(Scope::System, k, v)));
    journal.commit(&ops).unwrap();
    for trial in source.trials(0).unwrap() {
        redo(&journal, &trial);
    }
    let ours = fs::read_to_string(&path).unwrap();
    let plain = |line: &str| {
        let (head, tail) = line.split_once("\"worker_id\":\"").unwrap();
        format!("{head}{}", tail.split_once('"').unwrap().1)
    };
    // Optuna's own order within a trial is another where it sets several attributes.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(plain).collect();
        lines.sort();
        lines
    };
    // We read a NaN inside an attribute as its name.
    let ours = ours.replace("\"nan\":\"NaN\"", "\"nan\":NaN");
    let (ours, theirs) = (sorted(&ours), sorted(&theirs));
    let missing: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    // A trial added whole has its maps in the order they were given.
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(ours.len(), theirs.len());
}

/// The operations that make a trial, as Optuna does them.
fn redo(journal: &Journal, trial: &TrialRecord) {
    let (id, started) = (trial.id, trial.started);
    let waited = trial.system_attrs.contains_key("fixed_params");
    let whole = trial.user_attrs.contains_key("nan");
    let fixed = || {
        let mut waiting = TrialRecord::clone(trial);
        (waiting.state, waiting.started, waiting.completed) = (State::Waiting, None, None);
        waiting.params.clear();
        waiting.distributions.clear();
        waiting.values.clear();
        waiting.intermediate.clear();
        waiting.user_attrs.clear();
        waiting.system_attrs.retain(|k, _| k == "fixed_params");
        Box::new(waiting)
    };
    let template = match (whole, waited) {
        (true, _) => Some(Box::new(trial.clone())),
        (_, true) => Some(fixed()),
        _ => None,
    };
    let begin = started.filter(|_| !waited);
    journal.commit(&[Op::CreateTrial { study: 0, started: begin, template }]).unwrap();
    if whole {
        return;
    }
    let mut ops = Vec::new();
    if waited {
        let at = started.unwrap();
        ops.push(Op::SetState { trial: id, state: State::Running, values: None, at });
    }
    for (name, distribution) in &trial.distributions {
        let distribution: Distribution = distribution.clone();
        let internal = distribution.to_internal(&trial.params[name]).unwrap();
        ops.push(Op::SetParam { trial: id, name: name.clone(), internal, distribution });
    }
    for (&step, &value) in &trial.intermediate {
        ops.push(Op::Report { trial: id, step, value });
    }
    for (scope, attrs) in [(Scope::User, &trial.user_attrs), (Scope::System, &trial.system_attrs)] {
        for (key, value) in attrs.iter().filter(|(k, _)| *k != "fixed_params") {
            let (key, value) = (key.clone(), value.clone());
            ops.push(Op::SetTrialAttr { trial: id, scope, key, value });
        }
    }
    let values = (!trial.values.is_empty()).then(|| trial.values.clone());
    let (state, at) = (trial.state, trial.completed.unwrap());
    ops.push(Op::SetState { trial: id, state, values, at });
    journal.commit(&ops).unwrap();
}

#[test]
fn a_cut_anywhere_in_the_last_three_lines_loses_those_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let objective = |trial: &mut counterweight_tuner::Trial| {
        let x = trial.suggest_float("x", 0.0..=1.0)?;
        trial.set_user_attr("note", "ä")?;
        Ok(x)
    };
    study(&path).optimize(4, objective).unwrap();
    // As of a process that is gone, so that the cut trial is known to be lost.
    let alive = format!("/{}/", std::process::id());
    let whole = fs::read_to_string(&path).unwrap().replace(&alive, "/4294967295/").into_bytes();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    let from = ends[ends.len() - 4];
    for cut in from..whole.len() {
        let path = dir.path().join(format!("{cut}.log"));
        fs::write(&path, &whole[..cut]).unwrap();
        let study = study(&path);
        let kept = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(
            lines(&path),
            kept + usize::from(!ends.contains(&cut)),
            "opening writes nothing"
        );
        study.optimize(5, objective).unwrap();
        let trials = study.trials().unwrap();
        assert_eq!(trials.iter().filter(|t| t.state == State::Complete).count(), 5);
        // The file is whole again: another reader finds the same.
        let again = Study::minimize("s").journal(&path).unwrap().trials().unwrap();
        assert_eq!(again, trials);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n') && text.as_bytes().starts_with(&whole[..ends[kept - 1]]));
    }
}

fn lines(path: &Path) -> usize {
    let text = fs::read(path).unwrap();
    text.split_inclusive(|&b| b == b'\n').count()
}

#[test]
fn a_line_that_is_no_record_is_named_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    study(&path).optimize(2, |t| Ok(t.suggest_float("x", 0.0..=1.0)?)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let next = good.lines().count() + 1;
    for (bad, reason) in [
        ("{\"op_code\":11,\"worker_id\":\"w\"}", "op_code 11 is none of 0 to 10"),
        ("{\"op_code\":7,\"worker_id\":\"w\",\"trial_id\":0}", "no field \"step\""),
        ("no json", "expected"),
        (
            "{\"op_code\":6,\"worker_id\":\"w\",\"trial_id\":0,\"state\":9,\"values\":null}",
            "\"state\"",
        ),
    ] {
        let text = format!("{good}{bad}\n");
        fs::write(&path, &text).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, Error::Journal { line, .. } if line == next), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    // Another program's op 10, a refused record and bare numbers are no error.
    let other = "{\"op_code\":10,\"worker_id\":\"w\",\"study_id\":0,\"trial_ids\":[0]}\n\
        {\"op_code\":7,\"worker_id\":\"w\",\"trial_id\":0,\"step\":1,\"intermediate_value\":NaN}\n\
        {\"op_code\":4,\"worker_id\":\"w\",\"study_id\":0,\"datetime_start\":null}\n\
        {\"op_code\":7,\"worker_id\":\"w\",\"trial_id\":2,\"step\":1,\"intermediate_value\":-Infinity}\n\
        {\"op_code\":5,\"worker_id\":\"w\",\"trial_id\":2,\"param_name\":\"x\",\"param_value_internal\":1,\
        \"distribution\":\"{\\\"name\\\": \\\"IntDistribution\\\", \\\"attributes\\\": {\\\"log\\\": false, \\\"step\\\": 1, \\\"low\\\": 0, \\\"high\\\": 3}}\"}\n\
        {\"op_code\":8,\"worker_id\":\"w\",\"trial_id\":2,\"user_attr\":{\"k\":[NaN]}}\n";
    fs::write(&path, format!("{good}{other}")).unwrap();
    let trials = study(&path).trials().unwrap();
    assert_eq!(trials.len(), 3);
    assert_eq!(trials[2].intermediate[&1], f64::NEG_INFINITY);
    assert!(trials[0].intermediate.is_empty(), "an ended trial does not change");
    assert!(trials[2].params.is_empty(), "x is a float in this study");
    assert_eq!(trials[2].user_attrs["k"], json!(["NaN"]));
}

#[test]
fn a_lock_left_by_a_killed_process_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.log");
    let study = study(&path);
    // As our own processes leave it.
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        format!("{}/./s.log", dir.path().canonicalize().unwrap().display()),
        dir.path().join("s.log.lock"),
    )
    .unwrap();
    study.optimize(1, |_| Ok(0.0)).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no lock is left: {left:?}");
}
