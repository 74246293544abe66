//! Operations as lines of Optuna's journal.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::super::json::{decode as distribution, encode as distribution_json};
use super::super::python::{dumps, float, quoted, string};
use super::super::{Op, Scope};
use crate::record::number;
use crate::{Attributes, Direction, Distribution, State, TrialRecord};

fn state_code(state: State) -> u8 {
    match state {
        State::Running => 0,
        State::Complete => 1,
        State::Pruned => 2,
        State::Failed => 3,
        State::Waiting => 4,
    }
}

fn state_of(code: u64) -> Option<State> {
    [State::Running, State::Complete, State::Pruned, State::Failed, State::Waiting]
        .get(code as usize)
        .copied()
}

fn time(at: Timestamp) -> String {
    at.strftime("\"%Y-%m-%dT%H:%M:%S%.6f+00:00\"").to_string()
}

fn list<T>(items: impl IntoIterator<Item = T>, print: impl Fn(T) -> String) -> String {
    let items: Vec<String> = items.into_iter().map(print).collect();
    format!("[{}]", items.join(","))
}

/// One JSON object under construction; keys are plain ASCII.
struct Line(String);

impl Line {
    fn new(op: u8, worker: &str) -> Self {
        Self(format!("{{\"op_code\":{op},\"worker_id\":\"{worker}\""))
    }

    fn raw(mut self, key: &str, value: &str) -> Self {
        let _ = write!(self.0, ",\"{key}\":{value}");
        self
    }

    fn number(self, key: &str, value: impl ToString) -> Self {
        self.raw(key, &value.to_string())
    }

    fn text(mut self, key: &str, value: &str) -> Self {
        let _ = write!(self.0, ",\"{key}\":");
        string(value, &mut self.0);
        self
    }

    fn map<'k>(mut self, key: &str, fields: impl IntoIterator<Item = (&'k str, String)>) -> Self {
        let _ = write!(self.0, ",\"{key}\":{{");
        for (i, (name, value)) in fields.into_iter().enumerate() {
            self.0.push_str(if i == 0 { "" } else { "," });
            string(name, &mut self.0);
            self.0.push(':');
            self.0.push_str(&value);
        }
        self.0.push('}');
        self
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

fn attr_key(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "user_attr",
        Scope::System => "system_attr",
    }
}

fn quote(text: &str) -> String {
    let mut out = String::new();
    string(text, &mut out);
    out
}

/// The operation as a line with its end.
pub(super) fn encode(op: &Op, worker: &str) -> String {
    match op {
        Op::CreateStudy { name, directions } => {
            let code = |d: &Direction| if *d == Direction::Minimize { "1" } else { "2" }.to_owned();
            Line::new(0, worker)
                .text("study_name", name)
                .raw("directions", &list(directions, code))
                .end()
        }
        Op::DeleteStudy { study } => Line::new(1, worker).number("study_id", study).end(),
        Op::SetStudyAttr { study, scope, key, value } => {
            let code = if *scope == Scope::User { 2 } else { 3 };
            Line::new(code, worker)
                .number("study_id", study)
                .map(attr_key(*scope), [(key.as_str(), dumps(value, false))])
                .end()
        }
        Op::CreateTrial { study, started, template } => {
            let line = Line::new(4, worker)
                .number("study_id", study)
                .raw("datetime_start", &started.map_or("null".to_owned(), time));
            match template {
                Some(trial) => template_fields(line, trial),
                None => line,
            }
            .end()
        }
        Op::SetParam { trial, name, internal, distribution } => Line::new(5, worker)
            .number("trial_id", trial)
            .text("param_name", name)
            .raw("param_value_internal", &internal_json(*internal, distribution))
            .text("distribution", &distribution_json(distribution))
            .end(),
        Op::SetState { trial, state, values, at } => {
            let values = values.as_ref().map_or("null".to_owned(), |v| list(v, |v| float(*v)));
            let line = Line::new(6, worker)
                .number("trial_id", trial)
                .number("state", state_code(*state))
                .raw("values", &values);
            match state {
                State::Running => line.raw("datetime_start", &time(*at)),
                State::Waiting => line,
                _ => line.raw("datetime_complete", &time(*at)),
            }
            .end()
        }
        Op::Report { trial, step, value } => Line::new(7, worker)
            .number("trial_id", trial)
            .number("step", step)
            .raw("intermediate_value", &float(*value))
            .end(),
        Op::SetTrialAttr { trial, scope, key, value } => {
            let code = if *scope == Scope::User { 8 } else { 9 };
            Line::new(code, worker)
                .number("trial_id", trial)
                .map(attr_key(*scope), [(key.as_str(), dumps(value, false))])
                .end()
        }
    }
}

/// A choice's position is an integer, all else a float.
fn internal_json(internal: f64, distribution: &Distribution) -> String {
    match distribution {
        Distribution::Categorical { .. } => (internal as i64).to_string(),
        _ => float(internal),
    }
}

fn template_fields(line: Line, trial: &TrialRecord) -> Line {
    let (value, values) = match &trial.values[..] {
        [] => ("null".to_owned(), "null".to_owned()),
        [one] => (float(*one), "null".to_owned()),
        several => ("null".to_owned(), list(several, |v| float(*v))),
    };
    let mut line =
        line.number("state", state_code(trial.state)).raw("value", &value).raw("values", &values);
    if let Some(completed) = trial.completed {
        line = line.raw("datetime_complete", &time(completed));
    }
    let attrs = |attrs: &Attributes| dumps(&Json::Object(attrs.clone()), false);
    let steps: Vec<(String, String)> =
        trial.intermediate.iter().map(|(step, v)| (step.to_string(), float(*v))).collect();
    line.map(
        "distributions",
        trial.distributions.iter().map(|(k, d)| (k.as_str(), quote(&distribution_json(d)))),
    )
    .map(
        "params",
        trial.params.iter().filter_map(|(k, v)| {
            let distribution = trial.distributions.get(k)?;
            let internal = distribution.to_internal(v)?;
            Some((k.as_str(), internal_json(internal, distribution)))
        }),
    )
    .raw("user_attrs", &attrs(&trial.user_attrs))
    .raw("system_attrs", &attrs(&trial.system_attrs))
    .map("intermediate_values", steps.iter().map(|(k, v)| (k.as_str(), v.clone())))
}

/// Fields of a line.
struct Fields(Json);

impl Fields {
    fn get<T>(&self, key: &str, read: impl Fn(&Json) -> Option<T>) -> Result<T, String> {
        let field = self.0.get(key).ok_or_else(|| format!("no field {key:?}"))?;
        read(field).ok_or_else(|| format!("{key:?} cannot be {field}"))
    }

    fn id(&self, key: &str) -> Result<u64, String> {
        self.get(key, Json::as_u64)
    }

    fn text(&self, key: &str) -> Result<String, String> {
        self.get(key, |v| v.as_str().map(str::to_owned))
    }

    fn real(&self, key: &str) -> Result<f64, String> {
        self.get(key, number)
    }

    /// `None` when absent or null.
    fn time(&self, key: &str) -> Result<Option<Timestamp>, String> {
        match self.0.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.get(key, |v| v.as_str()?.parse().ok()).map(Some),
        }
    }

    /// `None` when absent or null.
    fn values(&self, key: &str) -> Result<Option<Vec<f64>>, String> {
        match self.0.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.get(key, |v| v.as_array()?.iter().map(number).collect()).map(Some),
        }
    }

    fn attrs(&self, key: &str) -> Result<Attributes, String> {
        match self.0.get(key) {
            None => Ok(Attributes::new()),
            Some(_) => self.get(key, |v| v.as_object().cloned()),
        }
    }

    fn state(&self, key: &str) -> Result<State, String> {
        self.get(key, |v| state_of(v.as_u64()?))
    }

    /// The only entry of a map.
    fn attr(&self, key: &str) -> Result<(String, Json), String> {
        self.get(key, |v| v.as_object()?.iter().next().map(|(k, v)| (k.clone(), v.clone())))
    }
}

/// The operation of a line; `None` for one that is to be ignored.
pub(super) fn decode(line: &str) -> Result<Option<Op>, String> {
    let f = Fields(serde_json::from_str(&quoted(line)).map_err(|e| e.to_string())?);
    f.text("worker_id")?;
    let op = match f.id("op_code")? {
        0 => Op::CreateStudy {
            name: f.text("study_name")?,
            directions: f.get("directions", |v| {
                let one = |code: &Json| match code.as_u64()? {
                    1 => Some(Direction::Minimize),
                    2 => Some(Direction::Maximize),
                    _ => None,
                };
                v.as_array()?.iter().map(one).collect()
            })?,
        },
        1 => Op::DeleteStudy { study: f.id("study_id")? },
        code @ (2 | 3) => {
            let scope = if code == 2 { Scope::User } else { Scope::System };
            let (key, value) = f.attr(attr_key(scope))?;
            Op::SetStudyAttr { study: f.id("study_id")?, scope, key, value }
        }
        4 => Op::CreateTrial {
            study: f.id("study_id")?,
            started: f.time("datetime_start")?,
            template: template(&f)?.map(Box::new),
        },
        5 => Op::SetParam {
            trial: f.id("trial_id")?,
            name: f.text("param_name")?,
            internal: f.real("param_value_internal")?,
            distribution: distribution(&f.text("distribution")?)?,
        },
        6 => {
            let state = f.state("state")?;
            let field =
                if state == State::Running { "datetime_start" } else { "datetime_complete" };
            let at = f.time(field)?.unwrap_or(Timestamp::UNIX_EPOCH);
            Op::SetState { trial: f.id("trial_id")?, state, values: f.values("values")?, at }
        }
        7 => Op::Report {
            trial: f.id("trial_id")?,
            step: f.get("step", Json::as_i64)?,
            value: f.real("intermediate_value")?,
        },
        code @ (8 | 9) => {
            let scope = if code == 8 { Scope::User } else { Scope::System };
            let (key, value) = f.attr(attr_key(scope))?;
            Op::SetTrialAttr { trial: f.id("trial_id")?, scope, key, value }
        }
        // Written by another program that shares the format; says nothing of trials kept.
        10 => return Ok(None),
        code => return Err(format!("op_code {code} is none of 0 to 10")),
    };
    Ok(Some(op))
}

fn template(f: &Fields) -> Result<Option<TrialRecord>, String> {
    if f.0.get("state").is_none() {
        return Ok(None);
    }
    let mut trial = TrialRecord::new(0, 0, f.state("state")?);
    trial.values = match f.values("values")? {
        Some(values) => values,
        None if f.0.get("value").is_none_or(Json::is_null) => Vec::new(),
        None => vec![f.real("value")?],
    };
    trial.completed = f.time("datetime_complete")?;
    trial.distributions = f
        .attrs("distributions")?
        .into_iter()
        .map(|(name, text)| Ok((name, distribution(text.as_str().unwrap_or_default())?)))
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    for (name, internal) in f.attrs("params")? {
        let value = trial
            .distributions
            .get(&name)
            .zip(number(&internal))
            .and_then(|(d, v)| d.from_internal(v))
            .ok_or_else(|| format!("parameter {name:?} cannot be {internal}"))?;
        trial.params.insert(name, value);
    }
    trial.user_attrs = f.attrs("user_attrs")?;
    trial.system_attrs = f.attrs("system_attrs")?;
    for (step, value) in f.attrs("intermediate_values")? {
        let entry = step.parse().ok().zip(number(&value));
        let (step, value) = entry.ok_or_else(|| format!("step {step:?} cannot be {value}"))?;
        trial.intermediate.insert(step, value);
    }
    Ok(Some(trial))
}
