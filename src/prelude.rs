//! What most programs use.

pub use burn::tensor::{Device, Int, Tensor};

pub use crate::augment::{
    AugmentConfig, Augmenter, Batch, CharacterNoise, Column, Copula, CtGan, CutMix, Eda, Fidelity,
    FidelityGate, Generator, GeneratorConfig, ImageTransform, Images, Lexicon, Mixer, Mixup,
    RandAugment, Remix, Strength, Substitution, TextAugmenter, TokenDropout, Training, Transfer,
    Tvae,
};
pub use crate::core::{
    ClassProfile, LabelEncoder, NoProgress, Progress, Segment, SegmentRule, Split, TerminalProgress,
};
pub use crate::device;
pub use crate::encoder::{
    Attribution, Checkpoint, DualEncoder, Encoder, EncoderConfig, HeadKind, LoraConfig,
    NgramConfig, Pooling, Precision, PretrainedConfig, PromptClassifier, SentenceEncoder,
    TextClassifier, TokenClassifier, TransformerConfig, Verbalizer, seeded,
};
pub use crate::losses::{
    AlphaBceConfig, AsymmetricConfig, BceConfig, ClassWeights, CosineHead, CrossEntropyConfig,
    DeferredConfig, FocalConfig, LdamConfig, LogitAdjustedConfig, Loss, LossConfig, LossKind,
    Reduction, SigmoidFocalConfig, SupConConfig, Targets,
};
pub use crate::metrics::{
    Average, Bootstrap, CalibratorConfig, ClassCounts, ClassScore, ClassificationReport, Columns,
    Conformal, ConformalScore, ConfusionMatrix, CostMatrix, CurveMetric, DeLong, Decision,
    DecisionConfig, EpochMetric, FairnessReport, Floor, GroupReport, ItemExposure, LabelSets,
    McNemar, Metric, Predictions, RankedQuery, ScoreCurve, Temperature, ThresholdMetric,
};
pub use crate::samplers::{
    Adasyn, Approximate, BorderlineSmote, Chain, ClusterCentroids, EditedNn, Folds, IndexSampler,
    InstanceHardness, KMeansSmote, NearMiss, Plan, PlanFidelity, PlannedDataset, PlannedItem,
    RandomOver, RandomUnder, Relevance, Resampler, ResamplerConfig, SampledDataset, SamplerConfig,
    Smogn, Smote, SmoteEnn, SmoteN, SmoteNc, SmoteTomek, Smoter, Strategy, SvmSmote, TomekLinks,
};
pub use crate::tuner::{
    BoxError, CmaEs, Direction, Distribution, GaussianProcess, Grid, Hyperband, Journal, Nsga2,
    Pending, Percentile, Random, Sobol, Space, Sqlite, Study, SuccessiveHalving, Suggester, Tpe,
    Trial,
};
pub use crate::{
    ClipNorm, CompareReport, ContrastiveConfig, MaskedSubstitutes, Model, OptimizerConfig,
    OptimizerKind, PredictionTable, Recipe, RecipeSpace, Table, Task, TextData, TextReader,
    TextSplits, TrainOptions, Trained, Trainer, TuneOptions, Tuned, compare, train, tune,
};
