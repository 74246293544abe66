use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use super::file::Tensors;
use super::names::Place;
use crate::init::tracked;
use crate::{Error, Result};

/// Where a tensor of ours is, by its path in the module; the name is whole.
pub(super) type Names<'a> = &'a dyn Fn(&str) -> Option<Place>;

/// Fills a module from a file, each tensor from its place. A tensor of the file that is neither
/// used nor `ignored` is an error.
pub(super) fn load<M: Module>(
    module: M,
    tensors: &Tensors,
    names: Names<'_>,
    ignored: impl Fn(&str) -> bool,
) -> Result<M> {
    let mut fill = Fill {
        names,
        tensors,
        path: Vec::new(),
        used: BTreeSet::new(),
        missing: Vec::new(),
        error: None,
    };
    let module = module.map(&mut fill);
    let Fill { used, missing, error, .. } = fill;
    if let Some(error) = error {
        return Err(error);
    }
    let spare = |name: &&str| !(used.contains(*name) || ignored(name));
    let unused: Vec<&str> = tensors.names().filter(spare).collect();
    if missing.is_empty() && unused.is_empty() {
        return Ok(module);
    }
    let names = missing.iter().map(String::as_str).chain(unused.iter().copied()).take(5);
    Err(Error::Weights {
        path: tensors.path().to_owned(),
        missing: missing.len(),
        unused: unused.len(),
        names: names.collect::<Vec<_>>().join(", "),
    })
}

struct Fill<'a> {
    names: Names<'a>,
    tensors: &'a Tensors,
    path: Vec<String>,
    used: BTreeSet<String>,
    missing: Vec<String>,
    error: Option<Error>,
}

impl Fill<'_> {
    /// The values for one of our tensors.
    fn values(&mut self, path: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(place) = (self.names)(path) else { return Ok(None) };
        let mut name = place.name;
        if !self.tensors.contains(&name) {
            // The layer norms of the first BERT files.
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
            name = name.replace("LayerNorm.bias", "LayerNorm.beta");
        }
        let mut expected = shape.to_vec();
        if place.transposed {
            expected.reverse();
        }
        if let (Some((_, shares)), Some(columns)) = (place.share, expected.last_mut()) {
            *columns *= shares;
        }
        let Some(found) = self.tensors.shape(&name) else {
            self.missing.push(name);
            return Ok(None);
        };
        if found != expected {
            return Err(Error::Format {
                path: self.tensors.path().to_owned(),
                reason: format!(
                    "{name}: shape {found:?}, but the configuration needs {expected:?}"
                ),
            });
        }
        let values = self.tensors.values(&name)?.unwrap_or_default();
        self.used.insert(name);
        let values = match place.share {
            Some((i, shares)) => {
                let width = expected.last().copied().unwrap_or(1) / shares;
                let rows = values.chunks_exact(width * shares);
                rows.flat_map(|row| &row[i * width..(i + 1) * width]).copied().collect()
            }
            None => values,
        };
        Ok(Some(match (place.transposed, shape) {
            (true, &[inputs, outputs]) => transposed(&values, outputs, inputs),
            _ => values,
        }))
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, device, shape) = (param.id, param.lazy_device(), param.lazy_shape());
        let path = self.path.join(".");
        match self.values(&path, &shape) {
            Ok(Some(values)) => {
                let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), &device);
                Param::initialized(id, tracked(tensor))
            }
            Ok(None) => param,
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

/// `[rows, columns]` → `[columns, rows]`, in tiles that fit the cache.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; values.len()];
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for i in top..rows.min(top + TILE) {
                for j in left..columns.min(left + TILE) {
                    out[j * rows + i] = values[i * columns + j];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::transposed;

    #[test]
    fn a_transpose_moves_every_value() {
        let (rows, columns) = (37, 70);
        let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let turned = transposed(&values, rows, columns);
        assert_eq!(turned[5 * rows + 36], values[36 * columns + 5]);
        assert_eq!(transposed(&turned, columns, rows), values);
    }
}
