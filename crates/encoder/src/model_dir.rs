use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use counterweight_core::write_atomic;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::precision::{compressed, expanded};
use crate::{Error, Featurizer, Precision, Result};

/// A directory of model files, replaced as a whole.
///
/// [`create`](Self::create) collects the files in a temporary sibling;
/// [`commit`](Self::commit) renames it into place, so a full disk or a kill leaves either
/// the old model or the new one.
#[derive(Debug)]
pub struct ModelDir {
    target: PathBuf,
    staging: PathBuf,
    committed: bool,
}

impl ModelDir {
    /// The weights' file.
    pub const WEIGHTS: &'static str = "model.safetensors";
    /// The tokenisation's file.
    pub const FEATURIZER: &'static str = "tokenizer.json";

    /// Starts a new model directory at `target`.
    ///
    /// # Errors
    /// When the temporary directory cannot be made.
    pub fn create(target: impl Into<PathBuf>) -> Result<Self> {
        let target = target.into();
        let staging = beside(&target, "new");
        let at = |source| io(&staging, source);
        if staging.exists() {
            std::fs::remove_dir_all(&staging).map_err(at)?;
        }
        std::fs::create_dir_all(&staging).map_err(at)?;
        Ok(Self { target, staging, committed: false })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        Ok(write_atomic(self.staging.join(name), |w| w.write_all(bytes))?)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// When it cannot be serialised or written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::Format { path: self.target.join(name), reason: e.to_string() })?;
        self.write(name, &bytes)
    }

    /// Puts the directory into place.
    ///
    /// # Errors
    /// When a rename fails; the old directory is then still there.
    pub fn commit(mut self) -> Result<()> {
        let old = beside(&self.target, "old");
        let at = |source| io(&self.target, source);
        if old.exists() {
            std::fs::remove_dir_all(&old).map_err(at)?;
        }
        let replaces = self.target.exists();
        if replaces {
            std::fs::rename(&self.target, &old).map_err(at)?;
        }
        if let Err(error) = std::fs::rename(&self.staging, &self.target) {
            if replaces {
                std::fs::rename(&old, &self.target).map_err(at)?;
            }
            return Err(at(error));
        }
        self.committed = true;
        if replaces {
            std::fs::remove_dir_all(&old).map_err(at)?;
        }
        Ok(())
    }

    /// Reads a JSON file of a model directory.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T> {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).map_err(|e| io(&path, e))?;
        serde_json::from_str(&text).map_err(|e| Error::Format { path, reason: e.to_string() })
    }

    /// Reads the tokenisation of a model directory.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn read_featurizer(dir: &Path) -> Result<Featurizer> {
        let path = dir.join(Self::FEATURIZER);
        let text = std::fs::read_to_string(&path).map_err(|e| io(&path, e))?;
        Featurizer::from_json(&path, &text)
    }
}

impl Drop for ModelDir {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing to be done if even this fails; the target is untouched.
            let _ = std::fs::remove_dir_all(&self.staging);
        }
    }
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    target.with_file_name(name)
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Data(counterweight_core::Error::Io { path: path.to_owned(), source })
}

/// A module's weights in the safetensors format.
///
/// # Errors
/// When a tensor cannot be read from its device.
pub fn weights_bytes<M: Module>(module: &M) -> Result<Vec<u8>> {
    let format = |reason: String| Error::Format { path: ModelDir::WEIGHTS.into(), reason };
    let mut store = SafetensorsStore::from_bytes(None);
    module.save_into(&mut store).map_err(|e| format(e.to_string()))?;
    store.get_bytes().map_err(|e| format(e.to_string()))
}

/// A module's weights in the safetensors format, at another precision.
///
/// # Errors
/// When a tensor cannot be read from its device, or a weight is not finite or beyond f16.
pub fn weights_bytes_at<M: Module>(module: &M, precision: Precision) -> Result<Vec<u8>> {
    compressed(weights_bytes(module)?, precision, Path::new(ModelDir::WEIGHTS))
}

/// Loads weights written by [`weights_bytes`] or [`weights_bytes_at`], in f32; `path` is named in
/// errors.
///
/// # Errors
/// When a tensor is missing, of another shape or unexpected.
pub fn load_weights<M: Module>(mut module: M, bytes: Vec<u8>, path: &Path) -> Result<M> {
    let format = |reason: String| Error::Format { path: path.to_owned(), reason };
    let bytes = expanded(bytes, path)?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).allow_partial(true);
    let result = module.load_from(&mut store).map_err(|e| format(e.to_string()))?;
    if let Some(error) = result.errors.first() {
        return Err(format(error.to_string()));
    }
    if result.missing.is_empty() && result.unused.is_empty() {
        return Ok(module);
    }
    let names = result.missing.iter().map(|m| &m.0).chain(&result.unused).take(5);
    Err(Error::Weights {
        path: path.to_owned(),
        missing: result.missing.len(),
        unused: result.unused.len(),
        names: names.cloned().collect::<Vec<_>>().join(", "),
    })
}
