//! Reading CSV with errors that name file, row and column.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::{Error, Result};

/// Gives the column names to `header`, then what it returns and every record, numbered
/// from 1, to `row`. Files ending in `.gz` are decompressed.
pub(super) fn read<T>(
    path: &Path,
    header: impl FnOnce(&[String]) -> Result<T>,
    mut row: impl FnMut(&T, usize, &csv::StringRecord) -> Result<()>,
) -> Result<T> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let input: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(input);
    let at = |row: usize, error: csv::Error| {
        let reason = match error.kind() {
            csv::ErrorKind::Utf8 { err, .. } => {
                format!("not UTF-8 in field {}", err.field() + 1)
            }
            _ => error.to_string(),
        };
        Error::Row { path: path.to_owned(), row, reason }
    };
    let names = reader.headers().map_err(|e| at(0, e))?;
    let columns = header(&names.iter().map(str::to_owned).collect::<Vec<_>>())?;
    let mut record = csv::StringRecord::new();
    for number in 1.. {
        if !reader.read_record(&mut record).map_err(|e| at(number, e))? {
            break;
        }
        row(&columns, number, &record)?;
    }
    Ok(columns)
}

/// The position of a column.
pub(super) fn position(path: &Path, columns: &[String], column: &str) -> Result<usize> {
    columns.iter().position(|c| c == column).ok_or_else(|| Error::Column {
        path: path.to_owned(),
        column: column.to_owned(),
        columns: columns.join(", "),
    })
}
