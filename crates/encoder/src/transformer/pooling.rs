use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// Which vector stands for the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// BERT's pooler: `tanh(W h_CLS + b)`.
    #[default]
    Pooler,
    /// The layer before DistilBERT's classifier: `relu(W h_CLS + b)`.
    PreClassifier,
    /// The first token's hidden state.
    Cls,
    /// The mean over the tokens, as sentence encoders have it (Reimers and Gurevych, EMNLP
    /// 2019).
    Mean,
    /// The largest value of each dimension over the tokens.
    Max,
    /// The last token's hidden state, for causal decoders.
    Last,
}

/// Below every hidden state.
const LOWEST: f64 = -1e9;

impl Pooling {
    /// Whether a dense layer follows.
    pub(crate) fn has_layer(self) -> bool {
        matches!(self, Self::Pooler | Self::PreClassifier)
    }

    /// `[batch, length, width]` and the mask `[batch, length]` → `[batch, width]`. A text
    /// without tokens is its first position (pooler, pre-classifier, cls, last) or zeros (mean, max).
    pub(crate) fn pool(self, hidden: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Pooler | Self::PreClassifier | Self::Cls => hidden.narrow(1, 0, 1).squeeze_dim(1),
            Self::Mean => {
                let count = mask.clone().sum_dim(1).clamp_min(1.0);
                mask.unsqueeze_dim::<3>(1).matmul(hidden).squeeze_dim::<2>(1) / count
            }
            Self::Max => {
                let any = mask.clone().max_dim(1);
                let seen = mask.unsqueeze_dim::<3>(2);
                let hidden = hidden * seen.clone() + (-seen + 1.0) * LOWEST;
                hidden.max_dim(1).squeeze_dim::<2>(1) * any
            }
            Self::Last => {
                let width = hidden.dims()[2];
                let last: Tensor<2, Int> = (mask.sum_dim(1) - 1.0).clamp_min(0.0).int();
                let last = last.unsqueeze_dim::<3>(2).repeat_dim(2, width);
                hidden.gather(1, last).squeeze_dim(1)
            }
        }
    }
}
