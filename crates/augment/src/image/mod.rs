//! Batches of images `[batch, channels, height, width]` with values in `[0, 1]`.

mod colour;
mod erase;
mod geometry;
mod pipeline;
mod rand_augment;
mod rectangle;

pub use pipeline::{ImageAugmenter, ImageTransform, Images};
pub use rand_augment::RandAugment;
pub use rectangle::Rectangle;

pub(crate) use rectangle::rectangle_mask;

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use serde_json::Value;

    use super::colour;
    use super::geometry::Maps;

    fn floats(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    }

    /// Every transform as torchvision's, on both devices.
    #[test]
    fn transforms_are_torchvisions() {
        let file = include_str!("../../tests/fixtures/images.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let shape: Vec<usize> = file["shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_u64().unwrap() as usize)
            .collect();
        let device = Device::flex();
        let data = TensorData::new(floats(&file["image"]), shape);
        let image = Tensor::<4>::from_data(data, &device);
        let both = |v: f64| Tensor::<1>::full([2], v, &device);
        let zero = || both(0.0);
        for (name, expected) in file["cases"].as_object().unwrap() {
            let mut parts = name.split('_').filter_map(|p| p.parse::<f64>().ok());
            let a = parts.next().unwrap_or_default();
            let x = image.clone();
            let turn = |degrees: f64| Maps::rotation(both(degrees.to_radians()));
            let tan = |degrees: f64| both(degrees.to_radians().tan());
            let made = match name.split_once(['_']).map_or(name.as_str(), |n| n.0) {
                "rotate" if name.contains("scale") => {
                    let scale = both(parts.next().unwrap());
                    let [x1, y1] = [1, 2].map(|_| both(parts.next().unwrap()));
                    let maps = turn(a).then(Maps::scaling(scale.clone(), scale));
                    maps.then(Maps::translation(x1, y1)).apply(x, 0.0)
                }
                "rotate" => turn(a).apply(x, 0.0),
                "scale" => Maps::scaling(both(a), both(a)).apply(x, 0.0),
                "translate" => {
                    Maps::translation(both(a), both(parts.next().unwrap())).apply(x, 0.0)
                }
                "shear" if name.contains("_x_") => Maps::shear(tan(a), zero()).apply(x, 0.0),
                "shear" => Maps::shear(zero(), tan(a)).apply(x, 0.0),
                "flip" if name.contains("horizontal") => {
                    Maps::flip(both(-1.0), both(1.0)).apply(x, 0.0)
                }
                "flip" => Maps::flip(both(1.0), both(-1.0)).apply(x, 0.0),
                "brightness" => colour::brightness(x, both(a)),
                "contrast" => colour::contrast(x, both(a)),
                "saturation" => colour::saturation(x, both(a)),
                "hue" => colour::hue(x, both(a)),
                "sharpness" => colour::sharpness(x, both(a)),
                "solarize" => colour::solarize(x, both(a)),
                "posterize" => colour::posterize(x, both(a)),
                "autocontrast" => colour::autocontrast(x),
                "equalize" => colour::equalize(x),
                other => panic!("{other}"),
            };
            let made: Vec<f32> = made.into_data().iter::<f32>().collect();
            let worst =
                made.iter().zip(floats(expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-5, "{name}: {worst}");
        }
    }

    #[test]
    fn fill_stands_outside_and_whole_pixels_move_without_change() {
        let device = Device::flex();
        let image = Tensor::<4>::from_floats([[[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]]], &device);
        let by = |x: f64, y: f64| {
            let of = |v: f64| Tensor::<1>::full([1], v, &device);
            Maps::translation(of(x), of(y)).apply(image.clone(), 0.7)
        };
        let values: Vec<f32> = by(1.0, -1.0).into_data().iter::<f32>().collect();
        assert_eq!(values, [0.7, 0.4, 0.5, 0.7, 0.7, 0.7]);
        let values: Vec<f32> = by(0.5, 0.0).into_data().iter::<f32>().collect();
        assert!((values[0] - 0.4).abs() < 1e-6 && (values[1] - 0.15).abs() < 1e-6, "{values:?}");
    }
}
