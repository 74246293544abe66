use std::sync::Arc;

use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls};

use super::schema::Dialect;
use super::{Cell, Connection, Database};
use crate::{BoxError, Error, Op, Result, Storage, StudyRecord, TrialRecord};

/// A PostgreSQL database in Optuna's schema (version 12), for many machines: for Optuna
/// it is the same address, `postgresql://user:password@host/database`.
///
/// The connection is not encrypted: take a tunnel where the network is not trusted.
pub struct Postgres(Database<Server>);

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres").field(&self.0.inner().connection.name).finish()
    }
}

impl Postgres {
    /// Connects, and creates the tables in an empty database.
    ///
    /// # Errors
    /// [`Error::Database`] with the server's reason, [`Error::Schema`] for tables of
    /// another version.
    pub fn connect(address: &str) -> Result<Self> {
        let config: Config = address.parse().map_err(|e: postgres::Error| Error::Database {
            database: "the address".to_owned(),
            source: e.into(),
        })?;
        let name = format!("postgresql database {:?}", config.get_dbname().unwrap_or_default());
        let mut server = Server { client: None, config, name };
        server.client()?;
        Ok(Self(Database::new(server)?))
    }
}

struct Server {
    client: Option<Client>,
    config: Config,
    name: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Server {
    /// The connection, made anew when it was lost.
    fn client(&mut self) -> Result<&mut Client> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let client = self.config.connect(NoTls);
            self.client = Some(client.map_err(|e| failed(&self.name, e))?);
        }
        let lost =
            || Error::Database { database: self.name.clone(), source: "no connection".into() };
        self.client.as_mut().ok_or_else(lost)
    }
}

fn failed(name: &str, source: postgres::Error) -> Error {
    Error::Database { database: name.to_owned(), source: source.into() }
}

/// As the column's type wants it.
impl ToSql for Cell {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> std::result::Result<IsNull, BoxError> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(v), &Type::INT4) => i32::try_from(*v)?.to_sql(ty, out),
            (Self::Int(v), _) => v.to_sql(&Type::INT8, out),
            (Self::Real(v), _) => v.to_sql(&Type::FLOAT8, out),
            (Self::Text(v), _) => v.to_sql(&Type::TEXT, out),
        }
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, BoxError> {
        Ok(match *ty {
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(ty, raw)?),
            _ => Self::Text(String::from_sql(&Type::TEXT, raw)?),
        })
    }

    fn from_sql_null(_ty: &Type) -> std::result::Result<Self, BoxError> {
        Ok(Self::Null)
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }
}

impl Connection for Server {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, cells: &[Cell]) -> Result<u64> {
        let name = self.name.clone();
        let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|c| c as _).collect();
        self.client()?.execute(sql, &cells).map_err(|e| failed(&name, e))
    }

    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>> {
        let name = self.name.clone();
        let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|c| c as _).collect();
        let rows = self.client()?.query(sql, &cells).map_err(|e| failed(&name, e))?;
        let row = |row: &postgres::Row| (0..row.len()).map(|i| row.try_get(i)).collect();
        rows.iter().map(row).collect::<std::result::Result<_, _>>().map_err(|e| failed(&name, e))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Storage for Postgres {
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
