use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a file so that readers see either the old content or all of the new.
///
/// The content goes to a temporary file in the same directory, is flushed to
/// disk (`fsync`) and then renamed over `path`. On any error, a full disk
/// included, the temporary is removed and `path` is as it was.
///
/// # Errors
/// [`Error::Io`] with the path.
///
/// ```
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a.txt");
/// counterweight_core::write_atomic(&path, |w| w.write_all(b"all or nothing"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "all or nothing");
/// # Ok(()) }
/// ```
pub fn write_atomic<F>(path: impl AsRef<Path>, fill: F) -> Result<()>
where
    F: FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
{
    let path = path.as_ref();
    let at = |source| Error::Io { path: path.to_owned(), source };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let temporary = create(dir).map_err(at)?;
    let mut writer = BufWriter::new(temporary.as_file());
    fill(&mut writer).map_err(at)?;
    writer.flush().map_err(at)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(at)?;
    temporary.persist(path).map_err(|e| at(e.error))?;
    // The rename itself is durable only once the directory is synced; not every
    // platform can open a directory, and the data are safe without it.
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

/// A temporary with the permissions any new file gets, where tempfile's default is
/// readable by its owner alone.
fn create(dir: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.bin");
        std::fs::write(&path, "old").unwrap();
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let result = write_atomic(&path, |w| {
            w.write_all(&[0; 100_000])?;
            Err(full())
        });
        assert!(matches!(result, Err(Error::Io { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_an_error_naming_the_path() {
        let err = write_atomic("no/such/dir/x", |_| Ok(())).unwrap_err();
        assert!(err.to_string().starts_with("no/such/dir/x"));
    }
}
