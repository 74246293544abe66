//! Studies as files for other programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::Study;
use crate::{Error, Result, Value};

impl Study {
    /// Writes all trials as a table: `number`, `state`, the values, start, end and
    /// seconds, then `params_*`, `user_attrs_*` and `constraints_*`. The file appears
    /// whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; errors of the storage.
    pub fn to_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), self.csv()?.as_bytes())
    }

    fn csv(&self) -> Result<String> {
        let trials = self.trials()?;
        let names = |of: &dyn Fn(&crate::TrialRecord) -> Vec<String>| -> Vec<String> {
            let all: BTreeSet<String> = trials.iter().flat_map(|t| of(t)).collect();
            all.into_iter().collect()
        };
        let params = names(&|t| t.params.keys().cloned().collect());
        let attrs = names(&|t| t.user_attrs.keys().cloned().collect());
        let constraints = names(&|t| t.constraints().into_keys().collect());
        let values: Vec<String> = match self.directions().len() {
            1 => vec!["value".to_owned()],
            n => (0..n).map(|i| format!("values_{i}")).collect(),
        };
        let mut out = String::from("number,state");
        for name in values.iter().map(String::as_str).chain(["started", "completed", "seconds"]) {
            let _ = write!(out, ",{name}");
        }
        for (prefix, names) in
            [("params_", &params), ("user_attrs_", &attrs), ("constraints_", &constraints)]
        {
            for name in names {
                let _ = write!(out, ",{}", field(&format!("{prefix}{name}")));
            }
        }
        for t in &trials {
            let _ = write!(out, "\n{},{}", t.number, t.state);
            let times = [t.started, t.completed].map(|t| t.map(|t| t.to_string()));
            let seconds = t.duration().map(|d| d.as_secs_f64().to_string());
            let cells = (0..values.len())
                .map(|i| t.values.get(i).map(f64::to_string))
                .chain(times)
                .chain([seconds])
                .chain(params.iter().map(|name| t.params.get(name).map(plain)))
                .chain(attrs.iter().map(|name| {
                    let attr = t.user_attrs.get(name)?;
                    Some(attr.as_str().map_or_else(|| attr.to_string(), str::to_owned))
                }))
                .chain(
                    constraints.iter().map(|name| t.constraints().get(name).map(f64::to_string)),
                );
            for cell in cells {
                let _ = write!(out, ",{}", field(&cell.unwrap_or_default()));
            }
        }
        out.push('\n');
        Ok(out)
    }

    /// Writes the study's name, directions and trials as JSON. Numbers that JSON does not
    /// know become null. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; errors of the storage.
    pub fn to_json(&self, path: impl AsRef<Path>) -> Result<()> {
        let trials = self.trials()?;
        let trials: Vec<_> = trials.iter().map(|t| &**t).collect();
        let study = serde_json::json!({
            "name": self.name(),
            "directions": self.directions(),
            "trials": trials,
        });
        write_whole(path.as_ref(), format!("{study:#}\n").as_bytes())
    }
}

/// With all digits, where `Display` shortens.
fn plain(value: &Value) -> String {
    match value {
        Value::Float(v) => v.to_string(),
        other => other.to_string(),
    }
}

/// Quoted where a comma, quote or line break would end it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// To a temporary file beside it, synced, then renamed.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", crate::storage::worker::unique()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // Nothing may be left of it; it may not be there at all.
        let _ = std::fs::remove_file(&temporary);
        Error::io(path)(e)
    })
}
