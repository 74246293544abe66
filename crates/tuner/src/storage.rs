use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Direction, Error, Result, TrialRecord};

/// One entry of a study's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The study begins; always first.
    Study {
        /// Its name.
        name: String,
        /// Its direction.
        direction: Direction,
    },
    /// A trial's state, replacing an earlier one of the same number.
    Trial(TrialRecord),
}

/// Where a study is kept: an append-only log.
///
/// A study is the fold of its records, so any store that can append one and read all
/// back in order will do: a file, a database, another program's journal format.
pub trait Storage: Debug + Send {
    /// All records, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn load(&mut self) -> Result<Vec<Record>>;

    /// Adds a record durably.
    ///
    /// # Errors
    /// When it cannot be written; the log is then as it was.
    fn append(&mut self, record: &Record) -> Result<()>;

    /// The file, if it is one, for messages.
    fn path(&self) -> Option<&Path> {
        None
    }
}

/// Keeps nothing beyond the process.
#[derive(Debug, Default)]
pub struct Memory(Vec<Record>);

impl Storage for Memory {
    fn load(&mut self) -> Result<Vec<Record>> {
        Ok(self.0.clone())
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// A file with one JSON record per line, synced after each.
///
/// A line cut off by a kill is dropped when the file is opened again.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or creates a journal.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    fn at(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

impl Storage for Journal {
    fn load(&mut self) -> Result<Vec<Record>> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(|e| self.at(e))?;
        self.file.read_to_end(&mut text).map_err(|e| self.at(e))?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            self.file.set_len(whole as u64).map_err(|e| self.at(e))?;
            text.truncate(whole);
        }
        let parse = |(i, line): (usize, &[u8])| {
            serde_json::from_slice(line).map_err(|e| Error::Journal {
                path: self.path.clone(),
                line: i + 1,
                reason: e.to_string(),
            })
        };
        let lines = text.split(|&b| b == b'\n').enumerate();
        lines.filter(|(_, line)| !line.is_empty()).map(parse).collect()
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|e| self.at(e.into()))?;
        line.push(b'\n');
        let end = self.file.seek(SeekFrom::End(0)).map_err(|e| self.at(e))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|e| {
            // A full disk may have taken half a line; nothing more can be done if
            // even shortening fails, and the next load drops the half line.
            let _ = self.file.set_len(end);
            self.at(e)
        })
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
