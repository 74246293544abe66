use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::storage::worker::unique;
use crate::{Error, Result};

/// After this long without a sign of life the lock of another process is broken.
const GRACE: Duration = Duration::from_secs(30);

/// The lock of a journal while it is held: a link `<file>.lock`, as Optuna makes it, which
/// works over network file systems too.
#[derive(Debug)]
pub(super) struct Lock {
    file: PathBuf,
}

impl Lock {
    /// Waits for the lock.
    pub(super) fn acquire(journal: &Path) -> Result<Self> {
        let file = with_suffix(journal, ".lock");
        let mut pause = Duration::from_millis(1);
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            match create(journal, &file) {
                Ok(()) => return Ok(Self { file }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(&file)(e)),
            }
            // The link's target is the journal: a writer that lives changes its time.
            let now = modified(&file);
            if now != seen {
                seen = now;
                since = Instant::now();
            }
            if since.elapsed() > GRACE {
                tracing::warn!("{}: held for {GRACE:?} without a write; broken", file.display());
                release(&file);
                since = Instant::now();
                continue;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.file);
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn modified(link: &Path) -> Option<SystemTime> {
    let data = link.metadata().or_else(|_| link.symlink_metadata());
    data.and_then(|d| d.modified()).ok()
}

#[cfg(unix)]
fn create(journal: &Path, lock: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(journal, lock)
}

#[cfg(not(unix))]
fn create(_journal: &Path, lock: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(lock).map(drop)
}

/// Renames first: of two that break one lock, one fails.
fn release(lock: &Path) {
    let away = with_suffix(lock, &format!("{}.rename", unique()));
    if std::fs::rename(lock, &away).is_ok() {
        // It is out of the way already; a leftover is harmless.
        let _ = std::fs::remove_file(away);
    }
}
