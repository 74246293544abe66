//! Smaller files of weights.

use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use burn::tensor::{DType, TensorData};

use crate::{Error, Result};

/// How a model directory keeps its weights. Whatever it is, a loaded model computes in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Half the size; a relative error of at most 2⁻¹¹.
    F16,
    /// About a quarter of the size: matrices as whole numbers from −127 to 127 with a scale for
    /// each row or for each column, whichever comes nearer; the rest as it is.
    Int8,
}

/// After a matrix's name: its scales.
const SCALE: &str = ".scale";

type File = (String, Dtype, Vec<usize>, Vec<u8>);

/// A file of f32 tensors at another precision.
pub(crate) fn compressed(bytes: Vec<u8>, precision: Precision, path: &Path) -> Result<Vec<u8>> {
    if precision == Precision::F32 {
        return Ok(bytes);
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(path, e))?;
    let mut out = Vec::new();
    for (name, tensor) in file.tensors() {
        let shape = tensor.shape().to_vec();
        match (tensor.dtype(), precision, shape.as_slice()) {
            (Dtype::F32, Precision::F16, _) => {
                let half = TensorData::new(floats(tensor.data()), shape.clone());
                let half = half.convert_dtype(DType::F16).as_bytes().to_vec();
                out.push((name, Dtype::F16, shape, half));
            }
            (Dtype::F32, Precision::Int8, &[rows, columns]) if rows * columns > 0 => {
                let matrix = Quantized::nearest(&floats(tensor.data()), rows, columns);
                let scale = matrix.scale.iter().flat_map(|s| s.to_le_bytes()).collect();
                out.push((format!("{name}{SCALE}"), Dtype::F32, matrix.scale_shape(), scale));
                out.push((name, Dtype::I8, shape, matrix.values));
            }
            (dtype, ..) => out.push((name, dtype, shape, tensor.data().to_vec())),
        }
    }
    written(&out, path)
}

/// A file of any precision as one of f32.
pub(crate) fn expanded(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>> {
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(path, e))?;
    let small = |dtype| matches!(dtype, Dtype::F16 | Dtype::I8);
    if !file.tensors().iter().any(|(_, tensor)| small(tensor.dtype())) {
        return Ok(bytes);
    }
    let mut out: Vec<File> = Vec::new();
    for (name, tensor) in file.tensors() {
        let shape = tensor.shape().to_vec();
        let of_matrix = name.strip_suffix(SCALE).and_then(|matrix| file.tensor(matrix).ok());
        if of_matrix.is_some_and(|matrix| matrix.dtype() == Dtype::I8) {
            continue;
        }
        let values = match tensor.dtype() {
            Dtype::F16 => {
                let half =
                    TensorData::from_bytes_vec(tensor.data().to_vec(), shape.clone(), DType::F16);
                half.convert_dtype(DType::F32).as_bytes().to_vec()
            }
            Dtype::I8 => {
                let scale = file.tensor(&format!("{name}{SCALE}")).map_err(|e| bad(path, e))?;
                let scale = (scale.dtype() == Dtype::F32).then_some(scale);
                let wide = scale.and_then(|scale| widened(&tensor, &scale));
                let wrong = || bad(path, format!("{name}{SCALE}: does not fit {shape:?}"));
                wide.ok_or_else(wrong)?.iter().flat_map(|v| v.to_le_bytes()).collect()
            }
            dtype => {
                out.push((name, dtype, shape, tensor.data().to_vec()));
                continue;
            }
        };
        out.push((name, Dtype::F32, shape, values));
    }
    written(&out, path)
}

fn written(tensors: &[File], path: &Path) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let views = views.map_err(|e| bad(path, e))?;
    safetensors::serialize(views, None).map_err(|e| bad(path, e))
}

fn bad(path: &Path, reason: impl ToString) -> Error {
    Error::Format { path: path.to_owned(), reason: reason.to_string() }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

/// The values of an int8 matrix; none where its scales have another shape.
fn widened(matrix: &TensorView<'_>, scale: &TensorView<'_>) -> Option<Vec<f32>> {
    let &[rows, columns] = matrix.shape() else { return None };
    let by_row = match *scale.shape() {
        [n, 1] if n == rows => true,
        [1, n] if n == columns => false,
        _ => return None,
    };
    let scale = floats(scale.data());
    let value = |(at, &byte): (usize, &u8)| {
        f32::from(byte.cast_signed()) * scale[if by_row { at / columns } else { at % columns }]
    };
    Some(matrix.data().iter().enumerate().map(value).collect())
}

struct Quantized {
    values: Vec<u8>,
    scale: Vec<f32>,
    by_row: bool,
    error: f64,
}

impl Quantized {
    /// By the scales that come nearer to the values.
    fn nearest(values: &[f32], rows: usize, columns: usize) -> Self {
        let [row, column] = [true, false].map(|by_row| Self::along(values, rows, columns, by_row));
        if row.error <= column.error { row } else { column }
    }

    fn along(values: &[f32], rows: usize, columns: usize, by_row: bool) -> Self {
        let group = |at: usize| if by_row { at / columns } else { at % columns };
        let mut scale = vec![0f32; if by_row { rows } else { columns }];
        for (at, value) in values.iter().enumerate() {
            let largest = &mut scale[group(at)];
            *largest = largest.max(value.abs());
        }
        scale.iter_mut().for_each(|largest| *largest /= 127.0);
        let mut error = 0.0;
        let whole = |(at, &value): (usize, &f32)| {
            let scale = scale[group(at)];
            let whole = if scale > 0.0 { (value / scale).round() } else { 0.0 };
            error += f64::from(value - whole * scale).powi(2);
            // Between −127 and 127 by the choice of the scale.
            (whole as i8).cast_unsigned()
        };
        let values = values.iter().enumerate().map(whole).collect();
        Self { values, scale, by_row, error }
    }

    fn scale_shape(&self) -> Vec<usize> {
        let count = self.scale.len();
        if self.by_row { vec![count, 1] } else { vec![1, count] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(values: &[f32], shape: &[usize]) -> Vec<u8> {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        written(&[("w".to_owned(), Dtype::F32, shape.to_vec(), bytes)], Path::new("f")).unwrap()
    }

    fn read(bytes: &[u8]) -> Vec<f32> {
        floats(SafeTensors::deserialize(bytes).unwrap().tensor("w").unwrap().data())
    }

    #[test]
    fn small_files_come_back_near_what_they_were() {
        // A large row beside a small one, and a row of zeros.
        let values = [100.0, -50.0, 25.3, 0.01, 0.02, -0.005, 0.0, 0.0, 0.0];
        let path = Path::new("f");
        for (precision, most) in [(Precision::Int8, 1.0 / 250.0), (Precision::F16, 1.0 / 2000.0)] {
            let small = compressed(file(&values, &[3, 3]), precision, path).unwrap();
            let back = read(&expanded(small, path).unwrap());
            for (row, (old, new)) in values.chunks(3).zip(back.chunks(3)).enumerate() {
                let largest = old.iter().fold(0f32, |m, v| m.max(v.abs()));
                for (a, b) in old.iter().zip(new) {
                    assert!((a - b).abs() <= largest * most, "{precision:?}, row {row}: {a} {b}");
                }
            }
        }
        // Columns of different sizes want a scale each; vectors stay as they are.
        let turned = [100.0, 0.01, -50.0, 0.02];
        let small = compressed(file(&turned, &[2, 2]), Precision::Int8, path).unwrap();
        let back = read(&expanded(small, path).unwrap());
        assert!((back[1] - 0.01).abs() < 1e-4 && (back[3] - 0.02).abs() < 1e-4, "{back:?}");
        let vector = compressed(file(&values, &[9]), Precision::Int8, path).unwrap();
        assert_eq!(read(&vector), values);
        let same = compressed(file(&values, &[9]), Precision::F32, path).unwrap();
        assert_eq!(same, file(&values, &[9]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let path = Path::new("f");
        let matrix = || ("w".to_owned(), Dtype::I8, vec![2, 3], vec![1; 6]);
        let scale = |shape: Vec<usize>| {
            let bytes = vec![0; 4 * shape.iter().product::<usize>()];
            (format!("w{SCALE}"), Dtype::F32, shape, bytes)
        };
        let alone = written(&[matrix()], path).unwrap();
        assert!(expanded(alone, path).is_err(), "no scale");
        for shape in [vec![3, 1], vec![1, 2], vec![2], vec![0, 1]] {
            let both = written(&[matrix(), scale(shape.clone())], path).unwrap();
            assert!(expanded(both, path).is_err(), "{shape:?}");
        }
        let fits = written(&[matrix(), scale(vec![2, 1])], path).unwrap();
        assert!(expanded(fits, path).is_ok());
        assert!(expanded(vec![1, 2, 3], path).is_err());
    }
}
