use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::storage::worker::unique;
use crate::{Error, Result};

/// After this long without a sign of life the lock of another process is broken.
const GRACE: Duration = Duration::from_secs(30);

/// The lock of a journal while it is held: a link `<file>.lock`, as Optuna makes it, which
/// works over network file systems too.
///
/// Our own processes also hold the system's lock of the file, which ends with the process,
/// and mark their link: a marked link that is found under the system's lock is that of a
/// process that was killed, and is removed at once.
#[derive(Debug)]
pub(super) struct Lock {
    link: PathBuf,
    held: Option<File>,
}

impl Lock {
    /// Waits for the lock.
    pub(super) fn acquire(journal: &Path, file: &File) -> Result<Self> {
        let link = with_suffix(journal, ".lock");
        let held = system_lock(file);
        // The same file by a path that no one else writes.
        let marked = match (journal.parent(), journal.file_name(), &held) {
            (Some(parent), Some(name), Some(_)) => {
                let mut path = parent.as_os_str().to_owned();
                path.push("/./");
                path.push(name);
                PathBuf::from(path)
            }
            _ => journal.to_owned(),
        };
        let mut pause = Duration::from_millis(1);
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            match create(&marked, &link) {
                Ok(()) => return Ok(Self { link, held }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(&link)(e)),
            }
            if held.is_some() && link.read_link().is_ok_and(|target| is_same(&target, &marked)) {
                tracing::warn!("{}: left by a process that was killed; removed", link.display());
                release(&link);
                continue;
            }
            // The link's target is the journal: a writer that lives changes its time.
            let now = modified(&link);
            if now != seen {
                seen = now;
                since = Instant::now();
            }
            if since.elapsed() > GRACE {
                tracing::warn!("{}: held for {GRACE:?} without a write; broken", link.display());
                release(&link);
                since = Instant::now();
                continue;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.link);
        if let Some(file) = &self.held {
            // It ends with the file in any case.
            let _ = file.unlock();
        }
    }
}

/// By its letters: as paths, `a/./b` and `a/b` are equal.
fn is_same(a: &Path, b: &Path) -> bool {
    a.as_os_str() == b.as_os_str()
}

/// Where the system has locks that do not keep other programs from the file.
#[cfg(unix)]
fn system_lock(file: &File) -> Option<File> {
    let file = file.try_clone().ok()?;
    file.lock().ok()?;
    Some(file)
}

#[cfg(not(unix))]
fn system_lock(_file: &File) -> Option<File> {
    None
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
