//! All gradients of a model at once.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Gradients scaled down where the norm of all together exceeds `most`, without a read.
pub(super) fn clipped<M: Module>(
    model: &M,
    gradients: GradientsParams,
    most: f64,
) -> GradientsParams {
    let mut squares = Squares { gradients: &gradients, sum: None };
    model.visit(&mut squares);
    let Some(sum) = squares.sum else { return gradients };
    // PyTorch's guard against a division by 0.
    let factor = ((sum.sqrt() + 1e-6).recip() * most).clamp_max(1.0);
    let mut scale = Scale { gradients, factor };
    model.visit(&mut scale);
    scale.gradients
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.clone().mul(gradient).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scale {
    gradients: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let scaled = gradient * self.factor.clone().reshape([1; D]);
            self.gradients.register(param.id, scaled);
        }
    }
}

/// The trained weights of a model, one after the other: what is frozen costs an optimiser over
/// the whole vector nothing.
#[derive(Module, Debug)]
pub(super) struct Flat {
    weights: Param<Tensor<1>>,
}

impl Flat {
    pub(super) fn of<M: Module>(model: &M) -> Self {
        let mut collect = Collect { parts: Vec::new(), gradients: None };
        model.visit(&mut collect);
        let weights = Tensor::cat(collect.parts, 0);
        Self { weights: Param::from_tensor(Tensor::from_inner(weights).require_grad()) }
    }

    /// The model with these weights.
    pub(super) fn put_into<M: Module>(&self, model: M) -> M {
        model.map(&mut PutBack { weights: self.weights.val().inner(), at: 0 })
    }

    /// The gradients of a model's trained weights as those of the vector.
    pub(super) fn gradients<M: Module>(
        &self,
        model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams {
        let mut collect = Collect { parts: Vec::new(), gradients: Some(gradients) };
        model.visit(&mut collect);
        self.register(Tensor::cat(collect.parts, 0))
    }

    pub(super) fn no_gradients(&self) -> GradientsParams {
        self.register(self.weights.val().inner().zeros_like())
    }

    fn register(&self, gradient: Tensor<1>) -> GradientsParams {
        let mut all = GradientsParams::new();
        all.register(self.weights.id, gradient);
        all
    }
}

/// Weights, or where there are any, gradients, in the order of the visit.
struct Collect {
    parts: Vec<Tensor<1>>,
    gradients: Option<GradientsParams>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let weights = param.val().inner();
        let part = match &mut self.gradients {
            None => weights,
            // A weight that the batch did not reach has none.
            Some(all) => all.remove::<D>(param.id).unwrap_or_else(|| weights.zeros_like()),
        };
        self.parts.push(part.reshape([-1]));
    }
}

struct PutBack {
    weights: Tensor<1>,
    at: usize,
}

impl ModuleMapper for PutBack {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let shape = param.shape();
        let count = shape.num_elements();
        let own = self.weights.clone().narrow(0, self.at, count).reshape(shape);
        self.at += count;
        let id = param.id;
        Param::initialized(id, Tensor::from_inner(own).require_grad())
    }
}
