use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{OpenFlags, ToSql, params_from_iter};

use super::schema::Dialect;
use super::{Cell, Connection, Database};
use crate::{Error, Op, Result, Storage, StudyRecord, TrialRecord};

/// A SQLite file in Optuna's schema (version 12): for Optuna it is
/// `sqlite:///<path>`. Several processes of one machine may share it; for several machines
/// take a [`Journal`](crate::Journal) on a network disk or PostgreSQL.
#[derive(Debug)]
pub struct Sqlite(Database<File>);

impl Sqlite {
    /// Opens or creates a file.
    ///
    /// # Errors
    /// [`Error::Database`] with SQLite's reason, [`Error::Schema`] for tables of another
    /// version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let open = || {
            let connection = rusqlite::Connection::open_with_flags(&path, flags)?;
            // Writers wait for each other.
            connection.busy_timeout(Duration::from_secs(60))?;
            Ok(connection)
        };
        let connection = open().map_err(|source: rusqlite::Error| failed(&path, source))?;
        Ok(Self(Database::new(File { connection, path })?))
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> Error {
    Error::Database { database: path.display().to_string(), source: source.into() }
}

#[derive(Debug)]
struct File {
    connection: rusqlite::Connection,
    path: PathBuf,
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(v) => ToSqlOutput::Owned(Value::Integer(*v)),
            Self::Real(v) => ToSqlOutput::Owned(Value::Real(*v)),
            Self::Text(v) => v.as_str().into(),
        })
    }
}

impl Connection for File {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, cells: &[Cell]) -> Result<u64> {
        let run = || self.connection.prepare_cached(sql)?.execute(params_from_iter(cells));
        run().map(|n| n as u64).map_err(|e| failed(&self.path, e))
    }

    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query(params_from_iter(cells))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let cell = |i: usize| {
                    Ok(match row.get::<_, Value>(i)? {
                        Value::Null => Cell::Null,
                        Value::Integer(v) => Cell::Int(v),
                        Value::Real(v) => Cell::Real(v),
                        Value::Text(v) => Cell::Text(v),
                        Value::Blob(_) => Cell::Null,
                    })
                };
                found.push((0..columns).map(cell).collect::<rusqlite::Result<Vec<Cell>>>()?);
            }
            Ok(found)
        };
        run().map_err(|e: rusqlite::Error| failed(&self.path, e))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl Storage for Sqlite {
    fn studies(&self) -> Result<Vec<StudyRecord>> {
        self.0.studies()
    }

    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        self.0.trials(study)
    }

    fn commit(&self, ops: &[Op]) -> Result<Option<u64>> {
        self.0.commit(ops)
    }
}
