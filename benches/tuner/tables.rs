//! Real objectives that every tuner sees alike: the lookup tables of `tables.py`.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use counterweight_tuner::{BoxError, Trial};
use flate2::read::GzDecoder;

/// Names of the tables.
pub(crate) const NAMES: [&str; 3] = ["yeast4", "page-blocks0", "abalone9-18"];

/// Balanced accuracy missed, against the best of the grid, by its point.
#[derive(Debug)]
pub(crate) struct Lookup {
    regret: HashMap<String, f64>,
}

impl Lookup {
    /// Reads a table beside this file.
    pub(crate) fn read(name: &str) -> Result<Self, BoxError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/tuner/tables");
        let file = std::fs::File::open(folder.join(format!("{name}.csv.gz")))?;
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text)?;
        let mut regret = HashMap::new();
        for line in text.lines().skip(1) {
            let (point, score) = line.rsplit_once(',').ok_or("a line without a score")?;
            regret.insert(point.to_owned(), score.parse()?);
        }
        let best = regret.values().copied().fold(0.0, f64::max);
        regret.values_mut().for_each(|v| *v = best - *v);
        Ok(Self { regret })
    }

    /// The objective.
    pub(crate) fn evaluate(&self, trial: &mut Trial) -> Result<f64, BoxError> {
        let resampler =
            trial.suggest_categorical("resampler", &["none", "over", "smote", "under"])?;
        let ratio = match resampler {
            "none" => 0.2,
            _ => trial.suggest_float_step("ratio", 0.2..=1.0, 0.2)?,
        };
        let neighbours = trial.suggest_int("neighbours", 1..=32)?;
        let power = trial.suggest_float_step("power", 0.0..=3.0, 1.0)?;
        let threshold = trial.suggest_float_step("threshold", 0.05..=0.75, 0.05)?;
        // As Python prints them.
        let point = format!("{resampler},{ratio:?},{neighbours},{power:?},{threshold:?}");
        Ok(*self.regret.get(&point).ok_or_else(|| format!("no point {point}"))?)
    }
}
