//! Optuna's journal file.

mod codec;
mod lock;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::lock::Lock;
use super::replay::{Replay, apply_all};
use super::worker::unique;
use super::{Op, Storage};
use crate::{Error, Result, StudyRecord, TrialRecord};

/// A file with one JSON object per line, which Optuna's `JournalFileBackend` reads and
/// writes as well: Rust and Python workers may share it, and its dashboard shows it.
///
/// Every change is appended under the lock `<file>.lock` and synced before anything else
/// happens. A line that a kill cut off is cut back to the last whole one by the next
/// writer. A lock that stands 30 s without a write is taken from its owner; one of a killed
/// process of this library at once.
///
/// Attributes with the numbers NaN and infinity, which Python writes bare, are read as
/// their names.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    worker: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    replay: Replay,
    /// How far the file is read, in bytes and lines.
    offset: u64,
    lines: usize,
}

impl Journal {
    /// Opens or creates a journal and reads it.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Journal`] for a line that is no record; the file is as
    /// it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let file = file.map_err(Error::io(path))?;
        // The lock's link must lead to the file from wherever it is read.
        let path = path.canonicalize().map_err(Error::io(path))?;
        let inner = Inner { file, replay: Replay::default(), offset: 0, lines: 0 };
        let journal = Self { path, worker: unique(), inner: Mutex::new(inner) };
        journal.inner().read(&journal.path)?;
        Ok(journal)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Distinguishes the threads of a process, as Optuna's does.
    fn worker(&self) -> String {
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        format!("{}-{number}", self.worker)
    }
}

impl Inner {
    /// Takes in the whole lines that were added since.
    fn read(&mut self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.offset)).map_err(Error::io(path))?;
        self.file.read_to_end(&mut bytes).map_err(Error::io(path))?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        // All lines are understood before the first is applied.
        let mut ops = Vec::new();
        let mut lines = 0;
        for line in bytes[..whole].split_inclusive(|&b| b == b'\n') {
            lines += 1;
            let text = std::str::from_utf8(line).map_err(|e| e.to_string());
            let op = text.and_then(codec::decode).map_err(|reason| Error::Journal {
                path: path.to_owned(),
                line: self.lines + lines,
                reason,
            })?;
            ops.extend(op);
        }
        for op in &ops {
            // Another's operation that is refused here was refused there too.
            if let Err(error) = self.replay.apply(op) {
                tracing::debug!("{}: {error}", path.display());
            }
        }
        self.offset += whole as u64;
        self.lines += lines;
        Ok(())
    }

    /// Cuts off what a killed writer left of a line. Only under the lock.
    fn mend(&mut self, path: &Path) -> Result<()> {
        let length = self.file.metadata().map_err(Error::io(path))?.len();
        if length > self.offset {
            tracing::warn!("{}: half a line at its end is cut off", path.display());
            self.file.set_len(self.offset).map_err(Error::io(path))?;
        }
        Ok(())
    }
}

impl Storage for Journal {
    fn studies(&self) -> Result<Vec<StudyRecord>> {
        let mut inner = self.inner();
        inner.read(&self.path)?;
        Ok(inner.replay.studies())
    }

    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        let mut inner = self.inner();
        inner.read(&self.path)?;
        inner.replay.trials(study)
    }

    fn commit(&self, ops: &[Op]) -> Result<Option<u64>> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let _lock = Lock::acquire(&self.path, &inner.file)?;
        inner.read(&self.path)?;
        inner.mend(&self.path)?;
        let mut changed = inner.replay.clone();
        let last = apply_all(ops, |op| changed.apply(op))?;
        let worker = self.worker();
        let text: String = ops.iter().map(|op| codec::encode(op, &worker)).collect();
        let written = inner.file.write_all(text.as_bytes()).and_then(|()| inner.file.sync_data());
        if let Err(error) = written {
            // A full disk may have taken half of it; should shortening fail too, the
            // next writer cuts off the half line.
            let _ = inner.file.set_len(inner.offset);
            return Err(Error::io(&self.path)(error));
        }
        inner.replay = changed;
        inner.offset += text.len() as u64;
        inner.lines += ops.len();
        Ok(last)
    }
}
