//! Time and peak memory of resamplers as the table grows: `cargo bench --bench samplers_growth`,
//! with `-- METHOD ROWS` for one of them, `-- METHOD ROWS graph` with approximate neighbours. Each
//! run is a process of its own; memory is what its peak exceeds the table before and after
//! resampling by (Linux).

use std::env;
use std::process::Command;
use std::time::Instant;

use counterweight::samplers::{Approximate, Resampler, ResamplerConfig};
use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::StdRng};

const COLUMNS: usize = 32;
const METHODS: [&str; 23] = [
    "random_over",
    "random_under",
    "smote",
    "borderline_smote",
    "adasyn",
    "kmeans_smote",
    "smote_nc",
    "smote_n",
    "safe_level_smote",
    "geometric_smote",
    "prowsyn",
    "mwmote",
    "svm_smote",
    "cluster_centroids",
    "near_miss",
    "tomek_links",
    "one_sided_selection",
    "edited_nn",
    "all_knn",
    "repeated_edited_nn",
    "neighbourhood_cleaning",
    "condensed_nn",
    "smote_tomek",
];

fn main() {
    let args: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match args.as_slice() {
        [method, rows] => {
            if let Ok(rows) = rows.parse() {
                one(method, rows, false);
            }
        }
        [method, rows, _graph] => {
            if let Ok(rows) = rows.parse() {
                one(method, rows, true);
            }
        }
        methods => {
            println!("{:>24} {:>9} {:>9} {:>9}", "method", "rows", "seconds", "MB above");
            for name in METHODS.iter().filter(|m| methods.is_empty() || methods[0] == **m) {
                for rows in [10_000, 100_000, 1_000_000] {
                    // Neighbours of every row take a hundred times as long.
                    let pairs = METHODS[7..].contains(name);
                    if rows == 1_000_000 && pairs {
                        continue;
                    }
                    let program = env::current_exe().unwrap_or_default();
                    let run = Command::new(program).args([*name, &rows.to_string()]).output();
                    if let Ok(run) = run {
                        print!("{}", String::from_utf8_lossy(&run.stdout));
                    }
                }
            }
        }
    }
}

fn one(method: &str, rows: usize, graph: bool) {
    let Some(config) = ResamplerConfig::named(method) else { return };
    let config = match config {
        ResamplerConfig::KMeansSmote(one) => one.with_threshold(Some(0.01)).into(),
        ResamplerConfig::SmoteNc(one) => one.with_categorical((0..8).collect()).into(),
        other => other,
    };
    let mut rng = StdRng::seed_from_u64(0);
    let y: Vec<usize> = (0..rows).map(|_| usize::from(rng.random::<f64>() < 0.05)).collect();
    let x = Array2::from_shape_fn((rows, COLUMNS), |(row, column)| {
        let normal: f64 = (0..6).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 2f64.sqrt();
        let v = normal + if column < 10 { y[row] as f64 } else { 0.0 };
        let code = method == "smote_n" || method == "smote_nc" && column < 8;
        if code { (v * 2.0).round().clamp(-2.0, 3.0) } else { v }
    });
    let before = peak();
    let start = Instant::now();
    let table = Approximate::new(&x);
    let plan = if graph { config.plan(&table, &y) } else { config.plan(&x, &y) };
    let made = plan.and_then(|plan| plan.apply(&x));
    let seconds = start.elapsed().as_secs_f64();
    if let Ok((made, _)) = made {
        let output = (made.len() * 8) as f64 / 1e6;
        let above = (peak() - before - output).max(0.0);
        let recall = table.recall().map_or(String::new(), |recall| format!(" recall {recall:.3}"));
        println!("{method:>24} {rows:>9} {seconds:>9.3} {above:>9.0}{recall}");
    }
}

/// Peak memory of this process so far in MB; 0 where it cannot be read.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
}
