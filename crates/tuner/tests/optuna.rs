//! Studies shared with Optuna, in every storage that both know.
//!
//! Needs a Python with `pip install optuna==5.0.0 optuna-dashboard==0.21.0
//! psycopg2-binary`: `COUNTERWEIGHT_PYTHON`, or `target/peers/bin/python`; and for
//! PostgreSQL the address of an empty server, `COUNTERWEIGHT_POSTGRES`. Without them these
//! tests say so and pass, unless `COUNTERWEIGHT_PEERS` is set.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use counterweight_tuner::{
    BoxError, Direction, Distribution, Error, Journal, Random, Sqlite, State, Storage, Study,
    Trial, Value,
};
use serde_json::{Value as Json, json};

use self::common::{assert_same, dump};

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("COUNTERWEIGHT_PYTHON").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/bin/python");
    let found = named.or_else(|| target.exists().then_some(target));
    assert!(found.is_some() || std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "no Python");
    if found.is_none() {
        eprintln!("skipped: no Python with Optuna");
    }
    found
}

/// Runs the peer script and gives what it printed.
fn peer(python: &Path, arguments: &[&str]) -> String {
    let output = command(python, arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn command(python: &Path, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/study.py");
    let mut command = Command::new(python);
    command.arg(script).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A storage that both sides can open.
#[derive(Clone)]
enum Shared {
    Journal(PathBuf),
    Sqlite(PathBuf),
    Postgres(String),
}

impl Shared {
    fn all(dir: &Path, database: &str) -> Vec<Self> {
        let mut all = vec![Self::Journal(dir.join("s.log")), Self::Sqlite(dir.join("s.db"))];
        all.extend(postgres(database).map(Self::Postgres));
        all
    }

    fn open(&self) -> Box<dyn Storage> {
        match self {
            Self::Journal(path) => Box::new(Journal::open(path).unwrap()),
            Self::Sqlite(path) => Box::new(Sqlite::open(path).unwrap()),
            #[cfg(feature = "postgres")]
            Self::Postgres(address) => {
                Box::new(counterweight_tuner::Postgres::connect(address).unwrap())
            }
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => unreachable!(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Journal(path) => path.display().to_string(),
            Self::Sqlite(path) => format!("sqlite:///{}", path.display()),
            Self::Postgres(address) => address.clone(),
        }
    }

    /// From what [`name`](Self::name) gave.
    fn parse(name: &str) -> Self {
        match name.strip_prefix("sqlite:///") {
            Some(path) => Self::Sqlite(path.into()),
            None if name.contains("://") => Self::Postgres(name.to_owned()),
            None => Self::Journal(name.into()),
        }
    }

    fn study(&self) -> Study {
        let study = Study::minimize("s").suggester(Random).seed(11);
        study.storage(self.open()).unwrap()
    }
}

/// The address of a database made for one test.
fn postgres(_database: &str) -> Option<String> {
    #[cfg(feature = "postgres")]
    if let Ok(server) = std::env::var("COUNTERWEIGHT_POSTGRES") {
        let mut client =
            postgres::Client::connect(&format!("{server}/postgres"), postgres::NoTls).unwrap();
        client.execute(&format!("DROP DATABASE IF EXISTS {_database}"), &[]).unwrap();
        client.execute(&format!("CREATE DATABASE {_database}"), &[]).unwrap();
        return Some(format!("{server}/{_database}"));
    }
    assert!(std::env::var_os("COUNTERWEIGHT_PEERS").is_none(), "no PostgreSQL");
    eprintln!("skipped: no PostgreSQL");
    None
}

fn objective(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = trial.suggest_float("x", -3.0..=3.0)?;
    let rate = trial.suggest_log_float("rate", 1e-5..=1.0)?;
    let k = trial.suggest_int_step("k", 1..=9, 2)?;
    let step = trial.suggest_float_step("step", 0.0..=1.0, 0.25)?;
    let kinds = [Value::from("é"), Value::Null, true.into(), 1.5.into(), 3.into()];
    trial.suggest("kind", Distribution::categorical(kinds))?;
    trial.report(0, x)?;
    trial.report(1, f64::NAN)?;
    trial.report(2, f64::NEG_INFINITY)?;
    trial.set_user_attr("note", json!({ "text": "ü\n", "list": [1, 2.5, null] }))?;
    trial.set_constraint("c", x - 2.0)?;
    match trial.number() % 5 {
        1 => Err(Error::Pruned.into()),
        2 => Err("no such \"thing\"".into()),
        3 => Ok(f64::INFINITY),
        _ => Ok(x * x + rate + k as f64 + step),
    }
}

/// Compares our view with Optuna's, trial by trial.
fn compare(python: &Path, shared: &Shared, trials: usize) {
    let theirs: Json = serde_json::from_str(&peer(python, &["dump", &shared.name()])).unwrap();
    assert_eq!(theirs["trials"].as_array().unwrap().len(), trials, "{}", shared.name());
    assert_same(&dump(&shared.open()), &theirs, &shared.name());
}

#[test]
fn a_study_goes_back_and_forth() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for shared in Shared::all(dir.path(), "back_and_forth") {
        let study = shared.study();
        study.set_user_attr("owner", json!(["å", 1])).unwrap();
        study.set_metric_names(&["loss"]).unwrap();
        study
            .enqueue([("x".to_owned(), 0.5.into()), ("kind".to_owned(), Value::Null)].into())
            .unwrap();
        study.optimize(6, objective).unwrap();
        compare(&python, &shared, 6);
        for round in 1..=2 {
            peer(&python, &["run", &shared.name(), "5"]);
            compare(&python, &shared, 6 + 10 * round - 5);
            // The study we opened sees them too.
            study.optimize(6 + 10 * round, objective).unwrap();
            compare(&python, &shared, 6 + 10 * round);
        }
        study.enqueue([("x".to_owned(), 0.25.into())].into()).unwrap();
        peer(&python, &["run", &shared.name(), "1"]);
        let last = study.trials().unwrap().pop().unwrap();
        assert_eq!(last.params["x"], Value::Float(0.25), "Optuna takes what we enqueue");
    }
}

#[test]
fn the_dashboard_shows_our_trials() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for shared in Shared::all(dir.path(), "dashboard") {
        let study = shared.study();
        study.optimize(7, objective).unwrap();
        let name = shared.name();
        let page: Json = serde_json::from_str(&peer(&python, &["dashboard", &name])).unwrap();
        let shown = page["trials"].as_array().unwrap();
        assert_eq!(shown.len(), 7);
        for (shown, trial) in shown.iter().zip(study.trials().unwrap()) {
            assert_eq!(shown["number"], trial.number);
            let param = shown["params"].as_array().unwrap().iter().find(|p| p["name"] == "x");
            let value: f64 =
                param.unwrap()["param_external_value"].as_str().unwrap().parse().unwrap();
            assert_eq!(Value::Float(value), trial.params["x"]);
        }
    }
}

/// Not a test of its own: a worker process of the tests below.
#[test]
fn worker() {
    let Ok(name) = std::env::var("COUNTERWEIGHT_WORKER") else { return };
    let total: usize = std::env::var("COUNTERWEIGHT_TRIALS").unwrap().parse().unwrap();
    let pause = std::env::var("COUNTERWEIGHT_PAUSE").unwrap().parse().unwrap();
    Shared::parse(&name)
        .study()
        .optimize(total, |trial| {
            let x = trial.suggest_float("x", -3.0..=3.0)?;
            trial.set_user_attr("by", "rust")?;
            std::thread::sleep(Duration::from_millis(pause));
            Ok(x * x)
        })
        .unwrap();
}

fn work(shared: &Shared, total: usize, pause: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["worker", "--exact", "--test-threads=1"])
        .env("COUNTERWEIGHT_WORKER", shared.name())
        .env("COUNTERWEIGHT_TRIALS", total.to_string())
        .env("COUNTERWEIGHT_PAUSE", pause.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn two_rust_and_two_python_processes_share_a_study() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for shared in Shared::all(dir.path(), "four") {
        let study = shared.study();
        let total = 200;
        let workers = [
            work(&shared, total, 20),
            work(&shared, total, 20),
            command(&python, &["work", &shared.name(), "200"]).spawn().unwrap(),
            command(&python, &["work", &shared.name(), "200"]).spawn().unwrap(),
        ];
        for worker in workers {
            let output = worker.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let trials = study.trials().unwrap();
        // Each of the four may have started one more than counted before it.
        assert!((total..total + 4).contains(&trials.len()), "{}", trials.len());
        for (i, trial) in trials.iter().enumerate() {
            assert_eq!(trial.number, i as u64);
            assert_eq!(trial.state, State::Complete, "{trial:?}");
            let x = trial.params["x"].as_f64().unwrap();
            assert_eq!(trial.value(), Some(x * x));
        }
        for by in ["rust", "python"] {
            let share = trials.iter().filter(|t| t.user_attrs["by"] == by).count();
            assert!(share >= 5, "{by}: {share} of {}", shared.name());
        }
        let listed: Json = serde_json::from_str(&peer(&python, &["dump", &shared.name()])).unwrap();
        assert_eq!(listed["trials"].as_array().unwrap().len(), trials.len());
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for shared in Shared::all(dir.path(), "killed") {
        let mut state = 12345u64;
        for round in 0..50 {
            let mut worker = work(&shared, 100_000, 1);
            // xorshift: somewhere between its start and a few trials later.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            std::thread::sleep(Duration::from_millis(15 + state % 60));
            worker.kill().unwrap();
            worker.wait().unwrap();
            // Readable after each of them.
            let storage = shared.open();
            let studies = storage.studies().unwrap();
            if let [study] = &studies[..] {
                let trials = storage.trials(study.id).unwrap();
                let running = trials.iter().filter(|t| t.state == State::Running).count();
                assert!(running <= 1, "round {round}: {running} running");
            }
        }
        let study = shared.study();
        assert_eq!(study.directions(), [Direction::Minimize]);
        let before = study.trials().unwrap().len();
        study
            .optimize(before + 5, |trial| {
                let x = trial.suggest_float("x", -3.0..=3.0)?;
                Ok(x * x)
            })
            .unwrap();
        let trials = study.trials().unwrap();
        assert!(trials.iter().all(|t| t.state.is_ended()), "no trial is left running");
        let lost: Vec<_> = trials.iter().filter(|t| t.state == State::Failed).collect();
        assert!(lost.len() >= 10, "{} of 50 kills hit a trial", lost.len());
        assert!(lost.iter().all(|t| t.reason() == Some("its process was lost")));
        for lost in &lost {
            let again = trials.iter().filter(|t| {
                let history = t.system_attrs.get("retry_history").and_then(Json::as_array);
                history.and_then(|h| h.last()).and_then(Json::as_u64) == Some(lost.number)
            });
            let retried = lost.system_attrs.get("retry_history").and_then(Json::as_array);
            let expected = usize::from(retried.map_or(0, Vec::len) < 2);
            assert_eq!(again.count(), expected, "trial {} is run again once", lost.number);
        }
    }
}
