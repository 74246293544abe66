//! Optuna's relational schema.

#[cfg(feature = "postgres")]
mod postgres;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

#[cfg(feature = "postgres")]
pub use self::postgres::Postgres;
use self::schema::Dialect;
#[cfg(feature = "sqlite")]
pub use self::sqlite::Sqlite;
use super::json;
use super::python::{dumps, quoted};
use super::replay::apply_all;
use super::{Op, Scope};
use crate::{Attributes, Direction, Error, Result, State, StudyRecord, TrialRecord};

/// A parameter or result of a statement.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl From<u64> for Cell {
    fn from(v: u64) -> Self {
        Self::Int(v as i64)
    }
}

impl From<i64> for Cell {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<&str> for Cell {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for Cell {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

impl Cell {
    fn int(&self) -> i64 {
        match self {
            Self::Int(v) => *v,
            Self::Real(v) => *v as i64,
            _ => 0,
        }
    }

    fn id(&self) -> u64 {
        self.int() as u64
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(v) => v,
            _ => "",
        }
    }
}

/// An open database: statements have parameters `$1`, `$2`, … in order.
trait Connection: Debug + Send {
    fn dialect(&self) -> Dialect;
    fn execute(&mut self, sql: &str, cells: &[Cell]) -> Result<u64>;
    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>>;
    /// Its address, without a password.
    fn name(&self) -> String;
}

/// A database in Optuna's schema, whichever it is.
#[derive(Debug)]
struct Database<C> {
    inner: Mutex<Inner<C>>,
}

#[derive(Debug)]
struct Inner<C> {
    connection: C,
    /// Trials by study and id: ended ones are not read again.
    cache: HashMap<u64, BTreeMap<u64, Arc<TrialRecord>>>,
}

impl<C: Connection> Database<C> {
    /// Creates the tables where there are none, and checks their version.
    fn new(mut connection: C) -> Result<Self> {
        let mut known = connection.query(VERSION_OF, &[]);
        if known.is_err() {
            let dialect = connection.dialect();
            transaction(&mut connection, |c| {
                // Another process may be creating them.
                for statement in dialect.create() {
                    c.execute(&statement, &[])?;
                }
                Ok(())
            })
            .or_else(|error| connection.query(VERSION_OF, &[]).map(drop).map_err(|_| error))?;
            known = connection.query(VERSION_OF, &[]);
        }
        let found = known?.first().map_or(0, |row| row[0].int());
        if found != schema::VERSION {
            let database = connection.name();
            return Err(Error::Schema { database, found, expected: schema::VERSION });
        }
        Ok(Self { inner: Mutex::new(Inner { connection, cache: HashMap::new() }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner<C>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn studies(&self) -> Result<Vec<StudyRecord>> {
        let connection = &mut self.inner().connection;
        let mut studies = BTreeMap::new();
        for row in connection.query("SELECT study_id, study_name FROM studies", &[])? {
            let study = StudyRecord {
                id: row[0].id(),
                name: row[1].text().to_owned(),
                directions: Vec::new(),
                user_attrs: Attributes::new(),
                system_attrs: Attributes::new(),
            };
            studies.insert(study.id, study);
        }
        let direction = connection.dialect().text("direction");
        let sql = format!("SELECT study_id, {direction} FROM study_directions ORDER BY objective");
        for row in connection.query(&sql, &[])? {
            if let Some(study) = studies.get_mut(&row[0].id()) {
                let maximize = row[1].text() == "MAXIMIZE";
                let direction = if maximize { Direction::Maximize } else { Direction::Minimize };
                study.directions.push(direction);
            }
        }
        for scope in [Scope::User, Scope::System] {
            let table = attr_table("study", scope);
            let sql = format!("SELECT study_id, \"key\", value_json FROM {table}");
            for row in connection.query(&sql, &[])? {
                if let Some(study) = studies.get_mut(&row[0].id()) {
                    let attrs = match scope {
                        Scope::User => &mut study.user_attrs,
                        Scope::System => &mut study.system_attrs,
                    };
                    attrs.insert(row[1].text().to_owned(), parse(row[2].text()));
                }
            }
        }
        Ok(studies.into_values().collect())
    }

    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        let inner = &mut *self.inner();
        let known = inner.cache.entry(study).or_default();
        let open: Vec<u64> = known.values().filter(|t| !t.state.is_ended()).map(|t| t.id).collect();
        let newest = known.last_key_value().map(|(id, _)| *id);
        // All of them at first, later those that are new or can have changed.
        let some = |column: &str| match newest {
            None => String::new(),
            Some(newest) => {
                let mut some = format!(" AND ({column} > {newest}");
                for id in &open {
                    let _ = write!(some, " OR {column} = {id}");
                }
                some + ")"
            }
        };
        for trial in read(&mut inner.connection, study, &some)? {
            known.insert(trial.id, Arc::new(trial));
        }
        let mut trials: Vec<Arc<TrialRecord>> = known.values().cloned().collect();
        trials.sort_by_key(|t| t.number);
        Ok(trials)
    }

    fn commit(&self, ops: &[Op]) -> Result<Option<u64>> {
        let connection = &mut self.inner().connection;
        transaction(connection, |c| apply_all(ops, |op| apply(c, op)))
    }
}

const VERSION_OF: &str = "SELECT schema_version FROM version_info";

/// All or nothing.
fn transaction<C: Connection, T>(
    connection: &mut C,
    work: impl FnOnce(&mut C) -> Result<T>,
) -> Result<T> {
    connection.execute(connection.dialect().begin(), &[])?;
    let result = work(connection).and_then(|done| {
        connection.execute("COMMIT", &[])?;
        Ok(done)
    });
    if result.is_err() {
        // A connection that is lost has rolled back itself.
        let _ = connection.execute("ROLLBACK", &[]);
    }
    result
}

fn attr_table(of: &str, scope: Scope) -> String {
    match scope {
        Scope::User => format!("{of}_user_attributes"),
        Scope::System => format!("{of}_system_attributes"),
    }
}

fn parse(text: &str) -> Json {
    serde_json::from_str(&quoted(text)).unwrap_or_else(|_| text.into())
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Running => "RUNNING",
        State::Complete => "COMPLETE",
        State::Pruned => "PRUNED",
        State::Failed => "FAIL",
        State::Waiting => "WAITING",
    }
}

fn state_of(name: &str) -> State {
    match name {
        "COMPLETE" => State::Complete,
        "PRUNED" => State::Pruned,
        "FAIL" => State::Failed,
        "WAITING" => State::Waiting,
        _ => State::Running,
    }
}

/// A number and its kind, as the schema keeps infinite ones and NaN.
fn stored(value: f64) -> (Cell, &'static str) {
    if value.is_nan() {
        (Cell::Null, "NAN")
    } else if value.is_infinite() {
        (Cell::Null, if value > 0.0 { "INF_POS" } else { "INF_NEG" })
    } else {
        (Cell::Real(value), "FINITE")
    }
}

fn loaded(value: &Cell, kind: &str) -> f64 {
    match (kind, value) {
        ("INF_POS", _) => f64::INFINITY,
        ("INF_NEG", _) => f64::NEG_INFINITY,
        (_, Cell::Real(v)) => *v,
        (_, Cell::Int(v)) => *v as f64,
        _ => f64::NAN,
    }
}

/// Times are kept without a zone, in that of the machine.
fn written(at: Option<Timestamp>) -> Cell {
    at.map_or(Cell::Null, |at| {
        let local = at.to_zoned(TimeZone::system()).datetime();
        local.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string().into()
    })
}

fn time_of(cell: &Cell) -> Option<Timestamp> {
    let local: DateTime = cell.text().parse().ok()?;
    Some(local.to_zoned(TimeZone::system()).ok()?.timestamp())
}

/// Trials with all that belongs to them; `some` limits them by a column of ids.
fn read<C: Connection>(
    c: &mut C,
    study: u64,
    some: &dyn Fn(&str) -> String,
) -> Result<Vec<TrialRecord>> {
    let d = c.dialect();
    let (state, start, complete) =
        (d.text("state"), d.text("datetime_start"), d.text("datetime_complete"));
    let sql = format!(
        "SELECT trial_id, number, {state}, {start}, {complete} FROM trials \
         WHERE study_id = $1 AND number IS NOT NULL{} ORDER BY trial_id",
        some("trial_id")
    );
    let mut trials: BTreeMap<u64, TrialRecord> = BTreeMap::new();
    for row in c.query(&sql, &[study.into()])? {
        let mut trial = TrialRecord::new(row[0].id(), row[1].id(), state_of(row[2].text()));
        (trial.started, trial.completed) = (time_of(&row[3]), time_of(&row[4]));
        trials.insert(trial.id, trial);
    }
    if trials.is_empty() {
        return Ok(Vec::new());
    }
    let name = c.name();
    let mut of = |table: &str, columns: &str, order: &str| {
        let sql = format!(
            "SELECT t.trial_id, {columns} FROM {table} t JOIN trials s ON s.trial_id = t.trial_id \
             WHERE s.study_id = $1{} ORDER BY {order}",
            some("t.trial_id")
        );
        c.query(&sql, &[study.into()])
    };
    let kind = d.text("value_type");
    for row in of("trial_values", &format!("value, {kind}"), "objective")? {
        if let Some(trial) = trials.get_mut(&row[0].id()) {
            trial.values.push(loaded(&row[1], row[2].text()));
        }
    }
    let kind = d.text("intermediate_value_type");
    let columns = format!("step, intermediate_value, {kind}");
    for row in of("trial_intermediate_values", &columns, "step")? {
        if let Some(trial) = trials.get_mut(&row[0].id()) {
            trial.intermediate.insert(row[1].int(), loaded(&row[2], row[3].text()));
        }
    }
    let columns = "param_name, param_value, distribution_json";
    for row in of("trial_params", columns, "param_id")? {
        let Some(trial) = trials.get_mut(&row[0].id()) else { continue };
        let broken =
            |reason: String| Error::Database { database: name.clone(), source: reason.into() };
        let distribution = json::decode(row[3].text()).map_err(broken)?;
        if let Some(value) = distribution.from_internal(loaded(&row[2], "FINITE")) {
            trial.params.insert(row[1].text().to_owned(), value);
            trial.distributions.insert(row[1].text().to_owned(), distribution);
        }
    }
    for scope in [Scope::User, Scope::System] {
        let table = attr_table("trial", scope);
        for row in of(&table, "\"key\", value_json", "t.trial_id")? {
            if let Some(trial) = trials.get_mut(&row[0].id()) {
                let attrs = match scope {
                    Scope::User => &mut trial.user_attrs,
                    Scope::System => &mut trial.system_attrs,
                };
                attrs.insert(row[1].text().to_owned(), parse(row[2].text()));
            }
        }
    }
    Ok(trials.into_values().collect())
}

/// One operation inside a transaction.
fn apply<C: Connection>(c: &mut C, op: &Op) -> Result<Option<u64>> {
    let d = c.dialect();
    match op {
        Op::CreateStudy { name, directions } => {
            let taken = "SELECT study_id FROM studies WHERE study_name = $1";
            if !c.query(taken, &[name.as_str().into()])?.is_empty() {
                return Err(Error::Exists { name: name.clone() });
            }
            let sql = "INSERT INTO studies (study_name) VALUES ($1) RETURNING study_id";
            let id = c.query(sql, &[name.as_str().into()])?.first().map_or(0, |r| r[0].id());
            for (i, direction) in directions.iter().enumerate() {
                let sql = format!(
                    "INSERT INTO study_directions (direction, study_id, objective) \
                     VALUES ({}, $2, $3)",
                    d.enumeration("$1", "studydirection")
                );
                let name = direction.to_string().to_uppercase();
                c.execute(&sql, &[name.into(), id.into(), (i as i64).into()])?;
            }
            return Ok(Some(id));
        }
        Op::DeleteStudy { study } => {
            lock_study(c, *study)?;
            for table in [
                "trial_user_attributes",
                "trial_system_attributes",
                "trial_params",
                "trial_values",
                "trial_intermediate_values",
                "trial_heartbeats",
            ] {
                let sql = format!(
                    "DELETE FROM {table} WHERE trial_id IN \
                     (SELECT trial_id FROM trials WHERE study_id = $1)"
                );
                c.execute(&sql, &[(*study).into()])?;
            }
            for table in [
                "trials",
                "study_user_attributes",
                "study_system_attributes",
                "study_directions",
                "studies",
            ] {
                let sql = format!("DELETE FROM {table} WHERE study_id = $1");
                c.execute(&sql, &[(*study).into()])?;
            }
        }
        Op::SetStudyAttr { study, scope, key, value } => {
            lock_study(c, *study)?;
            set_attr(c, "study", *study, *scope, key, value)?;
        }
        Op::CreateTrial { study, started, template } => {
            // Numbers have no gap and no double: one creator at a time.
            lock_study(c, *study)?;
            let sql = "SELECT COUNT(*) FROM trials WHERE study_id = $1";
            let number = c.query(sql, &[(*study).into()])?.first().map_or(0, |r| r[0].int());
            let state = template.as_ref().map_or(State::Running, |t| t.state);
            let completed = template.as_ref().and_then(|t| t.completed);
            let sql = format!(
                "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) \
                 VALUES ($1, $2, {}, {}, {}) RETURNING trial_id",
                d.enumeration("$3", "trialstate"),
                d.time("$4"),
                d.time("$5")
            );
            let cells = [
                number.into(),
                (*study).into(),
                state_name(state).into(),
                written(*started),
                written(completed),
            ];
            let id = c.query(&sql, &cells)?.first().map_or(0, |r| r[0].id());
            if let Some(trial) = template {
                fill(c, *study, id, trial)?;
            }
            return Ok(Some(id));
        }
        Op::SetParam { trial, name, internal, distribution } => {
            let (study, _) = lock_trial(c, *trial)?;
            set_param(c, study, *trial, name, *internal, distribution)?;
        }
        Op::SetState { trial, state, values, at } => {
            let (_, old) = lock_trial(c, *trial)?;
            if *state == State::Running && old == State::Running {
                return Ok(None);
            }
            let column = match state {
                State::Running => Some("datetime_start"),
                _ if state.is_ended() => Some("datetime_complete"),
                _ => None,
            };
            for (objective, value) in values.iter().flatten().enumerate() {
                set_value(c, *trial, objective, *value)?;
            }
            let name = d.enumeration("$1", "trialstate");
            let time = column.map_or(String::new(), |c| format!(", {c} = {}", d.time("$2")));
            let (sql, mut cells) = match column {
                Some(_) => (
                    format!("UPDATE trials SET state = {name}{time} WHERE trial_id = $3"),
                    vec![Cell::from(state_name(*state)), written(Some(*at))],
                ),
                None => (
                    format!("UPDATE trials SET state = {name} WHERE trial_id = $2"),
                    vec![Cell::from(state_name(*state))],
                ),
            };
            cells.push((*trial).into());
            c.execute(&sql, &cells)?;
            if *state == State::Running {
                return Ok(Some(*trial));
            }
        }
        Op::Report { trial, step, value } => {
            lock_trial(c, *trial)?;
            set_report(c, *trial, *step, *value)?;
        }
        Op::SetTrialAttr { trial, scope, key, value } => {
            lock_trial(c, *trial)?;
            set_attr(c, "trial", *trial, *scope, key, value)?;
        }
    }
    Ok(None)
}

/// Everything of a trial that is taken over.
fn fill<C: Connection>(c: &mut C, study: u64, id: u64, trial: &TrialRecord) -> Result<()> {
    for (name, distribution) in &trial.distributions {
        let internal = trial.params.get(name).and_then(|v| distribution.to_internal(v));
        if let Some(internal) = internal {
            set_param(c, study, id, name, internal, distribution)?;
        }
    }
    for (objective, value) in trial.values.iter().enumerate() {
        set_value(c, id, objective, *value)?;
    }
    for (step, value) in &trial.intermediate {
        set_report(c, id, *step, *value)?;
    }
    for (scope, attrs) in [(Scope::User, &trial.user_attrs), (Scope::System, &trial.system_attrs)] {
        for (key, value) in attrs {
            set_attr(c, "trial", id, scope, key, value)?;
        }
    }
    Ok(())
}

fn lock_study<C: Connection>(c: &mut C, id: u64) -> Result<()> {
    let sql =
        format!("SELECT study_id FROM studies WHERE study_id = $1{}", c.dialect().for_update());
    let found = !c.query(&sql, &[id.into()])?.is_empty();
    found.then_some(()).ok_or(Error::Missing { what: "study", id })
}

/// The study and state of a trial that can still change.
fn lock_trial<C: Connection>(c: &mut C, id: u64) -> Result<(u64, State)> {
    let d = c.dialect();
    let sql = format!(
        "SELECT study_id, number, {} FROM trials WHERE trial_id = $1{}",
        d.text("state"),
        d.for_update()
    );
    let rows = c.query(&sql, &[id.into()])?;
    let row = rows.first().ok_or(Error::Missing { what: "trial", id })?;
    let state = state_of(row[2].text());
    if state.is_ended() {
        return Err(Error::Ended { number: row[1].id(), state });
    }
    Ok((row[0].id(), state))
}

fn set_param<C: Connection>(
    c: &mut C,
    study: u64,
    trial: u64,
    name: &str,
    internal: f64,
    distribution: &crate::Distribution,
) -> Result<()> {
    let sql = "SELECT p.distribution_json FROM trial_params p \
               JOIN trials t ON t.trial_id = p.trial_id \
               WHERE t.study_id = $1 AND p.param_name = $2 ORDER BY p.param_id LIMIT 1";
    if let Some(first) = c.query(sql, &[study.into(), name.into()])?.first()
        && let Ok(old) = json::decode(first[0].text())
        && !old.is_compatible(distribution)
    {
        return Err(Error::redefined(name, &old, distribution));
    }
    let sql = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) \
               VALUES ($1, $2, $3, $4) ON CONFLICT (trial_id, param_name) DO UPDATE SET \
               param_value = excluded.param_value, distribution_json = excluded.distribution_json";
    let cells =
        [trial.into(), name.into(), Cell::Real(internal), json::encode(distribution).into()];
    c.execute(sql, &cells).map(drop)
}

fn set_value<C: Connection>(c: &mut C, trial: u64, objective: usize, value: f64) -> Result<()> {
    let (cell, kind) = stored(value);
    let sql = format!(
        "INSERT INTO trial_values (trial_id, objective, value, value_type) \
         VALUES ($1, $2, $3, {}) ON CONFLICT (trial_id, objective) DO UPDATE SET \
         value = excluded.value, value_type = excluded.value_type",
        c.dialect().enumeration("$4", "trialvaluetype")
    );
    c.execute(&sql, &[trial.into(), (objective as i64).into(), cell, kind.into()]).map(drop)
}

fn set_report<C: Connection>(c: &mut C, trial: u64, step: i64, value: f64) -> Result<()> {
    let (cell, kind) = stored(value);
    let sql = format!(
        "INSERT INTO trial_intermediate_values \
         (trial_id, step, intermediate_value, intermediate_value_type) VALUES ($1, $2, $3, {}) \
         ON CONFLICT (trial_id, step) DO UPDATE SET \
         intermediate_value = excluded.intermediate_value, \
         intermediate_value_type = excluded.intermediate_value_type",
        c.dialect().enumeration("$4", "trialintermediatevaluetype")
    );
    c.execute(&sql, &[trial.into(), step.into(), cell, kind.into()]).map(drop)
}

fn set_attr<C: Connection>(
    c: &mut C,
    of: &str,
    id: u64,
    scope: Scope,
    key: &str,
    value: &Json,
) -> Result<()> {
    let table = attr_table(of, scope);
    let sql = format!(
        "INSERT INTO {table} ({of}_id, \"key\", value_json) VALUES ($1, $2, $3) \
         ON CONFLICT ({of}_id, \"key\") DO UPDATE SET value_json = excluded.value_json"
    );
    c.execute(&sql, &[id.into(), key.into(), dumps(value, true).into()]).map(drop)
}
