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
    /// About a quarter of the size: matrices as whole numbers from −127 to 127 times a scale of the
    /// row and one of the column, so that a value is off by at most 1/254 of its row's largest and
    /// less in a column of small ones; the rest as it is.
    Int8,
}

/// After a matrix's name: the scales of its rows and of its columns.
const SCALES: [&str; 2] = [".row_scale", ".column_scale"];

/// The largest number of f16.
const HALF: f32 = 65504.0;

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
        let most = if precision == Precision::F16 { HALF } else { f32::MAX };
        if tensor.dtype() == Dtype::F32
            && let Some(value) = floats(tensor.data()).iter().find(|v| v.is_nan() || v.abs() > most)
        {
            return Err(bad(path, format!("{name}: {value} has no place in {precision:?}")));
        }
        match (tensor.dtype(), precision, shape.as_slice()) {
            (Dtype::F32, Precision::F16, _) => {
                let half = TensorData::new(floats(tensor.data()), shape.clone());
                let half = half.convert_dtype(DType::F16).as_bytes().to_vec();
                out.push((name, Dtype::F16, shape, half));
            }
            (Dtype::F32, Precision::Int8, &[rows, columns]) if rows * columns > 0 => {
                let (values, scales) = quantized(&floats(tensor.data()), rows, columns);
                for (suffix, scale) in SCALES.iter().zip(scales) {
                    let bytes = scale.iter().flat_map(|s| s.to_le_bytes()).collect();
                    out.push((format!("{name}{suffix}"), Dtype::F32, vec![scale.len()], bytes));
                }
                out.push((name, Dtype::I8, shape, values));
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
        let matrix = SCALES.iter().find_map(|suffix| name.strip_suffix(suffix));
        let matrix = matrix.and_then(|matrix| file.tensor(matrix).ok());
        if matrix.is_some_and(|matrix| matrix.dtype() == Dtype::I8) {
            continue;
        }
        let values = match tensor.dtype() {
            Dtype::F16 => {
                let half =
                    TensorData::from_bytes_vec(tensor.data().to_vec(), shape.clone(), DType::F16);
                half.convert_dtype(DType::F32).as_bytes().to_vec()
            }
            Dtype::I8 => {
                let mut scales = Vec::new();
                for suffix in SCALES {
                    let scale =
                        file.tensor(&format!("{name}{suffix}")).map_err(|e| bad(path, e))?;
                    scales.push(if scale.dtype() == Dtype::F32 {
                        floats(scale.data())
                    } else {
                        Vec::new()
                    });
                }
                let wrong = || bad(path, format!("the scales of {name} do not fit {shape:?}"));
                let wide = widened(tensor.data(), &shape, &scales).ok_or_else(wrong)?;
                wide.iter().flat_map(|v| v.to_le_bytes()).collect()
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

/// The values of an int8 matrix; none where its scales are not one for each row and column.
fn widened(whole: &[u8], shape: &[usize], scales: &[Vec<f32>]) -> Option<Vec<f32>> {
    let (&[rows, columns], [by_row, by_column]) = (shape, scales) else { return None };
    if (by_row.len(), by_column.len()) != (rows, columns) {
        return None;
    }
    let row = |(row, whole): (&f32, &[u8])| {
        let value = |(&byte, column): (&u8, &f32)| f32::from(byte.cast_signed()) * row * column;
        whole.iter().zip(by_column).map(value).collect::<Vec<f32>>()
    };
    Some(by_row.iter().zip(whole.chunks(columns.max(1))).flat_map(row).collect())
}

/// A matrix as whole numbers, with the scales of its rows and columns: the largest value of each
/// row, then 1/127 of the largest of each column of what is left.
fn quantized(values: &[f32], rows: usize, columns: usize) -> (Vec<u8>, [Vec<f32>; 2]) {
    let largest = |row: &[f32]| row.iter().fold(0f32, |most, v| most.max(v.abs()));
    let by_row: Vec<f32> = values.chunks(columns).map(largest).collect();
    // A row of zeros is a row of zeros at any scale.
    let inverse: Vec<f32> =
        by_row.iter().map(|&most| if most > 0.0 { 1.0 / most } else { 0.0 }).collect();
    let mut by_column = vec![0f32; columns];
    for (row, inverse) in values.chunks(columns).zip(&inverse) {
        for (most, value) in by_column.iter_mut().zip(row) {
            *most = most.max((value * inverse).abs());
        }
    }
    by_column.iter_mut().for_each(|most| *most /= 127.0);
    let mut whole = Vec::with_capacity(rows * columns);
    for (row, inverse) in values.chunks(columns).zip(&inverse) {
        whole.extend(row.iter().zip(&by_column).map(|(value, &scale)| {
            let whole = if scale > 0.0 { (value * inverse / scale).round() } else { 0.0 };
            // Between −127 and 127 by the choice of the scales.
            (whole as i8).cast_unsigned()
        }));
    }
    (whole, [by_row, by_column])
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
        let scale = |which: usize, n: usize| {
            (format!("w{}", SCALES[which]), Dtype::F32, vec![n], vec![0; 4 * n])
        };
        let read = |tensors: &[File]| expanded(written(tensors, path).unwrap(), path);
        assert!(read(&[matrix()]).is_err(), "no scales");
        assert!(read(&[matrix(), scale(0, 2)]).is_err(), "of the rows only");
        for (rows, columns) in [(3, 2), (2, 2), (1, 3), (0, 0)] {
            let tensors = [matrix(), scale(0, rows), scale(1, columns)];
            assert!(read(&tensors).is_err(), "{rows} and {columns}");
        }
        let vector = ("w".to_owned(), Dtype::I8, vec![6], vec![1; 6]);
        assert!(read(&[vector, scale(0, 2), scale(1, 3)]).is_err());
        assert!(read(&[matrix(), scale(0, 2), scale(1, 3)]).is_ok());
        assert!(expanded(vec![1, 2, 3], path).is_err());
        for (value, precision) in [
            (f32::NAN, Precision::Int8),
            (f32::INFINITY, Precision::Int8),
            (f32::NAN, Precision::F16),
            (1e5, Precision::F16),
        ] {
            let file = file(&[1.0, value], &[1, 2]);
            assert!(compressed(file, precision, path).is_err(), "{value} {precision:?}");
        }
    }
}
