//! How far each weight is from the output.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

/// The weights of a model that holds a [`Transformer`](crate::Transformer), by their distance from
/// the head: 0 for all that comes after the blocks, 1 for the last block, up to the number of
/// blocks + 1 for the embeddings. Layer-wise learning rates (Howard and Ruder, ACL 2018) are a
/// factor to the power of this. For other models all weights have distance 0.
///
/// ```
/// use burn::tensor::Device;
/// use counterweight_encoder::{TransformerConfig, layer_depths};
///
/// let config = TransformerConfig { num_hidden_layers: 2, ..TransformerConfig::default() };
/// let depths: Vec<usize> = layer_depths(&config.init(&Device::flex())?).into_keys().collect();
/// // The pooler, the two blocks, the embeddings.
/// assert_eq!(depths, [0, 1, 2, 3]);
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
pub fn layer_depths<M: Module>(module: &M) -> BTreeMap<usize, Vec<ParamId>> {
    let mut visitor = Layers::default();
    module.visit(&mut visitor);
    let blocks = visitor.found.iter().filter_map(|(layer, _)| match layer {
        Layer::Block(number) => Some(number + 1),
        _ => None,
    });
    let blocks = blocks.max().unwrap_or(0);
    let mut depths: BTreeMap<usize, Vec<ParamId>> = BTreeMap::new();
    for (layer, id) in visitor.found {
        let depth = match layer {
            Layer::Embeddings if blocks > 0 => blocks + 1,
            Layer::Block(number) => blocks - number,
            _ => 0,
        };
        depths.entry(depth).or_default().push(id);
    }
    depths
}

enum Layer {
    Embeddings,
    Block(usize),
    After,
}

#[derive(Default)]
struct Layers {
    path: Vec<String>,
    found: Vec<(Layer, ParamId)>,
}

impl ModuleVisitor for Layers {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let block = self.path.windows(2).find(|parts| parts[0] == "blocks");
        let layer = match block.and_then(|parts| parts[1].parse().ok()) {
            Some(number) => Layer::Block(number),
            // The table of relative positions is read by every block.
            None if self.path.iter().any(|p| p == "embeddings" || p == "relative") => {
                Layer::Embeddings
            }
            None => Layer::After,
        };
        self.found.push((layer, param.id));
    }
}
