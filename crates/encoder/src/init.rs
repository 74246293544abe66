use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use counterweight_core::rng;
use rand::RngExt;

/// Draws a module's weights by a seed, the same on every device and at any thread count:
/// matrices from `N(0, std²)` cut at two deviations, biases 0, norm scales 1 (BERT's
/// initialisation for `std = 0.02`).
///
/// Burn's own initialisers draw from a generator that all threads share.
#[must_use]
pub fn seeded<M: Module>(module: M, std: f64, seed: u64) -> M {
    let mut mapper = Draw { std, rng: rng(seed), path: Vec::new() };
    module.map(&mut mapper)
}

struct Draw {
    std: f64,
    rng: counterweight_core::Rng,
    path: Vec<String>,
}

impl Draw {
    fn normal(&mut self) -> f32 {
        loop {
            // Box and Muller.
            let u: f64 = 1.0 - self.rng.random::<f64>();
            let v: f64 = self.rng.random();
            let z = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            if z.abs() <= 2.0 {
                return (z * self.std) as f32;
            }
        }
    }
}

impl ModuleMapper for Draw {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, device, shape) = (param.id, param.lazy_device(), param.lazy_shape());
        let count = shape.num_elements();
        let values: Vec<f32> = if D >= 2 {
            (0..count).map(|_| self.normal()).collect()
        } else {
            let scale = self.path.last().is_some_and(|name| name == "gamma");
            vec![f32::from(u8::from(scale)); count]
        };
        let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), &device);
        Param::initialized(id, tracked(tensor))
    }
}

/// The tensor of a trained parameter: with gradient on a device that differentiates.
pub(crate) fn tracked<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.require_grad() } else { tensor }
}
