use serde::{Deserialize, Serialize};

use super::{
    Adasyn, AllKnn, BorderlineSmote, ClusterCentroids, CondensedNn, EditedNn, GeometricSmote,
    InstanceHardness, KMeansSmote, Mwmote, NearMiss, NeighbourhoodCleaning, OneSidedSelection,
    ProWSyn, RandomOver, RandomUnder, RepeatedEditedNn, Resampler, SafeLevelSmote, Smote, SmoteEnn,
    SmoteN, SmoteNc, SmoteTomek, SvmSmote, TomekLinks,
};
use crate::{Plan, Result, Strategy, Table};

macro_rules! kinds {
    (
        seeded { $($seeded:ident = $seeded_name:literal,)* }
        fixed { $($fixed:ident = $fixed_name:literal,)* }
        combined { $($combined:ident = $combined_name:literal,)* }
    ) => {
        /// Any resampler by its name, for configuration files.
        ///
        /// ```
        /// use counterweight_samplers::{ResamplerConfig, Smote, Strategy};
        ///
        /// let smote: ResamplerConfig =
        ///     serde_json::from_str(r#"{ "kind": "smote", "k": 3, "strategy": { "ratio": 0.5 } }"#).unwrap();
        /// assert_eq!(smote, Smote::new().with_k(3).with_strategy(Strategy::Ratio(0.5)).into());
        /// assert_eq!(ResamplerConfig::named("tomek_links").unwrap().name(), "tomek_links");
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum ResamplerConfig {
            $(
                #[doc = concat!("[`", stringify!($seeded), "`].")]
                #[serde(rename = $seeded_name)]
                $seeded($seeded),
            )*
            $(
                #[doc = concat!("[`", stringify!($fixed), "`].")]
                #[serde(rename = $fixed_name)]
                $fixed($fixed),
            )*
            $(
                #[doc = concat!("[`", stringify!($combined), "`].")]
                #[serde(rename = $combined_name)]
                $combined($combined),
            )*
        }

        impl ResamplerConfig {
            /// The names of all.
            pub const NAMES: &[&str] = &[$($seeded_name,)* $($fixed_name,)* $($combined_name,)*];

            /// The one of this name, with its defaults.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($seeded_name => Some(Self::$seeded($seeded::new())),)*
                    $($fixed_name => Some(Self::$fixed($fixed::new())),)*
                    $($combined_name => Some(Self::$combined($combined::new())),)*
                    _ => None,
                }
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$seeded(_) => $seeded_name,)*
                    $(Self::$fixed(_) => $fixed_name,)*
                    $(Self::$combined(_) => $combined_name,)*
                }
            }

            /// Sets which classes are resampled and to how many rows; of a combined method, by its
            /// over-sampling.
            #[must_use]
            pub fn with_strategy(self, strategy: Strategy) -> Self {
                match self {
                    $(Self::$seeded(one) => Self::$seeded(one.with_strategy(strategy)),)*
                    $(Self::$fixed(one) => Self::$fixed(one.with_strategy(strategy)),)*
                    $(Self::$combined(one) => {
                        Self::$combined(one.over(|smote| smote.with_strategy(strategy)))
                    })*
                }
            }

            /// Sets the seed; a method that draws nothing stays as it is.
            #[must_use]
            pub fn with_seed(self, seed: u64) -> Self {
                match self {
                    $(Self::$seeded(one) => Self::$seeded(one.with_seed(seed)),)*
                    $(Self::$combined(one) => {
                        Self::$combined(one.over(|smote| smote.with_seed(seed)))
                    })*
                    fixed => fixed,
                }
            }
        }

        $(
            impl From<$seeded> for ResamplerConfig {
                fn from(one: $seeded) -> Self {
                    Self::$seeded(one)
                }
            }
        )*
        $(
            impl From<$fixed> for ResamplerConfig {
                fn from(one: $fixed) -> Self {
                    Self::$fixed(one)
                }
            }
        )*
        $(
            impl From<$combined> for ResamplerConfig {
                fn from(one: $combined) -> Self {
                    Self::$combined(one)
                }
            }
        )*

        impl Resampler for ResamplerConfig {
            fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
                match self {
                    $(Self::$seeded(one) => one.plan(x, y),)*
                    $(Self::$fixed(one) => one.plan(x, y),)*
                    $(Self::$combined(one) => one.plan(x, y),)*
                }
            }
        }
    };
}

kinds! {
    seeded {
        RandomOver = "random_over",
        Smote = "smote",
        BorderlineSmote = "borderline_smote",
        SvmSmote = "svm_smote",
        Adasyn = "adasyn",
        KMeansSmote = "kmeans_smote",
        SafeLevelSmote = "safe_level_smote",
        GeometricSmote = "geometric_smote",
        ProWSyn = "prowsyn",
        Mwmote = "mwmote",
        SmoteNc = "smote_nc",
        SmoteN = "smote_n",
        RandomUnder = "random_under",
        ClusterCentroids = "cluster_centroids",
        CondensedNn = "condensed_nn",
        OneSidedSelection = "one_sided_selection",
    }
    fixed {
        NearMiss = "near_miss",
        TomekLinks = "tomek_links",
        EditedNn = "edited_nn",
        RepeatedEditedNn = "repeated_edited_nn",
        AllKnn = "all_knn",
        NeighbourhoodCleaning = "neighbourhood_cleaning",
        InstanceHardness = "instance_hardness",
    }
    combined {
        SmoteEnn = "smote_enn",
        SmoteTomek = "smote_tomek",
    }
}
