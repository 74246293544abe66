//! Regret and overhead of the suggesters; `optuna_peer.py` and `optuna_several.py` do the
//! same with Optuna.
//!
//! `cargo bench -p counterweight-tuner --bench tuner -- [seeds] [name..]`, seeds being a number
//! of them from 0 on or a range as `1000..1300`, names being of the
//! parts `regret`, `workers`, `several` and `overhead`, of functions and, for `regret`, of
//! suggesters; all of a kind by default, with 30 seeds.

mod functions;
mod tables;

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use counterweight_tuner::{
    BoxError, CmaEs, Direction, GaussianProcess, Nsga2, Random, Sobol, Study, Tpe, Trial,
};

use self::functions::{ALL, SEVERAL};
use self::tables::{Lookup, NAMES};

const PARTS: [&str; 4] = ["regret", "workers", "several", "overhead"];
const SUGGESTERS: [&str; 5] = ["default", "tpe", "cma-es", "sobol", "random"];

/// A named function of a trial's parameters whose minimum is 0.
type Objective = Box<dyn Fn(&mut Trial) -> Result<f64, BoxError>>;

fn objectives() -> Vec<(&'static str, Objective)> {
    let mut all: Vec<(&'static str, Objective)> = Vec::new();
    for (name, function) in ALL {
        all.push((name, Box::new(function)));
    }
    for name in NAMES {
        let table = Lookup::read(name).unwrap();
        all.push((name, Box::new(move |trial| table.evaluate(trial))));
    }
    all
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let seeds = arguments.iter().find_map(|a| range(a)).unwrap_or(0..30);
    let many = seeds.clone().count();
    let parts = chosen(&arguments, &PARTS);
    let wanted = |part| parts.contains(&part);
    let mut objectives = objectives();
    let names: Vec<&str> = objectives.iter().map(|o| o.0).collect();
    let known = [&PARTS[..], &SUGGESTERS, &names].concat();
    for argument in &arguments {
        let known = range(argument).is_some() || known.contains(&argument.as_str());
        assert!(known, "no seeds, part, function or suggester: {argument}");
    }
    let names = chosen(&arguments, &names);
    objectives.retain(|o| names.contains(&o.0));
    if wanted("regret") {
        println!("median regret after 50 and 100 trials, {many} seeds; ms per trial");
        for (name, function) in &objectives {
            for suggester in chosen(&arguments, &SUGGESTERS) {
                let clock = Instant::now();
                let runs: Vec<Vec<f64>> = (seeds.clone())
                    .map(|seed| run(&with(name, suggester, seed), function, 100))
                    .collect();
                let time = clock.elapsed().as_secs_f64() * 10.0 / many as f64;
                let at = |n: usize| median(runs.iter().map(|best| best[n - 1]).collect());
                println!("{name:12} {suggester:8} {:.6} {:.6}  {time:.2} ms", at(50), at(100));
            }
        }
    }
    if wanted("workers") {
        println!(
            "the default, {many} seeds: median regret alone after 100 trials, then of four workers, and"
        );
        println!("of four that wait for each other, after 130, and the trials to be even with one");
        for (name, function) in &objectives {
            let at = |runs: &[Vec<f64>], n: usize| median(runs.iter().map(|r| r[n - 1]).collect());
            let alone: Vec<Vec<f64>> = (seeds.clone())
                .map(|seed| run(&with(name, "default", seed), function, 100))
                .collect();
            let same = at(&alone, 100);
            print!("{name:12} {same:.6}");
            for rounds in [false, true] {
                let four: Vec<Vec<f64>> = (seeds.clone())
                    .map(|seed| four_workers(name, function, seed, 200, rounds))
                    .collect();
                let needed = (1..=200).find(|&n| at(&four, n) <= same);
                let needed = needed.map_or("over 200".to_owned(), |n| n.to_string());
                print!("  {:.6} {needed}", at(&four, 130));
            }
            println!();
        }
    }
    if wanted("several") {
        println!("median hypervolume after 200 trials, {many} seeds");
        for (name, (function, reference)) in SEVERAL {
            for suggester in ["default", "nsga2", "tpe"] {
                let volume = |seed| {
                    let directions = vec![Direction::Minimize; reference.len()];
                    let study = choose(Study::new(name, directions).seed(seed), suggester);
                    study.optimize(200, function).unwrap();
                    study.hypervolume(reference).unwrap()
                };
                // A minute a run with the Gaussian process.
                let most = if suggester == "default" { 5 } else { usize::MAX };
                let volumes = seeds.clone().take(most).map(volume).collect();
                println!("{name:8} {suggester:8} {:.4}", median(volumes));
            }
        }
    }
    if wanted("overhead") {
        println!("ms per suggestion after 100 and 1,000 trials");
        for (name, function) in &objectives {
            for n in [100, 1000] {
                let study = || Study::minimize(*name).seed(1);
                let random = overhead(&study().suggester(Random), function, n);
                let tpe = overhead(&study().suggester(Tpe::new().with_startup(n)), function, n);
                let gp = GaussianProcess::new().with_startup(n);
                let gp = overhead(&study().suggester(gp), function, n);
                println!("{name:12} {n:5}  random {random:.3}  tpe {tpe:.3}  gp {gp:.2}");
            }
        }
        println!("ms per trial in the mean and at most, as a study grows by a tenth to so many");
        for (name, function) in &objectives {
            for n in [100, 1000] {
                let gp = GaussianProcess::new().with_startup(n - n / 10);
                let (mean, most) =
                    growing(&Study::minimize(*name).seed(1).suggester(gp), function, n);
                println!("{name:12} {n:5}  gp {mean:.2} {most:.2}");
            }
        }
    }
}

/// `N` is `0..N`.
fn range(argument: &str) -> Option<Range<u64>> {
    let (start, end) = argument.split_once("..").unwrap_or(("0", argument));
    Some(start.parse().ok()?..end.parse().ok()?)
}

/// Those of a kind that are given, all where none is.
fn chosen<'n>(arguments: &[String], all: &[&'n str]) -> Vec<&'n str> {
    let given: Vec<&str> =
        all.iter().copied().filter(|name| arguments.iter().any(|a| a == name)).collect();
    if given.is_empty() { all.to_vec() } else { given }
}

fn with(name: &str, suggester: &str, seed: u64) -> Study {
    choose(Study::minimize(name).seed(seed), suggester)
}

fn choose(study: Study, suggester: &str) -> Study {
    match suggester {
        "tpe" => study.suggester(Tpe::new()),
        "cma-es" => study.suggester(CmaEs::new()),
        "nsga2" => study.suggester(Nsga2::new()),
        "sobol" => study.suggester(Sobol::new()),
        "random" => study.suggester(Random),
        _ => study,
    }
}

/// The best value after each trial.
fn run(study: &Study, function: &Objective, trials: usize) -> Vec<f64> {
    study.optimize(trials, function).unwrap();
    best_so_far(study)
}

fn best_so_far(study: &Study) -> Vec<f64> {
    let mut best = f64::INFINITY;
    let values = study.trials().unwrap();
    values
        .iter()
        .map(|t| {
            best = best.min(t.value().unwrap_or(best));
            best
        })
        .collect()
}

/// The best value after each trial of four workers. Workers wait for nobody: as one ends its trial it
/// begins another, while three run. In rounds each waits for the other three.
fn four_workers(
    name: &str,
    function: &Objective,
    seed: u64,
    trials: usize,
    rounds: bool,
) -> Vec<f64> {
    let study = Study::minimize(name).seed(seed);
    let mut running = VecDeque::new();
    let end = |mut trial: Trial| {
        let value = function(&mut trial).unwrap();
        study.tell(trial, value).unwrap();
    };
    for _ in 0..trials {
        running.push_back(study.ask().unwrap().unwrap());
        if running.len() == 4 {
            running.drain(..if rounds { 4 } else { 1 }).for_each(end);
        }
    }
    running.into_iter().for_each(end);
    best_so_far(&study)
}

/// Milliseconds per suggestion after `n` trials that were not modelled.
fn overhead(study: &Study, function: &Objective, n: usize) -> f64 {
    study.optimize(n, function).unwrap();
    let clock = Instant::now();
    for _ in 0..20 {
        let trial = study.ask().unwrap().unwrap();
        black_box(&trial);
        study.fail(trial, "not tried").unwrap();
    }
    clock.elapsed().as_secs_f64() * 1e3 / 20.0
}

/// Milliseconds of the last tenth of `n` trials, in the mean and at most, with their objective. Values
/// are told, so that hyperparameters are fitted as in use.
fn growing(study: &Study, function: &Objective, n: usize) -> (f64, f64) {
    study.optimize(n - n / 10, function).unwrap();
    let mut times = Vec::new();
    for _ in 0..n / 10 {
        let clock = Instant::now();
        let mut trial = study.ask().unwrap().unwrap();
        let value = function(&mut trial).unwrap();
        times.push(clock.elapsed().as_secs_f64() * 1e3);
        study.tell(trial, value).unwrap();
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    (times.iter().sum::<f64>() / times.len() as f64, most)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    0.5 * (values[values.len() / 2] + values[(values.len() - 1) / 2])
}
